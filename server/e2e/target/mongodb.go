package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/novatech/securevault/server/engines/enginetest/mongostandin"
)

// The codes by which MongoDB refuses: Unauthorized, AuthenticationFailed.
var mongoRefusals = []int{13, 18}

// startMongoDB leaves the authority that the stand-in trusts in the folder that it
// is started in: ca.pem and ca-key.pem.
func startMongoDB(ctx context.Context) (running, error) {
	server, err := mongostandin.Start()
	if err != nil {
		return running{}, err
	}
	if err := prepareMongoDB(ctx, server); err != nil {
		server.Stop()
		return running{}, err
	}
	return running{map[string]string{"DB_ADDRESS": server.Address()}, server.Stop}, nil
}

func prepareMongoDB(ctx context.Context, server *mongostandin.Server) error {
	key, err := server.Authority.KeyPEM()
	if err != nil {
		return err
	}
	if err := errors.Join(os.WriteFile("ca.pem", server.Authority.PEM(), 0o600), os.WriteFile("ca-key.pem", key, 0o600)); err != nil {
		return err
	}
	client, err := mongo.Connect(options.Client().ApplyURI(server.URL(mongostandin.Admin, mongostandin.Password)))
	if err != nil {
		return err
	}
	defer func() { _ = client.Disconnect(ctx) }()
	return client.Database("admin").RunCommand(ctx, bson.D{
		{Key: "createUser", Value: admin}, {Key: "pwd", Value: adminPassword}, {Key: "roles", Value: bson.A{"userAdminAnyDatabase"}},
	}).Err()
}

// loginMongoDB takes a MONGODB_URI, or a certificate with its key in PEM.
func loginMongoDB(ctx context.Context, text string) error {
	settings := options.Client()
	if strings.HasPrefix(text, "-----BEGIN ") {
		config, err := certificateOf(text)
		if err != nil {
			return err
		}
		settings.ApplyURI("mongodb://" + os.Getenv("DB_ADDRESS") + "/?authMechanism=MONGODB-X509&directConnection=true").SetTLSConfig(config)
	} else {
		settings.ApplyURI(value(text, "MONGODB_URI")).SetDirect(true)
	}
	client, err := mongo.Connect(settings)
	if err != nil {
		return err
	}
	defer func() { _ = client.Disconnect(ctx) }()
	_, err = client.Database("mydb").Collection("orders").InsertOne(ctx, bson.D{{Key: "item", Value: "magnet"}})
	if refusal, ok := errors.AsType[mongo.CommandError](err); ok {
		for _, code := range mongoRefusals {
			if refusal.HasErrorCode(code) {
				return fmt.Errorf("%w: %w", errRefused, err)
			}
		}
	}
	return err
}

func certificateOf(text string) (*tls.Config, error) {
	pair, err := tls.X509KeyPair([]byte(text), []byte(text))
	if err != nil {
		return nil, err
	}
	authority, err := os.ReadFile("ca.pem")
	if err != nil {
		return nil, err
	}
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(authority)
	return &tls.Config{RootCAs: trusted, Certificates: []tls.Certificate{pair}}, nil
}

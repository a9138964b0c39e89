// Package mongodb issues MongoDB users: the plugin behind
// mongodb-database-plugin.
//
// Users log in with a password (SCRAM), in the database that the role names, or
// with a client certificate (X.509), in $external under the certificate's subject.
//
// It promises that a creation that fails leaves no user, that revocation really
// ends one (sessions, rights and login, in whatever database it is), and that no
// error tells a password. Names, roles and passwords travel as values of BSON
// documents: there is no text to break out of.
//
// Start reading at user.go (create, change the password), then revoke.go;
// statement.go reads what roles say, settings.go what the configuration says,
// operation.go ends what a dead connection has left, failure.go explains errors.
package mongodb

import (
	"context"
	"time"

	"github.com/hashicorp/vault/sdk/database/dbplugin/v5"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/novatech/securevault/server/engines/database/fault"
	"github.com/novatech/securevault/server/engines/database/username"
)

// closeLimit bounds how long a server may take to hear that we go. It need not.
const closeLimit = 2 * time.Second

// Database is one configured MongoDB deployment. Its methods may be called
// concurrently once Initialize has returned.
type Database struct {
	client *mongo.Client
	username.Generator
	concern  *writeConcern // nil: the server's default
	source   string        // the database in which the admin, and users by default, log in
	session  string        // appName of our connections, and of nobody else's
	password string        // the admin's: scrubbed from errors
}

var _ dbplugin.Database = (*Database)(nil)

// New returns a database that waits for Initialize.
func New() dbplugin.Database { return &Database{} }

// Type returns "mongodb".
func (d *Database) Type() (string, error) { return "mongodb", nil }

// Initialize reads the settings and makes the client. It logs in only if
// VerifyConnection is set; a mongodb+srv address is looked up in any case.
func (d *Database) Initialize(ctx context.Context, req dbplugin.InitializeRequest) (dbplugin.InitializeResponse, error) {
	var none dbplugin.InitializeResponse
	if d.client != nil {
		return none, fault.New(fault.Refused, "the database is initialized already: close it and make a new one")
	}
	settings, err := decodeSettings(req.Config)
	if err != nil {
		return none, err
	}
	d.password = settings.Password
	if d.Generator, err = username.New(settings.UsernameTemplate, maxNameBytes); err != nil {
		return none, fault.New(fault.Refused, "%s", fault.Scrub(err.Error(), d.password))
	}
	if d.concern, err = parseWriteConcern(settings.WriteConcern); err != nil {
		return none, err
	}
	target, err := settings.clientOptions(ctx)
	if err != nil {
		return none, err
	}
	d.source, d.session = adminDatabase, *target.AppName
	if login := target.Auth; login != nil {
		d.source, d.password = login.AuthSource, login.Password // connection_url may hold one of its own
	}
	if d.concern == nil {
		d.concern = concernOf(target.WriteConcern)
	}
	client, err := mongo.Connect(target)
	if err != nil {
		return none, d.explain(err, "making the client")
	}
	d.client = client
	if req.VerifyConnection {
		if err := d.run(ctx, adminDatabase, ping{1}, nil); err != nil {
			_ = d.Close() // the reason to close says more
			return none, d.explain(err, "verifying the connection")
		}
	}
	response := dbplugin.InitializeResponse{Config: req.Config}
	response.SetSupportedCredentialTypes([]dbplugin.CredentialType{dbplugin.CredentialTypePassword, dbplugin.CredentialTypeClientCertificate})
	return response, nil
}

// Close ends every connection and all that watches the servers.
func (d *Database) Close() error {
	if d.client == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeLimit)
	defer cancel()
	return d.client.Disconnect(ctx)
}

// run sends a command and decodes the answer, unless into is nil.
func (d *Database) run(ctx context.Context, database string, command, into any) error {
	if d.client == nil {
		return errNotOpen
	}
	answer := d.client.Database(database).RunCommand(ctx, command)
	if into == nil {
		return answer.Err()
	}
	return answer.Decode(into)
}

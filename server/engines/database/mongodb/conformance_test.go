package mongodb_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"maps"
	"net/url"
	"os"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/novatech/securevault/server/engines/database"
	"github.com/novatech/securevault/server/engines/database/plugintest"
	"github.com/novatech/securevault/server/engines/enginetest"
	"github.com/novatech/securevault/server/engines/enginetest/mongostandin"
)

// realServer names a variable with the URL of a real server, an admin's name and
// password included, for the tests of passwords. All others need what only the
// stand-in does, or an authority that the server believes.
const realServer = "SECUREVAULT_TEST_MONGODB_URL"

// target is where users are made.
type target struct {
	address, username, password string
	admin                       *mongo.Client
}

var (
	standIn *mongostandin.Server
	server  target // the real one if there is one
	fake    target // the stand-in
)

func TestMain(m *testing.M) {
	standIn = mongostandin.MustStart()
	fake = mustReach(standIn.URL(mongostandin.Admin, mongostandin.Password))
	server = fake
	if address := os.Getenv(realServer); address != "" {
		server = mustReach(address)
	}
	code := m.Run()
	for _, each := range []target{server, fake} {
		_ = each.admin.Disconnect(context.Background())
	}
	standIn.Stop()
	os.Exit(code)
}

func mustReach(address string) target {
	parsed, err := url.Parse(address)
	if err == nil {
		password, _ := parsed.User.Password()
		made := target{address: parsed.Host, username: parsed.User.Username(), password: password}
		if made.admin, err = made.connect(made.username, made.password, "admin"); err == nil {
			return made
		}
	}
	fmt.Fprintln(os.Stderr, "reaching MongoDB:", err)
	os.Exit(1)
	return target{}
}

// connect makes a client that logs in with a password.
func (s target) connect(username, password, database string) (*mongo.Client, error) {
	return mongo.Connect(options.Client().ApplyURI("mongodb://" + s.address + "/?directConnection=true").
		SetAuth(options.Credential{Username: username, Password: password, AuthSource: database}))
}

// users names the users of all databases.
func (s target) users(t testing.TB) []string {
	t.Helper()
	var names []string
	for _, user := range s.list(t) {
		names = append(names, user.Name)
	}
	return names
}

type listed struct {
	Name     string `bson:"user"`
	Database string `bson:"db"`
	Roles    []struct {
		Name     string `bson:"role"`
		Database string `bson:"db"`
	} `bson:"roles"`
}

func (s target) list(t testing.TB) []listed {
	t.Helper()
	var answer struct {
		Users []listed `bson:"users"`
	}
	ask := bson.D{{Key: "usersInfo", Value: bson.D{{Key: "forAllDBs", Value: true}}}}
	if err := s.admin.Database("admin").RunCommand(context.Background(), ask).Decode(&answer); err != nil {
		t.Fatalf("listing users: %v", err)
	}
	return answer.Users
}

// drop removes the users of that name by hand.
func (s target) drop(t testing.TB, name string) {
	t.Helper()
	for _, user := range s.list(t) {
		if user.Name != name {
			continue
		}
		if err := s.admin.Database(user.Database).RunCommand(context.Background(), bson.D{{Key: "dropUser", Value: name}}).Err(); err != nil {
			t.Fatalf("dropping %q: %v", name, err)
		}
	}
}

// config is of config/shop, for a server at that address.
func (s target) config(address string) map[string]any {
	return map[string]any{
		"plugin_name": "mongodb-database-plugin", "allowed_roles": "*", "username": s.username, "password": s.password,
		"connection_url": "mongodb://{{username}}:{{password}}@" + address + "/admin?directConnection=true",
	}
}

// outage is config for a server that goes down, for which nobody waits as long as
// in production.
func (s target) outage(proxy *enginetest.Proxy) map[string]any {
	config := s.config(proxy.Address())
	config["connection_url"] = config["connection_url"].(string) + "&serverSelectionTimeoutMS=5000"
	return config
}

// The guide's role, and the same for holders of certificates.
const (
	guideRole       = `{"db": "mydb", "roles": [{"role": "readWrite"}]}`
	certificateRole = `{"roles": [{"role": "readWrite", "db": "mydb"}]}`
)

func role(statements string) map[string]any {
	return map[string]any{"db_name": "shop", "creation_statements": statements, "default_ttl": "1h", "max_ttl": "24h"}
}

func certified(t testing.TB) map[string]any {
	t.Helper()
	key, err := standIn.Authority.KeyPEM()
	if err != nil {
		t.Fatal(err)
	}
	return with(role(certificateRole), map[string]any{
		"credential_type":   "client_certificate",
		"credential_config": map[string]any{"ca_cert": string(standIn.Authority.PEM()), "ca_private_key": string(key), "key_type": "ec", "key_bits": "256"},
	})
}

// with returns the fields of all, the last of a name winning.
func with(all ...map[string]any) map[string]any {
	joined := map[string]any{}
	for _, fields := range all {
		maps.Copy(joined, fields)
	}
	return joined
}

// session is a client of an issued user.
type session struct{ client *mongo.Client }

// login opens a session, if the server lets the client in.
func login(ctx context.Context, client *mongo.Client, err error) (enginetest.Session, error) {
	if err != nil {
		return nil, err
	}
	opened := session{client}
	if err := client.Ping(ctx, nil); err != nil {
		opened.Close()
		return nil, err
	}
	return opened, nil
}

func (s session) Allowed(ctx context.Context) error {
	_, err := s.client.Database("mydb").Collection("orders").InsertOne(ctx, bson.D{{Key: "number", Value: 1}})
	return err
}

func (s session) Forbidden(ctx context.Context) error {
	_, err := s.client.Database("other").Collection("orders").InsertOne(ctx, bson.D{{Key: "number", Value: 1}})
	return err
}

func (s session) Close() { _ = s.client.Disconnect(context.Background()) }

func (s target) loginWithPassword(ctx context.Context, data map[string]any) (enginetest.Session, error) {
	client, err := s.connect(data["username"].(string), data["password"].(string), "mydb")
	return login(ctx, client, err)
}

func loginWithCertificate(ctx context.Context, data map[string]any) (enginetest.Session, error) {
	pair, err := tls.X509KeyPair([]byte(data["client_certificate"].(string)), []byte(data["private_key"].(string)))
	if err != nil {
		return nil, err
	}
	settings := options.Client().ApplyURI("mongodb://" + standIn.Address() + "/?directConnection=true&authMechanism=MONGODB-X509")
	client, err := mongo.Connect(settings.SetTLSConfig(&tls.Config{RootCAs: standIn.Authority.Pool(), Certificates: []tls.Certificate{pair}}))
	return login(ctx, client, err)
}

func TestPasswordsConform(t *testing.T) {
	proxy := enginetest.NewProxy(t, server.address)
	enginetest.Suite{
		Factory: database.Factory,
		Setup:   []enginetest.Write{{Path: "config/shop", Data: server.outage(proxy)}, {Path: "roles/app", Data: role(guideRole)}},
		Creds:   "creds/app",
		Login:   server.loginWithPassword,
		Proxy:   proxy,
		Users:   server.users,
	}.Run(t)
}

func TestClientCertificatesConform(t *testing.T) {
	if server != fake {
		t.Logf("client certificates meet the stand-in, not %s, which does not know the test's authority", realServer)
	}
	proxy := enginetest.NewProxy(t, fake.address)
	enginetest.Suite{
		Factory: database.Factory,
		Setup:   []enginetest.Write{{Path: "config/shop", Data: fake.outage(proxy)}, {Path: "roles/app", Data: certified(t)}},
		Creds:   "creds/app",
		Login:   loginWithCertificate,
		Proxy:   proxy,
		Users:   fake.users,
	}.Run(t)
}

func TestBadInputIsSurvived(t *testing.T) {
	plugintest.Hostile{
		Config:  server.config(server.address),
		Role:    role(guideRole),
		Halfway: role(`{"db": "mydb", "roles": ["readWrite", "nosuchrole"]}`),
		Users:   server.users,
		Drop:    server.drop,
		Admin:   server.password,
	}.Run(t)
}

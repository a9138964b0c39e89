package mongostandin

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

func start(t *testing.T) *Server {
	t.Helper()
	server, err := Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	return server
}

// connect logs in at the first command.
func connect(t *testing.T, settings *options.ClientOptions) *mongo.Client {
	t.Helper()
	client, err := mongo.Connect(settings)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Disconnect(context.Background()) })
	return client
}

func as(server *Server, username, password, mechanism, database string) *options.ClientOptions {
	return options.Client().ApplyURI("mongodb://" + server.Address() + "/?directConnection=true").
		SetAuth(options.Credential{Username: username, Password: password, AuthMechanism: mechanism, AuthSource: database})
}

func withCertificate(t *testing.T, server *Server, name string) *options.ClientOptions {
	t.Helper()
	settings := &tls.Config{RootCAs: server.Authority.Pool()}
	if name != "" {
		certificate, err := server.Authority.Issue(name)
		if err != nil {
			t.Fatal(err)
		}
		settings.Certificates = []tls.Certificate{certificate}
	}
	return options.Client().ApplyURI("mongodb://" + server.Address() + "/?directConnection=true&authMechanism=MONGODB-X509").SetTLSConfig(settings)
}

func run(t *testing.T, client *mongo.Client, database string, command bson.D) error {
	t.Helper()
	return client.Database(database).RunCommand(t.Context(), command).Err()
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantCode(t *testing.T, err error, code int) {
	t.Helper()
	var refused mongo.ServerError
	if !errors.As(err, &refused) || !refused.HasErrorCode(code) {
		t.Errorf("got %v, want code %d", err, code)
	}
}

func newUser(name, password string, roles ...any) bson.D {
	return bson.D{{Key: "createUser", Value: name}, {Key: "pwd", Value: password}, {Key: "roles", Value: append(bson.A{}, roles...)}}
}

func TestAPasswordMustBeProved(t *testing.T) {
	server := start(t)
	must(t, run(t, connect(t, as(server, Admin, Password, "", "admin")), "shop", newUser("app", "s3cret, ü=1", "read")))
	for _, mechanism := range []string{"", scramSHA1, scramSHA256} {
		t.Run("mechanism "+mechanism, func(t *testing.T) {
			must(t, run(t, connect(t, as(server, "app", "s3cret, ü=1", mechanism, "shop")), "shop", bson.D{{Key: "find", Value: "orders"}}))
			for name, settings := range map[string]*options.ClientOptions{
				"a wrong password":  as(server, "app", "s3cret", mechanism, "shop"),
				"an empty password": as(server, "app", "", mechanism, "shop"),
				"a wrong database":  as(server, "app", "s3cret, ü=1", mechanism, "admin"),
				"an unknown user":   as(server, "nobody", "s3cret, ü=1", mechanism, "shop"),
			} {
				t.Run(name, func(t *testing.T) {
					wantCode(t, run(t, connect(t, settings), "shop", bson.D{{Key: "ping", Value: 1}}), 18)
				})
			}
		})
	}
}

func TestACertificateMustBearTheUsersName(t *testing.T) {
	server := start(t)
	admin := connect(t, as(server, Admin, Password, "", "admin"))
	must(t, run(t, admin, external, bson.D{{Key: "createUser", Value: "CN=app"}, {Key: "roles", Value: bson.A{bson.D{{Key: "role", Value: "read"}, {Key: "db", Value: "shop"}}}}}))
	must(t, run(t, connect(t, withCertificate(t, server, "app")), "shop", bson.D{{Key: "find", Value: "orders"}}))
	other := start(t)
	stranger := withCertificate(t, other, "app")
	stranger.TLSConfig.RootCAs = server.Authority.Pool()
	stranger.SetHosts([]string{server.Address()}).SetServerSelectionTimeout(time.Second)
	for name, settings := range map[string]*options.ClientOptions{
		"another subject":   withCertificate(t, server, "other"),
		"no certificate":    withCertificate(t, server, ""),
		"another authority": stranger,
	} {
		t.Run(name, func(t *testing.T) {
			err := run(t, connect(t, settings), "shop", bson.D{{Key: "ping", Value: 1}})
			if name != "another authority" {
				wantCode(t, err, 18)
			} else if err == nil {
				t.Error("a certificate of another authority is believed")
			}
		})
	}
}

func TestWhatIsWrongIsRefusedWithTheCodeOfMongod(t *testing.T) {
	server := start(t)
	admin := connect(t, as(server, Admin, Password, "", "admin"))
	must(t, run(t, admin, "shop", newUser("app", "secret", "readWrite")))
	app := connect(t, as(server, "app", "secret", "", "shop"))
	nobody := connect(t, options.Client().ApplyURI("mongodb://"+server.Address()+"/?directConnection=true"))
	nothing := bson.D{}
	cases := map[string]struct {
		client   *mongo.Client
		database string
		command  bson.D
		code     int
	}{
		"an unknown command":             {admin, "shop", bson.D{{Key: "mapReduce", Value: "a"}}, 59},
		"an unknown field":               {admin, "shop", append(newUser("a", "b"), bson.E{Key: "role", Value: "read"}), 40415},
		"a missing field":                {admin, "shop", bson.D{{Key: "createUser", Value: "a"}, {Key: "pwd", Value: "b"}}, 40414},
		"a wrong type":                   {admin, "shop", bson.D{{Key: "dropUser", Value: 1}}, 14},
		"a user twice":                   {admin, "shop", newUser("app", "secret"), 51003},
		"an unknown role":                {admin, "shop", newUser("a", "b", "raedWrite"), 31},
		"a role without a database":      {admin, "shop", newUser("a", "b", bson.D{{Key: "role", Value: "read"}}), 40414},
		"a user without a password":      {admin, "shop", bson.D{{Key: "createUser", Value: "a"}, {Key: "roles", Value: bson.A{}}}, 2},
		"an external user's password":    {admin, external, newUser("CN=a", "b"), 2},
		"dropping nobody":                {admin, "shop", bson.D{{Key: "dropUser", Value: "nobody"}}, 11},
		"changing nobody":                {admin, "shop", bson.D{{Key: "updateUser", Value: "nobody"}, {Key: "pwd", Value: "a"}}, 11},
		"more members than there are":    {admin, "shop", append(bson.D{{Key: "dropUser", Value: "app"}}, bson.E{Key: "writeConcern", Value: bson.D{{Key: "w", Value: 2}}}), 2},
		"a write concern of a reader":    {admin, "shop", bson.D{{Key: "ping", Value: 1}, {Key: "writeConcern", Value: nothing}}, 72},
		"a command before a login":       {nobody, "shop", bson.D{{Key: "find", Value: "orders"}}, 13},
		"another database":               {app, "other", bson.D{{Key: "find", Value: "orders"}}, 13},
		"a user made by a writer":        {app, "shop", newUser("a", "b"), 13},
		"sessions killed by a writer":    {app, "admin", bson.D{{Key: "killAllSessions", Value: bson.A{}}}, 13},
		"other users seen by a writer":   {app, "shop", bson.D{{Key: "usersInfo", Value: bson.D{{Key: "forAllDBs", Value: true}}}}, 13},
		"a login without a conversation": {nobody, "admin", bson.D{{Key: "saslContinue", Value: 1}, {Key: "conversationId", Value: 1}, {Key: "payload", Value: []byte("p=a")}}, 17},
		"an unknown mechanism":           {nobody, "admin", bson.D{{Key: "saslStart", Value: 1}, {Key: "mechanism", Value: "PLAIN"}, {Key: "payload", Value: []byte("a")}}, 334},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) { wantCode(t, run(t, test.client, test.database, test.command), test.code) })
	}
}

func TestADroppedUserLosesAllRightsAtOnce(t *testing.T) {
	server := start(t)
	admin := connect(t, as(server, Admin, Password, "", "admin"))
	must(t, run(t, admin, "shop", newUser("app", "secret", "readWrite")))
	app := connect(t, as(server, "app", "secret", "", "shop").SetMaxPoolSize(1))
	orders := app.Database("shop").Collection("orders")
	if _, err := orders.InsertMany(t.Context(), []any{bson.D{{Key: "number", Value: 1}}, bson.D{{Key: "number", Value: 2}}}); err != nil {
		t.Fatal(err)
	}
	if found, err := orders.EstimatedDocumentCount(t.Context()); found != 2 || err != nil {
		t.Errorf("counted %d, %v", found, err)
	}
	if server.Sessions("app", "shop") == 0 {
		t.Error("the user has no session")
	}
	must(t, run(t, admin, "admin", bson.D{{Key: "killAllSessions", Value: bson.A{bson.D{{Key: "user", Value: "app"}, {Key: "db", Value: "shop"}}}}}))
	if left := server.Sessions("app", "shop"); left != 0 {
		t.Errorf("%d sessions were not killed", left)
	}
	must(t, run(t, admin, "shop", bson.D{{Key: "dropUser", Value: "app"}}))
	must(t, run(t, admin, "shop", newUser("app", "secret", "readWrite"))) // another one of that name
	wantCode(t, orders.FindOne(t.Context(), bson.D{}).Err(), 13)
	for _, name := range []string{"createUser", "dropUser", "killAllSessions"} {
		if len(server.Received(name)) == 0 {
			t.Errorf("%s was not kept", name)
		}
	}
}

func TestATestMayHaveAWriteFailHalfWay(t *testing.T) {
	server := start(t)
	admin := connect(t, as(server, Admin, Password, "", "admin"))
	server.FailWriteConcern("createUser")
	wantCode(t, run(t, admin, "shop", newUser("app", "secret")), 64)
	wantCode(t, run(t, admin, "shop", newUser("app", "secret")), 51003)
}

func TestAnOperationCanBeFoundAndKilled(t *testing.T) {
	server := start(t)
	admin := connect(t, as(server, Admin, Password, "", "admin").SetAppName("maker"))
	server.Hold("createUser")
	ended := make(chan error, 1)
	go func() { ended <- run(t, admin, "shop", newUser("app", "secret")) }()
	other := connect(t, as(server, Admin, Password, "", "admin").SetAppName("other"))
	for killed := false; !killed; {
		var listed struct {
			Operations []struct {
				ID int32 `bson:"opid"`
			} `bson:"inprog"`
		}
		must(t, other.Database("admin").RunCommand(t.Context(), bson.D{{Key: "currentOp", Value: 1}, {Key: "$ownOps", Value: true}, {Key: "appName", Value: "maker"}}).Decode(&listed))
		for _, operation := range listed.Operations {
			must(t, run(t, other, "admin", bson.D{{Key: "killOp", Value: 1}, {Key: "op", Value: operation.ID}}))
			killed = true
		}
	}
	wantCode(t, <-ended, 11601)
	wantCode(t, run(t, other, "shop", bson.D{{Key: "dropUser", Value: "app"}}), 11)
}

func TestWhatIsNoMessageEndsTheConnection(t *testing.T) {
	server := start(t)
	for name, bytes := range map[string]string{
		"HTTP":                  "GET / HTTP/1.1\r\n\r\n",
		"a huge length":         "\xff\xff\xff\x7f" + strings.Repeat("\x00", 12),
		"an old operation code": "\x10\x00\x00\x00" + strings.Repeat("\x00", 8) + "\xd2\x07\x00\x00",
		"an unknown flag":       "\x1a\x00\x00\x00" + strings.Repeat("\x00", 8) + "\xdd\x07\x00\x00" + "\x04\x00\x00\x00" + "\x00\x05\x00\x00\x00\x00",
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := net.Dial("tcp", server.Address())
			must(t, err)
			defer func() { _ = conn.Close() }()
			must(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
			_, err = conn.Write([]byte(bytes))
			must(t, err)
			if n, err := conn.Read(make([]byte, 1)); n != 0 || errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %d bytes, %v", n, err)
			}
		})
	}
}

func TestTheAddressIsForTheDriver(t *testing.T) {
	server := start(t)
	must(t, run(t, connect(t, options.Client().ApplyURI(server.URL(Admin, Password))), "admin", bson.D{{Key: "ping", Value: 1}}))
}

// FuzzParseRequest looks for messages that break the decoder. What it takes for a
// command has a name, a database and a valid body.
func FuzzParseRequest(f *testing.F) {
	command, err := reply(1, 0, false, 0, bson.D{{Key: "ping", Value: 1}, {Key: "$db", Value: "admin"}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(command)
	f.Add([]byte("\x3a\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\xd4\x07\x00\x00\x00\x00\x00\x00admin.$cmd\x00\x00\x00\x00\x00\xff\xff\xff\xff\x13\x00\x00\x00\x10isMaster\x00\x01\x00\x00\x00\x00"))
	f.Add(append(append([]byte(nil), command...), "\x01\x14\x00\x00\x00documents\x00\x05\x00\x00\x00\x00"...))
	f.Fuzz(func(t *testing.T, message []byte) {
		req, err := parseRequest(message)
		if err != nil {
			return
		}
		if req.name == "" && req.body.Index(0).Key() != "" || req.database == "" || req.body.Validate() != nil {
			t.Errorf("took %q for a command", message)
		}
		for _, documents := range req.sequence {
			for _, document := range documents {
				if document.Validate() != nil {
					t.Errorf("took %q for a document", document)
				}
			}
		}
	})
}

// TestAMessageOf278BytesIsNoTLS opens with what went wrong: its length begins with
// the byte of a TLS handshake, and the stand-in waited for the rest of that.
func TestAMessageOf278BytesIsNoTLS(t *testing.T) {
	for _, length := range []byte{0, 1, 3} {
		if beginsTLS([]byte{0x16, length, 0}) {
			t.Errorf("a message of %d bytes is taken for TLS", 0x16+int(length)<<8)
		}
	}
	for _, version := range []byte{1, 3} {
		if !beginsTLS([]byte{0x16, 3, version}) {
			t.Errorf("TLS 3.%d is not known", version)
		}
	}
}

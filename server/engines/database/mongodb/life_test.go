package mongodb_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"runtime/pprof"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/database/dbplugin/v5"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/novatech/securevault/server/engines/database"
	"github.com/novatech/securevault/server/engines/database/fault"
	"github.com/novatech/securevault/server/engines/database/mongodb"
	"github.com/novatech/securevault/server/engines/enginetest"
	"github.com/novatech/securevault/server/engines/enginetest/mongostandin"
)

// adminAs makes a user for the length of the test and returns a config that logs
// in as it.
func (s target) adminAs(t *testing.T, roles ...any) map[string]any {
	t.Helper()
	name := fmt.Sprintf("vault_admin_%d", time.Now().UnixNano())
	s.command(t, "admin", bson.D{{Key: "createUser", Value: name}, {Key: "pwd", Value: "initial-password"}, {Key: "roles", Value: append(bson.A{}, roles...)}})
	t.Cleanup(func() { s.drop(t, name) })
	return with(s.config(s.address), map[string]any{"username": name, "password": "initial-password"})
}

func (s target) command(t testing.TB, database string, command bson.D) {
	t.Helper()
	if err := s.admin.Database(database).RunCommand(context.Background(), command).Err(); err != nil {
		t.Fatalf("%s: %v", command[0].Key, err)
	}
}

// mount returns the engine with config/shop and roles/app.
func mount(t *testing.T, config, role map[string]any) *enginetest.Mount {
	t.Helper()
	mounted := enginetest.NewMount(t, database.Factory)
	mounted.MustWrite(t, "config/shop", config)
	mounted.MustWrite(t, "roles/app", role)
	return mounted
}

// open returns the plugin itself.
func open(t *testing.T, config map[string]any) *mongodb.Database {
	t.Helper()
	config = with(config)
	delete(config, "plugin_name")
	delete(config, "allowed_roles")
	opened := mongodb.New().(*mongodb.Database)
	if _, err := opened.Initialize(t.Context(), dbplugin.InitializeRequest{Config: config, VerifyConnection: true}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = opened.Close() })
	return opened
}

func wantError(t *testing.T, err error, class fault.Class, says string) {
	t.Helper()
	if err == nil || fault.ClassOf(err) != class || !strings.Contains(err.Error(), says) {
		t.Errorf("got %v of class %d, want %q of class %d", err, fault.ClassOf(err), says, class)
	}
}

func TestTheGuidesCommandsWorkAsTyped(t *testing.T) {
	mounted := mount(t, map[string]any{
		"plugin_name":    "mongodb-database-plugin",
		"connection_url": "mongodb://{{username}}:{{password}}@" + server.address + "/admin",
		"allowed_roles":  "app-role", "username": server.username, "password": server.password,
	}, map[string]any{"db_name": "shop"})
	mounted.MustWrite(t, "roles/app-role", map[string]any{
		"db_name": "shop", "creation_statements": `{"db": "mydb", "roles": [{"role": "readWrite"}]}`, "default_ttl": "1h", "max_ttl": "24h",
	})
	lease := mounted.MustIssue(t, "creds/app-role")
	name := lease.Data["username"].(string)
	made := server.list(t)
	at := slices.IndexFunc(made, func(user listed) bool { return user.Name == name })
	if at < 0 || made[at].Database != "mydb" || len(made[at].Roles) != 1 || made[at].Roles[0].Name != "readWrite" || made[at].Roles[0].Database != "mydb" {
		t.Errorf("made %+v", made)
	}
	if !strings.HasPrefix(name, "v-token-enginetes-app-role-") {
		t.Errorf("the user is called %q", name)
	}
	if err := mounted.Revoke(t.Context(), lease); err != nil {
		t.Error(err)
	}
}

func TestTheAdminNeedsTheRolesOfTheReadmeAndNoMore(t *testing.T) {
	cases := map[string]struct {
		roles  []any
		role   map[string]any
		killed bool
	}{
		"all databases, and sessions": {[]any{"userAdminAnyDatabase", "hostManager"}, role(guideRole), true},
		"all databases":               {[]any{"userAdminAnyDatabase"}, role(guideRole), false},
		"one database": {[]any{bson.D{{Key: "role", Value: "userAdmin"}, {Key: "db", Value: "mydb"}}},
			with(role(guideRole), map[string]any{"revocation_statements": `{"db": "mydb"}`}), false},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			mounted := mount(t, fake.adminAs(t, test.roles...), test.role)
			lease := mounted.MustIssue(t, "creds/app")
			session, err := fake.loginWithPassword(t.Context(), lease.Data)
			if err != nil {
				t.Fatal(err)
			}
			defer session.Close()
			if err := session.Allowed(t.Context()); err != nil {
				t.Fatal(err)
			}
			username := lease.Data["username"].(string)
			if standIn.Sessions(username, "mydb") == 0 {
				t.Error("the user has no session")
			}
			if err := mounted.Revoke(t.Context(), lease); err != nil {
				t.Fatal(err)
			}
			if err := session.Allowed(t.Context()); err == nil {
				t.Error("a connection outlived its user")
			}
			if left := standIn.Sessions(username, "mydb"); (left == 0) != test.killed {
				t.Errorf("%d sessions are left", left)
			}
		})
	}
}

func TestAnAdminWithoutPrivilegesIsToldWhichToGet(t *testing.T) {
	opened := open(t, fake.adminAs(t, "readWrite"))
	_, err := opened.NewUser(t.Context(), dbplugin.NewUserRequest{
		CredentialType: dbplugin.CredentialTypePassword, Password: "secret", Statements: dbplugin.Statements{Commands: []string{guideRole}},
	})
	wantError(t, err, fault.Refused, "give the config's username the role userAdminAnyDatabase")
	_, err = opened.DeleteUser(t.Context(), dbplugin.DeleteUserRequest{Username: "v-app"})
	wantError(t, err, fault.Refused, "userAdminAnyDatabase")
}

func TestTheWriteConcernGoesWithEveryChange(t *testing.T) {
	config := with(fake.config(fake.address), map[string]any{"write_concern": `{"wmode": "majority", "wtimeout": 5000, "j": true}`})
	opened := open(t, config)
	name := issue(t, opened)
	if _, err := opened.UpdateUser(t.Context(), dbplugin.UpdateUserRequest{Username: name, Password: &dbplugin.ChangePassword{
		NewPassword: "another", Statements: dbplugin.Statements{Commands: []string{`{"db": "mydb"}`}},
	}}); err != nil {
		t.Fatal(err)
	}
	end(t, opened, name)
	for _, command := range []string{"createUser", "updateUser", "dropUser"} {
		received := standIn.Received(command)
		concern := received[len(received)-1].Lookup("writeConcern")
		want := `{"w": "majority","j": true,"wtimeout": {"$numberLong":"5000"}}`
		if concern.String() != want {
			t.Errorf("%s came with %s, want %s", command, concern, want)
		}
	}
}

func issue(t *testing.T, opened *mongodb.Database) string {
	t.Helper()
	made, err := opened.NewUser(t.Context(), dbplugin.NewUserRequest{
		UsernameConfig: dbplugin.UsernameMetadata{DisplayName: "token", RoleName: "app"}, CredentialType: dbplugin.CredentialTypePassword,
		Password: "Issued-Secret-4711", Statements: dbplugin.Statements{Commands: []string{guideRole}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return made.Username
}

func end(t *testing.T, opened *mongodb.Database, name string) {
	t.Helper()
	if _, err := opened.DeleteUser(t.Context(), dbplugin.DeleteUserRequest{Username: name}); err != nil {
		t.Fatal(err)
	}
	if slices.Contains(fake.users(t), name) {
		t.Errorf("user %q is left", name)
	}
}

func TestAUserThatIsNotConfirmedIsUndone(t *testing.T) {
	opened := open(t, fake.config(fake.address))
	before := fake.users(t)
	request := dbplugin.NewUserRequest{CredentialType: dbplugin.CredentialTypePassword, Password: "Issued-Secret-4711",
		Statements: dbplugin.Statements{Commands: []string{guideRole}}}
	standIn.FailWriteConcern("createUser")
	_, err := opened.NewNamedUser(t.Context(), "v-app-1", request)
	wantError(t, err, fault.Later, "waiting for replication timed out")
	if after := fake.users(t); !slices.Equal(after, before) {
		t.Errorf("left %q, want %q", after, before)
	}
	standIn.FailWriteConcern("createUser")
	standIn.FailWriteConcern("dropUser")
	_, err = opened.NewNamedUser(t.Context(), "v-app-2", request)
	wantError(t, err, fault.Left, `removing the user "v-app-2" failed as well`)
}

func TestARevocationThatIsNotConfirmedIsTriedAgain(t *testing.T) {
	opened := open(t, fake.config(fake.address))
	name := issue(t, opened)
	// The first drops it. The second finds nobody, but the members still do not know.
	for range 2 {
		standIn.FailWriteConcern("dropUser")
		_, err := opened.DeleteUser(t.Context(), dbplugin.DeleteUserRequest{Username: name})
		wantError(t, err, fault.Later, "waiting for replication timed out")
	}
	end(t, opened, name)
}

// The connection breaks while the server is about to make a user. It would go on:
// the user would appear after everybody has looked.
func TestAUserThatIsStillBeingMadeDoesNotAppearLater(t *testing.T) {
	proxy := enginetest.NewProxy(t, fake.address)
	opened := open(t, fake.outage(proxy))
	release := standIn.Hold("createUser")
	defer release()
	came := len(standIn.Received("createUser"))
	failed := make(chan error, 1)
	go func() {
		_, err := opened.NewNamedUser(context.Background(), "v-app-late", dbplugin.NewUserRequest{
			CredentialType: dbplugin.CredentialTypePassword, Password: "Issued-Secret-4711", Statements: dbplugin.Statements{Commands: []string{guideRole}},
		})
		failed <- err
	}()
	await(t, func() bool { return len(standIn.Received("createUser")) > came })
	proxy.Cut()
	proxy.Restore()
	wantError(t, <-failed, fault.Later, "connection")
	release()
	if slices.Contains(fake.users(t), "v-app-late") {
		t.Error("the user appeared")
	}
}

// The same with a password: whoever keeps the old one could not log in any more.
func TestAPasswordThatIsStillBeingSetDoesNotChangeLater(t *testing.T) {
	proxy := enginetest.NewProxy(t, fake.address)
	fake.command(t, "mydb", bson.D{{Key: "createUser", Value: "slow"}, {Key: "pwd", Value: "Old-Secret-1"}, {Key: "roles", Value: bson.A{"readWrite"}}})
	t.Cleanup(func() { fake.drop(t, "slow") })
	opened := open(t, fake.outage(proxy))
	release := standIn.Hold("updateUser")
	defer release()
	came := len(standIn.Received("updateUser"))
	failed := make(chan error, 1)
	go func() {
		_, err := opened.UpdateUser(context.Background(), dbplugin.UpdateUserRequest{Username: "slow", Password: &dbplugin.ChangePassword{
			NewPassword: "New-Secret-1", Statements: dbplugin.Statements{Commands: []string{`{"db": "mydb"}`}},
		}})
		failed <- err
	}()
	await(t, func() bool { return len(standIn.Received("updateUser")) > came })
	proxy.Cut()
	proxy.Restore()
	wantError(t, <-failed, fault.Later, "connection")
	release()
	session, err := fake.loginWithPassword(t.Context(), map[string]any{"username": "slow", "password": "Old-Secret-1"})
	if err != nil {
		t.Fatalf("the old password: %v", err)
	}
	session.Close()
}

// A server dies while MongoDB is about to make a user for it. The next one ends
// that before it looks whether there is a user to remove.
func TestWhatADeadServerWasMakingIsEnded(t *testing.T) {
	dead, next := open(t, fake.config(fake.address)), open(t, fake.config(fake.address))
	release := standIn.Hold("createUser")
	defer release()
	came := len(standIn.Received("createUser"))
	failed := make(chan error, 1)
	go func() {
		_, err := dead.NewNamedUser(context.Background(), "v-app-dead", dbplugin.NewUserRequest{
			CredentialType: dbplugin.CredentialTypePassword, Password: "Issued-Secret-4711", Statements: dbplugin.Statements{Commands: []string{guideRole}},
		})
		failed <- err
	}()
	await(t, func() bool { return len(standIn.Received("createUser")) > came })
	if err := dead.EndSession(t.Context(), dead.Session()); err != nil {
		t.Errorf("a server that spares itself: %v", err)
	}
	if err := next.EndSession(t.Context(), dead.Session()); err != nil {
		t.Fatal(err)
	}
	wantError(t, <-failed, fault.Later, "operation was interrupted")
	end(t, next, "v-app-dead")
}

func await(t *testing.T, met func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !met(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("waited in vain")
		}
	}
}

func TestTheAdminsPasswordRotates(t *testing.T) {
	config := fake.adminAs(t, "root")
	mounted := mount(t, config, role(guideRole))
	mounted.MustWrite(t, "rotate-root/shop", nil)
	old, err := fake.connect(config["username"].(string), "initial-password", "admin")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = old.Disconnect(context.Background()) }()
	var refused mongo.ServerError
	if err := old.Ping(t.Context(), nil); !errors.As(err, &refused) || !refused.HasErrorCode(18) {
		t.Errorf("logging in with the old password: %v", err)
	}
	if err := mounted.Revoke(t.Context(), mounted.MustIssue(t, "creds/app")); err != nil {
		t.Error(err)
	}
}

func TestAPasswordChangesInTheNamedDatabase(t *testing.T) {
	opened := open(t, fake.config(fake.address))
	fake.command(t, "mydb", bson.D{{Key: "createUser", Value: "legacy"}, {Key: "pwd", Value: "old"}, {Key: "roles", Value: bson.A{"readWrite"}}})
	t.Cleanup(func() { fake.drop(t, "legacy") })
	change := func(statements ...string) error {
		_, err := opened.UpdateUser(t.Context(), dbplugin.UpdateUserRequest{Username: "legacy", Password: &dbplugin.ChangePassword{
			NewPassword: "New-Secret-1", Statements: dbplugin.Statements{Commands: statements},
		}})
		return err
	}
	wantError(t, change(), fault.NoUser, `name the user's db in the rotation statements: {"db": "mydb"}`)
	wantError(t, change(`{"db": "$external"}`), fault.Refused, "users of $external have none")
	wantError(t, change(`{"db": "mydb", "roles": ["root"]}`), fault.Refused, `unknown field "roles"`)
	if err := change(`{"db": "mydb"}`); err != nil {
		t.Fatal(err)
	}
	session, err := fake.loginWithPassword(t.Context(), map[string]any{"username": "legacy", "password": "New-Secret-1"})
	if err != nil {
		t.Fatal(err)
	}
	session.Close()
	if _, err := opened.UpdateUser(t.Context(), dbplugin.UpdateUserRequest{Username: "legacy", Expiration: &dbplugin.ChangeExpiration{NewExpiration: time.Now()}}); err != nil {
		t.Errorf("renewing: %v", err)
	}
}

func TestRolesOfTheWrongKindAreRefused(t *testing.T) {
	opened := open(t, fake.config(fake.address))
	cases := map[string]struct {
		kind      dbplugin.CredentialType
		subject   string
		statement string
		says      string
	}{
		"a password in $external":    {dbplugin.CredentialTypePassword, "", `{"db": "$external", "roles": [{"role": "read", "db": "mydb"}]}`, "set credential_type=client_certificate"},
		"a certificate elsewhere":    {dbplugin.CredentialTypeClientCertificate, "CN=v-app", guideRole, "leave db out"},
		"a role without a database":  {dbplugin.CredentialTypeClientCertificate, "CN=v-app", `{"roles": ["read"]}`, `write {"role": "read", "db": "mydb"}`},
		"a subject of somebody else": {dbplugin.CredentialTypeClientCertificate, "CN=root", certificateRole, "leave the subject to the engine"},
		"a key":                      {dbplugin.CredentialTypeRSAPrivateKey, "", guideRole, "use password or client_certificate"},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := opened.NewNamedUser(t.Context(), "v-app", dbplugin.NewUserRequest{
				CredentialType: test.kind, Subject: test.subject, Statements: dbplugin.Statements{Commands: []string{test.statement}},
			})
			wantError(t, err, fault.Refused, test.says)
		})
	}
}

func TestBrokenRevocationStatementsKeepNobodyAlive(t *testing.T) {
	opened := open(t, fake.config(fake.address))
	limited := open(t, fake.adminAs(t, bson.D{{Key: "role", Value: "userAdmin"}, {Key: "db", Value: "mydb"}}))
	for _, broken := range []string{"DROP USER", `{"database": "mydb"}`, `{"db": "{{nmae}}"}`} {
		request := dbplugin.DeleteUserRequest{Username: issue(t, opened), Statements: dbplugin.Statements{Commands: []string{broken}}}
		_, err := limited.DeleteUser(t.Context(), request)
		wantError(t, err, fault.Refused, "revocation_statements")
		if _, err := opened.DeleteUser(t.Context(), request); err != nil {
			t.Errorf("%s: %v", broken, err)
		}
		if slices.Contains(fake.users(t), request.Username) {
			t.Errorf("%s: the user is left", broken)
		}
	}
}

func TestOnlyTheUserThatIsMeantEnds(t *testing.T) {
	opened := open(t, fake.config(fake.address))
	certificate := bson.D{{Key: "createUser", Value: "CN=twin"}, {Key: "roles", Value: bson.A{}}}
	fake.command(t, "$external", certificate)
	fake.command(t, "mydb", bson.D{{Key: "createUser", Value: "CN=twin"}, {Key: "pwd", Value: "a"}, {Key: "roles", Value: bson.A{}}})
	t.Cleanup(func() { fake.drop(t, "CN=twin") })
	if _, err := opened.DeleteUser(t.Context(), dbplugin.DeleteUserRequest{Username: "twin"}); err != nil {
		t.Fatal(err)
	}
	var left []string
	for _, user := range fake.list(t) {
		if user.Name == "CN=twin" {
			left = append(left, user.Database)
		}
	}
	if !slices.Equal(left, []string{"mydb"}) {
		t.Errorf("CN=twin is left in %q, want it in mydb alone", left)
	}
}

func TestTheAdminMayLogInOverTLSAndByCertificate(t *testing.T) {
	pair, err := standIn.Authority.Issue("vault_admin")
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	bundle := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]})) +
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))
	fake.command(t, "$external", bson.D{{Key: "createUser", Value: "CN=vault_admin"}, {Key: "roles", Value: bson.A{bson.D{{Key: "role", Value: "root"}, {Key: "db", Value: "admin"}}}}})
	t.Cleanup(func() { fake.drop(t, "CN=vault_admin") })
	authority := string(standIn.Authority.PEM())
	for name, changes := range map[string]map[string]any{
		"a password": {"tls_ca": authority},
		"a certificate": {"tls_ca": authority, "tls_certificate_key": bundle, "username": "", "password": "",
			"connection_url": "mongodb://" + fake.address + "/?authMechanism=MONGODB-X509&directConnection=true"},
	} {
		t.Run(name, func(t *testing.T) {
			opened := open(t, with(fake.config(fake.address), changes))
			end(t, opened, issue(t, opened))
		})
	}
	t.Run("a server that nobody vouches for", func(t *testing.T) {
		mounted := enginetest.NewMount(t, database.Factory)
		config := with(fake.config(fake.address), map[string]any{"connection_url": "mongodb://{{username}}:{{password}}@" + fake.address + "/admin?tls=true&serverSelectionTimeoutMS=1000"})
		if _, err := mounted.Write(t.Context(), "config/shop", config); err == nil || !strings.Contains(err.Error(), "tls_ca") {
			t.Errorf("got %v, want a hint at tls_ca", err)
		}
	})
}

func TestClosingLeavesNothingRunning(t *testing.T) {
	// Labels are inherited: they tell the plugin's goroutines from those of the test's own
	// client and of the stand-in, which come and go.
	running := func() bool {
		var listed bytes.Buffer
		if err := pprof.Lookup("goroutine").WriteTo(&listed, 1); err != nil {
			t.Fatal(err)
		}
		return strings.Contains(listed.String(), t.Name()+`"`)
	}
	var opened *mongodb.Database
	pprof.Do(t.Context(), pprof.Labels("of", t.Name()), func(ctx context.Context) {
		opened = open(t, fake.config(fake.address))
		if _, err := opened.DeleteUser(ctx, dbplugin.DeleteUserRequest{Username: issue(t, opened)}); err != nil {
			t.Fatal(err)
		}
	})
	if !running() {
		t.Error("the plugin's goroutines are not to be found")
	}
	if err := opened.Close(); err != nil {
		t.Fatal(err)
	}
	await(t, func() bool { return !running() })
}

func TestASecretOfTheConfigIsNotRead(t *testing.T) {
	mounted := mount(t, fake.config(fake.address), role(guideRole))
	stored, err := mounted.Read(t.Context(), "config/shop")
	if err != nil || strings.Contains(fmt.Sprint(stored), mongostandin.Password) {
		t.Errorf("got %v, %v", stored, err)
	}
}

func TestAStaticRoleKeepsItsUserInItsDatabase(t *testing.T) {
	fake.command(t, "mydb", bson.D{{Key: "createUser", Value: "reporting"}, {Key: "pwd", Value: "old"}, {Key: "roles", Value: bson.A{"readWrite"}}})
	t.Cleanup(func() { fake.drop(t, "reporting") })
	mounted := mount(t, fake.config(fake.address), role(guideRole))
	mounted.MustWrite(t, "static-roles/reporting", map[string]any{
		"db_name": "shop", "username": "reporting", "rotation_period": "24h", "rotation_statements": `{"db": "mydb"}`,
	})
	var last string
	for range 2 {
		told, err := mounted.Read(t.Context(), "static-creds/reporting")
		if err != nil {
			t.Fatal(err)
		}
		session, err := fake.loginWithPassword(t.Context(), told)
		if err != nil {
			t.Fatal(err)
		}
		session.Close()
		if told["password"] == last {
			t.Error("the password did not change")
		}
		last = told["password"].(string)
		mounted.MustWrite(t, "rotate-role/reporting", nil)
	}
}

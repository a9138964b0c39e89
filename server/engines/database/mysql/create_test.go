package mysql_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/database/dbplugin/v5"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/engines/database"
	"github.com/novatech/securevault/server/engines/database/fault"
	"github.com/novatech/securevault/server/engines/database/mysql"
	"github.com/novatech/securevault/server/engines/enginetest"
	"github.com/novatech/securevault/server/engines/enginetest/mariadbtest"
)

// mountShop mounts the engine with the config "shop", and the role "app" of those
// statements.
func mountShop(t *testing.T, statements string) *enginetest.Mount {
	t.Helper()
	mount := enginetest.NewMount(t, database.Factory)
	mount.MustWrite(t, "config/shop", config(server.Address()))
	mount.MustWrite(t, "roles/app", role(statements))
	return mount
}

// try executes a statement as a client of a lease.
func try(t *testing.T, lease *enginetest.Lease, statement string) error {
	t.Helper()
	db, err := server.Login(t.Context(), lease.Data["username"].(string), lease.Data["password"].(string), "")
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	return run(t.Context(), db, statement)
}

func exists(t *testing.T, name string) bool {
	t.Helper()
	return slices.Contains(users(t), name)
}

// wantError checks what an error says, and that it is the client's to correct.
func wantError(t *testing.T, err error, says string) {
	t.Helper()
	if err == nil {
		t.Fatalf("succeeded, want an error that says %q", says)
	}
	if !strings.Contains(err.Error(), says) {
		t.Errorf("error %q does not say %q", err, says)
	}
	if coded, ok := errors.AsType[logical.HTTPCodedError](err); !ok || coded.Code() != http.StatusBadRequest {
		t.Errorf("error %q is not of status 400", err)
	}
}

// The guide has the space in '{{name}}'@ '%', for which the server has no use.
func TestTheGuidesCommandsWorkAsTyped(t *testing.T) {
	server.Exec(t, "CREATE DATABASE mydb; CREATE TABLE mydb.orders (id int); CREATE USER 'vault_admin'@'%' IDENTIFIED BY 'admin-password'; GRANT ALL ON *.* TO 'vault_admin'@'%' WITH GRANT OPTION")
	t.Cleanup(func() { server.Exec(t, "DROP DATABASE mydb; DROP USER 'vault_admin'@'%'") })
	mount := enginetest.NewMount(t, database.Factory)
	mount.MustWrite(t, "config/mysql-prod", map[string]any{
		"plugin_name":    "mysql-database-plugin",
		"connection_url": "{{username}}:{{password}}@tcp(" + server.Address() + ")/",
		"allowed_roles":  "app-role",
		"username":       "vault_admin",
		"password":       "admin-password",
	})
	mount.MustWrite(t, "roles/app-role", map[string]any{
		"db_name": "mysql-prod",
		"creation_statements": "CREATE USER '{{name}}'@ '%' IDENTIFIED BY '{{password}}'; " +
			"    GRANT SELECT, INSERT, UPDATE ON mydb.* TO '{{name}}'@ '%';",
		"default_ttl": "2h",
		"max_ttl":     "24h",
	})
	lease := mount.MustIssue(t, "creds/app-role")
	if lease.Secret.TTL != 2*time.Hour {
		t.Errorf("the lease lasts %s, want 2h", lease.Secret.TTL)
	}
	if name := lease.Data["username"].(string); !strings.HasPrefix(name, "v-token-engi-app-role-") || len(name) > 32 {
		t.Errorf("the username is %q", name)
	}
	if err := try(t, lease, "INSERT INTO mydb.orders VALUES (1); UPDATE mydb.orders SET id = 2"); err != nil {
		t.Error(err)
	}
	if err := try(t, lease, "DELETE FROM mydb.orders"); err == nil {
		t.Error("the credential may delete")
	}
	if err := mount.Revoke(t.Context(), lease); err != nil {
		t.Fatal(err)
	}
	if err := try(t, lease, "DO 1"); err == nil {
		t.Error("the credential outlived its lease")
	}
}

func TestSeveralStatementsAndBodiesReachTheServerWhole(t *testing.T) {
	shop := newShop(t)
	mount := mountShop(t, "CREATE USER '{{name}}'@'%' IDENTIFIED BY '{{password}}' -- ; is no end\n; /* nor ; here */ "+
		"CREATE PROCEDURE "+shop+".greet() SQL SECURITY INVOKER BEGIN SELECT 'a;b'; SELECT \"c;d\"; END; "+
		"GRANT EXECUTE ON PROCEDURE "+shop+".greet TO '{{name}}'@'%';")
	lease := mount.MustIssue(t, "creds/app")
	if err := try(t, lease, "CALL "+shop+".greet()"); err != nil {
		t.Error(err)
	}
	mount.MustWrite(t, "roles/app", map[string]any{"creation_statements": []string{
		"CREATE USER '{{name}}'@'%' IDENTIFIED BY '{{password}}'; -- the end", "", "GRANT SELECT ON " + shop + ".orders TO '{{name}}'@'%';;",
	}})
	if err := try(t, mount.MustIssue(t, "creds/app"), "SELECT * FROM "+shop+".orders"); err != nil {
		t.Error(err)
	}
	mount.MustWrite(t, "roles/app", map[string]any{"creation_statements": "CREATE USER '{{name}}'@'%';; GRANT SELECT ON " + shop + ".orders TO '{{name}}'@'%'"})
	_, err := mount.Issue(t.Context(), "creds/app")
	wantError(t, err, "between two semicolons there must be a statement")
}

func TestACreationThatFailsHalfWayLeavesNothingAtAnyHost(t *testing.T) {
	shop := newShop(t)
	mount := mountShop(t, readonly(shop))
	mount.MustWrite(t, "roles/app", map[string]any{
		"creation_statements": "CREATE DATABASE {{name}}; CREATE USER '{{name}}'@'%' IDENTIFIED BY '{{password}}'; " +
			"CREATE USER '{{name}}'@'10.%' IDENTIFIED BY '{{password}}'; GRANT SELECT ON " + shop + ".missing TO '{{name}}'@'%'",
		"rollback_statements": "DROP DATABASE IF EXISTS {{name}}; DROP USER '{{name}}'@'%'",
	})
	mount.MustWrite(t, "config/shop", map[string]any{"username_template": "half_{{random 8}}"})
	_, err := mount.Issue(t.Context(), "creds/app")
	wantError(t, err, "missing' doesn't exist (error 1146)")
	if left := mariadbtest.Column[string](t, server, "SELECT User FROM mysql.user WHERE User LIKE 'half\\_%'"); len(left) > 0 {
		t.Errorf("left the users %q", left)
	}
	if left := mariadbtest.Column[string](t, server, "SHOW DATABASES LIKE 'half\\_%'"); len(left) > 0 {
		t.Errorf("left the databases %q", left)
	}
}

func TestRollbackStatementsThatFailAreToldOfAndTheUserGoes(t *testing.T) {
	const create = "CREATE USER '{{name}}'@'%' IDENTIFIED BY '{{password}}'; nonsense"
	cases := map[string]struct {
		creation, rollback string
		tells              bool
	}{
		"that are no SQL":                       {create, "more nonsense", true},
		"that drop a user that was made":        {create, "DROP USER '{{name}}'@'%'", false},
		"that drop a user that was not":         {"nonsense {{name}}", "DROP USER '{{name}}'@'%'", false},
		"that stop at a user that was not made": {"nonsense {{name}}", "DROP USER '{{name}}'@'%'; DROP DATABASE IF EXISTS missing", true},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			mount := mountShop(t, test.creation)
			mount.MustWrite(t, "roles/app", map[string]any{"rollback_statements": test.rollback})
			before := users(t)
			_, err := mount.Issue(t.Context(), "creds/app")
			wantError(t, err, "running creation_statements")
			if tells := err != nil && strings.Contains(err.Error(), "running rollback_statements"); tells != test.tells {
				t.Errorf("error %q tells of the rollback: %t, want %t", err, tells, test.tells)
			}
			if after := users(t); len(after) != len(before) {
				t.Errorf("the server has the users %q, want %q", after, before)
			}
		})
	}
}

func TestAUserThatExistsIsNotTakenOver(t *testing.T) {
	plugin := open(t, config(server.Address()))
	server.Exec(t, "CREATE USER somebody@localhost IDENTIFIED BY 'x'")
	t.Cleanup(func() { server.Exec(t, "DROP USER IF EXISTS somebody@localhost") })
	_, err := named(plugin).NewNamedUser(t.Context(), "somebody", request("CREATE USER '{{name}}'@'%' IDENTIFIED BY '{{password}}'"))
	if err == nil || !strings.Contains(err.Error(), `already has a user "somebody"`) {
		t.Errorf("got %v, want a refusal", err)
	}
	if !exists(t, "somebody") {
		t.Error("somebody's user was removed")
	}
}

func TestWhatStatementsDoToTheirSessionEndsWithIt(t *testing.T) {
	shop := newShop(t)
	mount := mountShop(t, "USE "+shop+"; SET SESSION sql_mode = 'ANSI_QUOTES'; LOCK TABLES orders WRITE; UNLOCK TABLES; "+readonly(shop))
	mount.MustWrite(t, "config/shop", map[string]any{"max_open_connections": 1})
	mount.MustIssue(t, "creds/app")
	mount.MustWrite(t, "roles/app", map[string]any{"creation_statements": `CREATE USER "{{name}}"@"%" IDENTIFIED BY "{{password}}"`})
	mount.MustIssue(t, "creds/app")
	mount.MustWrite(t, "roles/app", map[string]any{"creation_statements": "CREATE USER '{{name}}'@'%'; GRANT SELECT ON orders TO '{{name}}'@'%'"})
	_, err := mount.Issue(t.Context(), "creds/app")
	wantError(t, err, "check the database's name")
}

func TestOldServersGetShortNames(t *testing.T) {
	mount := mountShop(t, "CREATE USER '{{name}}'@'%' IDENTIFIED BY '{{password}}'")
	mount.MustWrite(t, "config/shop", map[string]any{"plugin_name": "mysql-legacy-database-plugin"})
	if name := mount.MustIssue(t, "creds/app").Data["username"].(string); len(name) != 16 || !strings.HasPrefix(name, "v-app-") {
		t.Errorf("the username is %q", name)
	}
}

// open returns a plugin that has logged in.
func open(t *testing.T, settings map[string]any) dbplugin.Database {
	t.Helper()
	plugin := mysql.New()
	delete(settings, "plugin_name")
	delete(settings, "allowed_roles")
	if _, err := plugin.Initialize(t.Context(), dbplugin.InitializeRequest{Config: settings, VerifyConnection: true}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = plugin.Close() })
	return plugin
}

// namer is what the engine makes users with.
type namer interface {
	NewNamedUser(context.Context, string, dbplugin.NewUserRequest) ([]string, error)
}

func named(plugin dbplugin.Database) namer { return plugin.(namer) }

func request(statements string) dbplugin.NewUserRequest {
	return dbplugin.NewUserRequest{CredentialType: dbplugin.CredentialTypePassword, Password: "issued-password", Statements: dbplugin.Statements{Commands: []string{statements}}}
}

// late is the user of a server that is killed while it makes it.
const late = "v-made-late"

// makeLate is the life of that server, in a process of its own.
func makeLate(address string) {
	ctx := context.Background()
	plugin := mysql.New()
	settings := config(address)
	delete(settings, "plugin_name")
	delete(settings, "allowed_roles")
	if _, err := plugin.Initialize(ctx, dbplugin.InitializeRequest{Config: settings}); err != nil {
		os.Exit(2)
	}
	_, _ = named(plugin).NewNamedUser(ctx, late, request("CREATE USER '{{name}}'@'%' IDENTIFIED BY '{{password}}'")) // it does not come back
}

// A killed server's statement may still be executed long after the next server has
// begun to undo it: the user would then be made when nobody looks for it any more.
func TestWhatADeadServerHasAskedForDoesNotComeLater(t *testing.T) {
	gate, err := server.Login(t.Context(), mariadbtest.Superuser, mariadbtest.Password, "")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = gate.Close() }()
	if err := run(t.Context(), gate, "FLUSH TABLES WITH READ LOCK"); err != nil {
		t.Fatal(err)
	}
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), makeLateAt+"="+server.Address())
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	waiting := func() int {
		return mariadbtest.Column[int](t, server, "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE STATE LIKE 'Waiting for%' AND INFO LIKE 'CREATE USER%"+late+"%'")[0]
	}
	for waiting() == 0 {
		time.Sleep(10 * time.Millisecond)
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait() // it was killed
	if waiting() != 1 {
		t.Fatal("the server noticed the death: this test shows nothing")
	}

	if _, err := open(t, config(server.Address())).DeleteUser(t.Context(), dbplugin.DeleteUserRequest{Username: late}); err != nil {
		t.Fatal(err)
	}
	if waiting() != 0 {
		t.Error("the dead server's statement goes on after the revocation")
	}
	if err := run(t.Context(), gate, "UNLOCK TABLES"); err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), gate, "CREATE USER after_it; DROP USER after_it"); err != nil { // whatever waited came first
		t.Fatal(err)
	}
	if exists(t, late) {
		t.Error("the user is made after its revocation")
	}
}

func TestAUserIsMadeUnderANameOfThePlugins(t *testing.T) {
	plugin := open(t, config(server.Address()))
	asked := request("CREATE USER '{{username}}'@'%' IDENTIFIED BY '{{password}}'; DO '{{expiration}}'")
	asked.UsernameConfig = dbplugin.UsernameMetadata{DisplayName: "token", RoleName: "app"}
	made, err := plugin.NewUser(t.Context(), asked)
	if err != nil {
		t.Fatal(err)
	}
	if refused(t, made.Username, asked.Password) {
		t.Errorf("%q cannot log in", made.Username)
	}
	var endings sync.WaitGroup // of one user by several at once
	for range 5 {
		endings.Go(func() {
			if _, err := plugin.DeleteUser(t.Context(), dbplugin.DeleteUserRequest{Username: made.Username}); err != nil {
				t.Error(err)
			}
		})
	}
	endings.Wait()
	if exists(t, made.Username) {
		t.Error("the user is left")
	}
	if kind, err := plugin.Type(); kind != "mysql" || err != nil {
		t.Errorf("the type is %q, %v", kind, err)
	}
}

func TestWhatCannotMakeAUserIsRefusedBeforeItIsTried(t *testing.T) {
	const create = "CREATE USER '{{name}}'@'%' IDENTIFIED BY '{{password}}'"
	nothing, unknown, keyed, unfilled := request(" ;\n; "), request(create), request(create), request(create)
	nameless := request("CREATE USER 'somebody'@'%' IDENTIFIED BY '{{password}}'")
	unknown.CredentialType = dbplugin.CredentialTypeRSAPrivateKey
	keyed.CredentialType = dbplugin.CredentialTypeClientCertificate
	unfilled.RollbackStatements.Commands = []string{"DROP USER '{{user}}'"}
	cases := map[string]struct {
		asked dbplugin.NewUserRequest
		says  string
	}{
		"no statements":                  {nothing, "creation_statements is empty"},
		"a user of a name of its own":    {nameless, "does not use {{name}}"},
		"another kind of credential":     {unknown, "use password or client_certificate"},
		"a password for a certificate":   {keyed, "unknown placeholder {{password}}"},
		"a placeholder of rollback only": {unfilled, "rollback_statements: unknown placeholder {{user}}"},
	}
	plugin := open(t, config(server.Address()))
	_, err := named(plugin).NewNamedUser(t.Context(), strings.Repeat("v", 33), request(create))
	if fault.ClassOf(err) != fault.Refused || !strings.Contains(err.Error(), "has 33 bytes, the server allows 32") {
		t.Errorf("a name that is too long: %v", err)
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := named(plugin).NewNamedUser(t.Context(), "v-refused", test.asked)
			if fault.ClassOf(err) != fault.Refused || !strings.Contains(err.Error(), test.says) {
				t.Errorf("got %v, want a refusal that says %q", err, test.says)
			}
			if exists(t, "v-refused") {
				t.Error("the user was made")
			}
		})
	}
}

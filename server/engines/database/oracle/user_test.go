package oracle_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/database/dbplugin/v5"

	"github.com/novatech/securevault/server/engines/database"
	"github.com/novatech/securevault/server/engines/database/fault"
	"github.com/novatech/securevault/server/engines/enginetest"
)

func TestStatementsOfEveryFormMakeAUser(t *testing.T) {
	for name, statements := range map[string]any{
		"a list":       []string{`CREATE USER {{username}} IDENTIFIED BY "{{password}}"`, "GRANT CREATE SESSION TO {{name}};", "GRANT SELECT ON " + server.orders + " TO {{name}}"},
		"quoted names": strings.ReplaceAll(readonly(), "{{name}}", `"{{name}}"`),
		"comments":     "-- a user;\n" + readonly() + "\n/* and; that's it */",
		"a block":      `BEGIN EXECUTE IMMEDIATE 'CREATE USER {{name}} IDENTIFIED BY "{{password}}"'; END;` + "\n/\nGRANT CREATE SESSION TO {{name}}; GRANT SELECT ON " + server.orders + " TO {{name}}",
	} {
		t.Run(name, func(t *testing.T) {
			mount := mountShop(t, map[string]any{"creation_statements": statements})
			lease := mount.MustIssue(t, "creds/app")
			if err := mustLogin(t, lease).Allowed(t.Context()); err != nil {
				t.Error(err)
			}
			if err := mount.Revoke(t.Context(), lease); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestAFailedCreationLeavesNothing(t *testing.T) {
	cases := map[string]struct {
		fields map[string]any
		says   string
	}{
		"no statements":                 {map[string]any{"creation_statements": " -- nothing"}, "creation_statements is empty"},
		"a second CREATE USER":          {map[string]any{"creation_statements": readonly() + readonly()}, "ORA-01920"},
		"a role nobody made":            {map[string]any{"creation_statements": readonly() + "GRANT no_such_role TO {{name}}"}, "ORA-01919"},
		"a rollback that fails too":     {map[string]any{"creation_statements": readonly() + "nonsense", "rollback_statements": "DROP USER nobody"}, "ORA-00900"},
		"a rollback that works":         {map[string]any{"creation_statements": readonly() + "nonsense", "rollback_statements": "DROP USER {{name}} CASCADE;"}, "ORA-00900"},
		"a rollback nobody can fill in": {map[string]any{"rollback_statements": "DROP USER {{nmae}}"}, "rollback_statements: unknown placeholder {{nmae}}"},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			before := users(t)
			mount := mountShop(t, test.fields)
			if _, err := mount.Issue(t.Context(), "creds/app"); err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("got %v, want an error that says %q", err, test.says)
			}
			if after := users(t); !slices.Equal(after, before) {
				t.Errorf("the server has the users %q, want %q as before", after, before)
			}
		})
	}
}

func TestAUserOfSomebodyElseIsNotTouched(t *testing.T) {
	const taken = "SECUREVAULT_TAKEN"
	asSystem(t, "CREATE USER "+taken+` IDENTIFIED BY "Somebody-1"`)
	t.Cleanup(func() { asSystem(t, "DROP USER "+taken+" CASCADE") })
	_, err := open(t, nil).NewNamedUser(t.Context(), taken, dbplugin.NewUserRequest{
		Statements: dbplugin.Statements{Commands: []string{readonly()}}, Password: "Issued-Secret-1",
	})
	if fault.ClassOf(err) != fault.Refused || !strings.Contains(err.Error(), taken) {
		t.Errorf("got %v, want a refusal that names %s", err, taken)
	}
	if !slices.Contains(users(t), taken) {
		t.Error("the user was dropped")
	}
}

func TestAnAccountsPasswordIsChanged(t *testing.T) {
	const account = "SECUREVAULT_STATIC"
	asSystem(t, "CREATE USER "+account+` IDENTIFIED BY "Before-1"`, "GRANT CREATE SESSION TO "+account)
	t.Cleanup(func() { endUser(t, account) })
	plugin := open(t, nil)
	for password, statements := range map[string][]string{
		"Default-1": nil,
		"Written-1": {`ALTER USER {{username}} IDENTIFIED BY "{{password}}";`},
	} {
		_, err := plugin.UpdateUser(t.Context(), dbplugin.UpdateUserRequest{Username: strings.ToLower(account), Password: &dbplugin.ChangePassword{
			NewPassword: password, Statements: dbplugin.Statements{Commands: statements},
		}})
		if err != nil {
			t.Fatal(err)
		}
		client, err := server.login(t.Context(), account, password)
		if err != nil {
			t.Fatalf("logging in with the new password: %v", err)
		}
		client.Close()
	}
	if old, err := server.login(t.Context(), account, "Before-1"); err == nil {
		old.Close()
		t.Error("the old password still logs in")
	}
}

func TestARenewalRunsItsStatements(t *testing.T) {
	mount := mountShop(t, map[string]any{"renew_statements": "GRANT RESOURCE TO {{name}};"})
	lease := mount.MustIssue(t, "creds/app")
	client := mustLogin(t, lease)
	if client.run(t.Context(), "CREATE TABLE drafts (id NUMBER)") == nil {
		t.Error("the account may do before the renewal what it is to be granted by it")
	}
	if _, err := mount.Renew(t.Context(), lease, time.Hour); err != nil {
		t.Fatal(err)
	}
	if err := client.run(t.Context(), "CREATE TABLE drafts (id NUMBER)"); err != nil {
		t.Error(err)
	}
	endUser(t, nameOf(lease))
	if _, err := mount.Renew(t.Context(), lease, time.Hour); err == nil || !strings.Contains(err.Error(), "no longer exists") {
		t.Errorf("renewing an account that is gone: %v", err)
	}
}

func TestTheAdminsPasswordIsRotated(t *testing.T) {
	const admin = "SECUREVAULT_ROTATED"
	asSystem(t, "CREATE USER "+admin+` IDENTIFIED BY "Before-1"`, "GRANT CREATE SESSION TO "+admin)
	t.Cleanup(func() { endUser(t, admin) })
	mount := enginetest.NewMount(t, database.Factory)
	rotating := config(server.address)
	rotating["plugin_name"] = "vault-plugin-database-oracle" // Vault's name for it
	rotating["username"], rotating["password"] = strings.ToLower(admin), "Before-1"
	mount.MustWrite(t, "config/shop", rotating)
	mount.MustWrite(t, "rotate-root/shop", nil)
	if old, err := server.login(t.Context(), admin, "Before-1"); err == nil {
		old.Close()
		t.Error("the old password still logs in")
	}
	mount.MustWrite(t, "config/shop", map[string]any{"max_open_connections": 2}) // logs in with the new one
}

func TestAClosedPluginLeavesNoSession(t *testing.T) {
	database := open(t, map[string]any{"max_open_connections": 3})
	query := fmt.Sprintf("SELECT program FROM gv$session WHERE program = '%s'", database.Session())
	if len(column(t, query)) == 0 {
		t.Fatal("the server knows no session of the instance")
	}
	if err := database.Close(); err != nil {
		t.Error(err)
	}
	deadline := time.Now().Add(10 * time.Second)
	for len(column(t, query)) > 0 {
		if time.Now().After(deadline) {
			t.Fatal("a session outlived the plugin")
		}
		time.Sleep(20 * time.Millisecond)
	}
}

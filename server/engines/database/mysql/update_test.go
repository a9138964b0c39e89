package mysql_test

import (
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/database/dbplugin/v5"

	"github.com/novatech/securevault/server/engines/database"
	"github.com/novatech/securevault/server/engines/database/fault"
	"github.com/novatech/securevault/server/engines/enginetest"
	"github.com/novatech/securevault/server/engines/enginetest/mariadbtest"
)

// newUser makes a user by hand.
func newUser(t *testing.T, name string, statements ...string) {
	t.Helper()
	t.Cleanup(func() {
		for _, host := range mariadbtest.Column[string](t, server, "SELECT Host FROM mysql.user WHERE User = ?", name) {
			server.Exec(t, "DROP USER `"+name+"`@`"+host+"`")
		}
	})
	server.Exec(t, strings.Join(statements, "; "))
}

// refused tells whether the server refuses the login.
func refused(t *testing.T, name, password string) bool {
	t.Helper()
	session, err := server.Login(t.Context(), name, password, "")
	if err == nil {
		_ = session.Close()
	}
	return err != nil
}

// hashes returns what the server keeps of a user's passwords.
func hashes(t *testing.T, name string) []string {
	t.Helper()
	return mariadbtest.Column[string](t, server, "SELECT CONCAT(Host, ' ', plugin, ' ', authentication_string) FROM mysql.user WHERE User = ? ORDER BY Host", name)
}

// mountAdmin mounts the engine with an admin of its own, whose password is
// initial-password.
func mountAdmin(t *testing.T) *enginetest.Mount {
	t.Helper()
	newUser(t, "vault_admin", "CREATE USER vault_admin@'%' IDENTIFIED BY 'initial-password'", "GRANT ALL ON *.* TO vault_admin@'%' WITH GRANT OPTION")
	mount := enginetest.NewMount(t, database.Factory)
	settings := config(server.Address())
	settings["username"], settings["password"] = "vault_admin", "initial-password"
	mount.MustWrite(t, "config/shop", settings)
	mount.MustWrite(t, "roles/app", role("CREATE USER '{{name}}'@'%' IDENTIFIED BY '{{password}}'"))
	return mount
}

func TestTheAdminsPasswordIsRotatedAtEveryHostThatHasOne(t *testing.T) {
	mount := mountAdmin(t)
	newUser(t, "vault_admin", "CREATE USER vault_admin@'10.%' IDENTIFIED BY 'initial-password'",
		"CREATE USER vault_admin@localhost IDENTIFIED VIA unix_socket",
		"CREATE USER vault_admin@'local.example' IDENTIFIED VIA mysql_native_password USING 'invalid' OR unix_socket")
	before := hashes(t, "vault_admin")
	mount.MustWrite(t, "rotate-root/shop", nil)
	after := hashes(t, "vault_admin")
	for i, changes := range []bool{true, true, false, false} { // %, 10.%, local.example, localhost
		if changed := before[i] != after[i]; changed != changes {
			t.Errorf("%s: changed is %t, want %t", before[i], changed, changes)
		}
	}
	if !refused(t, "vault_admin", "initial-password") {
		t.Error("the old password still logs in")
	}
	mount.MustIssue(t, "creds/app")
	mount.Restart(t, database.Factory)
	mount.MustIssue(t, "creds/app")
}

// The first statement has changed the password when the second is refused.
func TestARotationThatFailsHalfWayLocksNobodyOut(t *testing.T) {
	mount := mountAdmin(t)
	mount.MustWrite(t, "config/shop", map[string]any{
		"root_rotation_statements": "ALTER USER '{{username}}'@'%' IDENTIFIED BY '{{password}}'; ALTER USER '{{username}}'@'missing' IDENTIFIED BY '{{password}}'",
	})
	mount.MustWrite(t, "rotate-root/shop", nil)
	if !refused(t, "vault_admin", "initial-password") {
		t.Error("the old password still logs in")
	}
	mount.MustIssue(t, "creds/app")
}

func TestARotationThatIsRefusedChangesNothing(t *testing.T) {
	mount := mountAdmin(t)
	mount.MustWrite(t, "config/shop", map[string]any{"root_rotation_statements": "ALTER USER '{{username}}'@'missing' IDENTIFIED BY '{{password}}'"})
	_, err := mount.Write(t.Context(), "rotate-root/shop", nil)
	wantError(t, err, "check the names and hosts")
	if refused(t, "vault_admin", "initial-password") {
		t.Error("the old password does not log in any more")
	}
	mount.MustIssue(t, "creds/app")
}

func TestAStaticUsersPasswordIsRotated(t *testing.T) {
	cases := map[string]any{
		"by default":    nil,
		"by statements": "SET PASSWORD FOR '{{username}}'@ '%' = PASSWORD('{{password}}')",
	}
	for name, statements := range cases {
		t.Run(name, func(t *testing.T) {
			newUser(t, "app_user", "CREATE USER app_user@'%' IDENTIFIED BY 'by-hand'")
			mount := mountAdmin(t)
			mount.MustWrite(t, "static-roles/app", map[string]any{
				"db_name": "shop", "username": "app_user", "rotation_period": "24h", "rotation_statements": statements,
			})
			first := staticPassword(t, mount)
			if refused(t, "app_user", first) || !refused(t, "app_user", "by-hand") {
				t.Error("the password is not the role's")
			}
			mount.MustWrite(t, "rotate-role/app", nil)
			second := staticPassword(t, mount)
			if first == second || refused(t, "app_user", second) || !refused(t, "app_user", first) {
				t.Error("the password is not the rotated one")
			}
		})
	}
}

func staticPassword(t *testing.T, mount *enginetest.Mount) string {
	t.Helper()
	data, err := mount.Read(t.Context(), "static-creds/app")
	if err != nil {
		t.Fatal(err)
	}
	return data["password"].(string)
}

func TestChangingAUserThatIsGoneSaysSo(t *testing.T) {
	plugin := open(t, config(server.Address()))
	statements := func(text ...string) dbplugin.Statements { return dbplugin.Statements{Commands: text} }
	later := time.Now().Add(time.Hour)
	cases := map[string]dbplugin.UpdateUserRequest{
		"a password by default":    {Password: &dbplugin.ChangePassword{NewPassword: "new-password"}},
		"a password by statements": {Password: &dbplugin.ChangePassword{NewPassword: "new-password", Statements: statements("ALTER USER '{{name}}'@'%' IDENTIFIED BY '{{password}}'")}},
		"an end by default":        {Expiration: &dbplugin.ChangeExpiration{NewExpiration: later}},
		"an end by statements":     {Expiration: &dbplugin.ChangeExpiration{NewExpiration: later, Statements: statements("DO '{{expiration}}'; ALTER USER '{{name}}'@'%' ACCOUNT UNLOCK")}},
	}
	for name, change := range cases {
		t.Run(name, func(t *testing.T) {
			change.Username = "v-gone"
			if _, err := plugin.UpdateUser(t.Context(), change); fault.ClassOf(err) != fault.NoUser {
				t.Errorf("got %v of class %d, want NoUser", err, fault.ClassOf(err))
			}
		})
	}
}

func TestRenewStatementsKnowTheNewEnd(t *testing.T) {
	shop := newShop(t)
	server.Exec(t, "CREATE TABLE "+shop+".ends (name text, expiration text)")
	mount := mountShop(t, readonly(shop))
	mount.MustWrite(t, "roles/app", map[string]any{"renew_statements": "INSERT INTO " + shop + ".ends VALUES ('{{name}}', '{{expiration}}')"})
	lease := mount.MustIssue(t, "creds/app")
	if _, err := mount.Renew(t.Context(), lease, 2*time.Hour); err != nil {
		t.Fatal(err)
	}
	ends := mariadbtest.Column[string](t, server, "SELECT expiration FROM "+shop+".ends WHERE name = ?", lease.Data["username"])
	if len(ends) != 1 {
		t.Fatalf("the statements ran %d times", len(ends))
	}
	if end, err := time.Parse("2006-01-02 15:04:05-0700", ends[0]); err != nil || time.Until(end) < 2*time.Hour {
		t.Errorf("the end is %s, %v", ends[0], err)
	}
}

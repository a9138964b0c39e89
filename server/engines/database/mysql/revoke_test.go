package mysql_test

import (
	"database/sql"
	"strings"
	"testing"

	"github.com/hashicorp/vault/sdk/database/dbplugin/v5"

	"github.com/novatech/securevault/server/engines/database"
	"github.com/novatech/securevault/server/engines/enginetest"
	"github.com/novatech/securevault/server/engines/enginetest/mariadbtest"
)

// loggedIn returns a session of a lease's user. It does not come back once it ends.
func loggedIn(t *testing.T, lease *enginetest.Lease) *sql.Conn {
	t.Helper()
	db, err := server.Login(t.Context(), lease.Data["username"].(string), lease.Data["password"].(string), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func sessions(t *testing.T, username any) int {
	t.Helper()
	return mariadbtest.Column[int](t, server, "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE USER = ?", username)[0]
}

func wantEnded(t *testing.T, conn *sql.Conn) {
	t.Helper()
	if _, err := conn.ExecContext(t.Context(), "DO 1"); err == nil {
		t.Error("a session outlived its user")
	}
}

func TestRevocationEndsAUserAtEveryHost(t *testing.T) {
	shop := newShop(t)
	mount := mountShop(t, "CREATE USER '{{name}}'@'127.0.0.1' IDENTIFIED BY '{{password}}'; CREATE USER '{{name}}'@'10.%' IDENTIFIED BY '{{password}}'; "+
		"CREATE USER `{{name}}`@`odd'\\host` IDENTIFIED BY '{{password}}'; GRANT ALL ON "+shop+".* TO '{{name}}'@'127.0.0.1' WITH GRANT OPTION")
	lease := mount.MustIssue(t, "creds/app")
	working := loggedIn(t, lease)
	if err := mount.Revoke(t.Context(), lease); err != nil {
		t.Fatal(err)
	}
	wantEnded(t, working)
	if exists(t, lease.Data["username"].(string)) {
		t.Error("an account is left")
	}
}

func TestNobodyElsesSessionEnds(t *testing.T) {
	mount := mountShop(t, "CREATE USER '{{name}}'@'%' IDENTIFIED BY '{{password}}'")
	mount.MustWrite(t, "config/shop", map[string]any{"username_template": "{{random 8 | lowercase}}-a"})
	lease := mount.MustIssue(t, "creds/app")
	other := strings.ToUpper(lease.Data["username"].(string))
	server.Exec(t, "CREATE USER `"+other+"`@`%` IDENTIFIED BY 'x'")
	t.Cleanup(func() { server.Exec(t, "DROP USER `"+other+"`@`%`") })
	theirs, err := server.Login(t.Context(), other, "x", "")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = theirs.Close() }()
	conn, err := theirs.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if err := mount.Revoke(t.Context(), lease); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.ExecContext(t.Context(), "DO 1"); err != nil {
		t.Errorf("the session of %q ended with that of %q: %v", other, lease.Data["username"], err)
	}
}

// DROP USER leaves the user's sessions.
func TestAUserDroppedByHandLosesItsSessions(t *testing.T) {
	mount := mountShop(t, "CREATE USER '{{name}}'@'%' IDENTIFIED BY '{{password}}'")
	lease := mount.MustIssue(t, "creds/app")
	working := loggedIn(t, lease)
	server.Exec(t, "DROP USER `"+lease.Data["username"].(string)+"`@`%`")
	if sessions(t, lease.Data["username"]) != 1 {
		t.Fatal("the session ended by itself: this test shows nothing")
	}
	if err := mount.Revoke(t.Context(), lease); err != nil {
		t.Fatal(err)
	}
	wantEnded(t, working)
}

func TestWhatAUserMadeIsKept(t *testing.T) {
	shop := newShop(t)
	mount := mountShop(t, "CREATE USER '{{name}}'@'%' IDENTIFIED BY '{{password}}'; GRANT ALL ON "+shop+".* TO '{{name}}'@'%'")
	lease := mount.MustIssue(t, "creds/app")
	if err := try(t, lease, "CREATE TABLE "+shop+".made (id int); INSERT INTO "+shop+".made VALUES (7); CREATE VIEW "+shop+".seen AS SELECT id FROM "+shop+".made"); err != nil {
		t.Fatal(err)
	}
	if err := mount.Revoke(t.Context(), lease); err != nil {
		t.Fatal(err)
	}
	if made := mariadbtest.Column[int](t, server, "SELECT id FROM "+shop+".made"); len(made) != 1 || made[0] != 7 {
		t.Errorf("the table holds %v", made)
	}
	// As the README says: a view of the user's is kept and, until it gets another
	// definer, cannot be used.
	const definers = "SELECT DEFINER FROM information_schema.VIEWS WHERE TABLE_NAME = 'seen' AND TABLE_SCHEMA = ?"
	if definer := mariadbtest.Column[string](t, server, definers, shop); len(definer) != 1 || definer[0] != lease.Data["username"].(string)+"@%" {
		t.Errorf("the view's definer is %q", definer)
	}
}

func TestRevocationStatementsThatFailKeepTheLeaseOfAUserThatCanDoNothing(t *testing.T) {
	mount := mountShop(t, "CREATE USER '{{name}}'@'%' IDENTIFIED BY '{{password}}'")
	cases := map[string]string{
		"nonsense":                         "correct the SQL",
		"DROP USER '{{name}}'@'elsewhere'": "check the names and hosts",
	}
	for statements, says := range cases {
		t.Run(statements, func(t *testing.T) {
			mount.MustWrite(t, "roles/app", map[string]any{"revocation_statements": statements})
			lease := mount.MustIssue(t, "creds/app")
			working := loggedIn(t, lease)
			if err := mount.Revoke(t.Context(), lease); err == nil || !strings.Contains(err.Error(), says) {
				t.Errorf("got %v, want an error that says %q", err, says)
			}
			wantEnded(t, working)
			if err := try(t, lease, "DO 1"); err == nil {
				t.Error("the user still logs in")
			}
			mount.MustWrite(t, "roles/app", map[string]any{"revocation_statements": "DROP USER '{{name}}'@'%'"})
			if err := mount.Revoke(t.Context(), lease); err != nil {
				t.Errorf("with corrected statements: %v", err)
			}
			if exists(t, lease.Data["username"].(string)) {
				t.Error("the user is left")
			}
		})
	}
}

// The privileges that the README asks for.
const (
	mayCreate = "GRANT CREATE USER, PROCESS, CONNECTION ADMIN ON *.* TO limited@'%'"
	mayLookUp = "GRANT SELECT ON mysql.user TO limited@'%'"
)

func mayHandOver(shop string) string {
	return "GRANT SELECT ON " + shop + ".* TO limited@'%' WITH GRANT OPTION"
}

// limitedConfig makes an admin with those privileges.
func limitedConfig(t *testing.T, privileges ...string) map[string]any {
	t.Helper()
	server.Exec(t, "CREATE USER limited@'%' IDENTIFIED BY 'limited-password'; "+strings.Join(privileges, "; "))
	t.Cleanup(func() { server.Exec(t, "DROP USER limited@'%'") })
	settings := config(server.Address())
	settings["username"], settings["password"] = "limited", "limited-password"
	return settings
}

func TestAnAdminNeedsNoMoreThanTheREADMESays(t *testing.T) {
	shop := newShop(t)
	mount := enginetest.NewMount(t, database.Factory)
	mount.MustWrite(t, "config/shop", limitedConfig(t, mayCreate, mayLookUp, mayHandOver(shop)))
	mount.MustWrite(t, "roles/app", role(readonly(shop)))
	lease := mount.MustIssue(t, "creds/app")
	working := loggedIn(t, lease)
	if err := try(t, lease, "SELECT * FROM "+shop+".orders"); err != nil {
		t.Error(err)
	}
	if err := mount.Revoke(t.Context(), lease); err != nil {
		t.Fatal(err)
	}
	wantEnded(t, working)
	mount.MustWrite(t, "rotate-root/shop", nil)
	mount.MustIssue(t, "creds/app")
}

func TestAnAdminWithLessIsToldWhatItLacks(t *testing.T) {
	shop := newShop(t)
	cases := map[string]struct {
		privileges []string
		says       string
	}{
		"no CREATE USER":        {[]string{"GRANT PROCESS ON *.* TO limited@'%'", mayLookUp, mayHandOver(shop)}, "CREATE USER privilege(s)"},
		"no PROCESS":            {[]string{"GRANT CREATE USER, CONNECTION ADMIN ON *.* TO limited@'%'", mayLookUp, mayHandOver(shop)}, "PROCESS privilege(s)"},
		"no look at mysql.user": {[]string{mayCreate, mayHandOver(shop)}, "for table `mysql`.`user`"},
		"nothing to hand over":  {[]string{mayCreate, mayLookUp}, "give the config's username the privilege"},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			mount := enginetest.NewMount(t, database.Factory)
			mount.MustWrite(t, "config/shop", limitedConfig(t, test.privileges...))
			mount.MustWrite(t, "roles/app", role(readonly(shop)))
			before := users(t)
			_, err := mount.Issue(t.Context(), "creds/app")
			wantError(t, err, test.says)
			if after := users(t); len(after) != len(before) {
				t.Errorf("the server has the users %q, want %q", after, before)
			}
		})
	}
}

func TestAnAdminThatMayNotEndSessionsIsTold(t *testing.T) {
	plugin := open(t, limitedConfig(t, "GRANT CREATE USER, PROCESS ON *.* TO limited@'%'", mayLookUp))
	server.Exec(t, "CREATE USER busy@'%' IDENTIFIED BY 'x'")
	t.Cleanup(func() { server.Exec(t, "DROP USER IF EXISTS busy@'%'") })
	working, err := server.Login(t.Context(), "busy", "x", "")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = working.Close() }()
	_, err = plugin.DeleteUser(t.Context(), dbplugin.DeleteUserRequest{Username: "busy"})
	if err == nil || !strings.Contains(err.Error(), "CONNECTION ADMIN") {
		t.Errorf("got %v, want a hint at the privilege", err)
	}
}

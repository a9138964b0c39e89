package oracle_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/database/dbplugin/v5"

	"github.com/novatech/securevault/server/engines/database/fault"
	"github.com/novatech/securevault/server/engines/database/oracle"
)

func TestAUsersObjectsGoWithIt(t *testing.T) {
	mount := mountShop(t, map[string]any{"creation_statements": readonly() + "GRANT RESOURCE TO {{name}}"})
	lease := mount.MustIssue(t, "creds/app")
	if err := mustLogin(t, lease).run(t.Context(), "CREATE TABLE drafts (id NUMBER)"); err != nil {
		t.Fatal(err)
	}
	if err := mount.Revoke(t.Context(), lease); err != nil {
		t.Fatal(err)
	}
	if slices.Contains(users(t), nameOf(lease)) {
		t.Error("the user is still there")
	}
}

func TestRevocationStatementsReplaceTheDrop(t *testing.T) {
	cases := map[string]struct {
		statements string
		stays      bool
		says       string // empty: the revocation succeeds
	}{
		"what keeps the user locked":       {"REVOKE SELECT ON " + server.orders + " FROM {{name}};", true, ""},
		"what drops it":                    {"DROP USER {{name}} CASCADE", false, ""},
		"a block that drops it":            {"BEGIN EXECUTE IMMEDIATE 'DROP USER {{name}} CASCADE'; END;", false, ""},
		"what unlocks it":                  {"ALTER USER {{name}} ACCOUNT UNLOCK", true, "remove what unlocks it"},
		"what fails":                       {"DROP USER {{name}} NOW", true, "correct the SQL"},
		"what fails once it is gone":       {"DROP USER {{name}} CASCADE; ALTER USER {{name}} ACCOUNT LOCK", false, ""},
		"quotes that do not end":           {`DROP USER "{{name}}`, true, "does not end"},
		"comments, which are no statement": {"-- DROP USER {{name}}", false, ""},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			mount := mountShop(t, map[string]any{"revocation_statements": test.statements})
			lease := mount.MustIssue(t, "creds/app")
			before := mustLogin(t, lease)
			err := mount.Revoke(t.Context(), lease)
			if test.says == "" && err != nil || test.says != "" && (err == nil || !strings.Contains(err.Error(), test.says)) {
				t.Errorf("got %v, want an error that says %q", err, test.says)
			}
			if stays := slices.Contains(users(t), nameOf(lease)); stays != test.stays {
				t.Errorf("the user is there: %t, want %t", stays, test.stays)
			}
			if again, err := server.login(t.Context(), nameOf(lease), lease.Data["password"].(string)); err == nil {
				again.Close()
				t.Error("the credential still logs in")
			}
			if test.says == "" && before.Allowed(t.Context()) == nil {
				t.Error("a session outlived its credential")
			}
			if test.stays {
				endUser(t, nameOf(lease))
			}
		})
	}
}

// endUser drops a user, with sessions and all.
func endUser(t *testing.T, name string) {
	t.Helper()
	database := open(t, nil)
	if _, err := database.DeleteUser(context.Background(), dbplugin.DeleteUserRequest{Username: name}); err != nil {
		t.Error(err)
	}
}

func TestSessionsMayBeLeftToEndByThemselves(t *testing.T) {
	mount := mountShop(t, nil)
	mount.MustWrite(t, "config/shop", map[string]any{"disconnect_sessions": false})
	lease := mount.MustIssue(t, "creds/app")
	client := mustLogin(t, lease)
	if err := mount.Revoke(t.Context(), lease); err == nil || !strings.Contains(err.Error(), "ORA-01940") {
		t.Errorf("revoking under a session: %v", err)
	}
	if err := client.Allowed(t.Context()); err != nil {
		t.Errorf("the session was ended: %v", err)
	}
	if again, err := server.login(t.Context(), nameOf(lease), lease.Data["password"].(string)); err == nil {
		again.Close()
		t.Error("another session was let in")
	}
	client.Close()
	deadline := time.Now().Add(10 * time.Second)
	for mount.Revoke(t.Context(), lease) != nil {
		if time.Now().After(deadline) {
			t.Fatal("the user could not be dropped without its session")
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// open returns an initialized plugin, with changes to the usual config. Clean-ups
// may call it.
func open(t *testing.T, changes map[string]any) *oracle.Database {
	t.Helper()
	given := config(server.address)
	delete(given, "plugin_name")
	delete(given, "allowed_roles")
	for field, value := range changes {
		given[field] = value
	}
	database := oracle.New().(*oracle.Database)
	if _, err := database.Initialize(context.Background(), dbplugin.InitializeRequest{Config: given, VerifyConnection: true}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = database.Close() })
	return database
}

func TestSessionsOfAServerThatDiedAreEnded(t *testing.T) {
	dead, heir := open(t, nil), open(t, nil)
	if dead.Session() == heir.Session() {
		t.Fatalf("two instances share the session %q", dead.Session())
	}
	if count := len(column(t, "SELECT program FROM gv$session WHERE status <> 'KILLED' AND program = '"+dead.Session()+"'")); count == 0 {
		t.Fatal("the server knows no session of the instance")
	}
	if err := heir.EndSession(t.Context(), dead.Session()); err != nil {
		t.Fatal(err)
	}
	if left := column(t, "SELECT program FROM gv$session WHERE status <> 'KILLED' AND program = '"+dead.Session()+"'"); len(left) > 0 {
		t.Errorf("%d sessions are left", len(left))
	}
	if err := heir.EndSession(t.Context(), heir.Session()); err != nil {
		t.Errorf("ending one's own: %v", err)
	}
	if len(column(t, "SELECT program FROM gv$session WHERE status <> 'KILLED' AND program = '"+heir.Session()+"'")) == 0 {
		t.Error("an instance has ended its own sessions")
	}
}

func TestAUserThatIsGoneIsToldFromOneThatIsRefused(t *testing.T) {
	database := open(t, nil)
	_, err := database.UpdateUser(t.Context(), dbplugin.UpdateUserRequest{Username: "nobody_at_all", Password: &dbplugin.ChangePassword{NewPassword: "New-Secret-1"}})
	if fault.ClassOf(err) != fault.NoUser {
		t.Errorf("got %v, want the class NoUser", err)
	}
	_, err = database.UpdateUser(t.Context(), dbplugin.UpdateUserRequest{Username: `a" IDENTIFIED BY x --`, Password: &dbplugin.ChangePassword{NewPassword: "New-Secret-1"}})
	if fault.ClassOf(err) != fault.Refused {
		t.Errorf("got %v, want a refusal", err)
	}
}

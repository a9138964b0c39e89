package mssql_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/database/dbplugin/v5"

	"github.com/novatech/securevault/server/engines/database/fault"
	"github.com/novatech/securevault/server/engines/database/mssql"
	"github.com/novatech/securevault/server/engines/enginetest"
	"github.com/novatech/securevault/server/engines/enginetest/mssqlstandin"
)

func usernameOf(lease *enginetest.Lease) string { return lease.Data["username"].(string) }
func passwordOf(lease *enginetest.Lease) string { return lease.Data["password"].(string) }

// opened logs in with a lease's credential.
func (s target) opened(t *testing.T, lease *enginetest.Lease, database string) session {
	t.Helper()
	opened, err := s.logIn(t.Context(), usernameOf(lease), passwordOf(lease), database)
	if err != nil {
		t.Fatalf("logging in: %v", err)
	}
	t.Cleanup(opened.Close)
	return opened
}

// ended expects a lease to end, and nothing of its name to remain.
func (s target) ended(t *testing.T, mount *enginetest.Mount, lease *enginetest.Lease, databases ...string) {
	t.Helper()
	if err := mount.Revoke(t.Context(), lease); err != nil {
		t.Fatalf("revoking: %v", err)
	}
	if left := s.users(databases...)(t); slices.Contains(left, usernameOf(lease)) {
		t.Errorf("%q is still there", usernameOf(lease))
	}
}

// says checks what an error says, and that it holds no password.
func says(t *testing.T, err error, text string, secrets ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("succeeded, want an error that says %q", text)
	}
	if !strings.Contains(err.Error(), text) {
		t.Errorf("error %q does not say %q", err, text)
	}
	for _, secret := range append(secrets, adminPassword) {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("error %q gives a password away", err)
		}
	}
}

// fresh starts a stand-in of its own, for tests that plan faults or read what was
// sent.
func fresh(t *testing.T) target {
	t.Helper()
	standIn, err := mssqlstandin.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(standIn.Stop)
	made, err := reach(standIn.URL(mssqlstandin.Admin, mssqlstandin.Password, "master"), standIn)
	if err == nil {
		err = made.prepare()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(made.clean)
	return made
}

// plugin returns an initialized plugin, without the engine around it.
func plugin(t *testing.T, config map[string]any) *mssql.Database {
	t.Helper()
	config = with(config)
	delete(config, "plugin_name")
	delete(config, "allowed_roles")
	made := mssql.New().(*mssql.Database)
	if _, err := made.Initialize(t.Context(), dbplugin.InitializeRequest{Config: config, VerifyConnection: true}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = made.Close() })
	return made
}

func TestTheServerSeesWhatTheReadmeSays(t *testing.T) {
	own := fresh(t)
	mount := mount(t, own.config(own.address, shop), role(loginRole))
	before := len(own.standIn.Statements())
	lease := mount.MustIssue(t, "creds/app")
	if err := mount.Revoke(t.Context(), lease); err != nil {
		t.Fatal(err)
	}
	name, password := usernameOf(lease), passwordOf(lease)
	var changes []string
	for _, text := range own.standIn.Statements()[before:] {
		if !strings.HasPrefix(text, "SELECT") && !strings.HasPrefix(text, "SET") {
			changes = append(changes, strings.NewReplacer(name, "NAME", password, "PASSWORD").Replace(text))
		}
	}
	want := []string{
		"CREATE LOGIN [NAME] WITH PASSWORD = 'PASSWORD'; USE [" + shop + "]; CREATE USER [NAME] FOR LOGIN [NAME]; ALTER ROLE db_datareader ADD MEMBER [NAME];",
		"ALTER LOGIN [NAME] DISABLE",
		"USE [" + shop + "]",
		"USE [" + shop + "]; DROP USER IF EXISTS [NAME]",
		"IF EXISTS (SELECT name FROM sys.server_principals WHERE name = N'NAME') DROP LOGIN [NAME]",
	}
	if !slices.Equal(changes, want) {
		t.Errorf("the server saw\n%s\nwant\n%s", strings.Join(changes, "\n"), strings.Join(want, "\n"))
	}
}

func TestWhatALoginOwnsLivesOn(t *testing.T) {
	mount := mount(t, server.config(server.address, shop), role(
		loginRole+" CREATE ROLE [clerks] AUTHORIZATION [{{name}}]; CREATE TABLE dbo.given (id int); ALTER AUTHORIZATION ON OBJECT::dbo.given TO [{{name}}];",
		"CREATE SCHEMA [desk] AUTHORIZATION [{{name}}]",
		"CREATE TABLE desk.notes (id int)",
	))
	t.Cleanup(func() {
		server.in(t, shop, "DROP TABLE desk.notes", "DROP TABLE dbo.given", "DROP SCHEMA [desk]", "DROP ROLE [clerks]")
	})
	lease := mount.MustIssue(t, "creds/app")
	client := server.opened(t, lease, shop)
	if err := client.exec(t.Context(), "INSERT INTO desk.notes (id) VALUES (1); INSERT INTO dbo.given (id) VALUES (1)"); err != nil {
		t.Fatal(err)
	}
	server.ended(t, mount, lease, shop)
	for _, table := range []string{"desk.notes", "dbo.given"} {
		if rows := server.column(t, shop, "SELECT id FROM "+table); len(rows) != 1 {
			t.Errorf("%s has the rows %q", table, rows)
		}
	}
	if owners := server.column(t, shop, "SELECT name FROM sys.schemas WHERE name = N'desk' AND principal_id = 1"); len(owners) != 1 {
		t.Error("the schema is not dbo's")
	}
}

func TestADatabaseOfALoginGoesToTheAdmin(t *testing.T) {
	const owned = "securevault_test_owned"
	server.mustExec(t, "CREATE DATABASE ["+owned+"]")
	t.Cleanup(func() { server.dropDatabase(t, owned) })
	mount := mount(t, server.config(server.address, shop), role("CREATE LOGIN [{{name}}] WITH PASSWORD = '{{password}}'"))
	lease := mount.MustIssue(t, "creds/app")
	name := usernameOf(lease)
	server.mustExec(t, "GRANT CONTROL SERVER TO ["+admin+"]", "ALTER AUTHORIZATION ON DATABASE::["+owned+"] TO ["+name+"]")
	defer server.mustExec(t, "REVOKE CONTROL SERVER FROM ["+admin+"]")
	server.ended(t, mount, lease, owned)
	const query = "SELECT name FROM sys.databases WHERE owner_sid = SUSER_SID(N'" + admin + "')"
	if found := server.column(t, "master", query); !slices.Equal(found, []string{owned}) {
		t.Errorf("the admin owns %q", found)
	}
}

func TestUsersInSeveralDatabasesEnd(t *testing.T) {
	mount := mount(t, server.config(server.address, shop), role(
		loginRole+"USE ["+containedShop+"]; CREATE USER [of-{{name}}] FOR LOGIN [{{name}}]"))
	lease := mount.MustIssue(t, "creds/app")
	server.ended(t, mount, lease, shop, containedShop)
	if left := server.users(containedShop)(t); slices.Contains(left, "of-"+usernameOf(lease)) {
		t.Error("a user under another name is still there")
	}
}

func TestAUserWithoutItsLoginEnds(t *testing.T) {
	mount := mount(t, server.config(server.address, shop), role(loginRole))
	lease := mount.MustIssue(t, "creds/app")
	server.mustExec(t, "DROP LOGIN ["+usernameOf(lease)+"]")
	server.ended(t, mount, lease, shop)
}

func TestSessionsUnderWayAreKilled(t *testing.T) {
	for name, kind := range map[string]struct {
		target
		config   map[string]any
		role     string
		database string
	}{
		"of a login":             {server, server.config(server.address, shop), loginRole, shop},
		"of a contained user":    {server, server.containedConfig(server.address, containedShop), userRole, containedShop},
		"of a user of Azure SQL": {azure, azure.containedConfig(azure.address, shop), userRole, shop},
	} {
		t.Run(name, func(t *testing.T) {
			mount := mount(t, kind.config, role(kind.role))
			lease := mount.MustIssue(t, "creds/app")
			client := kind.opened(t, lease, kind.database)
			waiting := make(chan error, 1)
			go func() { waiting <- client.exec(context.Background(), "WAITFOR DELAY '00:01:00'") }()
			kind.ended(t, mount, lease, kind.database)
			select {
			case err := <-waiting:
				if err == nil {
					t.Error("the statement ran to its end")
				}
			case <-time.After(10 * time.Second):
				t.Error("the session goes on")
			}
		})
	}
}

func TestAnAdminNeedsNoOwnershipForRolesOfOnesOwn(t *testing.T) {
	const narrow = "securevault_test_narrow"
	server.mustExec(t, "CREATE LOGIN ["+narrow+"] WITH PASSWORD = '"+adminPassword+"'; GRANT ALTER ANY LOGIN, ALTER ANY CONNECTION, VIEW SERVER STATE TO ["+narrow+"]")
	server.in(t, shop, "CREATE USER ["+narrow+"] FOR LOGIN ["+narrow+"]; GRANT ALTER ANY USER, ALTER ANY ROLE TO ["+narrow+"]",
		"CREATE ROLE [securevault_readers]", "GRANT SELECT ON SCHEMA::dbo TO [securevault_readers]")
	t.Cleanup(func() { // once the mount is gone
		server.in(t, shop, "DROP USER ["+narrow+"]", "DROP ROLE [securevault_readers]")
		dropped := func() error { return server.exec("DROP LOGIN [" + narrow + "]") }
		for deadline := time.Now().Add(5 * time.Second); dropped() != nil; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("the admin's login could not be dropped")
			}
		}
	})
	config := with(server.config(server.address, shop), map[string]any{"username": narrow})
	mount := mount(t, config, role("CREATE LOGIN [{{name}}] WITH PASSWORD = '{{password}}'; CREATE USER [{{name}}] FOR LOGIN [{{name}}]; ALTER ROLE [securevault_readers] ADD MEMBER [{{name}}]"))
	lease := mount.MustIssue(t, "creds/app")
	if err := server.opened(t, lease, shop).Allowed(t.Context()); err != nil {
		t.Error(err)
	}
	server.ended(t, mount, lease, shop)
}

func TestAnAdminWhoSeesNoSessionsSaysSo(t *testing.T) {
	mount := mount(t, server.containedConfig(server.address, containedShop), role(userRole))
	lease := mount.MustIssue(t, "creds/app")
	server.mustExec(t, "REVOKE VIEW SERVER STATE FROM ["+admin+"]")
	err := mount.Revoke(t.Context(), lease)
	server.mustExec(t, "GRANT VIEW SERVER STATE TO ["+admin+"]")
	says(t, err, "VIEW SERVER STATE")
	if _, err := server.logIn(t.Context(), usernameOf(lease), passwordOf(lease), containedShop); err == nil {
		t.Error("the user was not locked out")
	}
	server.ended(t, mount, lease, containedShop)
}

func TestRevocationStatementsMayDoWhatTheDefaultDoes(t *testing.T) {
	for name, statements := range map[string]string{
		"in full":                "USE [" + shop + "]; DROP USER [{{name}}]; DROP LOGIN [{{name}}]",
		"in part":                "USE [" + shop + "]; DROP USER [{{name}}]",
		"with care":              "IF EXISTS (SELECT name FROM sys.server_principals WHERE name = '{{name}}') DROP LOGIN [{{name}}]",
		"what is not there":      "USE [" + shop + "]; DROP USER [not-{{name}}]",
		"without a transaction":  "EXEC sp_droprolemember 'db_datareader', '{{name}}'",
		"nothing of consequence": "-- nothing\n",
	} {
		t.Run(name, func(t *testing.T) {
			mount := mount(t, server.config(server.address, shop), with(role(loginRole), map[string]any{"revocation_statements": statements}))
			server.ended(t, mount, mount.MustIssue(t, "creds/app"), shop)
		})
	}
}

func TestRevocationStatementsThatFailAreTriedAgain(t *testing.T) {
	config := role(loginRole)
	mount := mount(t, server.config(server.address, shop), with(config, map[string]any{"revocation_statements": "DELETE FROM dbo.nosuchtable"}))
	lease := mount.MustIssue(t, "creds/app")
	says(t, mount.Revoke(t.Context(), lease), "error 208")
	if _, err := server.logIn(t.Context(), usernameOf(lease), passwordOf(lease), shop); err == nil {
		t.Error("the login was not locked out")
	}
	mount.MustWrite(t, "roles/app", with(config, map[string]any{"revocation_statements": ""}))
	server.ended(t, mount, lease, shop)
}

func TestRevocationStatementsThatNobodyCanFillInLockTheCredentialOut(t *testing.T) {
	made := plugin(t, server.config(server.address, shop))
	created, err := made.NewUser(t.Context(), dbplugin.NewUserRequest{
		UsernameConfig: dbplugin.UsernameMetadata{DisplayName: "token", RoleName: "app"},
		Statements:     dbplugin.Statements{Commands: []string{loginRole}},
		Password:       "Issued-secret-1",
	})
	if err != nil {
		t.Fatal(err)
	}
	request := dbplugin.DeleteUserRequest{Username: created.Username, Statements: dbplugin.Statements{Commands: []string{"DROP USER [{{nmae}}]"}}}
	_, err = made.DeleteUser(t.Context(), request)
	says(t, err, "unknown placeholder {{nmae}}")
	if client, err := server.logIn(t.Context(), created.Username, "Issued-secret-1", shop); err == nil {
		client.Close()
		t.Error("the credential still logs in")
	}
	request.Statements = dbplugin.Statements{}
	if _, err := made.DeleteUser(t.Context(), request); err != nil {
		t.Error(err)
	}
}

func TestStatementsThatAllowNoTransactionRunWithout(t *testing.T) {
	config := server.config(server.address, shop)
	create := "CREATE LOGIN [{{name}}] WITH PASSWORD = '{{password}}'; USE [" + shop + "]; CREATE USER [{{name}}] FOR LOGIN [{{name}}]; EXEC sp_addrolemember 'db_datareader', '{{name}}'"
	mount := mount(t, config, role(create))
	lease := mount.MustIssue(t, "creds/app")
	if err := server.opened(t, lease, shop).Allowed(t.Context()); err != nil {
		t.Error(err)
	}
	server.ended(t, mount, lease, shop)
	before := server.users(shop)(t)
	mount.MustWrite(t, "roles/app", role(create, "CREATE USER [x] FOR LOGIN [nosuchlogin]"))
	_, err := mount.Issue(t.Context(), "creds/app")
	says(t, err, "error 15007")
	if after := server.users(shop)(t); !slices.Equal(after, before) {
		t.Errorf("left %q, want %q", after, before)
	}
}

func TestStatementsWithATransactionOfTheirOwnAreRefused(t *testing.T) {
	before := server.users(shop)(t)
	for _, text := range []string{"BEGIN TRAN; " + loginRole, loginRole + " COMMIT", loginRole + " ROLLBACK", loginRole + " COMMIT; BEGIN TRAN"} {
		mount := mount(t, server.config(server.address, shop), role(text))
		if lease, err := mount.Issue(t.Context(), "creds/app"); err == nil {
			// Nothing tells the last one's transaction from ours, and it did no harm.
			server.ended(t, mount, lease, shop)
		} else {
			says(t, err, "remove BEGIN, COMMIT and ROLLBACK")
		}
	}
	if after := server.users(shop)(t); !slices.Equal(after, before) {
		t.Errorf("left %q, want %q", after, before)
	}
}

func TestTheVictimOfADeadlockTriesAgain(t *testing.T) {
	own := fresh(t)
	mount := mount(t, own.config(own.address, shop), role(loginRole))
	own.standIn.FailNext("CREATE LOGIN", 1205, "Transaction was deadlocked and has been chosen as the deadlock victim.")
	own.standIn.FailNext("DROP USER", 1205, "Transaction was deadlocked and has been chosen as the deadlock victim.")
	own.ended(t, mount, mount.MustIssue(t, "creds/app"), shop)
}

func TestPasswordsAreRotated(t *testing.T) {
	own := fresh(t)
	for name, config := range map[string]map[string]any{
		"of a login":                        own.config(own.address, shop),
		"of a login, among contained users": own.containedConfig(own.address, containedShop),
	} {
		t.Run(name, func(t *testing.T) {
			mount := mount(t, with(config, map[string]any{"password": adminPassword}), role(loginRole))
			mount.MustWrite(t, "rotate-root/shop", nil)
			if _, err := own.logIn(t.Context(), admin, adminPassword, shop); err == nil {
				t.Error("the old password still works")
			}
			mount.MustWrite(t, "reset/shop", nil)
			mount.MustWrite(t, "rotate-root/shop", nil)
			own.mustExec(t, "ALTER LOGIN ["+admin+"] WITH PASSWORD = '"+adminPassword+"'")
		})
	}
	t.Run("of a contained user", func(t *testing.T) {
		mount := mount(t, azure.containedConfig(azure.address, shop), role(userRole))
		mount.MustWrite(t, "rotate-root/shop", nil)
		if _, err := azure.logIn(t.Context(), admin, adminPassword, shop); err == nil {
			t.Error("the old password still works")
		}
		azure.in(t, shop, "ALTER USER ["+admin+"] WITH PASSWORD = '"+adminPassword+"'")
	})
}

func TestAPasswordOfNobodyIsNotChanged(t *testing.T) {
	change := &dbplugin.ChangePassword{NewPassword: "A-new-Password-1"}
	for name, config := range map[string]map[string]any{
		"login":          server.config(server.address, shop),
		"contained user": server.containedConfig(server.address, containedShop),
	} {
		_, err := plugin(t, config).UpdateUser(t.Context(), dbplugin.UpdateUserRequest{Username: "nobody", Password: change})
		if fault.ClassOf(err) != fault.NoUser {
			t.Errorf("%s: %v, want that there is no such user", name, err)
		}
		says(t, err, `"nobody" no longer exists`, change.NewPassword)
	}
	_, err := plugin(t, server.config(server.address, shop)).UpdateUser(t.Context(), dbplugin.UpdateUserRequest{Username: "a]b", Password: change})
	says(t, err, "holds the character ']'")
}

func TestRenewStatementsRun(t *testing.T) {
	mount := mount(t, server.config(server.address, shop), with(role(loginRole), map[string]any{
		"renew_statements": "USE [" + shop + "]; INSERT INTO dbo.orders (id, note) VALUES (77, '{{name}} {{expiration}}')",
	}))
	lease := mount.MustIssue(t, "creds/app")
	if _, err := mount.Renew(t.Context(), lease, time.Hour); err != nil {
		t.Fatal(err)
	}
	notes := server.column(t, shop, "SELECT note FROM dbo.orders WHERE id = 77")
	if !slices.ContainsFunc(notes, func(note string) bool { return strings.HasPrefix(note, usernameOf(lease)+" 20") }) {
		t.Errorf("renewing wrote %q", notes)
	}
	server.ended(t, mount, lease, shop)
}

func TestTheSessionsOfAnotherServerEnd(t *testing.T) {
	dead, heir := plugin(t, server.config(server.address, shop)), plugin(t, server.config(server.address, shop))
	if dead.Session() == heir.Session() {
		t.Fatal("two plugins have one name for their sessions")
	}
	const query = "SELECT program_name FROM sys.dm_exec_sessions WHERE original_login_name = N'" + admin + "'"
	alive := func(of *mssql.Database) bool {
		return slices.ContainsFunc(server.column(t, "master", query), func(program string) bool { return strings.HasPrefix(program, of.Session()) })
	}
	if !alive(dead) || !alive(heir) {
		t.Fatal("the sessions are not called as promised")
	}
	if err := heir.EndSession(t.Context(), dead.Session()); err != nil {
		t.Fatal(err)
	}
	if err := heir.EndSession(t.Context(), heir.Session()); err != nil {
		t.Fatal(err)
	}
	if alive(dead) || !alive(heir) {
		t.Error("ended the wrong sessions")
	}
}

// A connection that is lost in the middle of a batch leaves a session that goes on.
func TestASessionThatWasLostEndsBeforeItsUserIsRemoved(t *testing.T) {
	own := fresh(t)
	relay := newRelay(t, own.address)
	made := plugin(t, own.config(relay.address, shop))
	if !strings.Contains(made.Session(), "securevault") {
		t.Errorf("sessions are called %q", made.Session())
	}
	const query = "SELECT program_name FROM sys.dm_exec_sessions WHERE original_login_name = N'" + admin + "'"
	create := "WAITFOR DELAY '00:00:20'; CREATE LOGIN [{{name}}] WITH PASSWORD = '{{password}}'"
	outcome := make(chan error, 1)
	go func() {
		_, err := made.NewNamedUser(context.Background(), "stray", dbplugin.NewUserRequest{
			Password: "A-new-Password-1", Statements: dbplugin.Statements{Commands: []string{create}},
		})
		outcome <- err
	}()
	for !slices.ContainsFunc(own.standIn.Statements(), func(text string) bool { return strings.HasPrefix(text, "WAITFOR") }) {
		time.Sleep(time.Millisecond)
	}
	relay.hangUp()
	if err := <-outcome; fault.ClassOf(err) != fault.Left {
		t.Fatalf("got %v, want that a user may be left", err)
	}
	if alive := own.column(t, "master", query); len(alive) != 1 {
		t.Fatalf("the server has the sessions %q, want the one that was lost", alive)
	}
	relay.answer()
	if err := made.EndSession(t.Context(), made.Session()); err != nil {
		t.Fatal(err)
	}
	if alive := own.column(t, "master", query); len(alive) != 1 {
		t.Errorf("the server has the sessions %q, want the new one alone", alive)
	}
}

func TestAServerThatFallsSilentIsGivenUpInTime(t *testing.T) {
	relay := newRelay(t, server.address)
	made := plugin(t, server.config(relay.address, shop))
	relay.silence()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	begun := time.Now()
	_, err := made.DeleteUser(ctx, dbplugin.DeleteUserRequest{Username: "nobody"})
	if fault.ClassOf(err) != fault.Later {
		t.Errorf("got %v", err)
	}
	if took := time.Since(begun); took > 3*time.Second {
		t.Errorf("it took %s to give up", took)
	}
}

func TestLoginsOfAzureSQLComeWithAWarning(t *testing.T) {
	config := with(azure.config(azure.address, "master"), map[string]any{"username": mssqlstandin.Admin, "password": mssqlstandin.Password})
	mount := mount(t, config, role("CREATE LOGIN [{{name}}] WITH PASSWORD = '{{password}}'", "CREATE USER [{{name}}] FOR LOGIN [{{name}}]"))
	lease := mount.MustIssue(t, "creds/app")
	client := azure.opened(t, lease, "master")
	azure.ended(t, mount, lease, "master")
	if err := client.exec(t.Context(), "SELECT 1"); err == nil {
		t.Error("the session in master outlived its login")
	}
	made := plugin(t, config)
	warnings, err := made.NewNamedUser(t.Context(), "warned", dbplugin.NewUserRequest{
		Password: "A-new-Password-1", Statements: dbplugin.Statements{Commands: []string{"CREATE LOGIN [{{name}}] WITH PASSWORD = '{{password}}'"}},
	})
	if err != nil || len(warnings) != 1 || !strings.Contains(warnings[0], "contained_db=true") {
		t.Errorf("warned of %q, %v", warnings, err)
	}
	if _, err := made.DeleteUser(t.Context(), dbplugin.DeleteUserRequest{Username: "warned"}); err != nil {
		t.Error(err)
	}
}

func TestTheServersCertificateIsChecked(t *testing.T) {
	own := fresh(t)
	certificate := filepath.Join(t.TempDir(), "server.pem")
	if err := os.WriteFile(certificate, own.standIn.CertificatePEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	for settings, works := range map[string]bool{
		"&encrypt=true&certificate=" + certificate:   true,
		"&encrypt=strict&certificate=" + certificate: true,
		"&encrypt=true&trustservercertificate=true":  true,
		"&encrypt=disable":                           true,
		"&encrypt=true":                              false,
		"&encrypt=strict":                            false,
	} {
		config := own.config(own.address, shop)
		config["connection_url"] = config["connection_url"].(string) + settings
		delete(config, "plugin_name")
		delete(config, "allowed_roles")
		made := mssql.New()
		_, err := made.Initialize(t.Context(), dbplugin.InitializeRequest{Config: config, VerifyConnection: true})
		if (err == nil) != works {
			t.Errorf("%s: %v, want it to work: %t", settings, err, works)
		}
		if !works {
			says(t, err, "certificate")
		}
		_ = made.Close()
	}
}

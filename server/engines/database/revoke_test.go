package database

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/novatech/securevault/server/engines/enginetest"
	"github.com/novatech/securevault/server/engines/enginetest/postgrestest"
)

func mustConnect(t *testing.T) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), server.URL(postgrestest.Superuser, postgrestest.Password, postgrestest.Database))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// admins are the two kinds of admin user a config may have.
func admins(t *testing.T, database string) map[string]map[string]any {
	t.Helper()
	server.Exec(t, database, fmt.Sprintf(`CREATE ROLE limited LOGIN CREATEROLE PASSWORD 'limited-password';
		GRANT ALL ON DATABASE %s TO limited WITH GRANT OPTION;
		GRANT ALL ON ALL TABLES IN SCHEMA public TO limited WITH GRANT OPTION;
		GRANT ALL ON SCHEMA public TO limited WITH GRANT OPTION`, database))
	t.Cleanup(func() { _, _ = mustConnect(t).Exec(context.Background(), "DROP ROLE limited") })
	t.Cleanup(func() { // before the role: what it owns in the database
		conn, err := pgx.Connect(context.Background(), server.URL(postgrestest.Superuser, postgrestest.Password, database))
		if err == nil {
			_, err = conn.Exec(context.Background(), "DROP OWNED BY limited CASCADE")
			_ = conn.Close(context.Background())
		}
		if err != nil {
			t.Error(err)
		}
	})
	return map[string]map[string]any{
		"superuser":       superuserConfig(database),
		"CREATEROLE only": with(superuserConfig(database), map[string]any{"username": "limited", "password": "limited-password"}),
	}
}

func TestRevocationEndsARoleWithObjectsGrantsAndSessions(t *testing.T) {
	database := newShop(t)
	for kind, config := range admins(t, database) {
		t.Run(kind, func(t *testing.T) {
			mount := enginetest.NewMount(t, Factory)
			mount.MustWrite(t, "config/shop", config)
			mount.MustWrite(t, "roles/app", with(readonlyRole(), map[string]any{"creation_statements": guideReadwrite +
				`ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO "{{name}}"`}))
			lease := mount.MustIssue(t, "creds/app")
			conn := server.Connect(t, usernameOf(lease), passwordOf(lease), database)
			if err := run(t.Context(), conn, `DROP TABLE IF EXISTS kept; CREATE TABLE kept (id int); INSERT INTO kept VALUES (42)`); err != nil {
				t.Fatal(err)
			}
			if err := mount.Revoke(t.Context(), lease); err != nil {
				t.Fatal(err)
			}
			if roleExists(t, usernameOf(lease)) {
				t.Error("the role outlived its lease")
			}
			if err := run(t.Context(), conn, "SELECT 1"); err == nil {
				t.Error("a session outlived its role")
			}
			if got := postgrestest.Scalar[int](t, server, database, "SELECT id FROM kept"); got != 42 {
				t.Errorf("the table holds %d", got)
			}
			owner := postgrestest.Scalar[string](t, server, database, "SELECT tableowner FROM pg_tables WHERE tablename = 'kept'")
			if owner != config["username"] {
				t.Errorf("the table belongs to %q, want the admin", owner)
			}
			server.Exec(t, database, "DROP TABLE kept")
		})
	}
}

func TestRevocationClearsOtherDatabasesToo(t *testing.T) {
	mount, database := mountShop(t)
	other := server.NewDatabase(t)
	server.Exec(t, other, "CREATE TABLE far (id int); GRANT CREATE ON SCHEMA public TO public")
	lease := mount.MustIssue(t, "creds/app")
	server.Exec(t, other, fmt.Sprintf(`GRANT SELECT ON far TO %q; GRANT CONNECT ON DATABASE %s TO %q`, usernameOf(lease), database, usernameOf(lease)))
	conn := server.Connect(t, usernameOf(lease), passwordOf(lease), other)
	if err := run(t.Context(), conn, "CREATE TABLE farther (id int)"); err != nil {
		t.Fatal(err)
	}
	if err := mount.Revoke(t.Context(), lease); err != nil {
		t.Fatal(err)
	}
	if roleExists(t, usernameOf(lease)) {
		t.Error("the role outlived its lease")
	}
	owner := postgrestest.Scalar[string](t, server, other, "SELECT tableowner FROM pg_tables WHERE tablename = 'farther'")
	if owner != postgrestest.Superuser {
		t.Errorf("the table belongs to %q, want the admin", owner)
	}
}

func TestAFailingRevocationStatementKeepsTheLeaseButLocksTheUserOut(t *testing.T) {
	mount, database := mountShop(t)
	mount.MustWrite(t, "roles/app", map[string]any{"revocation_statements": `SELECT missing('{{name}}')`})
	lease := mount.MustIssue(t, "creds/app")
	wantError(t, mount.Revoke(t.Context(), lease), "function missing(unknown) does not exist", passwordOf(lease))
	if _, err := pgx.Connect(t.Context(), server.URL(usernameOf(lease), passwordOf(lease), database)); err == nil {
		t.Error("the user still logs in")
	}
	mount.MustWrite(t, "roles/app", map[string]any{"revocation_statements": ""})
	if err := mount.Revoke(t.Context(), lease); err != nil {
		t.Errorf("revoking with corrected statements: %v", err)
	}
	if roleExists(t, usernameOf(lease)) {
		t.Error("the role outlived its lease")
	}
}

func TestRevocationStatementsRunBeforeTheRoleIsGone(t *testing.T) {
	mount, database := mountShop(t)
	server.Exec(t, database, "CREATE TABLE farewells (name text)")
	mount.MustWrite(t, "roles/app", map[string]any{"revocation_statements": []string{
		`INSERT INTO farewells SELECT rolname FROM pg_roles WHERE rolname = '{{username}}' -- still there`,
		guideRevocation,
	}})
	lease := mount.MustIssue(t, "creds/app")
	if err := mount.Revoke(t.Context(), lease); err != nil {
		t.Fatal(err)
	}
	if got := postgrestest.Scalar[string](t, server, database, "SELECT name FROM farewells"); got != usernameOf(lease) {
		t.Errorf("the statement saw %q", got)
	}
}

func TestOneLeaseRevokedTwiceAtOnceIsNoError(t *testing.T) {
	mount, _ := mountShop(t)
	lease := mount.MustIssue(t, "creds/app")
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			if err := mount.Revoke(t.Context(), lease); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if roleExists(t, usernameOf(lease)) {
		t.Error("the role outlived its lease")
	}
}

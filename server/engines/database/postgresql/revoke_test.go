package postgresql_test

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/novatech/securevault/server/engines/database"
	"github.com/novatech/securevault/server/engines/enginetest"
	"github.com/novatech/securevault/server/engines/enginetest/postgrestest"
)

// mountLimited mounts an engine whose admin is no superuser and logs in over TLS,
// with a role "app" that puts its users into a group.
func mountLimited(t *testing.T) *enginetest.Mount {
	t.Helper()
	shop := newShop(t)
	server.Exec(t, shop, `CREATE ROLE limited LOGIN CREATEROLE PASSWORD 'limited-password'`)
	t.Cleanup(func() { mustExec(t, "DROP ROLE limited") })
	mount := enginetest.NewMount(t, database.Factory)
	mount.MustWrite(t, "config/shop", with(config(strings.Replace(server.Template(shop), "disable", "require", 1)), map[string]any{
		"username": "limited", "password": "limited-password",
	}))
	mount.MustWrite(t, "roles/app", role(`CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}' IN ROLE certified`))
	return mount
}

// What went wrong without: to end a role, an admin becomes a member of it, and so
// of its groups; where pg_hba.conf asks the members of one for a certificate, it
// asked the admin as well, as long as the role could not be dropped.
func TestARoleThatCannotBeDroppedDoesNotChangeHowTheAdminLogsIn(t *testing.T) {
	mount := mountLimited(t)
	mount.MustWrite(t, "roles/app", map[string]any{"revocation_statements": "SELECT missing()"})
	lease := mount.MustIssue(t, "creds/app")
	wantError(t, mount.Revoke(t.Context(), lease), "function missing() does not exist")
	if _, err := mount.Write(t.Context(), "reset/shop", nil); err != nil {
		t.Fatal(err)
	}
	mount.MustWrite(t, "roles/app", map[string]any{"revocation_statements": ""})
	if err := mount.Revoke(t.Context(), lease); err != nil {
		t.Errorf("revoking over a new connection: %v", err)
	}
}

func TestARoleInAGroupThatTheAdminMayNotTouchEnds(t *testing.T) {
	mount := mountLimited(t)
	lease := mount.MustIssue(t, "creds/app")
	name := text(lease.Data, "username")
	server.Exec(t, postgrestest.Database, "CREATE ROLE owners SUPERUSER; GRANT owners TO "+pgx.Identifier{name}.Sanitize())
	t.Cleanup(func() { mustExec(t, "DROP ROLE owners") })
	if err := mount.Revoke(t.Context(), lease); err != nil {
		t.Error(err)
	}
	if postgrestest.Scalar[bool](t, server, postgrestest.Database, "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", name) {
		t.Error("the role outlived its lease")
	}
}

// What went wrong without: a session that is told to end drops its temporary tables
// first, and the server tripped over those that vanished while it handed them on.
func TestARoleWithTemporaryTablesEndsAtTheFirstTry(t *testing.T) {
	shop := newShop(t)
	mount := enginetest.NewMount(t, database.Factory)
	mount.MustWrite(t, "config/shop", config(server.Template(shop)))
	mount.MustWrite(t, "roles/app", role(readonly))
	lease := mount.MustIssue(t, "creds/app")
	for range 3 {
		conn := server.Connect(t, text(lease.Data, "username"), text(lease.Data, "password"), shop)
		err := run(t.Context(), conn, `DO $$ BEGIN FOR i IN 1..300 LOOP EXECUTE 'CREATE TEMPORARY TABLE t' || i || ' (id int)'; END LOOP; END $$`)
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := mount.Revoke(t.Context(), lease); err != nil {
		t.Error(err)
	}
}

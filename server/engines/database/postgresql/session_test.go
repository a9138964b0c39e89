package postgresql_test

import (
	"slices"
	"testing"

	"github.com/novatech/securevault/server/engines/database"
	"github.com/novatech/securevault/server/engines/enginetest"
	"github.com/novatech/securevault/server/engines/enginetest/postgrestest"
)

// What went wrong without: PostgreSQL executed what it had been asked for before
// the connection broke, after a revocation had found no role to end.
func TestWhatABrokenConnectionHasAskedForDoesNotComeLater(t *testing.T) {
	shop, outage := newShop(t), proxy(t)
	server.Exec(t, shop, "CREATE FUNCTION wait() RETURNS void LANGUAGE sql AS 'SELECT pg_advisory_xact_lock(7)'")
	mount := enginetest.NewMount(t, database.Factory)
	mount.MustWrite(t, "config/shop", config(through(server.Template(shop), outage)))
	mount.MustWrite(t, "roles/app", role(readonly+"SELECT wait()"))
	before := users(t)
	gate := server.Connect(t, postgrestest.Superuser, postgrestest.Password, shop)
	if err := run(t.Context(), gate, "SELECT pg_advisory_lock(7)"); err != nil {
		t.Fatal(err)
	}
	failed := make(chan error)
	go func() {
		_, err := mount.Issue(t.Context(), "creds/app")
		failed <- err
	}()
	for !waiting(t) {
	}
	outage.Cut()
	wantError(t, <-failed, "removing the half-made role")
	wantError(t, mount.Undo(t.Context()), "revoking user")
	outage.Restore()
	if err := mount.Undo(t.Context()); err != nil {
		t.Fatal(err)
	}
	if waiting(t) {
		t.Error("the session that creates the role goes on")
	}
	if err := run(t.Context(), gate, "SELECT pg_advisory_unlock(7)"); err != nil {
		t.Fatal(err)
	}
	if after := users(t); !slices.Equal(after, before) {
		t.Errorf("the server has the roles %q, want %q", after, before)
	}
}

// waiting tells whether somebody waits at the gate.
func waiting(t *testing.T) (found bool) {
	t.Helper()
	const query = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name LIKE 'securevault %')"
	if err := admin.QueryRow(t.Context(), query).Scan(&found); err != nil {
		t.Fatal(err)
	}
	return found
}

package postgresql_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/novatech/securevault/server/engines/database"
	"github.com/novatech/securevault/server/engines/enginetest"
	"github.com/novatech/securevault/server/engines/enginetest/postgrestest"
)

// turn is the lock that transactions take which grant privileges on objects.
const turn = "(1400260948, 1684104562)"

// holdUp lets nobody grant privileges in the database until it is told to.
func holdUp(t *testing.T, shop string) (release func()) {
	t.Helper()
	conn := server.Connect(t, postgrestest.Superuser, postgrestest.Password, shop)
	if _, err := conn.Exec(t.Context(), "SELECT pg_advisory_lock"+turn); err != nil {
		t.Fatal(err)
	}
	return func() {
		if _, err := conn.Exec(t.Context(), "SELECT pg_advisory_unlock"+turn); err != nil {
			t.Error(err)
		}
	}
}

// issueAll issues a credential of each role while the first of them are held up, so
// that the others queue behind them.
func issueAll(t *testing.T, mount *enginetest.Mount, shop string, roles []string) ([]*enginetest.Lease, []error) {
	t.Helper()
	release := holdUp(t, shop)
	leases, errs := make([]*enginetest.Lease, len(roles)), make([]error, len(roles))
	var all sync.WaitGroup
	for i, name := range roles {
		all.Go(func() { leases[i], errs[i] = mount.Issue(t.Context(), "creds/"+name) })
	}
	awaitHeldUp(t, shop)
	time.Sleep(time.Second) // for the others to queue
	release()
	all.Wait()
	return leases, errs
}

// awaitHeldUp returns when a creation waits for its turn.
func awaitHeldUp(t *testing.T, shop string) {
	t.Helper()
	const query = "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = $1 AND wait_event = 'advisory'"
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		var waiting bool
		err := admin.QueryRow(t.Context(), query, shop).Scan(&waiting)
		if waiting {
			return
		}
		if err != nil || time.Now().After(deadline) {
			t.Errorf("the first creations are not held up: %v", err)
			return
		}
	}
}

// mountRoles returns the engine with roles of these statements, by name.
func mountRoles(t *testing.T, shop string, statements map[string]string) *enginetest.Mount {
	t.Helper()
	mount := enginetest.NewMount(t, database.Factory)
	mount.MustWrite(t, "config/shop", config(server.Template(shop)))
	for name, text := range statements {
		mount.MustWrite(t, "roles/"+name, role(text))
	}
	return mount
}

func repeat(name string, times int) []string {
	names := make([]string, times)
	for i := range names {
		names[i] = name
	}
	return names
}

func TestCreationsThatComeTogetherShareTransactions(t *testing.T) {
	const many = 40
	shop := newShop(t)
	mount := mountRoles(t, shop, map[string]string{"app": readonly})
	leases, errs := issueAll(t, mount, shop, repeat("app", many))
	var names []string
	for i, lease := range leases {
		if errs[i] != nil {
			t.Fatal(errs[i])
		}
		names = append(names, lease.Data["username"].(string))
		session, err := login(t.Context(), server.URL(names[i], lease.Data["password"].(string), shop))
		if err == nil {
			err = session.Allowed(t.Context())
			session.Close()
		}
		if err != nil {
			t.Errorf("credential %d: %v", i, err)
		}
	}
	const query = "SELECT count(DISTINCT xmin::text)::int FROM pg_authid WHERE rolname = ANY($1)"
	if transactions := postgrestest.Scalar[int](t, server, shop, query, names); transactions > many/2 {
		t.Errorf("%d roles were created in %d transactions", many, transactions)
	}
	for _, lease := range leases {
		if err := mount.Revoke(t.Context(), lease); err != nil {
			t.Error(err)
		}
	}
}

func TestACreationThatFailsStandsInNobodysWay(t *testing.T) {
	shop := newShop(t)
	mount := mountRoles(t, shop, map[string]string{
		"app": readonly, "broken": readonly + `GRANT SELECT ON missing TO "{{name}}";`,
	})
	roles := repeat("app", 30)
	roles[20], roles[25] = "broken", "broken"
	before := users(t)
	leases, errs := issueAll(t, mount, shop, roles)
	for i, name := range roles {
		switch {
		case name == "broken" && (errs[i] == nil || !strings.Contains(errs[i].Error(), `relation "missing" does not exist`)):
			t.Errorf("creation %d: %v", i, errs[i])
		case name == "app" && errs[i] != nil:
			t.Errorf("creation %d: %v", i, errs[i])
		case name == "app":
			if err := mount.Revoke(t.Context(), leases[i]); err != nil {
				t.Error(err)
			}
		}
	}
	if after := users(t); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("the database has the users %q, want %q as before", after, before)
	}
}

// TestWarningsReachTheirOwnClient has one role among others that PostgreSQL warns of:
// it is not the owner of what it grants.
func TestWarningsReachTheirOwnClient(t *testing.T) {
	shop := newShop(t)
	server.Exec(t, shop, "CREATE ROLE grantor LOGIN CREATEROLE PASSWORD 'grantor-password'; CREATE TABLE mine (id int); ALTER TABLE mine OWNER TO grantor")
	defer server.Exec(t, shop, "DROP OWNED BY grantor; DROP ROLE grantor")
	mount := enginetest.NewMount(t, database.Factory)
	settings := config(server.Template(shop))
	settings["username"], settings["password"] = "grantor", "grantor-password"
	mount.MustWrite(t, "config/shop", settings)
	const granting = `CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}'; GRANT SELECT ON %s TO "{{name}}";`
	mount.MustWrite(t, "roles/app", role(fmt.Sprintf(granting, "mine")))
	server.Exec(t, shop, "GRANT SELECT ON orders TO grantor")
	mount.MustWrite(t, "roles/warned", role(fmt.Sprintf(granting, "orders")))
	roles := repeat("app", 30)
	roles[20] = "warned"
	leases, errs := issueAll(t, mount, shop, roles)
	for i, lease := range leases {
		if errs[i] != nil {
			t.Fatal(errs[i])
		}
		if warned := len(lease.Warnings) > 0; warned != (roles[i] == "warned") {
			t.Errorf("creation %d of role %s: warnings %q", i, roles[i], lease.Warnings)
		}
		if err := mount.Revoke(t.Context(), lease); err != nil {
			t.Error(err)
		}
	}
}

package database

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/jackc/pgx/v5"

	"github.com/novatech/securevault/server/core"
	"github.com/novatech/securevault/server/engines/enginetest/postgrestest"
	state "github.com/novatech/securevault/server/store"
	"github.com/novatech/securevault/server/store/inmem"
)

// dyingStore is the store of a server that dies at one of its writes to the
// leases: the write, and whoever waits for it, goes no further.
type dyingStore struct {
	state.Store
	dead chan struct{} // closed at the death
	end  chan struct{} // closed at the end of the test

	mu      sync.Mutex
	at      int // the write that is the last, from 1; 0: it lives
	written bool
}

// Put implements state.Store.
func (s *dyingStore) Put(ctx context.Context, key string, value []byte) error {
	if !s.dies(key) {
		return s.Store.Put(ctx, key, value)
	}
	if s.written {
		if err := s.Store.Put(ctx, key, value); err != nil {
			return err
		}
	}
	close(s.dead)
	<-s.end
	return context.Canceled
}

func (s *dyingStore) dies(key string) bool {
	if !strings.HasPrefix(key, "core/lease/") {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at--
	return s.at == 0
}

// remains returns what the next start finds.
func (s *dyingStore) remains(t *testing.T) state.Store {
	t.Helper()
	disk := inmem.New()
	keys, err := logical.CollectKeys(t.Context(), state.View(s.Store, ""))
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		value, err := s.Get(t.Context(), key)
		if err == nil {
			err = disk.Put(t.Context(), key, value)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return disk
}

func newCore(t *testing.T, on state.Store) *core.Core {
	t.Helper()
	c := core.New(core.Config{
		Store: on, Engines: map[string]logical.Factory{"database": Factory}, Logger: hclog.NewNullLogger(),
	})
	if err := c.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(context.Background()) })
	return c
}

func runCore(t *testing.T, c *core.Core) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = c.Run(ctx) // ends with the cancellation below
	}()
	t.Cleanup(func() { cancel(); <-done })
}

func must(t *testing.T, c *core.Core, op logical.Operation, path string, data map[string]any) *logical.Response {
	t.Helper()
	resp, err := c.Handle(t.Context(), &logical.Request{Operation: op, Path: path, Data: data, ClientToken: "root"})
	if err == nil {
		err = resp.Error()
	}
	if err != nil {
		t.Fatalf("%s %s: %v", op, path, err)
	}
	return resp
}

// What went wrong without: a server that died between the creation of a role and
// the record of its lease left a role that nobody would ever drop.
func TestAServerThatDiesLeavesNoUserWithoutLease(t *testing.T) {
	cases := map[string]struct {
		at      int
		written bool
		users   int // after the next start
	}{
		"before the intent is written":     {1, false, 0},
		"after it, before the user":        {1, true, 0},
		"after the user, before its lease": {2, false, 0},
		"after the lease":                  {2, true, 1},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			disk := &dyingStore{Store: inmem.New(), dead: make(chan struct{}), end: make(chan struct{}), written: test.written}
			c := newCore(t, disk)
			if _, err := c.CreateRootToken(t.Context(), "root"); err != nil {
				t.Fatal(err)
			}
			must(t, c, logical.UpdateOperation, "sys/mounts/database", map[string]any{"type": "database"})
			must(t, c, logical.UpdateOperation, "database/config/shop", superuserConfig(newShop(t)))
			must(t, c, logical.UpdateOperation, "database/roles/app", readonlyRole())
			before := countRoles(t)
			disk.at = test.at
			var request sync.WaitGroup
			request.Go(func() {
				_, _ = c.Handle(context.Background(), &logical.Request{ // it is never answered
					Operation: logical.ReadOperation, Path: "database/creds/app", ClientToken: "root",
				})
			})
			t.Cleanup(func() { close(disk.end); request.Wait() })
			<-disk.dead

			next := newCore(t, disk.remains(t))
			runCore(t, next)
			leases := func() int {
				return must(t, next, logical.ReadOperation, "sys/leases/count", nil).Data["lease_count"].(int)
			}
			deadline := time.Now().Add(20 * time.Second)
			for (countRoles(t)-before != test.users || leases() != test.users) && time.Now().Before(deadline) {
				time.Sleep(10 * time.Millisecond)
			}
			if users := countRoles(t) - before; users != test.users || leases() != test.users {
				t.Fatalf("%d users, %d leases after the next start; want %d of each", users, leases(), test.users)
			}
		})
	}
}

func TestAFailedCreationLeavesNoLease(t *testing.T) {
	c := newCore(t, inmem.New())
	runCore(t, c)
	if _, err := c.CreateRootToken(t.Context(), "root"); err != nil {
		t.Fatal(err)
	}
	must(t, c, logical.UpdateOperation, "sys/mounts/database", map[string]any{"type": "database"})
	must(t, c, logical.UpdateOperation, "database/config/shop", superuserConfig(postgrestest.Database))
	must(t, c, logical.UpdateOperation, "database/roles/app", with(readonlyRole(), map[string]any{"creation_statements": "CREATE ROLE wrong wrong"}))
	resp, err := c.Handle(t.Context(), &logical.Request{Operation: logical.ReadOperation, Path: "database/creds/app", ClientToken: "root"})
	if err != nil || !resp.IsError() {
		t.Fatalf("%v, %v; want a refusal", resp, err)
	}
	if count := must(t, c, logical.ReadOperation, "sys/leases/count", nil).Data["lease_count"]; count != 0 {
		t.Fatalf("%v leases", count)
	}
}

// A killed server's statement may still be executed long after the next server
// has begun to undo it: the role was then made when nobody looked for it any
// more.
func TestWhatADeadServerHasAskedForDoesNotComeLater(t *testing.T) {
	mount, database := mountShop(t)
	const late = "v-made-late"
	gate, dead := server.Connect(t, postgrestest.Superuser, postgrestest.Password, database), server.Connect(t, postgrestest.Superuser, postgrestest.Password, database)
	run := func(on *pgx.Conn, statements string) {
		t.Helper()
		if _, err := on.Exec(t.Context(), statements); err != nil {
			t.Fatal(err)
		}
	}
	run(gate, "SELECT pg_advisory_lock(7)")
	run(dead, "SET application_name = 'securevault DEADSERVER'")
	executed := make(chan error, 1)
	go func() {
		_, err := dead.PgConn().Exec(t.Context(), `SELECT pg_advisory_lock(7); CREATE ROLE "`+late+`" LOGIN`).ReadAll()
		executed <- err
	}()
	const waiting = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'securevault DEADSERVER' AND wait_event = 'advisory'"
	for postgrestest.Scalar[int](t, server, database, waiting) == 0 {
		time.Sleep(10 * time.Millisecond)
	}

	lease := mount.MustIssue(t, "creds/app")
	for name, value := range map[string]any{"username": late, "session": "securevault DEADSERVER"} {
		lease.Secret.InternalData[name] = value
	}
	if err := mount.Revoke(t.Context(), lease); err != nil {
		t.Fatal(err)
	}
	run(gate, "SELECT pg_advisory_unlock(7)")
	if err := <-executed; err == nil {
		t.Error("the dead server's statement is executed after all")
	}
	if roleExists(t, late) {
		t.Error("the role is made after its revocation")
	}
}

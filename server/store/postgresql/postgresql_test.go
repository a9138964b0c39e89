package postgresql_test

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/novatech/securevault/server/engines/enginetest/postgrestest"
	"github.com/novatech/securevault/server/store"
	"github.com/novatech/securevault/server/store/postgresql"
	"github.com/novatech/securevault/server/store/storetest"
)

var server *postgrestest.Server

func TestMain(m *testing.M) {
	server = postgrestest.MustStart()
	code := m.Run()
	server.Stop()
	os.Exit(code)
}

func open(t testing.TB, database string) *postgresql.Store {
	t.Helper()
	s, err := postgresql.Open(t.Context(), postgresql.Config{URL: server.URL(postgrestest.Superuser, postgrestest.Password, database)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// fresh opens an empty store that may be written.
func fresh(t testing.TB) store.Store {
	s := open(t, server.NewDatabase(t))
	storetest.Elect(t, s, "test")
	return s
}

func TestPostgreSQLMeetsTheContractOfStores(t *testing.T) { storetest.Run(t, fresh) }

func TestWhatPostgreSQLHoldsSurvives(t *testing.T) {
	database := server.NewDatabase(t)
	storetest.Survives(t, func(t testing.TB) (store.Store, func() error) {
		s := open(t, database)
		term := storetest.Elect(t, s, "test")
		return s, func() error {
			if err := term.Resign(t.Context()); err != nil {
				return err
			}
			return s.Close()
		}
	})
}

func TestOneServerAtATimeIsActive(t *testing.T) {
	database := server.NewDatabase(t)
	storetest.Elects(t, func(t testing.TB) store.Elector { return open(t, database) }, func(t testing.TB) {
		server.Exec(t, database, "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted")
	})
}

// TestAServerThatHangsIsDeposed lets the sign of life grow old, as that of a
// stopped process does while its session stays.
func TestAServerThatHangsIsDeposed(t *testing.T) {
	database := server.NewDatabase(t)
	storetest.Elects(t, func(t testing.TB) store.Elector { return open(t, database) }, func(t testing.TB) {
		server.Exec(t, database, "UPDATE securevault_ha SET seen = 'epoch' WHERE node = ''")
	})
}

// TestAWriteThatIsOnItsWayWhenATermBeginsHasNoEffect lets a new term begin
// while a write of the old one, whose server knows nothing of it, waits at the
// fence.
func TestAWriteThatIsOnItsWayWhenATermBeginsHasNoEffect(t *testing.T) {
	database := server.NewDatabase(t)
	s := open(t, database)
	storetest.Elect(t, s, "test")
	if err := s.Put(t.Context(), "k", []byte("before")); err != nil {
		t.Fatal(err)
	}
	conn := server.Connect(t, postgrestest.Superuser, postgrestest.Password, database)
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const fence = "SELECT pg_advisory_xact_lock($1)"
	if _, err := tx.Exec(t.Context(), fence, s.FenceLock()); err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), "UPDATE securevault_ha SET term = term + 1 WHERE node = ''"); err != nil {
		t.Fatal(err)
	}
	written := make(chan error, 1)
	go func() { written <- s.Put(t.Context(), "k", []byte("late")) }()
	waiting := "SELECT count(*)::int FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
	for postgrestest.Scalar[int](t, server, database, waiting) == 0 {
		select {
		case err := <-written:
			t.Fatalf("it did not wait for the election, and ended with %v", err)
		case <-time.After(10 * time.Millisecond):
		}
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-written; !errors.Is(err, store.ErrNotActive) {
		t.Errorf("it was answered with %v", err)
	}
	if value, err := s.Get(t.Context(), "k"); string(value) != "before" || err != nil {
		t.Errorf("the store holds %q, %v", value, err)
	}
}

func BenchmarkPostgreSQL(b *testing.B) { storetest.Bench(b, fresh) }

func TestTablesThatAreNamedAreUsed(t *testing.T) {
	database := server.NewDatabase(t)
	server.Exec(t, database, "CREATE SCHEMA vault")
	config := postgresql.Config{
		URL:   server.URL(postgrestest.Superuser, postgrestest.Password, database),
		Table: `vault.odd "name`, ElectionTable: "vault.election",
	}
	s, err := postgresql.Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	storetest.Elect(t, s, "test")
	if err := s.Put(t.Context(), "k", []byte("v")); err != nil {
		t.Fatal(err)
	}
	if got := postgrestest.Scalar[string](t, server, database, `SELECT encode(value, 'escape') FROM vault."odd ""name"`); got != "v" {
		t.Errorf("the table holds %q", got)
	}
	config.SkipCreateTable = true
	again, err := postgresql.Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = again.Close(), s.Close() })
	if value, err := again.Get(t.Context(), "k"); err != nil || string(value) != "v" {
		t.Errorf("opened again: %q, %v", value, err)
	}
}

func TestAStoreThatCannotBeOpenedSaysWhatToDo(t *testing.T) {
	for url, want := range map[string]string{
		"postgres://secret:pass word@::::/":                           "connection_url cannot be read: write it as postgres://",
		server.URL("nobody", "wrong-password", postgrestest.Database): "check connection_url",
	} {
		_, err := postgresql.Open(t.Context(), postgresql.Config{URL: url})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %q", err, want)
		}
		if err != nil && (strings.Contains(err.Error(), "pass word") || strings.Contains(err.Error(), "wrong-password")) {
			t.Errorf("the error shows the password: %v", err)
		}
	}
}

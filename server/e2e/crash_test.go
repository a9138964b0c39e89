package e2e

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/novatech/securevault/server/engines/enginetest/postgrestest"
)

const (
	// crashes is how often the server is killed, unless SECUREVAULT_CRASHES
	// says otherwise.
	crashes = 20
	// longestLife is how long a server lives at most.
	longestLife = 600 * time.Millisecond
	// burdens is how many clients keep it busy meanwhile.
	burdens = 8
	// settleTimeout is how long the server may take to undo what was under way.
	settleTimeout = time.Minute
)

// TestAKilledServerLeavesNoCredentialWithoutALease kills the server at random
// instants while clients issue, renew and revoke. After each start there are as
// many credentials on the database as leases; and once the leases are revoked
// that no client got to know of, exactly those credentials that clients hold.
func TestAKilledServerLeavesNoCredentialWithoutALease(t *testing.T) {
	times := number(t, "SECUREVAULT_CRASHES", crashes)
	seed := number(t, "SECUREVAULT_CRASH_SEED", rand.Uint64())
	t.Logf("%d kills, SECUREVAULT_CRASH_SEED=%d", times, seed)
	random := rand.New(rand.NewPCG(seed, seed))

	postgres := startPostgres(t)
	s := newServer(t)
	s.mountDatabase(t, postgres, map[string]string{"app": login})
	database := postgres.Connect(t, postgrestest.Superuser, postgrestest.Password, postgrestest.Database)
	known := &ledger{held: map[string]string{}}
	for i := range times {
		life := time.Duration(random.Int64N(int64(longestLife)))
		killer := time.AfterFunc(life, s.process.Stop)
		known.burden(s, random)
		killer.Stop()
		s.kill()
		s.start(t)
		if err := s.settle(t, database, known); err != nil {
			t.Fatalf("kill %d after %s: %v\n%s", i+1, life, err, s.process.Log())
		}
	}
	t.Logf("%d issued, %d renewed, %d revoked", known.issued, known.renewed, known.revoked)
	if known.issued == 0 || known.renewed == 0 || known.revoked == 0 {
		t.Error("the server was killed before it did anything")
	}
}

// number returns what an environment variable says.
func number[N int | uint64](t *testing.T, variable string, otherwise N) N {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return otherwise
	}
	value, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", variable, err)
	}
	return N(value)
}

// ledger is what clients know for certain.
type ledger struct {
	mu      sync.Mutex
	held    map[string]string // guarded by mu; lease → user
	issued  int               // guarded by mu, as are the others
	renewed int
	revoked int
}

// burden has clients issue, renew and revoke until the server is gone.
func (l *ledger) burden(s *server, random *rand.Rand) {
	var group sync.WaitGroup
	for range burdens {
		choices := rand.New(rand.NewPCG(random.Uint64(), 0))
		group.Go(func() {
			c, err := dial(s.address, s.token)
			if err != nil {
				return // it is gone already
			}
			defer c.close()
			for err == nil {
				err = l.step(c, choices.IntN(4))
			}
		})
	}
	group.Wait()
}

// step sends one request, and takes down what its answer makes certain.
func (l *ledger) step(c *client, choice int) error {
	lease, user := "", ""
	if choice >= 2 {
		lease, user = l.take()
	}
	switch {
	case lease == "":
		answer, err := c.send("GET", "database/creds/app", "")
		if err == nil {
			l.keep(field(answer, "lease_id"), field(answer, "username"), &l.issued)
		}
		return err
	case choice == 2: // whatever comes of it, the lease lives
		_, err := c.send("PUT", "sys/leases/renew", `{"lease_id":"`+lease+`"}`)
		l.keep(lease, user, &l.renewed)
		return err
	default: // whatever comes of it, the lease may be gone
		_, err := c.send("PUT", "sys/leases/revoke", `{"lease_id":"`+lease+`"}`)
		l.mu.Lock()
		defer l.mu.Unlock()
		l.revoked++
		return err
	}
}

// take returns a lease that no other client uses until it is kept again.
func (l *ledger) take() (lease, user string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for lease, user := range l.held {
		delete(l.held, lease)
		return lease, user
	}
	return "", ""
}

func (l *ledger) keep(lease, user string, count *int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held[lease] = user
	*count++
}

// settle returns an error if leases and credentials are not the same in the end.
func (s *server) settle(t *testing.T, database *pgx.Conn, known *ledger) error {
	t.Helper()
	c := s.dial(t)
	err := eventually(func() error {
		leases, credentials := leasesOf(t, c), credentialsOf(t, database)
		if len(leases) != len(credentials) {
			return fmt.Errorf("there are %d leases and %d credentials", len(leases), len(credentials))
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, lease := range leasesOf(t, c) {
		if _, held := known.held[lease]; held {
			continue
		}
		if _, err := c.send("PUT", "sys/leases/revoke", `{"lease_id":"`+lease+`"}`); err != nil {
			return fmt.Errorf("revoking what no client got to know of: %w", err)
		}
	}
	return eventually(func() error {
		if leases, held := leasesOf(t, c), slices.Sorted(maps.Keys(known.held)); !slices.Equal(leases, held) {
			return fmt.Errorf("leases are %q, clients hold %q", leases, held)
		}
		if credentials, held := credentialsOf(t, database), slices.Sorted(maps.Values(known.held)); !slices.Equal(credentials, held) {
			return fmt.Errorf("credentials are %q, clients hold %q", credentials, held)
		}
		return nil
	})
}

// eventually returns the error of a check that fails for too long.
func eventually(check func() error) error {
	for deadline := time.Now().Add(settleTimeout); ; time.Sleep(10 * time.Millisecond) {
		if err := check(); err == nil || time.Now().After(deadline) {
			return err
		}
	}
}

// leasesOf returns the ids of all leases, sorted.
func leasesOf(t *testing.T, c *client) []string {
	t.Helper()
	listed, err := call[struct{ Data struct{ Keys []string } }](c, "LIST", "sys/leases/lookup/database/creds/app", nil)
	var refused *refusal
	none := errors.As(err, &refused) && refused.status == http.StatusNotFound
	if err != nil && !none {
		t.Fatal(err)
	}
	for i, key := range listed.Data.Keys {
		listed.Data.Keys[i] = "database/creds/app/" + key
	}
	return slices.Sorted(slices.Values(listed.Data.Keys))
}

// credentialsOf returns the names of all issued roles, sorted.
func credentialsOf(t *testing.T, database *pgx.Conn) []string {
	t.Helper()
	rows, err := database.Query(t.Context(), `SELECT rolname::text FROM pg_roles WHERE rolname LIKE 'v-%' ORDER BY rolname COLLATE "C"`)
	if err != nil {
		t.Fatal(err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return names
}

package main

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/novatech/securevault/server/engines/enginetest/etcdtest"
	"github.com/novatech/securevault/server/engines/enginetest/postgrestest"
)

const (
	// takeoverLimit is how long a cluster may be without an active node after
	// the last one was killed.
	takeoverLimit = 10 * time.Second
	// loadClients send requests while nodes are killed.
	loadClients = 4
)

// kills is how often the active node is killed: SECUREVAULT_KILLS, 20 in the
// full run of the Makefile.
func kills(t *testing.T) int {
	text := os.Getenv("SECUREVAULT_KILLS")
	if text == "" {
		return 4
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("SECUREVAULT_KILLS is %q, want a positive number", text)
	}
	return n
}

func TestAKilledActiveNodeIsReplacedOnPostgreSQL(t *testing.T) {
	postgres := startPostgres(t)
	storage := postgres.NewDatabase(t)
	c := newCluster(t, fmt.Sprintf("{postgresql: {connection_url: %q}}", postgres.URL(postgrestest.Superuser, postgrestest.Password, storage)))
	killUnderLoad(t, c, postgres)
}

func TestAKilledActiveNodeIsReplacedOnEtcd(t *testing.T) {
	postgres := startPostgres(t)
	etcd, err := etcdtest.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(etcd.Stop)
	c := newCluster(t, fmt.Sprintf("{etcd: {address: %q, lock_timeout: 2s}}", etcd.URL))
	killUnderLoad(t, c, postgres)
}

func startPostgres(t *testing.T) *postgrestest.Server {
	t.Helper()
	postgres, err := postgrestest.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(postgres.Stop)
	return postgres
}

// ledger is what clients were told: what was acknowledged must stay true.
type ledger struct {
	mu       sync.Mutex
	policies map[string]string    // guarded by mu; name → content
	leases   map[string]string    // guarded by mu; lease id → role, until its revocation is asked for
	revoked  map[string]time.Time // guarded by mu; role → when its revocation was acknowledged
	unsure   int                  // guarded by mu; revocations without an answer
}

// killUnderLoad kills the active node over and over while clients write, and
// then compares what they were told with what there is.
func killUnderLoad(t *testing.T, c *cluster, postgres *postgrestest.Server) {
	target := postgres.NewDatabase(t)
	postgres.Exec(t, target, "CREATE TABLE revocations (name text, existed boolean, at timestamptz DEFAULT clock_timestamp())")
	c.mountTarget(t, postgres, target)
	told := &ledger{policies: map[string]string{}, leases: map[string]string{}, revoked: map[string]time.Time{}}
	var stop atomic.Bool
	var load sync.WaitGroup
	for i := range loadClients {
		load.Go(func() { c.load(t, i, told, &stop) })
	}
	began := time.Now()
	var takeovers []time.Duration
	for range kills(t) {
		time.Sleep(rand.N(600 * time.Millisecond))
		takeovers = append(takeovers, c.killActive(t))
	}
	took := time.Since(began)
	stop.Store(true)
	load.Wait()
	slices.Sort(takeovers)
	t.Logf("%d kills in %s; takeovers: median %s, longest %s; acknowledged: %d policies, %d leases held, %d revoked, %d revocations without an answer",
		len(takeovers), took.Round(time.Millisecond), takeovers[len(takeovers)/2].Round(time.Millisecond), takeovers[len(takeovers)-1].Round(time.Millisecond),
		len(told.policies), len(told.leases), len(told.revoked), told.unsure)
	if longest := takeovers[len(takeovers)-1]; longest > takeoverLimit {
		t.Errorf("a takeover took %s, at most %s is allowed", longest, takeoverLimit)
	}
	if len(told.policies) == 0 || len(told.leases) == 0 || len(told.revoked) == 0 {
		t.Fatal("the load did nothing: this proves nothing")
	}
	c.compare(t, told, postgres, target)
}

// mountTarget mounts a database whose revocations are counted.
func (c *cluster) mountTarget(t *testing.T, postgres *postgrestest.Server, database string) {
	t.Helper()
	c.must(t, 1, "PUT", "sys/mounts/database", map[string]any{"type": "database"}) // through a standby
	c.must(t, 2, "PUT", "database/config/shop", map[string]any{
		"plugin_name": "postgresql-database-plugin", "connection_url": postgres.Template(database), "allowed_roles": "*",
		"username": postgrestest.Superuser, "password": postgrestest.Password,
	})
	c.must(t, 0, "PUT", "database/roles/app", map[string]any{
		"db_name": "shop", "creation_statements": `CREATE ROLE "{{name}}" WITH LOGIN PASSWORD '{{password}}';`,
		"revocation_statements": `INSERT INTO revocations (name, existed) SELECT '{{name}}', EXISTS (SELECT FROM pg_roles WHERE rolname = '{{name}}'); ` +
			`DROP ROLE IF EXISTS "{{name}}";`,
		"default_ttl": "1h", "max_ttl": "2h",
	})
}

// load is one client: it writes policies, takes credentials and gives some back,
// at whatever node answers.
func (c *cluster) load(t *testing.T, client int, told *ledger, stop *atomic.Bool) {
	at := client
	for n := 0; !stop.Load(); n++ {
		node := at % len(c.nodes)
		var answered bool
		switch n % 4 {
		case 0, 1:
			answered = c.loadPolicy(t, node, fmt.Sprintf("p-%d-%d", client, n), told)
		case 2:
			answered = c.loadLease(t, node, told)
		case 3:
			answered = c.loadRevocation(t, node, told)
		}
		if !answered {
			at++
			time.Sleep(20 * time.Millisecond)
		}
	}
}

func (c *cluster) loadPolicy(t *testing.T, node int, name string, told *ledger) bool {
	content := fmt.Sprintf("path \"secret/%s\" { capabilities = [\"read\"] }", name)
	status, _, err := c.send(t.Context(), node, "PUT", "sys/policies/acl/"+name, map[string]any{"policy": content})
	if err != nil || status != http.StatusNoContent {
		return false
	}
	told.mu.Lock()
	defer told.mu.Unlock()
	told.policies[name] = content
	return true
}

func (c *cluster) loadLease(t *testing.T, node int, told *ledger) bool {
	status, answer, err := c.send(t.Context(), node, "GET", "database/creds/app", nil)
	if err != nil || status != http.StatusOK {
		return false
	}
	told.mu.Lock()
	defer told.mu.Unlock()
	told.leases[answer["lease_id"].(string)] = answer["data"].(map[string]any)["username"].(string)
	return true
}

// loadRevocation gives back every second lease that it sees.
func (c *cluster) loadRevocation(t *testing.T, node int, told *ledger) bool {
	told.mu.Lock()
	id, role := "", ""
	if len(told.leases) > 10 {
		for id, role = range told.leases {
			delete(told.leases, id)
			break
		}
	}
	told.mu.Unlock()
	if id == "" {
		return true
	}
	status, _, err := c.send(t.Context(), node, "PUT", "sys/leases/revoke", map[string]any{"lease_id": id})
	told.mu.Lock()
	defer told.mu.Unlock()
	if err != nil || status != http.StatusNoContent {
		told.unsure++
		return false
	}
	told.revoked[role] = time.Now()
	return true
}

// killActive kills the active node, waits until another one has taken a write,
// and starts the killed one again. It returns how long the others took.
func (c *cluster) killActive(t *testing.T) time.Duration {
	t.Helper()
	victim := c.active(t)
	c.nodes[victim].kill()
	began := time.Now()
	for n := 0; ; n++ {
		node := (victim + 1 + n%(len(c.nodes)-1)) % len(c.nodes)
		status, answer, err := c.send(t.Context(), node, "PUT", "sys/policies/acl/takeover", map[string]any{"policy": `path "x" { capabilities = ["read"] }`})
		if status == http.StatusNoContent {
			break
		}
		if time.Since(began) > 3*takeoverLimit {
			t.Fatalf("nobody took over: %d %v %v", status, answer, err)
		}
		time.Sleep(10 * time.Millisecond)
	}
	took := time.Since(began)
	c.nodes[victim].start(t)
	c.awaitHealth(t, victim, http.StatusTooManyRequests, http.StatusOK)
	return took
}

// compare checks what clients were told.
func (c *cluster) compare(t *testing.T, told *ledger, postgres *postgrestest.Server, database string) {
	t.Helper()
	lost := 0
	for name, content := range told.policies {
		_, answer, err := c.send(t.Context(), c.active(t), "GET", "sys/policies/acl/"+name, nil)
		data, _ := answer["data"].(map[string]any)
		if err != nil || data["policy"] != content {
			lost++
		}
	}
	exists := map[string]bool{}
	for _, role := range rolesOf(t, postgres) {
		exists[role] = true
	}
	for id, role := range told.leases {
		status, _, err := c.send(t.Context(), 0, "PUT", "sys/leases/lookup", map[string]any{"lease_id": id})
		if err != nil || status != http.StatusOK || !exists[role] {
			lost++
		}
	}
	alive, again := 0, 0
	conn := postgres.Connect(t, postgrestest.Superuser, postgrestest.Password, database)
	count := func(query string, args ...any) (n int) {
		if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM "+query, args...).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	for role, at := range told.revoked {
		if exists[role] {
			alive++
		}
		again += count("revocations WHERE name = $1 AND at > $2", role, at)
	}
	twice := count("(SELECT name FROM revocations WHERE existed GROUP BY name HAVING count(*) > 1) AS twice")
	repeated := count("(SELECT name FROM revocations GROUP BY name HAVING count(*) > 1) AS repeated")
	t.Logf("acknowledged writes lost: %d; revoked leases that live: %d; revoked twice: %d; asked again after the acknowledgement: %d; asked again after a crash in between: %d",
		lost, alive, twice, again, repeated)
	if lost+alive+twice+again > 0 {
		t.Error("what clients were told is not what there is")
	}
	c.must(t, 0, "PUT", "sys/leases/revoke-prefix/database", nil)
	if left := rolesOf(t, postgres); len(left) > 0 {
		t.Errorf("%d credentials are without a lease: %q", len(left), left)
	}
}

// rolesOf returns the issued roles that PostgreSQL has.
func rolesOf(t *testing.T, postgres *postgrestest.Server) []string {
	t.Helper()
	return postgrestest.Scalar[[]string](t, postgres, postgrestest.Database,
		"SELECT coalesce(array_agg(rolname::text), '{}') FROM pg_roles WHERE rolname LIKE 'v-%'")
}

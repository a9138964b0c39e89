package e2e

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

const (
	consumers    = 10 // apps, each with a role and a lease of its own
	rotations    = 100
	rotationTTL  = "8s" // replaced after 6 s: the rest has to suffice for a killed agent's successor
	queryPause   = 10 * time.Millisecond
	longestQuiet = 6 * time.Second // between a start of the agent and its end by SIGKILL
)

// rotationConfig is what each app's agent has in common.
const rotationConfig = `
auto_auth {
  method "approle" {
    config = {
      role_id_file_path                   = "role-id"
      secret_id_file_path                 = "secret-id"
      remove_secret_id_file_after_reading = false
    }
  }
}
state {
  path = "state/journal"
}
revoke_on_exit = true
`

const rotationTemplate = `
template {
  destination = "out/app-%[1]d.json"
  contents    = "{{ with secret \"database/creds/app-%[1]d\" }}{{ .Data | toJSON }}{{ end }}"
  notify "webhook" {
    url = "%[2]s/%[1]d"
  }
}
`

// TestNoQueryFailsOverAHundredRotationsAndTwentyKills has apps use their
// credentials all the time, as examples/demo/app does, while the agent is
// killed at random instants: whatever it was about to do, the next one does.
func TestNoQueryFailsOverAHundredRotationsAndTwentyKills(t *testing.T) {
	t.Parallel()
	w := testWorld(t, rotationTTL, rotationTTL)
	addRoles(t, w)
	apps, url := startConsumers(t, w)
	config := rotationConfig
	for i := range consumers {
		config += fmt.Sprintf(rotationTemplate, i+1, url)
	}
	writeFile(t, filepath.Join(w.folder, "agent.hcl"), config)

	seed := uint64(time.Now().UnixNano())
	t.Logf("the seed of the instants is %d", seed)
	instants := rand.New(rand.NewPCG(seed, 0))
	p := startAgent(t, w)
	for range crashes {
		time.Sleep(time.Duration(instants.Int64N(int64(longestQuiet))))
		if err := p.signal(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		<-p.ended
		p = startAgent(t, w)
	}
	waitFor(t, fmt.Sprintf("%d rotations", rotations), func() bool { return apps.rotations() >= rotations })

	apps.stop()
	t.Logf("%d queries over %d rotations", apps.queries.Load(), apps.rotations())
	if failures := apps.failures(); len(failures) > 0 {
		t.Errorf("%d failures, the first of them:\n%s", len(failures), strings.Join(failures[:min(len(failures), 10)], "\n"))
	}
	if err := p.stop(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the end of every credential", func() bool {
		names, err := w.issuedRoles()
		return err == nil && len(names) == 0
	})
	if t.Failed() {
		log, _ := os.ReadFile(p.log)
		t.Logf("the agents' log:\n%s", log)
	}
}

// addRoles gives each app a role.
func addRoles(t *testing.T, w *world) {
	t.Helper()
	ctx, cancel := stepContext()
	defer cancel()
	script := exec.CommandContext(ctx, "sh", "-e", "roles.sh", fmt.Sprint(consumers), rotationTTL, rotationTTL)
	script.Dir, script.Env = w.folder, w.env()
	if output, err := script.CombinedOutput(); err != nil {
		t.Fatalf("preparing the roles: %v\n%s", err, output)
	}
}

// consumerSet are the apps of a test.
type consumerSet struct {
	all     []*consumer
	stop    func() // ends their queries, and waits for that
	queries atomic.Int64
}

// startConsumers starts the apps, which wait for a credential, and returns the
// address to tell them at that there is one.
func startConsumers(t *testing.T, w *world) (*consumerSet, string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var working sync.WaitGroup
	s := &consumerSet{stop: func() { cancel(); working.Wait() }}
	mux := http.NewServeMux()
	for i := range consumers {
		c := &consumer{
			file:    filepath.Join(w.folder, "out", fmt.Sprintf("app-%d.json", i+1)),
			address: w.postgres.URL("", "", database),
			queries: &s.queries,
		}
		s.all = append(s.all, c)
		mux.HandleFunc(fmt.Sprintf("/%d", i+1), func(http.ResponseWriter, *http.Request) { c.reload() })
		working.Go(func() { c.work(ctx) })
	}
	listener := httptest.NewServer(mux)
	t.Cleanup(func() { listener.Close(); s.stop() })
	return s, listener.URL
}

// rotations returns how often an app has gone over to another credential.
func (s *consumerSet) rotations() int {
	total := 0
	for _, c := range s.all {
		c.mu.Lock()
		total += max(c.switches-1, 0)
		c.mu.Unlock()
	}
	return total
}

// failures returns what has failed in any app, queries above all.
func (s *consumerSet) failures() []string {
	var all []string
	for _, c := range s.all {
		c.mu.Lock()
		all = append(all, c.failed...)
		c.mu.Unlock()
	}
	return all
}

// consumer is an app that queries PostgreSQL all the time.
type consumer struct {
	file, address string
	queries       *atomic.Int64 // of all apps

	mu       sync.Mutex
	db       *sql.DB // of the current credential; nil before the first
	user     string
	switches int
	failed   []string
}

// reload connects with the credential of the file, and lets go of the one
// before.
func (c *consumer) reload() {
	c.mu.Lock()
	defer c.mu.Unlock()
	content, err := os.ReadFile(c.file)
	var credential struct{ Username, Password string }
	if err == nil {
		err = json.Unmarshal(content, &credential)
	}
	if err != nil {
		c.fail("reading the credential", err)
		return
	}
	if credential.Username == c.user {
		return // told twice
	}
	if c.db != nil {
		_ = c.db.Close()
	}
	c.user, c.db = credential.Username, nil
	c.switches++
	address, err := url.Parse(c.address)
	if err == nil {
		address.User = url.UserPassword(credential.Username, credential.Password)
		c.db, err = sql.Open("postgres", address.String())
	}
	if err != nil {
		c.fail("connecting", err)
		return
	}
	c.db.SetMaxOpenConns(1)
}

func (c *consumer) work(ctx context.Context) {
	for ctx.Err() == nil {
		time.Sleep(queryPause)
		c.query()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.db != nil {
		_ = c.db.Close()
	}
}

func (c *consumer) query() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.db == nil {
		return
	}
	var orders int
	if err := c.db.QueryRow("SELECT count(*) FROM orders").Scan(&orders); err != nil {
		c.fail("querying", err)
		return
	}
	c.queries.Add(1)
}

func (c *consumer) fail(what string, err error) {
	at := time.Now().UTC().Format(time.RFC3339Nano) // as in the agent's log
	c.failed = append(c.failed, fmt.Sprintf("%s %s as %q: %s: %s", at, filepath.Base(c.file), c.user, what, err))
}

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/novatech/securevault/server/engines/enginetest/postgrestest"
)

const (
	// rounds is how often a figure is taken; the median of them is reported.
	rounds = 5
	// roundTime is how long one of them takes.
	roundTime = 2 * time.Second
	// manyLeases is how many leases are renewed in turn, or revoked together.
	manyLeases = 2000
)

// login is what the role of the benchmarks executes, and pgbench as well.
const login = `CREATE ROLE "{{name}}" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'`

// rate is how fast requests were answered.
type rate struct {
	perSecond float64
	cpu       time.Duration // of the server, for one request
}

// load has so many clients send requests for a while. Each calls request over
// and over with numbers that are used once.
func (s *server) load(b *testing.B, clients int, d time.Duration, request func(c *client, n int) error) rate {
	b.Helper()
	var done atomic.Int64
	var group errgroup.Group
	cpu, begun := s.spent(b), time.Now()
	for range clients {
		c := s.dial(b)
		group.Go(func() error {
			for time.Since(begun) < d {
				if err := request(c, int(done.Add(1))); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		b.Fatal(err)
	}
	took, requests := time.Since(begun), done.Load()
	return rate{float64(requests) / took.Seconds(), (s.spent(b) - cpu) / time.Duration(requests)}
}

// send makes a request of which only the success matters.
func send(method, path, body string) func(*client, int) error {
	return func(c *client, _ int) error {
		_, err := c.send(method, path, body)
		return err
	}
}

// report prints the median and the best of several rates.
func report(b *testing.B, taken []rate) {
	b.Helper()
	slices.SortFunc(taken, func(a, b rate) int { return int(a.perSecond - b.perSecond) })
	middle := taken[len(taken)/2]
	b.ReportMetric(middle.perSecond, "median/s")
	b.ReportMetric(taken[len(taken)-1].perSecond, "best/s")
	b.ReportMetric(float64(middle.cpu.Microseconds()), "cpu-µs/op")
	b.ReportMetric(0, "ns/op")
}

// rates measures requests rounds times.
func rates(b *testing.B, s *server, clients int, request func(*client, int) error) {
	b.Helper()
	var taken []rate
	for b.Loop() {
		for range rounds {
			taken = append(taken, s.load(b, clients, roundTime, request))
		}
	}
	report(b, taken)
}

// BenchmarkCredentials issues PostgreSQL credentials and has pgbench create
// roles by the same statement, in turn.
func BenchmarkCredentials(b *testing.B) {
	const clients = 8
	postgres := startPostgres(b)
	s := newServer(b)
	s.mountDatabase(b, postgres, map[string]string{"login": login})
	var ours []rate
	var theirs, share []float64
	for b.Loop() {
		for range rounds {
			peer := pgbench(b, postgres, clients)
			own := s.load(b, clients, roundTime, send("GET", "database/creds/login", ""))
			ours, theirs, share = append(ours, own), append(theirs, peer), append(share, own.perSecond/peer*100)
		}
	}
	report(b, ours)
	slices.Sort(theirs)
	slices.Sort(share)
	b.ReportMetric(theirs[len(theirs)/2], "pgbench/s")
	b.ReportMetric(share[len(share)/2], "%-of-pgbench")
}

// pgbench returns how many roles a second pgbench creates.
func pgbench(b *testing.B, postgres *postgrestest.Server, clients int) float64 {
	b.Helper()
	script := filepath.Join(b.TempDir(), "create-role.sql")
	text := "\\set id random(1, 1000000000000000)\n" +
		`CREATE ROLE "v-pgbench-login-:id" WITH LOGIN PASSWORD 'aB3-dE5fG7hI9jK1lM3n' VALID UNTIL '2030-01-01 00:00:00+0000';` + "\n"
	if err := os.WriteFile(script, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/pgbench")
	if err != nil || len(found) == 0 {
		b.Fatal("there is no pgbench: apt-get install postgresql")
	}
	command := exec.Command(found[len(found)-1], "-n", "-c", strconv.Itoa(clients), "-j", "2", "-T", fmt.Sprint(roundTime.Seconds()),
		"-f", script, "-h", "127.0.0.1", "-p", strconv.Itoa(postgres.Port), "-U", postgrestest.Superuser, postgrestest.Database)
	command.Env = append(os.Environ(), "PGPASSWORD="+postgrestest.Password)
	output, err := command.CombinedOutput()
	if err != nil {
		b.Fatalf("running pgbench: %v\n%s", err, output)
	}
	match := regexp.MustCompile(`tps = ([\d.]+)`).FindSubmatch(output)
	if match == nil {
		b.Fatalf("pgbench tells no rate:\n%s", output)
	}
	tps, err := strconv.ParseFloat(string(match[1]), 64)
	if err != nil {
		b.Fatal(err)
	}
	return tps
}

// BenchmarkRenewals renews leases of PostgreSQL roles in turn: such as move the
// deadline at the database when they need, and such as do so every time.
func BenchmarkRenewals(b *testing.B) {
	for _, c := range []struct {
		name       string
		begin      func(testing.TB) *server
		clients    int
		statements string
	}{
		{"in memory, 8 clients", newDevServer, 8, ""},
		{"durable, 32 clients", newServer, 32, ""},
		{"durable, 32 clients, each at the database", newServer, 32, `ALTER ROLE "{{name}}" VALID UNTIL '{{expiration}}'`},
	} {
		b.Run(c.name, func(b *testing.B) {
			s := c.begin(b)
			s.mountDatabase(b, startPostgres(b), map[string]string{"login": login})
			s.must(b, "POST", "database/roles/login", map[string]any{"renew_statements": c.statements})
			leases := s.issue(b, "login", manyLeases)
			rates(b, s, c.clients, func(c *client, n int) error {
				_, err := c.send("PUT", "sys/leases/renew", `{"lease_id":"`+leases[n%len(leases)]+`"}`)
				return err
			})
		})
	}
}

// issue returns the ids of so many new leases.
func (s *server) issue(b *testing.B, role string, count int) []string {
	b.Helper()
	leases := make([]string, count)
	var issued atomic.Int64
	var group errgroup.Group
	for range 32 {
		c := s.dial(b)
		group.Go(func() error {
			for n := issued.Add(1); n <= int64(count); n = issued.Add(1) {
				answer, err := c.send("GET", "database/creds/"+role, "")
				if err != nil {
					return err
				}
				leases[n-1] = field(answer, "lease_id")
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		b.Fatal(err)
	}
	return leases
}

func BenchmarkLookupSelf(b *testing.B) {
	s := newDevServer(b)
	rates(b, s, 8, send("GET", "auth/token/lookup-self", ""))
}

func BenchmarkTokenCreation(b *testing.B) {
	s := newServer(b)
	rates(b, s, 32, send("POST", "auth/token/create", `{"ttl":"1h","policies":["default"]}`))
}

// BenchmarkRevocation revokes the leases of a prefix, until PostgreSQL has no
// role of them any more.
func BenchmarkRevocation(b *testing.B) {
	postgres := startPostgres(b)
	s := newServer(b)
	s.mountDatabase(b, postgres, map[string]string{"login": login})
	var taken []rate
	for b.Loop() {
		for range rounds {
			s.issue(b, "login", manyLeases)
			c := s.dial(b) // now: a connection that says nothing is soon closed
			cpu, begun := s.spent(b), time.Now()
			if _, err := c.send("PUT", "sys/leases/revoke-prefix/database", ""); err != nil {
				b.Fatal(err)
			}
			took := time.Since(begun)
			taken = append(taken, rate{manyLeases / took.Seconds(), (s.spent(b) - cpu) / manyLeases})
			if left := postgrestest.Scalar[int](b, postgres, postgrestest.Database, `SELECT count(*) FROM pg_roles WHERE rolname LIKE 'v-%'`); left != 0 {
				b.Fatalf("%d roles are left", left)
			}
			if log := s.process.Log(); strings.Contains(log, "revocation failed") {
				b.Logf("some revocations were tried again:\n%s", log)
			}
		}
	}
	report(b, taken)
}

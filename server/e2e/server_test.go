package e2e

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/novatech/securevault/server/engines/enginetest/postgrestest"
	"github.com/novatech/securevault/server/engines/enginetest/process"
)

// startTimeout is how long the server may take until it answers.
const startTimeout = time.Minute

// server is a server that can be killed and started again on what it left: a
// file store that a key in a file unseals, or memory alone.
type server struct {
	folder  string
	address string
	token   string // root's
	args    []string
	process *process.Process
}

// newServer starts a server on a new file store.
func newServer(tb testing.TB) *server {
	tb.Helper()
	s := &server{folder: tb.TempDir(), address: freeAddress(tb)}
	key := filepath.Join(s.folder, "key")
	config := fmt.Sprintf(`
storage: {file: {path: %q}}
seal: {static: {current_key_file: %q, current_key_id: "1"}}
listener:
- tcp: {address: %q, tls_disable: true}
`, s.path("data.db"), key, s.address)
	for path, text := range map[string]string{key: strings.Repeat("k", 32), s.path("server.yaml"): config} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	s.args = []string{"-config", s.path("server.yaml")}
	s.start(tb)
	initialized, err := call[struct {
		RootToken string `json:"root_token"`
	}](s.dial(tb), "PUT", "sys/init", map[string]int{"recovery_shares": 1, "recovery_threshold": 1})
	if err != nil {
		tb.Fatal(err)
	}
	s.token = initialized.RootToken
	return s
}

// newDevServer starts a server that keeps everything in memory.
func newDevServer(tb testing.TB) *server {
	tb.Helper()
	s := &server{folder: tb.TempDir(), address: freeAddress(tb), token: "root"}
	s.args = []string{"-dev", "-dev-root-token-id", s.token, "-dev-listen-address", s.address}
	s.start(tb)
	return s
}

func (s *server) path(name string) string { return filepath.Join(s.folder, name) }

func freeAddress(tb testing.TB) string {
	tb.Helper()
	port, err := process.FreePort()
	if err != nil {
		tb.Fatal(err)
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}

// start starts the process and returns once it listens. The process ends with
// the test, or with the test binary, however that ends.
func (s *server) start(tb testing.TB) {
	tb.Helper()
	var err error
	if s.process, err = process.Start(exec.Command(program, s.args...), s.path("log"), syscall.SIGKILL); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.process.Stop)
	s.awaitListening(tb)
}

func (s *server) awaitListening(tb testing.TB) {
	tb.Helper()
	for deadline := time.Now().Add(startTimeout); ; {
		c, err := dial(s.address, "")
		if err == nil {
			c.close()
			return
		}
		select {
		case <-s.process.Ended():
			tb.Fatalf("the server ended:\n%s", s.process.Log())
		default:
		}
		if time.Now().After(deadline) {
			tb.Fatalf("the server does not listen:\n%s", s.process.Log())
		}
		time.Sleep(time.Millisecond)
	}
}

// kill ends the process as a power cut would.
func (s *server) kill() { s.process.Stop() }

// dial connects as root for the length of the test.
func (s *server) dial(tb testing.TB) *client {
	tb.Helper()
	c, err := dial(s.address, s.token)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(c.close)
	return c
}

func (s *server) must(tb testing.TB, method, path string, body any) {
	tb.Helper()
	if _, err := call[any](s.dial(tb), method, path, body); err != nil {
		tb.Fatal(err)
	}
}

// mountDatabase mounts the engine at database/ with one role for each of the
// statements.
func (s *server) mountDatabase(tb testing.TB, postgres *postgrestest.Server, roles map[string]string) {
	tb.Helper()
	s.must(tb, "PUT", "sys/mounts/database", map[string]any{"type": "database"})
	s.must(tb, "PUT", "database/config/shop", map[string]any{
		"plugin_name": "postgresql-database-plugin", "connection_url": postgres.Template(postgrestest.Database), "allowed_roles": "*",
		"username": postgrestest.Superuser, "password": postgrestest.Password,
	})
	for name, statements := range roles {
		s.must(tb, "PUT", "database/roles/"+name, map[string]any{
			"db_name": "shop", "creation_statements": statements, "default_ttl": "1h", "max_ttl": "24h",
		})
	}
}

// spent returns how long the process has had a processor.
func (s *server) spent(tb testing.TB) time.Duration {
	tb.Helper()
	const tick = 10 * time.Millisecond // USER_HZ, 100 on every Linux there is
	_, after, _ := bytes.Cut(s.proc(tb, "stat"), []byte(") "))
	fields := strings.Fields(string(after))
	user, err := strconv.Atoi(fields[11])
	if err != nil {
		tb.Fatal(err)
	}
	system, err := strconv.Atoi(fields[12])
	if err != nil {
		tb.Fatal(err)
	}
	return time.Duration(user+system) * tick
}

// memory returns what the process has in memory, in bytes: its own, and the
// pages of its files that it has mapped.
func (s *server) memory(tb testing.TB) (own, mapped int64) {
	tb.Helper()
	sizes := map[string]int64{}
	for line := range strings.Lines(string(s.proc(tb, "status"))) {
		name, value, _ := strings.Cut(line, ":")
		kilobytes, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		sizes[name] = kilobytes << 10
	}
	return sizes["RssAnon"], sizes["RssFile"]
}

func (s *server) proc(tb testing.TB, name string) []byte {
	tb.Helper()
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", s.process.ID(), name))
	if err != nil {
		tb.Fatal(err)
	}
	return content
}

// startPostgres starts a PostgreSQL for the length of the test, which reaches
// the disk at every commit.
func startPostgres(tb testing.TB) *postgrestest.Server {
	tb.Helper()
	postgres, err := postgrestest.Start("fsync=on")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(postgres.Stop)
	return postgres
}

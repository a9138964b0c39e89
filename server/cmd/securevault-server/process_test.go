package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/novatech/securevault/server/engines/enginetest/postgrestest"
	background "github.com/novatech/securevault/server/engines/enginetest/process"
)

// asServer makes the test binary behave as the server.
const asServer = "SECUREVAULT_TEST_AS_SERVER"

func TestMain(m *testing.M) {
	if os.Getenv(asServer) != "" {
		main()
	}
	os.Exit(m.Run())
}

// startServer has the test binary run as the server.
func startServer(t *testing.T, file, log string, environment ...string) *background.Process {
	t.Helper()
	command := exec.Command(os.Args[0], "-config", file)
	command.Env = append(append(os.Environ(), asServer+"=yes"), environment...)
	server, err := background.Start(command, log, syscall.SIGKILL)
	if err != nil {
		t.Fatal(err)
	}
	return server
}

// send makes a request; the status is 0 if there was no answer, or half of one.
func send(ctx context.Context, client *http.Client, token, method, url string, body any) (int, map[string]any, error) {
	var content io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return 0, nil, err
		}
		content = bytes.NewReader(encoded)
	}
	req, err := http.NewRequestWithContext(ctx, method, url, content)
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("X-Vault-Token", token)
	resp, err := client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	var answer map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil && !errors.Is(err, io.EOF) {
		return 0, nil, err
	}
	return resp.StatusCode, answer, nil
}

// patience is how long a server, or a cluster, may take for what does not come at
// once.
const patience = time.Minute

// await returns once it is done; why is for the one who waits in vain.
func await(t *testing.T, done func() bool, why func() string) {
	t.Helper()
	for deadline := time.Now().Add(patience); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal(why())
		}
	}
}

// world is a folder with a configuration, and the server that runs on it.
type world struct {
	folder string
	socket string
	file   string // the configuration

	environment []string // what the server gets besides its own

	server *background.Process // the last that was started
	client *http.Client
	token  string
}

// newWorld writes a configuration with a Unix socket and a file store, and
// what is added to it.
func newWorld(t *testing.T, more string) *world {
	t.Helper()
	w := &world{folder: t.TempDir()}
	w.socket = filepath.Join(w.folder, "api.sock")
	w.file = filepath.Join(w.folder, "securevault-config.yaml")
	text := fmt.Sprintf("storage: {file: {path: %s/data.db}}\nlistener:\n- unix: {address: %s}\npid_file: %s/pid\n%s",
		w.folder, w.socket, w.folder, more)
	if err := os.WriteFile(w.file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	w.client = &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", w.socket)
	}}}
	t.Cleanup(w.client.CloseIdleConnections)
	return w
}

// start runs the server and waits until it answers.
func (w *world) start(t *testing.T) {
	t.Helper()
	w.server = startServer(t, w.file, filepath.Join(t.TempDir(), "log"), w.environment...)
	t.Cleanup(w.server.Stop)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	err := w.server.Await(ctx, "starting the server", func(context.Context) error {
		if log := w.server.Log(); !strings.Contains(log, "serving") {
			return fmt.Errorf("it does not serve:\n%s", log)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// stop sends a signal and waits for the end.
func (w *world) stop(t *testing.T, signal syscall.Signal) {
	t.Helper()
	w.client.CloseIdleConnections()
	if err := w.server.Signal(signal); err != nil {
		t.Fatal(err)
	}
	<-w.server.Ended()
	if end := w.server.State(); signal == syscall.SIGTERM && !end.Success() {
		t.Fatalf("%s\n%s", end, w.server.Log())
	}
}

// send makes a request and returns the status and the answer.
func (w *world) send(t *testing.T, method, path string, body any) (int, map[string]any) {
	t.Helper()
	status, answer, err := send(t.Context(), w.client, w.token, method, "http://server/v1/"+path, body)
	if err != nil {
		t.Fatal(err)
	}
	return status, answer
}

func (w *world) must(t *testing.T, method, path string, body any) map[string]any {
	t.Helper()
	status, answer := w.send(t, method, path, body)
	if status/100 != 2 {
		t.Fatalf("%s %s: %d %v", method, path, status, answer)
	}
	return answer
}

func (w *world) unseal(t *testing.T, keys []string) {
	t.Helper()
	for _, key := range keys {
		w.must(t, "PUT", "sys/unseal", map[string]any{"key": key})
	}
}

// TestAServerKeepsItsStateAndItsRecords is the life of a server: initialized,
// unsealed, serving real credentials, killed, started and unsealed again. Its
// audit file tells of every request and of no secret.
func TestAServerKeepsItsStateAndItsRecords(t *testing.T) {
	postgres, err := postgrestest.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer postgres.Stop()
	w := newWorld(t, "lease_limits:\n  database: {default_ttl: 20m, max_ttl: 40m, max_leases_per_role: 2}\n")
	w.start(t)
	keys := w.initialize(t)
	audit := filepath.Join(w.folder, "audit.log")
	w.must(t, "PUT", "sys/audit/file", map[string]any{"type": "file", "options": map[string]any{"file_path": audit}})
	w.mountDatabase(t, postgres)
	creds := w.must(t, "GET", "database/creds/app", nil)
	if creds["lease_duration"] != 1200.0 {
		t.Errorf("lease_limits are not heeded: %v", creds["lease_duration"])
	}
	w.must(t, "GET", "database/creds/app", nil)
	if status, answer := w.send(t, "GET", "database/creds/app", nil); status != http.StatusTooManyRequests {
		t.Errorf("the third lease of two: %d %v", status, answer)
	}

	w.stop(t, syscall.SIGKILL)
	w.start(t)
	if status, answer := w.send(t, "GET", "database/creds/app", nil); status != http.StatusServiceUnavailable {
		t.Errorf("after a kill, before unsealing: %d %v", status, answer)
	}
	w.unseal(t, keys)
	lookup := w.must(t, "PUT", "sys/leases/lookup", map[string]any{"lease_id": creds["lease_id"]})
	if lookup["data"].(map[string]any)["id"] != creds["lease_id"] {
		t.Errorf("the lease is lost: %v", lookup)
	}
	w.must(t, "PUT", "sys/leases/revoke-prefix/database", nil)
	w.tellsNoSecret(t, audit, creds)
	w.beginsAnew(t, audit)
	w.stop(t, syscall.SIGTERM)
	if _, err := os.Stat(filepath.Join(w.folder, "pid")); err == nil {
		t.Error("the pid file is left behind")
	}
}

// initialize makes the keys, unseals, and returns enough shares to do it again.
func (w *world) initialize(t *testing.T) (keys []string) {
	t.Helper()
	if status, answer := w.send(t, "GET", "sys/health", nil); status != http.StatusNotImplemented {
		t.Fatalf("before init: %d %v", status, answer)
	}
	initialized := w.must(t, "PUT", "sys/init", map[string]any{"secret_shares": 3, "secret_threshold": 2})
	w.token = initialized["root_token"].(string)
	for _, key := range initialized["keys"].([]any)[:2] {
		keys = append(keys, key.(string))
	}
	if status, answer := w.send(t, "GET", "sys/health", nil); status != http.StatusServiceUnavailable || answer["initialized"] != true {
		t.Errorf("after init, before unsealing: %d %v", status, answer)
	}
	w.unseal(t, keys)
	return keys
}

// mountDatabase mounts the engine with the role "app" on a real PostgreSQL.
func (w *world) mountDatabase(t *testing.T, postgres *postgrestest.Server) {
	t.Helper()
	w.must(t, "PUT", "sys/mounts/database", map[string]any{"type": "database"})
	w.must(t, "PUT", "database/config/shop", map[string]any{
		"plugin_name": "postgresql-database-plugin", "connection_url": postgres.Template(postgrestest.Database), "allowed_roles": "*",
		"username": postgrestest.Superuser, "password": postgrestest.Password,
	})
	w.must(t, "PUT", "database/roles/app", map[string]any{
		"db_name": "shop", "creation_statements": `CREATE ROLE "{{name}}" WITH LOGIN PASSWORD '{{password}}';`,
	})
}

// tellsNoSecret reads the audit file for what must not stand in it.
func (w *world) tellsNoSecret(t *testing.T, audit string, creds map[string]any) {
	t.Helper()
	text, err := os.ReadFile(audit)
	if err != nil {
		t.Fatal(err)
	}
	data := creds["data"].(map[string]any)
	for what, secret := range map[string]string{
		"a password": data["password"].(string), "a user": data["username"].(string),
		"the root token": w.token, "the administrator's password": postgrestest.Password,
	} {
		if bytes.Contains(text, []byte(secret)) {
			t.Errorf("the audit file shows %s", what)
		}
	}
	if !bytes.Contains(text, []byte(creds["lease_id"].(string))) || !bytes.Contains(text, []byte(`"path":"sys/leases/revoke-prefix/database"`)) {
		t.Errorf("the audit file is incomplete:\n%s", text)
	}
}

// beginsAnew moves the audit file away and wants a new one after SIGHUP.
func (w *world) beginsAnew(t *testing.T, audit string) {
	t.Helper()
	if err := os.Rename(audit, audit+".1"); err != nil {
		t.Fatal(err)
	}
	if err := w.server.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	await(t, func() bool {
		w.must(t, "GET", "auth/token/lookup-self", nil)
		_, err := os.Stat(audit)
		return err == nil
	}, func() string { return "SIGHUP does not begin a new audit file" })
}

func TestValidateTellsAllProblemsAtOnce(t *testing.T) {
	file := filepath.Join(t.TempDir(), "c.yaml")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	check := func(args ...string) (int, string, string) {
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), args, noEnv, &stdout, &stderr)
		return code, stdout.String(), stderr.String()
	}
	write("storag: {}\nlease_limits: {database: {max_ttl: never}}\n")
	for _, args := range [][]string{{"validate", "-config", file}, {"validate", file}, {"-config", file}} {
		code, stdout, stderr := check(args...)
		want := file + ":1: unknown key \"storag\"; did you mean \"storage\"?\n" + file + ":2: max_ttl: want a duration such as \"5m\" or a number of seconds, got \"never\"\n"
		if code != exitUsage || stdout != "" || stderr != want {
			t.Errorf("%q: %d %q %q", args, code, stdout, stderr)
		}
	}
	write("lease_limits: {database: {max_ttl: 1h}}\n")
	if code, stdout, stderr := check("validate", "-config", file); code != exitOK || stdout != "The configuration is valid.\n" || !strings.Contains(stderr, "there is no storage stanza") {
		t.Errorf("%d %q %q", code, stdout, stderr)
	}
	if code, _, stderr := check("-config", file); code != exitUsage || !strings.Contains(stderr, "there is no listener stanza") {
		t.Errorf("%d %q", code, stderr)
	}
	write("storage: {inmem: {}}\n")
	if code, _, stderr := check("-dev", "-config", file); code != exitUsage || !strings.Contains(stderr, "storage has no place in -dev") {
		t.Errorf("%d %q", code, stderr)
	}
}

func TestAServerAloneIsItsOnlyMember(t *testing.T) {
	w := newWorld(t, "api_addr: https://vault.example.com\n")
	w.start(t)
	w.initialize(t)
	nodes := w.must(t, "GET", "sys/ha-status", nil)["data"].(map[string]any)["nodes"].([]any)
	if len(nodes) != 1 {
		t.Fatalf("the members are %v", nodes)
	}
	if node := nodes[0].(map[string]any); node["active_node"] != true || node["api_address"] != "https://vault.example.com" {
		t.Errorf("it calls itself %v", node)
	}
}

func TestAClusterIsCalledAsConfigured(t *testing.T) {
	for more, want := range map[string]string{"": "securevault", "cluster_name: shop\n": "shop"} {
		w := newWorld(t, more)
		w.start(t)
		w.initialize(t)
		for _, path := range []string{"sys/health", "sys/seal-status"} {
			if answer := w.must(t, "GET", path, nil); answer["cluster_name"] != want {
				t.Errorf("%s tells of %v, want %q", path, answer["cluster_name"], want)
			}
		}
	}
}

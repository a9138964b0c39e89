package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/novatech/securevault/server/engines/enginetest/postgrestest"
)

// TestAClusterIsOperated goes through what an operator does to three servers on
// one PostgreSQL, from the first look to the move to a single file.
func TestAClusterIsOperated(t *testing.T) {
	postgres := startPostgres(t)
	stanza := fmt.Sprintf("{postgresql: {connection_url: %q}}", postgres.URL(postgrestest.Superuser, postgrestest.Password, postgres.NewDatabase(t)))
	c := newCluster(t, stanza)
	t.Run("every server tells its part", c.tellsParts)
	t.Run("a standby passes on, or sends on, or says why not", c.forwards)
	t.Run("the active server steps down", c.stepsDown)
	t.Run("a server that hangs is replaced and writes nothing any more", c.hangs)
	t.Run("a backup is restored", c.restores)
	t.Run("all moves to a file when nobody uses it", func(t *testing.T) { c.moves(t, stanza) })
}

func (c *cluster) tellsParts(t *testing.T) {
	active := c.active(t)
	standby := (active + 1) % len(c.nodes)
	for query, want := range map[string][2]int{ // at the active one, at a standby
		"":                               {200, 429},
		"?standbyok=true":                {200, 200},
		"?perfstandbyok":                 {200, 200},
		"?standbyok=false":               {200, 429},
		"?standbycode=299":               {200, 299},
		"?activecode=250&standbycode=99": {250, 400},
	} {
		for i, node := range []int{active, standby} {
			if status, answer, err := c.send(t.Context(), node, "GET", "sys/health"+query, nil); status != want[i] {
				t.Errorf("health%s of node %d: %d %v %v, want %d", query, node, status, answer, err, want[i])
			}
		}
	}
	for _, node := range []int{active, standby} {
		answer := c.must(t, node, "GET", "sys/leader", nil)
		if answer["ha_enabled"] != true || answer["is_self"] != (node == active) || answer["leader_address"] != "http://"+c.nodes[active].address {
			t.Errorf("leader at node %d: %v", node, answer)
		}
		members := c.members(t, node)
		if members[0].(map[string]any)["active_node"] != true || members[1].(map[string]any)["active_node"] != false {
			t.Errorf("members at node %d: %v", node, members)
		}
	}
}

// members returns what a node tells of the cluster once every node has made
// itself known: each does right after it stands by.
func (c *cluster) members(t *testing.T, node int) []any {
	t.Helper()
	var members []any
	await(t, func() bool {
		members = c.must(t, node, "GET", "sys/ha-status", nil)["data"].(map[string]any)["nodes"].([]any)
		return len(members) == clusterSize
	}, func() string {
		return fmt.Sprintf("members at node %d: %v, want %d of them", node, members, clusterSize)
	})
	return members
}

func (c *cluster) forwards(t *testing.T) {
	active := c.active(t)
	standby := (active + 1) % len(c.nodes)
	c.must(t, standby, "PUT", "sys/policies/acl/forwarded", map[string]any{"policy": `path "a" { capabilities = ["read"] }`})
	c.must(t, active, "GET", "sys/policies/acl/forwarded", nil)
	if status, answer, _ := c.send(t.Context(), standby, "LIST", "sys/policies/acl", nil); status != 200 || !strings.Contains(fmt.Sprint(answer["data"]), "forwarded") {
		t.Errorf("LIST: %d %v", status, answer)
	}
	if status, answer, _ := c.send(t.Context(), standby, "PUT", "sys/seal", nil); status != 400 || !strings.Contains(fmt.Sprint(answer), "this server stands by") {
		t.Errorf("sealing a standby: %d %v", status, answer)
	}
	status, _, body := c.withHeader(t, standby, "X-Securevault-Forwarded", "1")
	if status != 503 || !strings.Contains(body, "no server is active just now") {
		t.Errorf("a request that goes round: %d %s", status, body)
	}
	status, header, _ := c.withHeader(t, standby, "X-Vault-No-Request-Forwarding", "true")
	if want := c.at(active, "auth/token/lookup-self?a=b"); status != 307 || header.Get("Location") != want {
		t.Errorf("without forwarding: %d to %q, want %q", status, header.Get("Location"), want)
	}
}

// withHeader asks a node for the client's token, with one more header.
func (c *cluster) withHeader(t *testing.T, node int, name, value string) (int, http.Header, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", c.at(node, "auth/token/lookup-self?a=b"), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Vault-Token", c.token)
	req.Header.Set(name, value)
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(body)
}

func (c *cluster) stepsDown(t *testing.T) {
	before := c.active(t)
	plain := c.must(t, before, "PUT", "auth/token/create", map[string]any{"policies": []string{"default"}})
	root := c.token
	c.token = plain["auth"].(map[string]any)["client_token"].(string)
	status, _, _ := c.send(t.Context(), before, "PUT", "sys/step-down", nil)
	c.token = root
	if status != http.StatusForbidden {
		t.Errorf("without sudo: %d", status)
	}
	c.must(t, (before+1)%len(c.nodes), "PUT", "sys/step-down", nil) // through a standby
	c.awaitHealth(t, before, http.StatusTooManyRequests)
	if after := c.active(t); after == before {
		t.Errorf("node %d is active again", after)
	}
}

func (c *cluster) hangs(t *testing.T) {
	before := c.active(t)
	process := c.nodes[before].process
	if err := process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	other := (before + 1) % len(c.nodes)
	c.awaitHealth(t, other, http.StatusOK, http.StatusTooManyRequests)
	await(t, func() bool {
		for i := range c.nodes {
			if i == before {
				continue
			}
			if status, _, _ := c.send(t.Context(), i, "GET", "sys/health", nil); status == http.StatusOK {
				return true
			}
		}
		return false
	}, func() string { return "nobody took over" })
	took := time.Since(began)
	t.Logf("took over after %s", took.Round(time.Millisecond))
	if took > takeoverLimit {
		t.Errorf("it took %s", took)
	}
	if err := process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	// Whether it knows already or not, what it acknowledges must be kept.
	policy := map[string]any{"policy": `path "late" { capabilities = ["read"] }`}
	status, _, _ := c.send(t.Context(), before, "PUT", "sys/policies/acl/late", policy)
	c.awaitHealth(t, before, http.StatusTooManyRequests)
	kept, _, _ := c.send(t.Context(), c.active(t), "GET", "sys/policies/acl/late", nil)
	if (status == http.StatusNoContent) != (kept == http.StatusOK) {
		t.Errorf("the write was answered with %d, the read with %d", status, kept)
	}
}

func (c *cluster) restores(t *testing.T) {
	c.must(t, 0, "PUT", "sys/policies/acl/before", map[string]any{"policy": `path "x" { capabilities = ["read"] }`})
	standby := (c.active(t) + 1) % len(c.nodes)
	backup := c.transfer(t, standby, "GET", "sys/storage/backup", nil, http.StatusOK)
	c.must(t, 0, "PUT", "sys/policies/acl/after", map[string]any{"policy": `path "x" { capabilities = ["read"] }`})
	c.must(t, 0, "DELETE", "sys/policies/acl/before", nil)
	c.must(t, 0, "PUT", "sys/rotate", nil)

	if answer := c.transfer(t, 0, "PUT", "sys/storage/restore", backup[:len(backup)-10], http.StatusBadRequest); !bytes.Contains(answer, []byte("it was cut short")) {
		t.Errorf("half a backup: %s", answer)
	}
	c.must(t, 0, "GET", "sys/policies/acl/after", nil) // nothing was changed
	c.transfer(t, standby, "PUT", "sys/storage/restore", backup, http.StatusNoContent)
	await(t, func() bool {
		status, _, _ := c.send(t.Context(), 0, "GET", "sys/policies/acl/before", nil)
		return status == http.StatusOK
	}, func() string { return "the restored policy is not there" })
	if status, _, _ := c.send(t.Context(), 0, "GET", "sys/policies/acl/after", nil); status != http.StatusNotFound {
		t.Errorf("what came after the backup: %d", status)
	}
	c.must(t, 0, "PUT", "sys/policies/acl/again", map[string]any{"policy": `path "x" { capabilities = ["read"] }`})
}

// transfer sends and receives bytes.
func (c *cluster) transfer(t *testing.T, node int, method, path string, content []byte, want int) []byte {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, c.at(node, path), bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Vault-Token", c.token)
	resp, err := c.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != want {
		t.Fatalf("%s %s: %d, want %d: %s %v", method, path, resp.StatusCode, want, body[:min(len(body), 300)], err)
	}
	return body
}

func (c *cluster) moves(t *testing.T, stanza string) {
	folder := t.TempDir()
	target := filepath.Join(folder, "data.db")
	config := filepath.Join(folder, "migrate.yaml")
	text := fmt.Sprintf("storage_source: %s\nstorage_destination: {file: {path: %s}}\n", stanza, target)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	migrate := func(want int, part string) {
		t.Helper()
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), []string{"migrate", "-config", config}, noEnv, &stdout, &stderr)
		if code != want || !strings.Contains(stdout.String()+stderr.String(), part) {
			t.Fatalf("exit code %d: %s%s; want %d and %q", code, &stdout, &stderr, want, part)
		}
	}
	for _, n := range c.nodes[1:] {
		n.kill()
	}
	c.awaitHealth(t, 0, http.StatusOK)
	backup := filepath.Join(folder, "a.backup")
	if err := os.WriteFile(backup, c.transfer(t, 0, "GET", "sys/storage/backup", nil, http.StatusOK), 0o600); err != nil {
		t.Fatal(err)
	}
	migrate(exitFailed, "stop all of its servers first")
	c.nodes[0].kill()
	migrate(exitOK, "Success! Copied ")
	migrate(exitFailed, "the destination is not empty")

	n := c.nodes[0]
	old, err := os.ReadFile(n.file)
	if err != nil {
		t.Fatal(err)
	}
	alone := strings.Replace(string(old), stanza, fmt.Sprintf("{file: {path: %s}}", target), 1)
	if err := os.WriteFile(n.file, []byte(alone), 0o600); err != nil {
		t.Fatal(err)
	}
	n.start(t)
	c.awaitHealth(t, 0, http.StatusOK)
	c.must(t, 0, "GET", "sys/policies/acl/again", nil)
	c.must(t, 0, "PUT", "sys/policies/acl/last", map[string]any{"policy": `path "x" { capabilities = ["read"] }`})
	n.kill()

	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), []string{"restore", "-config", n.file, backup}, noEnv, &stdout, &stderr); code != exitOK {
		t.Fatalf("restoring without a server: %d %s%s", code, &stdout, &stderr)
	}
	n.start(t)
	c.awaitHealth(t, 0, http.StatusOK)
	if status, _, _ := c.send(t.Context(), 0, "GET", "sys/policies/acl/last", nil); status != http.StatusNotFound {
		t.Errorf("what came after the backup: %d", status)
	}
}

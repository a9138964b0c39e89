package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	background "github.com/novatech/securevault/server/engines/enginetest/process"
)

// clusterSize is how many servers share a storage in these tests.
const clusterSize = 3

// cluster is several servers on one storage that unseal themselves.
type cluster struct {
	nodes    []*clusterNode
	scheme   string // http or https
	listener string // what its stanza says besides the address
	more     string // other stanzas, whole lines
	client   *http.Client
	token    string
}

// clusterNode is one of them. Only one goroutine starts and kills nodes.
type clusterNode struct {
	address string // host:port
	file    string // the configuration
	log     string // file, of all its lives
	process *background.Process
}

// newCluster returns a cluster without TLS.
func newCluster(t *testing.T, storage string) *cluster {
	t.Helper()
	c := &cluster{scheme: "http", listener: "tls_disable: true", client: &http.Client{}}
	c.open(t, storage)
	return c
}

// open writes configurations with a storage stanza, starts the servers and
// initializes them.
func (c *cluster) open(t *testing.T, storage string) {
	t.Helper()
	folder := t.TempDir()
	key := make([]byte, 32)
	rand.Read(key)
	keyFile := filepath.Join(folder, "seal.key")
	if err := os.WriteFile(keyFile, []byte(hex.EncodeToString(key)), 0o600); err != nil {
		t.Fatal(err)
	}
	c.client.Timeout = 20 * time.Second
	t.Cleanup(c.client.CloseIdleConnections)
	ports, err := background.FreePorts(clusterSize)
	if err != nil {
		t.Fatal(err)
	}
	for i, port := range ports {
		n := &clusterNode{address: fmt.Sprintf("127.0.0.1:%d", port), file: fmt.Sprintf("%s/%d.yaml", folder, i), log: fmt.Sprintf("%s/%d.log", folder, i)}
		text := fmt.Sprintf("storage: %s\nlistener:\n- tcp: {address: %q, %s}\nseal: {static: {current_key_id: a, current_key_file: %s}}\n%s",
			storage, n.address, c.listener, keyFile, c.more)
		if err := os.WriteFile(n.file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c.nodes = append(c.nodes, n)
		n.start(t)
		t.Cleanup(n.kill)
	}
	t.Cleanup(func() { c.tell(t) })
	for i := range c.nodes {
		c.awaitHealth(t, i, http.StatusNotImplemented)
	}
	c.initialize(t)
	c.awaitHealth(t, 0, http.StatusOK)
	for i := range c.nodes[1:] {
		c.awaitHealth(t, i+1, http.StatusTooManyRequests)
	}
}

// initialize tries again what fails: the elections of these tests have short
// deadlines, which a busy machine may miss.
func (c *cluster) initialize(t *testing.T) {
	t.Helper()
	var answer map[string]any
	await(t, func() bool {
		var status int
		status, answer, _ = c.send(t.Context(), 0, "PUT", "sys/init", map[string]any{"recovery_shares": 1, "recovery_threshold": 1})
		return status == http.StatusOK
	}, func() string { return fmt.Sprintf("initializing: %v", answer) })
	c.token = answer["root_token"].(string)
}

// at returns the URL of a path of a node's API.
func (c *cluster) at(node int, path string) string {
	return c.scheme + "://" + c.nodes[node].address + "/v1/" + path
}

func (n *clusterNode) start(t *testing.T) {
	t.Helper()
	n.process = startServer(t, n.file, n.log)
}

// kill ends the process as a crash does.
func (n *clusterNode) kill() { n.process.Stop() }

// tell shows the logs of a test that failed.
func (c *cluster) tell(t *testing.T) {
	if !t.Failed() {
		return
	}
	for i, n := range c.nodes {
		text := n.process.Log()
		t.Logf("log of node %d at %s:\n%s", i, n.address, text[max(0, len(text)-6000):])
	}
}

// send makes a request to one node; the status is 0 if there was no answer.
func (c *cluster) send(ctx context.Context, node int, method, path string, body any) (int, map[string]any, error) {
	return send(ctx, c.client, c.token, method, c.at(node, path), body)
}

// must wants a request to succeed. One that found no active server is made again, as
// the answer says: on a busy machine the active one may change at any time.
func (c *cluster) must(t *testing.T, node int, method, path string, body any) map[string]any {
	t.Helper()
	var status int
	var answer map[string]any
	var err error
	await(t, func() bool {
		status, answer, err = c.send(t.Context(), node, method, path, body)
		return status != http.StatusServiceUnavailable
	}, func() string { return fmt.Sprintf("%s %s at node %d: %v", method, path, node, answer) })
	if err != nil || status/100 != 2 {
		t.Fatalf("%s %s at node %d: %d %v %v", method, path, node, status, answer, err)
	}
	return answer
}

// awaitHealth waits until a node answers sys/health with one of these statuses.
func (c *cluster) awaitHealth(t *testing.T, node int, want ...int) {
	t.Helper()
	last := 0
	await(t, func() bool {
		last, _, _ = c.send(t.Context(), node, "GET", "sys/health", nil)
		return slices.Contains(want, last)
	}, func() string { return fmt.Sprintf("health of node %d is %d, want %v", node, last, want) })
}

// active returns the node that is active, as another tells it.
func (c *cluster) active(t *testing.T) int {
	t.Helper()
	found := -1
	await(t, func() bool {
		for i := range c.nodes {
			_, answer, _ := c.send(t.Context(), i, "GET", "sys/leader", nil)
			if self, _ := answer["is_self"].(bool); self {
				found = i
				return true
			}
		}
		return false
	}, func() string { return "no node is active" })
	return found
}

package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"
)

// clusterSize is how many servers share a storage in these tests.
const clusterSize = 3

// startPatience is how long a server, or a cluster, may take to get ready.
const startPatience = 30 * time.Second

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
	log     string // file
	command *exec.Cmd
	ended   chan struct{}
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
	for i := range clusterSize {
		n := &clusterNode{address: freeAddress(t), file: fmt.Sprintf("%s/%d.yaml", folder, i), log: fmt.Sprintf("%s/%d.log", folder, i)}
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
	answer := c.must(t, 0, "PUT", "sys/init", map[string]any{"recovery_shares": 1, "recovery_threshold": 1})
	c.token = answer["root_token"].(string)
	c.awaitHealth(t, 0, http.StatusOK)
	for i := range c.nodes[1:] {
		c.awaitHealth(t, i+1, http.StatusTooManyRequests)
	}
}

// at returns the URL of a path of a node's API.
func (c *cluster) at(node int, path string) string {
	return c.scheme + "://" + c.nodes[node].address + "/v1/" + path
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// start runs the server on a thread of its own, which lives as long as it does:
// Pdeathsig fires when the thread ends that started the process.
func (n *clusterNode) start(t *testing.T) {
	t.Helper()
	log, err := os.OpenFile(n.log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	n.command, n.ended = exec.Command(os.Args[0], "-config", n.file), make(chan struct{})
	n.command.Env = append(os.Environ(), asServer+"=yes")
	n.command.Stdout, n.command.Stderr = log, log
	n.command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started := make(chan error, 1)
	go func(command *exec.Cmd, ended chan struct{}) {
		runtime.LockOSThread()
		defer close(ended)
		defer log.Close()
		err := command.Start()
		started <- err
		if err == nil {
			_ = command.Wait()
		}
	}(n.command, n.ended)
	if err := <-started; err != nil {
		t.Fatal(err)
	}
}

// kill ends the process as a crash does.
func (n *clusterNode) kill() {
	_ = n.command.Process.Kill()
	<-n.ended
}

// tell shows the logs of a test that failed.
func (c *cluster) tell(t *testing.T) {
	if !t.Failed() {
		return
	}
	for i, n := range c.nodes {
		text, _ := os.ReadFile(n.log)
		t.Logf("log of node %d at %s:\n%s", i, n.address, text[max(0, len(text)-6000):])
	}
}

// send makes a request to one node; the status is 0 if there was no answer.
func (c *cluster) send(ctx context.Context, node int, method, path string, body any) (int, map[string]any, error) {
	var content io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return 0, nil, err
		}
		content = bytes.NewReader(encoded)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.at(node, path), content)
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("X-Vault-Token", c.token)
	resp, err := c.client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	var answer map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil && !errors.Is(err, io.EOF) {
		return 0, nil, err // cut off in the middle: nothing was acknowledged
	}
	return resp.StatusCode, answer, nil
}

func (c *cluster) must(t *testing.T, node int, method, path string, body any) map[string]any {
	t.Helper()
	status, answer, err := c.send(t.Context(), node, method, path, body)
	if err != nil || status/100 != 2 {
		t.Fatalf("%s %s at node %d: %d %v %v", method, path, node, status, answer, err)
	}
	return answer
}

// awaitHealth waits until a node answers sys/health with one of these statuses.
func (c *cluster) awaitHealth(t *testing.T, node int, want ...int) {
	t.Helper()
	last := 0
	c.await(t, func() bool {
		last, _, _ = c.send(t.Context(), node, "GET", "sys/health", nil)
		for _, status := range want {
			if last == status {
				return true
			}
		}
		return false
	}, func() string { return fmt.Sprintf("health of node %d is %d, want %v", node, last, want) })
}

func (c *cluster) await(t *testing.T, done func() bool, why func() string) {
	t.Helper()
	for deadline := time.Now().Add(startPatience); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal(why())
		}
	}
}

// active returns the node that is active, as another tells it.
func (c *cluster) active(t *testing.T) int {
	t.Helper()
	found := -1
	c.await(t, func() bool {
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

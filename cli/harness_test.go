package cli

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// seen is a request as the fake server received it.
type seen struct {
	line   string // method and URI
	body   string
	header http.Header
}

// reply is what the fake server answers.
type reply struct {
	status int // 0 is 200 with a body, 204 without
	body   string
}

// fakeServer records requests and answers each from its table; a request that
// is not in the table fails like an unknown mount.
type fakeServer struct {
	*httptest.Server
	replies map[string]reply // method and URI → answer

	mu       sync.Mutex
	requests []seen
}

func newFakeServer(t *testing.T, replies map[string]reply) *fakeServer {
	t.Helper()
	f := &fakeServer{replies: replies}
	f.Server = httptest.NewServer(http.HandlerFunc(f.serve))
	t.Cleanup(f.Close)
	return f
}

func (f *fakeServer) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	line := r.Method + " " + r.URL.RequestURI()
	f.mu.Lock()
	f.requests = append(f.requests, seen{line: line, body: string(body), header: r.Header.Clone()})
	f.mu.Unlock()
	answer, known := f.replies[line]
	switch {
	case !known:
		answer = reply{status: 404, body: `{"errors":["no handler for route"]}`}
	case answer.status == 0 && answer.body == "":
		answer.status = 204
	case answer.status == 0:
		answer.status = 200
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(answer.status)
	_, _ = io.WriteString(w, answer.body)
}

// received returns the requests so far.
func (f *fakeServer) received() []seen {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.requests
}

// terminal is where a command under test runs.
type terminal struct {
	env   map[string]string
	stdin io.Reader
}

// ended is how a command ended.
type ended struct {
	code           int
	stdout, stderr string
}

// at returns an environment that reaches the server with a token.
func at(t *testing.T, f *fakeServer) terminal {
	t.Helper()
	return terminal{env: map[string]string{"VAULT_ADDR": f.URL, "VAULT_TOKEN": "root", "HOME": t.TempDir()}}
}

func (c terminal) run(t *testing.T, args ...string) ended {
	t.Helper()
	var stdout, stderr bytes.Buffer
	stdin := c.stdin
	if stdin == nil {
		stdin = strings.NewReader("")
	}
	stdio := IO{Stdin: stdin, Stdout: &stdout, Stderr: &stderr, Getenv: func(name string) string { return c.env[name] }}
	code := Run(t.Context(), append([]string{"/usr/bin/securevault"}, args...), stdio, nil)
	return ended{code: code, stdout: stdout.String(), stderr: stderr.String()}
}

// want fails unless the command ended as described.
func (e ended) want(t *testing.T, code int, stdout, stderr string) {
	t.Helper()
	if e.code != code {
		t.Errorf("exit code %d, want %d", e.code, code)
	}
	if e.stdout != stdout {
		t.Errorf("standard output:\n%s\nwant:\n%s", e.stdout, stdout)
	}
	if e.stderr != stderr {
		t.Errorf("standard error:\n%s\nwant:\n%s", e.stderr, stderr)
	}
}

// mentions fails unless text holds each part.
func mentions(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%q is missing in:\n%s", part, text)
		}
	}
}

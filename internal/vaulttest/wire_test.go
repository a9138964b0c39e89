package vaulttest

import (
	"encoding/json"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/novatech/securevault/internal/vault"
)

// wire is one exchange of e2e/testdata/wire; see the README there.
type wire struct {
	About   string
	Request struct {
		Method, Path string
		Headers      map[string]string
		Body         json.RawMessage
	}
	Answer struct {
		Status  int
		Headers map[string]string
		Body    any
	}
}

// readWire reads an exchange and fills its blanks.
func readWire(t *testing.T, name string, blanks *strings.Replacer) (x wire) {
	text, err := os.ReadFile(filepath.Join("../../e2e/testdata/wire", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	decoder := json.NewDecoder(strings.NewReader(blanks.Replace(string(text))))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&x); err != nil {
		t.Fatal(err)
	}
	return x
}

// TestTheFakeKeepsToTheWire replays the exchanges that the real server is held
// to, so that nobody tests against a server that is not.
func TestTheFakeKeepsToTheWire(t *testing.T) {
	files, err := filepath.Glob("../../e2e/testdata/wire/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no exchanges to replay: %v", err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		t.Run(name, func(t *testing.T) {
			server, blanks := wireWorld(t)
			readWire(t, name, blanks).replay(t, server)
		})
	}
}

func (x wire) replay(t *testing.T, server *Server) {
	request := httptest.NewRequest(x.Request.Method, x.Request.Path, strings.NewReader(string(x.Request.Body)))
	for name, value := range x.Request.Headers {
		request.Header.Set(name, value)
	}
	got := httptest.NewRecorder()
	server.ServeHTTP(got, request)
	var body any
	if got.Body.Len() > 0 && json.Unmarshal(got.Body.Bytes(), &body) != nil {
		t.Fatalf("the answer is no JSON: %s", got.Body)
	}
	if where := mismatch("body", x.Answer.Body, body); got.Code != x.Answer.Status || where != "" {
		t.Errorf("%d %s\nwant %d; %s", got.Code, got.Body, x.Answer.Status, where)
	}
	for name, want := range x.Answer.Headers {
		if value := got.Header().Get(name); value != want {
			t.Errorf("%s: %q, want %q", name, value, want)
		}
	}
}

// wireWorld makes what the exchanges start from, and returns what fills their
// blanks.
func wireWorld(t *testing.T) (*Server, *strings.Replacer) {
	s := New()
	s.Role("database/creds/app", Role{TTL: time.Hour})
	s.Role("database/creds/fixed", Role{TTL: time.Hour, NonRenewable: true})
	s.Static("database/notes/one", map[string]any{"note": "text"})
	s.AppRole(AppRole{Name: "app", RoleID: "role-id", SecretID: "secret-id", TokenTTL: time.Hour, Policies: []string{"app"}})
	token := s.Token(Token{TTL: time.Hour, Policies: []string{"app"}})
	s.Allow(func(_ string, _ Op, path string) bool { return path != "database/creds/other" })
	s.policies["app"] = `path "database/creds/app" { capabilities = ["read"] }`
	lease := func(path string) string {
		return fetch(t, s.Client(t), vault.Token{Value: vault.Sensitive(token)}, path).LeaseID
	}
	return s, strings.NewReplacer("{root}", RootToken, "{token}", token, "{engine}", "database",
		"{role_id}", "role-id", "{secret_id}", "secret-id", "{lease}", lease("database/creds/app"), "{fixed_lease}", lease("database/creds/fixed"))
}

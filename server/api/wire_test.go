package api_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/core/coretest"
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

// TestTheServerKeepsToTheWire replays what the agent and the client send, and
// compares the answers with the shapes that they count on.
func TestTheServerKeepsToTheWire(t *testing.T) {
	files, err := filepath.Glob("../../e2e/testdata/wire/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no exchanges to replay: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) {
			c := start(t)
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var x wire
			decoder := json.NewDecoder(strings.NewReader(wireWorld(t, c).Replace(string(text))))
			decoder.DisallowUnknownFields()
			if err := decoder.Decode(&x); err != nil {
				t.Fatal(err)
			}
			x.replay(t, c)
		})
	}
}

func (x wire) replay(t *testing.T, c client) {
	headers := []string{"X-Vault-Token", ""}
	for name, value := range x.Request.Headers {
		headers = append(headers, name, value)
	}
	got := c.send(t, x.Request.Method, x.Request.Path, string(x.Request.Body), headers...)
	var body any
	if got.body != "" && json.Unmarshal([]byte(got.body), &body) != nil {
		t.Fatalf("the answer is no JSON: %s", got.body)
	}
	if where := mismatch("body", x.Answer.Body, body); got.status != x.Answer.Status || where != "" {
		t.Errorf("%d %s\nwant %d; %s", got.status, got.body, x.Answer.Status, where)
	}
	for name, want := range x.Answer.Headers {
		if value := got.header.Get(name); value != want {
			t.Errorf("%s: %q, want %q", name, value, want)
		}
	}
}

// wireWorld makes what the exchanges start from, and returns what fills their
// blanks.
func wireWorld(t *testing.T, c client) *strings.Replacer {
	must := func(token string, op logical.Operation, path string, data map[string]any) *logical.Response {
		return c.Must(t, token, op, path, data)
	}
	write := func(path string, data map[string]any) *logical.Response {
		return must(coretest.Root, logical.UpdateOperation, path, data)
	}
	write("sys/mounts/database", map[string]any{"type": "fake", "config": map[string]any{"default_lease_ttl": "1h"}})
	write("database/notes/one", map[string]any{"note": "text"})
	write("sys/policies/acl/app", map[string]any{"policy": `
		path "database/creds/app"   { capabilities = ["read"] }
		path "database/creds/fixed" { capabilities = ["read"] }
		path "database/notes/*"     { capabilities = ["create", "read", "update", "delete", "list"] }
		path "sys/leases/*"         { capabilities = ["update"] }`})
	write("auth/approle/role/app", map[string]any{"token_policies": "app", "token_ttl": "1h"})
	token := write("auth/token/create", map[string]any{"policies": []string{"app"}, "ttl": "1h"}).Auth.ClientToken
	roleID := must(coretest.Root, logical.ReadOperation, "auth/approle/role/app/role-id", nil).Data["role_id"]
	secretID := write("auth/approle/role/app/secret-id", nil).Data["secret_id"]
	lease := must(token, logical.ReadOperation, "database/creds/app", nil).Secret.LeaseID
	fixed := must(token, logical.ReadOperation, "database/creds/fixed", map[string]any{"fixed": true}).Secret.LeaseID
	return strings.NewReplacer("{root}", coretest.Root, "{token}", token, "{engine}", "fake",
		"{role_id}", fmt.Sprint(roleID), "{secret_id}", fmt.Sprint(secretID), "{lease}", lease, "{fixed_lease}", fixed)
}

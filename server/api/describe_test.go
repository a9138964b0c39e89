package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/api"
	"github.com/novatech/securevault/server/core/coretest"
)

func TestWhatHoldsForAllRateLimitsIsReadAndWritten(t *testing.T) {
	c := startLimited(t, api.Limits{})
	reads := func(want string) {
		t.Helper()
		if got := c.send(t, "GET", "/v1/sys/quotas/config", ""); !strings.Contains(got.body, `"data":`+want) {
			t.Errorf("%s, want %s", got.body, want)
		}
	}
	reads(`{"absolute_rate_limit_exempt_paths":[],"enable_rate_limit_audit_logging":false,"enable_rate_limit_response_headers":false,"rate_limit_exempt_paths":[]}`)
	for body, want := range map[string]int{
		`{"rate_limit_exempt_paths":["sys/mounts"],"enable_rate_limit_audit_logging":true}`: http.StatusNoContent,
		`{"enable_rate_limit_response_headers":true}`:                                       http.StatusBadRequest,
		`{"rate_limit_exempt_paths":["a*b"]}`:                                               http.StatusBadRequest,
	} {
		if got := c.send(t, "POST", "/v1/sys/quotas/config", body); got.status != want {
			t.Errorf("%s: %d %s", body, got.status, got.body)
		}
	}
	reads(`{"absolute_rate_limit_exempt_paths":[],"enable_rate_limit_audit_logging":true,"enable_rate_limit_response_headers":false,"rate_limit_exempt_paths":["sys/mounts"]}`)
}

func TestARateLimitTellsWhenToComeBack(t *testing.T) {
	c := startLimited(t, api.Limits{})
	if got := c.send(t, "POST", "/v1/sys/quotas/rate-limit/creds", `{"path":"fake","rate":2,"interval":"1h"}`); got.status != http.StatusNoContent {
		t.Fatalf("%d %s", got.status, got.body)
	}
	if got := c.send(t, "GET", "/v1/sys/quotas/rate-limit/creds", ""); !strings.Contains(got.body, `"path":"fake/"`) || !strings.Contains(got.body, `"interval":3600`) {
		t.Errorf("%s", got.body)
	}
	for range 2 {
		if got := c.send(t, "GET", "/v1/fake/creds/app", ""); got.status != http.StatusOK {
			t.Fatalf("%d %s", got.status, got.body)
		}
	}
	got := c.send(t, "GET", "/v1/fake/creds/app", "")
	if got.status != http.StatusTooManyRequests || got.header.Get("Retry-After") == "" || got.header.Get("X-Ratelimit-Limit") != "2" ||
		got.header.Get("X-Ratelimit-Remaining") != "0" || !strings.Contains(got.body, `rate limit \"creds\" allows 2 requests`) {
		t.Errorf("%d %v %s", got.status, got.header, got.body)
	}
	if live := c.Engine.Live(); live != 2 {
		t.Errorf("%d credentials", live)
	}
	if got := c.send(t, "GET", "/v1/sys/mounts", ""); got.status != http.StatusOK {
		t.Errorf("another mount: %d %s", got.status, got.body)
	}
	c.send(t, "DELETE", "/v1/sys/quotas/rate-limit/creds", "")
	if got := c.send(t, "GET", "/v1/fake/creds/app", ""); got.status != http.StatusOK {
		t.Errorf("without the limit: %d %s", got.status, got.body)
	}
	for _, bad := range []string{`{}`, `{"rate":0.5}`, `{"rate":5,"interval":"0s"}`, `{"rate":5,"role":"x"}`} {
		if got := c.send(t, "POST", "/v1/sys/quotas/rate-limit/bad", bad); got.status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", bad, got.status, got.body)
		}
	}
}

func TestEveryPathIsDescribed(t *testing.T) {
	c := startLimited(t, api.Limits{})
	var doc struct {
		OpenAPI string `json:"openapi"`
		Info    struct{ Title string }
		Paths   map[string]map[string]json.RawMessage
	}
	read := func(token string) {
		t.Helper()
		got := c.send(t, "GET", "/v1/sys/internal/specs/openapi", "", "X-Vault-Token", token)
		doc.Paths = nil
		if err := json.Unmarshal([]byte(got.body), &doc); err != nil || got.status != http.StatusOK {
			t.Fatalf("%d %v %s", got.status, err, got.body)
		}
	}
	read(coretest.Root)
	if doc.OpenAPI != "3.0.2" || doc.Info.Title != "SecureVault API" {
		t.Errorf("%s %s", doc.OpenAPI, doc.Info.Title)
	}
	for path, operation := range map[string]string{
		"/fake/creds/{name}": "get", "/fake/notes/{name}": "post", "/sys/leases/renew": "post", "/sys/audit/{path}": "delete",
		"/auth/token/create": "post", "/auth/approle/login": "post", "/sys/quotas/rate-limit/{name}": "post",
	} {
		if doc.Paths[path][operation] == nil {
			t.Errorf("%s %s is missing", operation, path)
		}
	}
	c.Must(t, coretest.Root, logical.UpdateOperation, "sys/policies/acl/app", map[string]any{
		"policy": `path "fake/creds/*" { capabilities = ["read"] } path "sys/internal/specs/openapi" { capabilities = ["read"] }`,
	})
	token := c.Must(t, coretest.Root, logical.UpdateOperation, "auth/token/create", map[string]any{"policies": "app", "no_default_policy": true}).Auth.ClientToken
	read(token)
	if doc.Paths["/fake/creds/{name}"] == nil || doc.Paths["/auth/approle/login"] != nil {
		t.Error("the description is not that of what the token can use")
	}
}

func TestHelpIsThereForEveryPath(t *testing.T) {
	c := startLimited(t, api.Limits{})
	for path, want := range map[string]string{
		"/v1/fake/creds/app?help=1":      "A credential.",
		"/v1/fake?help=1":                "Counts credentials.",
		"/v1/sys/leases/renew?help=true": "Prolongs a lease.",
	} {
		got := c.send(t, "GET", path, "")
		var answer struct {
			Help    string         `json:"help"`
			OpenAPI map[string]any `json:"openapi"`
		}
		if err := json.Unmarshal([]byte(got.body), &answer); err != nil || got.status != 200 || !strings.Contains(answer.Help, want) || answer.OpenAPI == nil {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
	if got := c.send(t, "GET", "/v1/fake/creds/app?help=1", "", "X-Vault-Token", "unknown"); got.status != http.StatusForbidden {
		t.Errorf("%d %s", got.status, got.body)
	}
	if c.Engine.Live() != 0 {
		t.Error("asking for help made a credential")
	}
}

func TestTheCatalogListsWhatIsBuiltIn(t *testing.T) {
	c := startLimited(t, api.Limits{})
	got := c.send(t, "GET", "/v1/sys/plugins/catalog", "")
	if got.status != 200 || fmt.Sprint(field(t, got.body, "data", "secret")) != "[fake]" || !strings.Contains(got.body, `"builtin":true`) {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := c.send(t, "LIST", "/v1/sys/plugins/catalog/auth", ""); !strings.Contains(got.body, `"approle"`) {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := c.send(t, "GET", "/v1/sys/plugins/catalog/secret/fake", ""); !strings.Contains(got.body, `"version":"+builtin"`) {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := c.send(t, "GET", "/v1/sys/plugins/catalog/secret/other", ""); got.status != http.StatusNotFound {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := c.send(t, "PUT", "/v1/sys/plugins/catalog/secret/mine", `{"command":"x"}`); got.status != http.StatusBadRequest || !strings.Contains(got.body, "plugins from outside are not run") {
		t.Errorf("%d %s", got.status, got.body)
	}
}

func TestMetricsNeedATokenUnlessTheListenerSaysOtherwise(t *testing.T) {
	c := startLimited(t, api.Limits{})
	if got := c.send(t, "GET", "/v1/sys/metrics?format=prometheus", "", "X-Vault-Token", ""); got.status != http.StatusForbidden {
		t.Errorf("%d %s", got.status, got.body)
	}
	got := c.send(t, "GET", "/v1/sys/metrics?format=prometheus", "")
	if got.status != http.StatusOK || !strings.HasPrefix(got.header.Get("Content-Type"), "text/plain") || !strings.Contains(got.body, "core_unsealed 1") {
		t.Errorf("%d %v %s", got.status, got.header, got.body)
	}
	if got := c.send(t, "GET", "/v1/sys/metrics?format=xml", ""); got.status != http.StatusBadRequest {
		t.Errorf("%d %s", got.status, got.body)
	}
}

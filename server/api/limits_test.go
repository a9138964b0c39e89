package api_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/api"
	"github.com/novatech/securevault/server/auth"
	"github.com/novatech/securevault/server/core/coretest"
)

// startLimited is start behind a listener with limits.
func startLimited(t *testing.T, l api.Limits) client {
	t.Helper()
	s := coretest.Start(t, map[string]logical.Factory{"approle": auth.All()["approle"]})
	server := httptest.NewUnstartedServer(nil)
	server.Config = api.NewServer(s.Sealed, l, nil)
	server.Start()
	t.Cleanup(server.Close)
	return client{s, server.URL}
}

func TestABodyOverTheLimitIsRefused(t *testing.T) {
	c := startLimited(t, api.Limits{MaxBody: 100})
	got := c.send(t, "POST", "/v1/fake/notes/a", `{"note":"`+strings.Repeat("x", 100)+`"}`)
	if got.status != http.StatusRequestEntityTooLarge || !strings.Contains(got.body, "larger than 100 bytes") {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := c.send(t, "GET", "/v1/fake/notes/a", ""); got.status != http.StatusNotFound {
		t.Errorf("something was written: %d %s", got.status, got.body)
	}
}

// The paths of backups were let through with bodies of any size, whatever the
// method: anybody could fill the memory by a PATCH.
func TestABodyOnItsWayToABackupIsBoundedAsWell(t *testing.T) {
	c := startLimited(t, api.Limits{MaxBody: 100})
	long := `{"note":"` + strings.Repeat("x", 100) + `"}`
	for _, path := range []string{"PATCH /v1/sys/storage/restore", "PATCH /v1/sys/storage/backup", "PUT /v1/sys/storage/backup", "POST /v1/sys/storage/backup"} {
		method, path, _ := strings.Cut(path, " ")
		if got := c.send(t, method, path, long, "X-Vault-Token", "nobody's"); got.status != http.StatusRequestEntityTooLarge {
			t.Errorf("%s %s: %d %s", method, path, got.status, got.body)
		}
	}
}

func TestHeadersOverTheLimitAreRefused(t *testing.T) {
	c := startLimited(t, api.Limits{})
	if got := c.send(t, "GET", "/v1/sys/health", "", "X-Padding", strings.Repeat("x", 128<<10)); got.status != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("%d %s", got.status, got.body)
	}
}

func TestAProxyNamesTheClient(t *testing.T) {
	loopback := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	elsewhere := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	cases := []struct {
		name      string
		forwarded api.Forwarded
		header    string
		status    int
	}{
		{"whose address may use the token", api.Forwarded{Proxies: loopback}, "192.0.2.7", 200},
		{"whose address may not use the token", api.Forwarded{Proxies: loopback}, "192.0.2.8", 403},
		{"behind another proxy", api.Forwarded{Proxies: loopback, Hops: 1}, "192.0.2.7, 10.0.0.1", 200},
		{"who made a longer header up", api.Forwarded{Proxies: loopback}, "192.0.2.7, 192.0.2.8", 403},
		{"with fewer hops than said", api.Forwarded{Proxies: loopback, Hops: 2}, "192.0.2.7", 400},
		{"by no address", api.Forwarded{Proxies: loopback}, "somebody", 400},
		{"without being trusted", api.Forwarded{Proxies: elsewhere, RejectUnapproved: true}, "192.0.2.7", 400},
		{"without being trusted, ignored", api.Forwarded{Proxies: elsewhere}, "192.0.2.7", 403},
		{"while proxies are not believed", api.Forwarded{}, "192.0.2.7", 403},
		{"with no header", api.Forwarded{Proxies: loopback, RejectAbsent: true}, "", 400},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			c := startLimited(t, api.Limits{Forwarded: tc.forwarded})
			headers := []string{"X-Vault-Token", boundToken(t, c)}
			if tc.header != "" {
				headers = append(headers, "X-Forwarded-For", tc.header)
			}
			if got := c.send(t, "GET", "/v1/auth/token/lookup-self", "", headers...); got.status != tc.status {
				t.Errorf("%d %s, want %d", got.status, got.body, tc.status)
			}
		})
	}
}

// boundToken logs in for a token that only 192.0.2.7 may use.
func boundToken(t *testing.T, c client) string {
	t.Helper()
	c.Must(t, coretest.Root, logical.UpdateOperation, "auth/approle/role/near", map[string]any{
		"token_bound_cidrs": "192.0.2.7/32", "token_policies": "default",
	})
	roleID := c.Must(t, coretest.Root, logical.ReadOperation, "auth/approle/role/near/role-id", nil).Data["role_id"]
	secretID := c.Must(t, coretest.Root, logical.UpdateOperation, "auth/approle/role/near/secret-id", nil).Data["secret_id"]
	resp, err := c.Handle(t.Context(), &logical.Request{
		Operation: logical.UpdateOperation, Path: "auth/approle/login", Data: map[string]any{"role_id": roleID, "secret_id": secretID},
		Connection: &logical.Connection{RemoteAddr: "192.0.2.7"},
	})
	if err != nil || resp.IsError() {
		t.Fatal(err, resp)
	}
	return resp.Auth.ClientToken
}

func TestARequestEndsAtItsLimitAndItsCredentialWithIt(t *testing.T) {
	c := startLimited(t, api.Limits{MaxDuration: 20 * time.Millisecond})
	c.Engine.OnIssue = func() { <-time.After(100 * time.Millisecond) } // a database that takes its time
	if got := c.send(t, "GET", "/v1/fake/creds/slow", ""); got.status != http.StatusGatewayTimeout {
		t.Errorf("%d %s", got.status, got.body)
	}
	deadline := time.After(10 * time.Second)
	for c.Engine.Live() > 0 {
		select {
		case <-deadline:
			t.Fatal("the credential that nobody got is still alive")
		case <-time.After(time.Millisecond):
		}
	}
}

func TestPagesOfAllowedOriginsMayUseTheAPI(t *testing.T) {
	c := startLimited(t, api.Limits{})
	const page, other = "https://app.example.com", "https://evil.example.com"
	if got := c.send(t, "OPTIONS", "/v1/sys/mounts", "", "Origin", page); got.status != http.StatusForbidden {
		t.Errorf("before it is allowed: %d %s", got.status, got.body)
	}
	if got := c.send(t, "POST", "/v1/sys/config/cors", `{"allowed_origins":"*,`+page+`"}`); got.status != http.StatusBadRequest {
		t.Errorf("everything and more: %d %s", got.status, got.body)
	}
	if got := c.send(t, "POST", "/v1/sys/config/cors", `{"allowed_origins":["`+page+`"],"allowed_headers":["X-Own"]}`); got.status != http.StatusNoContent {
		t.Fatalf("%d %s", got.status, got.body)
	}
	asked := c.send(t, "OPTIONS", "/v1/sys/mounts", "", "Origin", page)
	if asked.status != http.StatusNoContent || asked.header.Get("Access-Control-Allow-Origin") != page ||
		!strings.Contains(asked.header.Get("Access-Control-Allow-Headers"), "X-Vault-Token") ||
		!strings.Contains(asked.header.Get("Access-Control-Allow-Headers"), "X-Own") {
		t.Errorf("%d %v", asked.status, asked.header)
	}
	if got := c.send(t, "GET", "/v1/sys/mounts", "", "Origin", page); got.status != 200 || got.header.Get("Access-Control-Allow-Origin") != page {
		t.Errorf("%d %v", got.status, got.header)
	}
	if got := c.send(t, "GET", "/v1/sys/mounts", "", "Origin", other); got.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("another origin is let in: %v", got.header)
	}
	if got := c.send(t, "GET", "/v1/sys/mounts", "", "Origin", c.url); got.status != 200 {
		t.Errorf("the server's own page: %d %s", got.status, got.body)
	}
	if got := c.send(t, "DELETE", "/v1/sys/config/cors", ""); got.status != http.StatusNoContent {
		t.Fatalf("%d %s", got.status, got.body)
	}
	if got := c.send(t, "GET", "/v1/sys/config/cors", ""); !strings.Contains(got.body, `"enabled":false`) {
		t.Errorf("%s", got.body)
	}
}

package api_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/novatech/securevault/server/api"
	"github.com/novatech/securevault/server/auth"
	"github.com/novatech/securevault/server/core/coretest"
)

// client sends requests to a server of its own.
type client struct {
	*coretest.Server
	url string
}

func start(t testing.TB) client {
	t.Helper()
	s := coretest.Start(t, auth.All())
	server := httptest.NewServer(api.NewServer(s.Sealed, api.Limits{}, nil).Handler)
	t.Cleanup(server.Close)
	return client{s, server.URL}
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

func (c client) send(t testing.TB, method, path, body string, headers ...string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, c.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Vault-Token", coretest.Root)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	read, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, strings.TrimSpace(string(read))}
}

// masks hide what differs from run to run.
var masks = []struct {
	pattern *regexp.Regexp
	by      string
}{
	{regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`), "UUID"},
	{regexp.MustCompile(`_[0-9a-f]{8}"`), `_ID"`},
	{regexp.MustCompile(`[A-Z2-7]{26}`), "RANDOM"},
	{regexp.MustCompile(`hvb\.[\w-]{100,}`), "hvb.SEALED"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT[0-9:.]+Z`), "TIME"},
	{regexp.MustCompile(`("(creation_time|server_time_utc)":)\d+`), "${1}SECONDS"},
}

func masked(body string) string {
	for _, m := range masks {
		body = m.pattern.ReplaceAllString(body, m.by)
	}
	return body
}

// envelope is the whole of an answer that has only data.
func envelope(mountType, data string) string {
	return fmt.Sprintf(`{"request_id":"UUID","lease_id":"","renewable":false,"lease_duration":0,"data":%s,"wrap_info":null,"warnings":null,"auth":null,"mount_type":%q}`, data, mountType)
}

// exchange is one request and what must come back.
type exchange struct {
	name, method, path, body string
	headers                  []string
	status                   int
	want                     string // masked body
}

// check sends the requests in turn.
func (c client) check(t *testing.T, exchanges []exchange) {
	for _, x := range exchanges {
		t.Run(x.name, func(t *testing.T) {
			got := c.send(t, x.method, x.path, x.body, x.headers...)
			if got.status != x.status || masked(got.body) != x.want {
				t.Errorf("%d %s\nwant %d %s", got.status, masked(got.body), x.status, x.want)
			}
			if got.body != "" && got.header.Get("Content-Type") != "application/json" {
				t.Errorf("Content-Type %q", got.header.Get("Content-Type"))
			}
			if got.header.Get("Cache-Control") != "no-store" {
				t.Errorf("Cache-Control %q", got.header.Get("Cache-Control"))
			}
		})
	}
}

func TestRequestsAndRefusalsHaveTheShapesThatClientsKnow(t *testing.T) {
	c := start(t)
	c.send(t, "PUT", "/v1/fake/notes/one", `{"note":"text"}`)
	c.check(t, []exchange{
		{"a read", "GET", "/v1/fake/notes/one", "", nil, 200, envelope("fake", `{"note":"text"}`)},
		{"a credential", "GET", "/v1/fake/creds/app?ttl=90s", "", nil, 200,
			`{"request_id":"UUID","lease_id":"fake/creds/app/RANDOM","renewable":true,"lease_duration":90,"data":{"password":"s3cret","username":"user-RANDOM"},"wrap_info":null,"warnings":null,"auth":null,"mount_type":"fake"}`},
		{"a write without an answer", "POST", "/v1/fake/notes/two", `{"note":"x"}`, nil, 204, ""},
		{"PUT is POST", "PUT", "/v1/fake/notes/two", `{"note":"y"}`, nil, 204, ""},
		{"a JSON body of another type", "POST", "/v1/fake/notes/two", `{"note":"z"}`, []string{"Content-Type", "application/x-www-form-urlencoded"}, 204, ""},
		{"LIST", "LIST", "/v1/fake/notes", "", nil, 200, envelope("fake", `{"keys":["one","two"]}`)},
		{"a list by query", "GET", "/v1/fake/notes?list=True", "", nil, 200, envelope("fake", `{"keys":["one","two"]}`)},
		{"a deletion", "DELETE", "/v1/fake/notes/two", "", nil, 204, ""},
		{"doubled slashes", "GET", "/v1//fake//notes/one", "", nil, 200, envelope("fake", `{"note":"text"}`)},
		{"nothing there", "GET", "/v1/fake/notes/none", "", nil, 404, `{"errors":[]}`},
		{"nothing to list", "LIST", "/v1/sys/leases/lookup/none", "", nil, 404, `{"errors":[]}`},
		{"no such path in the engine", "GET", "/v1/fake/nowhere", "", nil, 404, `{"errors":["unsupported path"]}`},
		{"no engine", "GET", "/v1/nowhere/x", "", nil, 404, `{"errors":["no handler for route \"nowhere/x\": no engine is mounted there; see secrets list"]}`},
		{"outside the API", "GET", "/index.html", "", nil, 404, `{"errors":[]}`},
		{"an operation that is not", "POST", "/v1/fake/creds/app", "", nil, 405, `{"errors":["unsupported operation"]}`},
		{"PATCH where there is none", "PATCH", "/v1/fake/notes/one", `{}`, nil, 405, `{"errors":["unsupported operation"]}`},
		{"a method that is not", "OPTIONS", "/v1/fake/notes/one", "", nil, 405, `{"errors":["unsupported operation"]}`},
		{"a wrong token", "GET", "/v1/fake/notes/one", "", []string{"X-Vault-Token", "wrong"}, 403, `{"errors":["permission denied"]}`},
		{"no token", "GET", "/v1/fake/notes/one", "", []string{"X-Vault-Token", ""}, 403, `{"errors":["permission denied"]}`},
		{"a bearer token", "GET", "/v1/fake/notes/one", "", []string{"X-Vault-Token", "", "Authorization", "Bearer " + coretest.Root}, 200, envelope("fake", `{"note":"text"}`)},
		{"a namespace", "GET", "/v1/fake/notes/one", "", []string{"X-Vault-Namespace", "team"}, 400, `{"errors":["namespaces are not supported: leave X-Vault-Namespace (VAULT_NAMESPACE) empty"]}`},
		{"wrapping", "GET", "/v1/fake/creds/app", "", []string{"X-Vault-Wrap-TTL", "60s"}, 200,
			`{"request_id":"UUID","lease_id":"","renewable":false,"lease_duration":0,"data":null,"wrap_info":{"token":"hvs.RANDOM","accessor":"RANDOM","ttl":60,"creation_time":"TIME","creation_path":"fake/creds/app"},"warnings":null,"auth":null,"mount_type":"fake"}`},
		{"wrapping for no time that can be told", "GET", "/v1/fake/creds/app", "", []string{"X-Vault-Wrap-TTL", "soon"}, 400,
			`{"errors":["X-Vault-Wrap-TTL (-wrap-ttl): \"soon\" is not a duration of a second or more; write it like 60s, 5m or 300"]}`},
		{"a write without an answer is not wrapped", "POST", "/v1/fake/notes/two", `{"note":"x"}`, []string{"X-Vault-Wrap-TTL", "60s"}, 204, ""},
		{"the root namespace", "GET", "/v1/fake/notes/one", "", []string{"X-Vault-Namespace", "root/"}, 200, envelope("fake", `{"note":"text"}`)},
		{"a body that is no JSON", "POST", "/v1/fake/notes/two", `note=x`, nil, 400, `{"errors":["the body must be a JSON object: invalid character 'o' in literal null (expecting 'u')"]}`},
		{"a body that is no object", "POST", "/v1/fake/notes/two", `["x"]`, nil, 400, `{"errors":["the body must be a JSON object, not a JSON array"]}`},
		{"a body with a tail", "POST", "/v1/fake/notes/two", `{} {}`, nil, 400, `{"errors":["the body must be a JSON object: there is something after the JSON object"]}`},
		{"a climbing path", "GET", "/v1/fake/%2e%2e/sys/mounts", "", nil, 400, `{"errors":["the path must not contain \"..\""]}`},
	})
}

func TestSystemPathsHaveTheShapesThatClientsKnow(t *testing.T) {
	start(t).check(t, []exchange{
		{"an unknown lease renewed", "PUT", "/v1/sys/leases/renew", `{"lease_id":"x","increment":null}`, nil, 400, `{"errors":["lease not found"]}`},
		{"an unknown lease looked up", "PUT", "/v1/sys/leases/lookup", `{"lease_id":"x"}`, nil, 400, `{"errors":["lease not found"]}`},
		{"an unknown lease revoked", "PUT", "/v1/sys/leases/revoke", `{"lease_id":"x"}`, nil, 204, ""},
		{"a revocation not waited for", "PUT", "/v1/sys/leases/revoke", `{"lease_id":"x","sync":false}`, nil, 202, ""},
		{"a root token renewed", "POST", "/v1/auth/token/renew-self", "", nil, 400, `{"errors":["lease is not renewable"]}`},
		{"a token looked up", "GET", "/v1/auth/token/lookup-self", "", nil, 200, envelope("token",
			`{"accessor":"RANDOM","creation_time":SECONDS,"creation_ttl":0,"display_name":"root","entity_id":"","expire_time":null,"explicit_max_ttl":0,"id":"root-token","issue_time":"TIME","meta":null,"num_uses":0,"orphan":true,"path":"auth/token/root","policies":["root"],"renewable":false,"ttl":0,"type":"service"}`)},
		{"a token created", "POST", "/v1/auth/token/create", `{"policies":["app"],"ttl":"1h","id":null,"meta":{"a":"b"}}`, nil, 200,
			`{"request_id":"UUID","lease_id":"","renewable":false,"lease_duration":0,"data":null,"wrap_info":null,"warnings":null,"auth":{"client_token":"hvs.RANDOM","accessor":"RANDOM","policies":["app","default"],"token_policies":["app","default"],"metadata":{"a":"b"},"lease_duration":3600,"renewable":true,"entity_id":"","token_type":"service","orphan":false,"mfa_requirement":null,"num_uses":0},"mount_type":"token"}`},
		{"a batch token created", "POST", "/v1/auth/token/create", `{"policies":["app"],"ttl":"1h","type":"batch"}`, nil, 200,
			`{"request_id":"UUID","lease_id":"","renewable":false,"lease_duration":0,"data":null,"wrap_info":null,"warnings":null,"auth":{"client_token":"hvb.SEALED","accessor":"","policies":["app","default"],"token_policies":["app","default"],"metadata":null,"lease_duration":3600,"renewable":false,"entity_id":"","token_type":"batch","orphan":false,"mfa_requirement":null,"num_uses":0},"mount_type":"token"}`},
		{"a token role written", "POST", "/v1/auth/token/roles/nomad", `{"allowed_policies":"app,web","token_period":"1h","orphan":true}`, nil, 204, ""},
		{"a token role read", "GET", "/v1/auth/token/roles/nomad", "", nil, 200, envelope("token",
			`{"allowed_entity_aliases":[],"allowed_policies":["app","web"],"allowed_policies_glob":[],"bound_cidrs":null,"disallowed_policies":[],"disallowed_policies_glob":[],"explicit_max_ttl":0,"name":"nomad","orphan":true,"path_suffix":"","period":3600,"renewable":true,"token_bound_cidrs":null,"token_explicit_max_ttl":0,"token_no_default_policy":false,"token_num_uses":0,"token_period":3600,"token_type":"default-service"}`)},
		{"the token roles listed", "LIST", "/v1/auth/token/roles", "", nil, 200, envelope("token", `{"keys":["nomad"]}`)},
		{"a token role that is not", "POST", "/v1/auth/token/create/none", "", nil, 400, `{"errors":["unknown token role \"none\": write auth/token/roles/none first"]}`},
		{"a token role deleted", "DELETE", "/v1/auth/token/roles/nomad", "", nil, 204, ""},
		{"tokens tidied", "POST", "/v1/auth/token/tidy", "", nil, 202,
			`{"request_id":"UUID","lease_id":"","renewable":false,"lease_duration":0,"data":null,"wrap_info":null,"warnings":["The work has begun; its outcome is in the server's log."],"auth":null,"mount_type":""}`},
		{"leases tidied", "PUT", "/v1/sys/leases/tidy", "", nil, 202,
			`{"request_id":"UUID","lease_id":"","renewable":false,"lease_duration":0,"data":null,"wrap_info":null,"warnings":["The work has begun; its outcome is in the server's log."],"auth":null,"mount_type":""}`},
		{"leases counted", "GET", "/v1/sys/leases/count", "", nil, 200, envelope("system", `{"counts":{},"lease_count":0,"roles":{}}`)},
		{"irrevocable leases counted", "GET", "/v1/sys/leases/count?type=irrevocable", "", nil, 200, envelope("system", `{"counts":{},"lease_count":0}`)},
		{"irrevocable leases listed", "GET", "/v1/sys/leases?type=irrevocable", "", nil, 200, envelope("system", `{"counts":{},"lease_count":0,"leases":[]}`)},
		{"a wrapping token that is not", "PUT", "/v1/sys/wrapping/unwrap", `{"token":"x"}`, nil, 400, `{"errors":["wrapping token is not valid or does not exist"]}`},
		{"wrapping without a TTL", "POST", "/v1/sys/wrapping/wrap", `{"a":"b"}`, nil, 400, `{"errors":["endpoint requires response wrapping to be used: send the header X-Vault-Wrap-TTL (-wrap-ttl)"]}`},
		{"wrapping what is sent", "POST", "/v1/sys/wrapping/wrap", `{"a":"b"}`, []string{"X-Vault-Wrap-TTL", "60"}, 200,
			`{"request_id":"UUID","lease_id":"","renewable":false,"lease_duration":0,"data":null,"wrap_info":{"token":"hvs.RANDOM","accessor":"RANDOM","ttl":60,"creation_time":"TIME","creation_path":"sys/wrapping/wrap"},"warnings":null,"auth":null,"mount_type":"system"}`},
		{"an unknown token looked up", "POST", "/v1/auth/token/lookup", `{"token":"x"}`, nil, 403, `{"errors":["bad token"]}`},
		{"a wrong login", "POST", "/v1/auth/approle/login", `{"role_id":"x","secret_id":"y"}`, nil, 400, `{"errors":["invalid role or secret ID"]}`},
		{"an engine enabled with nulls", "POST", "/v1/sys/mounts/other", `{"type":"fake","description":null,"config":{"default_lease_ttl":null,"max_lease_ttl":"","force_no_cache":null},"mount_point":"other"}`, nil, 204, ""},
		{"an engine enabled twice", "POST", "/v1/sys/mounts/other", `{"type":"fake"}`, nil, 400, `{"errors":["invalid mount: path is already in use at other/; choose another with -path"]}`},
		{"an engine that is not", "POST", "/v1/sys/mounts/more", `{"type":"nope"}`, nil, 400, `{"errors":["invalid mount: unknown secrets engine type \"nope\"; this server has: fake"]}`},
		{"a bad TTL", "POST", "/v1/sys/mounts/other/tune", `{"max_lease_ttl":"soon"}`, nil, 400, `{"errors":["max_lease_ttl: soon is not a duration; write it like 90s, 24h or 3600"]}`},
		{"the engine of a path", "GET", "/v1/sys/internal/ui/mounts/fake/creds/app", "", nil, 200, envelope("system",
			`{"accessor":"fake_ID","config":{"default_lease_ttl":0,"force_no_cache":false,"max_lease_ttl":0},"description":"","external_entropy_access":false,"local":false,"options":{},"path":"fake/","seal_wrap":false,"type":"fake","uuid":"UUID"}`)},
		{"a bad policy", "PUT", "/v1/sys/policy/p", `{"rules":"path \"a\" {\n  capabilities = [\"fly\"]\n}"}`, nil, 400,
			`{"errors":["policy \"p\", line 1: path \"a\": unknown capability \"fly\": use create, read, update, patch, delete, list, sudo or deny"]}`},
		{"init", "GET", "/v1/sys/init", "", nil, 200, `{"initialized":true}`},
		{"leader", "GET", "/v1/sys/leader", "", nil, 200, `{"ha_enabled":false,"is_self":false,"leader_address":"","leader_cluster_address":"","performance_standby":false}`},
		{"seal status", "GET", "/v1/sys/seal-status", "", nil, 200, `{"type":"shamir","initialized":true,"sealed":false,"t":1,"n":1,"progress":0,"nonce":"","version":"test","build_date":"","migration":false,"cluster_name":"securevault","cluster_id":"UUID","recovery_seal":false,"storage_type":"inmem"}`},
		{"health", "GET", "/v1/sys/health?standbyok=true", "", nil, 200, `{"initialized":true,"sealed":false,"standby":false,"performance_standby":false,"replication_performance_mode":"disabled","replication_dr_mode":"disabled","server_time_utc":SECONDS,"version":"test","cluster_name":"securevault","cluster_id":"UUID"}`},
		{"health without body", "HEAD", "/v1/sys/health", "", nil, 200, ""},
		{"health with a status of one's own", "HEAD", "/v1/sys/health?activecode=299", "", nil, 299, ""},
		{"health with a status that is none", "GET", "/v1/sys/health?activecode=7", "", nil, 400, `{"errors":["activecode must be a status from 200 to 599"]}`},
	})
}

// field returns a part of a JSON answer by its path.
func field(t *testing.T, body string, path ...string) any {
	t.Helper()
	var value any
	if err := json.Unmarshal([]byte(body), &value); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	for _, name := range path {
		object, _ := value.(map[string]any)
		value = object[name]
	}
	return value
}

func TestARenewalKeepsTheIDAndHasNoData(t *testing.T) {
	c := start(t)
	id, _ := field(t, c.send(t, "GET", "/v1/fake/creds/app?ttl=60", "").body, "lease_id").(string)
	for _, route := range []string{"/v1/sys/leases/renew", "/v1/sys/renew", "/v1/sys/leases/renew/" + id} {
		for _, increment := range []string{`120`, `"120s"`, `"2m"`} {
			got := c.send(t, "PUT", route, fmt.Sprintf(`{"lease_id":%q,"increment":%s}`, id, increment))
			if got.status != 200 || field(t, got.body, "lease_id") != id || field(t, got.body, "lease_duration") != 120.0 || field(t, got.body, "data") != nil {
				t.Errorf("%s: %d %s", route, got.status, got.body)
			}
		}
	}
	looked := c.send(t, "PUT", "/v1/sys/leases/lookup", fmt.Sprintf(`{"lease_id":%q}`, id)).body
	if field(t, looked, "data", "id") != id || field(t, looked, "data", "last_renewal") == nil || field(t, looked, "data", "renewable") != true {
		t.Errorf("lookup: %s", looked)
	}
	for _, route := range []string{"/v1/sys/revoke-prefix/fake/", "/v1/sys/revoke/" + id, "/v1/sys/leases/revoke-force/fake"} {
		if got := c.send(t, "PUT", route, "{}"); got.status != 204 {
			t.Errorf("%s: %d %s", route, got.status, got.body)
		}
	}
}

func TestMountsAndPoliciesCanBeReadWithAndWithoutEnvelope(t *testing.T) {
	c := start(t)
	c.send(t, "PUT", "/v1/sys/policy/app", `{"rules":"path \"a\" { capabilities = [\"read\"] }"}`)
	for path, want := range map[string][]string{
		"/v1/sys/mounts":            {"fake/", "type"},
		"/v1/sys/auth":              {"approle/", "type"},
		"/v1/sys/policy":            {"policies"},
		"/v1/sys/policy/app":        {"rules"},
		"/v1/sys/mounts/fake/tune":  {"max_lease_ttl"},
		"/v1/sys/policies/acl/app?": {},
	} {
		body := c.send(t, "GET", path, "").body
		bare, wrapped := field(t, body, want...), field(t, body, append([]string{"data"}, want...)...)
		if bare == nil || fmt.Sprint(bare) != fmt.Sprint(wrapped) && len(want) > 0 {
			t.Errorf("%s: %v bare, %v in data", path, bare, wrapped)
		}
	}
	caps := c.send(t, "POST", "/v1/sys/capabilities-self", `{"paths":["a/b"]}`).body
	if got := fmt.Sprint(field(t, caps, "data", "a/b"), field(t, caps, "data", "capabilities")); got != "[root] [root]" {
		t.Errorf("capabilities %s", got)
	}
}

func TestOverTheLimitOfARoleTheAnswerSaysWhatToDo(t *testing.T) {
	c := start(t)
	c.Engine.MaxLeases.Store(1)
	c.send(t, "GET", "/v1/fake/creds/app", "")
	got := c.send(t, "GET", "/v1/fake/creds/app", "")
	const want = `{"errors":["role \"app\" has 1 of at most 1 leases: revoke some that are not needed, wait until they end, or raise max_leases_per_role"]}`
	if got.status != http.StatusTooManyRequests || got.body != want {
		t.Errorf("%d %s", got.status, got.body)
	}
}

func TestLimitsOfRequests(t *testing.T) {
	c := start(t)
	huge := `{"note":"` + strings.Repeat("x", 32<<20) + `"}`
	if got := c.send(t, "PUT", "/v1/fake/notes/huge", huge); got.status != http.StatusRequestEntityTooLarge {
		t.Errorf("32 MiB and more: %d %s", got.status, got.body)
	}
	deep := strings.Repeat(`{"a":`, 20_000) + "1" + strings.Repeat("}", 20_000)
	if got := c.send(t, "PUT", "/v1/fake/notes/deep", deep); got.status != 400 {
		t.Errorf("20,000 levels: %d", got.status)
	}
	server := api.NewServer(c.Sealed, api.Limits{}, nil)
	if server.ReadHeaderTimeout == 0 || server.ReadTimeout == 0 || server.WriteTimeout == 0 || server.IdleTimeout == 0 || server.MaxHeaderBytes == 0 {
		t.Errorf("a limit is missing: %+v", server)
	}
}

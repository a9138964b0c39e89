package admin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/novatech/securevault/internal/vault"
	"github.com/novatech/securevault/internal/vaulttest"
)

const creds = "/v1/database/creds/app"

// proxied is a proxy before a fake server whose credentials last 90 s.
type proxied struct {
	*testing.T
	agent   *agentStub
	backend *vaulttest.Server
	own     string // the agent's token
	handler http.Handler
}

func newProxied(t *testing.T, cfg Proxy) *proxied {
	t.Helper()
	backend := vaulttest.New()
	backend.Role("database/creds/app", vaulttest.Role{TTL: 90 * time.Second})
	p := &proxied{T: t, backend: backend, own: backend.Token(vaulttest.Token{TTL: time.Hour})}
	p.agent = &agentStub{token: vault.Token{Value: vault.Sensitive(p.own), Accessor: "the-accessor", Epoch: 1}}
	cfg.Upstream = backend.Client(t)
	p.handler = newServer(t, Config{Source: p.agent, Proxy: cfg}).Handler(local)
	return p
}

func (p *proxied) ask(method, path string, change ...func(*http.Request)) *httptest.ResponseRecorder {
	return ask(p.handler, method, path, append(change, header("X-Vault-Request", "true"))...)
}

// tokens returns those that came with the requests so far.
func (p *proxied) tokens() string {
	var out []string
	for _, e := range p.backend.History() {
		out = append(out, e.Token)
	}
	return strings.Join(out, " ")
}

func (p *proxied) expect(what string, got, want any) {
	p.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		p.Errorf("%s = %v, want %v", what, got, want)
	}
}

func TestTheTokenIsLentAsConfigured(t *testing.T) {
	tests := []struct {
		name    string
		lending Lending
		change  []func(*http.Request)
		token   string // that reaches the server
	}{
		{"never, to a caller without", LendNever, nil, ""},
		{"never, to a caller with one", LendNever, []func(*http.Request){header("X-Vault-Token", "theirs")}, "theirs"},
		{"to a caller without", LendMissing, nil, "OWN"},
		{"not to a caller with one", LendMissing, []func(*http.Request){header("X-Vault-Token", "theirs")}, "theirs"},
		{"not to a caller who bears one", LendMissing, []func(*http.Request){header("Authorization", "Bearer theirs")}, "theirs"},
		{"by force", LendAlways, []func(*http.Request){header("X-Vault-Token", "theirs"), header("Authorization", "Bearer theirs")}, "OWN"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := newProxied(t, Proxy{Lending: test.lending})
			p.ask("GET", creds, test.change...)
			p.expect("token", p.tokens(), strings.ReplaceAll(test.token, "OWN", p.own))
		})
	}
}

func TestRequestsAndAnswersPassAsTheyAre(t *testing.T) {
	p := newProxied(t, Proxy{Lending: LendMissing})
	got := p.ask("POST", "/v1/secret/data/app", body(`{"data":{"key":"value"}}`))
	p.expect("write", got.Code, 200)
	got = p.ask("GET", "/v1/secret/data/app?version=1")
	if got.Code != 200 || !strings.Contains(got.Body.String(), `"key":"value"`) || got.Header().Get("Content-Type") != "application/json" {
		t.Errorf("read = %d %s %v", got.Code, got.Body, got.Header())
	}
	p.expect("list", p.ask("LIST", "/v1/secret/metadata/").Code, 200)
	got = p.ask("GET", "/v1/nowhere/app")
	if got.Code != 404 || !strings.Contains(got.Body.String(), "no handler") {
		t.Errorf("an error of the server = %d %s", got.Code, got.Body)
	}
}

func TestTheLentTokenCanNeitherBeEndedNorCarriedAway(t *testing.T) {
	p := newProxied(t, Proxy{Lending: LendMissing})
	p.expect("revoking it", p.ask("POST", "/v1/auth/token/revoke-self").Code, 403)
	p.expect("requests", p.backend.Requests(), 0)
	for _, path := range []string{"/v1/auth/token/lookup-self", "/v1/auth/token/renew-self"} {
		method := map[bool]string{true: "GET", false: "POST"}[strings.Contains(path, "lookup")]
		got := p.ask(method, path)
		if got.Code != 200 || strings.Contains(got.Body.String(), p.own) || !json.Valid(got.Body.Bytes()) {
			t.Errorf("%s = %d %s", path, got.Code, got.Body)
		}
	}
	theirs := p.backend.Token(vaulttest.Token{TTL: time.Hour})
	p.expect("a caller revoking its own", p.ask("POST", "/v1/auth/token/revoke-self", header("X-Vault-Token", theirs)).Code, 204)
}

func TestFailuresOfTheServerAreToldAndBounded(t *testing.T) {
	tests := []struct {
		name  string
		setup func(p *proxied)
		code  int
		says  string
	}{
		{"the agent has no token yet", func(p *proxied) { p.agent.token = vault.Token{} }, 503, "no token yet"},
		{"the connection breaks", func(p *proxied) { p.backend.Inject(vaulttest.Fault{Drop: true}) }, 502, "check the address"},
		{"the server hangs", func(p *proxied) { p.backend.Inject(vaulttest.Fault{Hang: true}) }, 504, "deadline"},
		{"the server redirects elsewhere", func(p *proxied) { p.backend.Inject(vaulttest.Fault{Status: 307}) }, 502, "redirects"},
		{"the server is sealed", func(p *proxied) {
			p.backend.Inject(vaulttest.Fault{Status: 503, Messages: []string{"Vault is sealed"}})
		}, 503, "sealed"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newProxied(t, Proxy{Lending: LendMissing})
				test.setup(p)
				got := p.ask("GET", creds)
				if got.Code != test.code || !strings.Contains(got.Body.String(), test.says) {
					t.Errorf("answer = %d %s, want %d %q", got.Code, got.Body, test.code, test.says)
				}
			})
		})
	}
}

func TestAHugeRequestIsRefused(t *testing.T) {
	p := newProxied(t, Proxy{Lending: LendMissing})
	huge := strings.Repeat("x", maxBody+1)
	p.expect("to the proxy", p.ask("POST", "/v1/secret/data/app", body(huge)).Code, 413)
	p.expect("to the agent", p.ask("POST", "/agent/v1/cache-clear", body(huge)).Code, 400)
	p.expect("requests that reached the server", p.backend.Requests(), 0)
}

func TestAFloodOfCallersHasABudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProxied(t, Proxy{Lending: LendMissing})
		p.backend.Inject(vaulttest.Fault{Latency: 10 * time.Second})
		for range maxProxied {
			go p.ask("GET", creds)
		}
		synctest.Wait()
		p.expect("one more", p.ask("GET", creds).Code, 503)
		time.Sleep(11 * time.Second)
		p.expect("afterwards", p.ask("GET", creds).Code, 200)
	})
}

// leaseOf returns the lease id and the seconds left in an answer.
func leaseOf(t *testing.T, got *httptest.ResponseRecorder) (string, int) {
	t.Helper()
	var answer leased
	if err := json.Unmarshal(got.Body.Bytes(), &answer); err != nil {
		t.Fatalf("%v: %s", err, got.Body)
	}
	return answer.LeaseID, answer.Duration
}

func TestTheCacheSharesALeaseForMostOfItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProxied(t, Proxy{Lending: LendMissing, Cache: true})
		first := p.ask("GET", creds)
		p.expect("X-Cache", first.Header().Get("X-Cache"), "MISS")
		time.Sleep(50 * time.Second)
		second := p.ask("GET", creds)
		id, left := leaseOf(t, second)
		want, _ := leaseOf(t, first)
		p.expect("lease", id, want)
		p.expect("seconds left", left, 40)
		p.expect("X-Cache", second.Header().Get("X-Cache"), "HIT")
		p.expect("Age", second.Header().Get("Age"), "50")
		time.Sleep(11 * time.Second)
		if id, _ := leaseOf(t, p.ask("GET", creds)); id == want {
			t.Error("a lease with less than a third of its time was given away")
		}
		p.expect("credentials", p.backend.Issued(""), 2)
	})
}

func TestTheCacheTellsRequestsApart(t *testing.T) {
	p := newProxied(t, Proxy{Lending: LendMissing, Cache: true})
	other := p.backend.Token(vaulttest.Token{TTL: time.Hour})
	p.ask("GET", creds)
	p.ask("GET", creds, header("X-Vault-Token", other))
	p.ask("GET", creds, header("X-Vault-Namespace", "team"))
	p.ask("GET", creds+"?a=1&b=2")
	p.expect("credentials", p.backend.Issued(""), 4)
	p.ask("GET", creds+"?b=2&a=1")
	p.ask("GET", creds, header("X-Vault-Token", other))
	p.expect("credentials after the same again", p.backend.Issued(""), 4)
	p.ask("PUT", creds)
	p.ask("PUT", creds)
	p.expect("credentials after two writes", p.backend.Issued(""), 6)
	p.ask("POST", "/v1/secret/data/app", body(`{"data":{"key":"1"}}`))
	p.ask("GET", "/v1/secret/data/app")
	p.ask("POST", "/v1/secret/data/app", body(`{"data":{"key":"2"}}`))
	if got := p.ask("GET", "/v1/secret/data/app"); !strings.Contains(got.Body.String(), `"key":"2"`) {
		t.Errorf("a secret without a lease was kept: %s", got.Body)
	}
}

func TestTheCacheForgetsWhatIsRevokedAndFollowsRenewals(t *testing.T) {
	revoke := func(path, text string) func(p *proxied) {
		return func(p *proxied) { p.expect(path, p.ask("POST", path, body(text)).Code < 300, true) }
	}
	tests := []struct {
		name   string
		change func(p *proxied)
		issued int // after reading once, change, and reading again
	}{
		{"nothing happens", func(*proxied) {}, 1},
		{"the lease is revoked", revoke("/v1/sys/leases/revoke", `{"lease_id":"database/creds/app/lease-1"}`), 2},
		{"another lease is revoked", revoke("/v1/sys/leases/revoke", `{"lease_id":"database/creds/app/lease-9"}`), 1},
		{"its prefix is revoked", revoke("/v1/sys/leases/revoke-prefix/database/creds", ``), 2},
		{"the cache is cleared", revoke("/agent/v1/cache-clear", `{"type":"all"}`), 2},
		{"its path is cleared", revoke("/agent/v1/cache-clear", `{"type":"request_path","value":"/v1/database/creds"}`), 2},
		{"another path is cleared", revoke("/agent/v1/cache-clear", `{"type":"request_path","value":"/v1/database/cre"}`), 1},
		{"its lease is cleared", revoke("/agent/v1/cache-clear", `{"type":"lease","value":"database/creds/app/lease-1"}`), 2},
		{"another token is cleared", revoke("/agent/v1/cache-clear", `{"type":"token","value":"other"}`), 1},
		{"its token is cleared", func(p *proxied) {
			revoke("/agent/v1/cache-clear", fmt.Sprintf(`{"type":"token","value":%q}`, p.own))(p)
		}, 2},
		{"an accessor is cleared", revoke("/agent/v1/cache-clear", `{"type":"token_accessor","value":"x"}`), 2},
		{"a malformed clearing", func(p *proxied) {
			for _, text := range []string{"", "[]", `{"type":"lease"}`, `{"type":"everything","value":"x"}`} {
				p.expect(text, p.ask("POST", "/agent/v1/cache-clear", body(text)).Code, 400)
			}
		}, 1},
		{"the lease is renewed in time", func(p *proxied) {
			time.Sleep(55 * time.Second)
			revoke("/v1/sys/leases/renew", `{"lease_id":"database/creds/app/lease-1"}`)(p)
			time.Sleep(30 * time.Second)
		}, 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newProxied(t, Proxy{Lending: LendMissing, Cache: true})
				p.ask("GET", creds)
				test.change(p)
				p.ask("GET", creds)
				p.expect("credentials", p.backend.Issued(""), test.issued)
			})
		})
	}
}

func TestTheCacheIsBounded(t *testing.T) {
	p := newProxied(t, Proxy{Lending: LendMissing, Cache: true})
	for i := range maxKept + 10 {
		p.ask("GET", fmt.Sprintf("%s?n=%d", creds, i))
	}
	figures := ask(p.handler, "GET", "/metrics").Body.String()
	if want := fmt.Sprintf("securevault_agent_cache_entries %d\n", maxKept); !strings.Contains(figures, want) {
		t.Errorf("no %q in %s", want, figures)
	}
}

package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/novatech/securevault/agent/admin"
	"github.com/novatech/securevault/internal/vaulttest"
)

// observed has the agent answer, without a socket: in a bubble of synctest
// nobody may wait for one.
const observed = "telemetry {}\n"

// listening has it answer on a socket.
const listening = `
listener "unix" {
  address                = "DIR/agent.sock"
  require_request_header = false
  agent_api { enable_quit = true }
}
api_proxy { use_auto_auth_token = true }
cache {}
`

// ask sends a request to the agent as a listener would.
func (r *rig) ask(method, path string) (code int, body string) {
	r.Helper()
	handler := r.agent.admin.Handler(admin.Listener{Network: "unix", Quit: true})
	request := httptest.NewRequest(method, path, nil)
	request.URL.Host, request.URL.Scheme = "", ""
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, request)
	return answer.Code, answer.Body.String()
}

func (r *rig) status() admin.Status {
	r.Helper()
	code, body := r.ask(http.MethodGet, "/status")
	var status admin.Status
	if err := json.Unmarshal([]byte(body), &status); code != http.StatusOK || err != nil {
		r.Fatalf("/status = %d, %v: %s", code, err, body)
	}
	return status
}

// probe expects a status code of a probe, and a text in its answer.
func (r *rig) probe(path string, code int, says string) {
	r.Helper()
	if got, body := r.ask(http.MethodGet, path); got != code || !strings.Contains(body, says) {
		r.Errorf("at +%s: %s = %d %q, want %d and %q", time.Since(r.start), path, got, body, code, says)
	}
}

// Reference, section 2, row 13.
func TestReadyMeansRenderedAndTold(t *testing.T) {
	within(t, func(r *rig) {
		repair := r.server.Inject(vaulttest.Fault{Op: vaulttest.Read, Status: 503, Messages: []string{"Vault is sealed"}})
		r.launch(approle+pair("db")+observed+`notify "command" { command = ["test", "-e", "DIR/app.lock"] }`, Options{})
		r.probe("/live", 200, "alive")
		r.probe("/startup", 503, "not started")
		r.probe("/ready", 503, "/db: waiting for database/creds/app: reading")
		repair()
		r.at(10 * time.Second)
		r.expect("file", r.read("db"), "v-app-1:password-1")
		r.probe("/ready", 503, "app: not told yet")
		r.probe("/startup", 503, "app: not told yet")
		r.expect("hook failures are counted", r.status().Hooks.Failures > 1, true)
		r.write("app.lock", "")
		r.at(3 * time.Minute)
		r.probe("/startup", 200, "started")
		r.probe("/ready", 200, "ready")
		_ = r.end()
	})
}

// Reference, section 3, row 9.
func TestAnOutageLeavesTheAgentReadyUntilMaxStaleIsOver(t *testing.T) {
	within(t, func(r *rig) {
		r.launch(strings.Replace(approle, "jitter = 0", "jitter = 0\n  max_stale = \"30s\"", 1)+pair("db")+observed, Options{})
		r.probe("/ready", 200, "ready")
		repair := r.server.Inject(vaulttest.Fault{Status: 503})
		r.at(99 * time.Second)
		r.probe("/ready", 200, "ready")
		r.at(125 * time.Second)
		r.probe("/ready", 200, "ready")
		r.at(131 * time.Second)
		r.probe("/ready", 503, "more than max_stale allows")
		r.expect("last known good", r.read("db"), "v-app-1:password-1")
		r.probe("/startup", 200, "started")
		r.probe("/metrics", 200, "securevault_agent_ready 0\n")
		repair()
		r.at(5 * time.Minute)
		r.probe("/ready", 200, "ready")
		r.expect("file", r.read("db"), "v-app-2:password-2")
		_ = r.end()
	})
}

// Reference, section 2, row 12.
// Reference, section 3, row 8.
func TestStatusTellsTheLifeOfACredential(t *testing.T) {
	within(t, func(r *rig) {
		r.launch(approle+pair("db")+observed, Options{})
		r.at(10 * time.Second)
		s := r.status().Credentials[0]
		r.expect("path", s.Path, creds)
		r.expect("lease", s.LeaseID, creds+"/lease-1")
		r.expect("ends", s.Ends.Sub(r.start), 100*time.Second)
		r.expect("next action", s.Next.Action, "renew")
		r.expect("next action at", s.Next.At.Sub(r.start), 50*time.Second)
		r.expect("why", s.Next.Why, "50 % of its time will have passed")
		r.expect("dependents", fmt.Sprint(s.Dependents), fmt.Sprint([]string{r.path("db")}))
		r.server.Inject(vaulttest.Fault{Op: vaulttest.Renew, Status: 400, Messages: []string{"no"}})
		r.at(55 * time.Second)
		s = r.status().Credentials[0]
		r.expect("next action after a refusal", s.Next.Action, "rotate")
		r.expect("why", s.Next.Why, "it cannot be renewed")
		r.expect("failures", s.Failures, 1)
		r.expect("the error is told", strings.Contains(s.Error, "400"), true)
		r.at(80 * time.Second)
		status := r.status()
		s = status.Credentials[0]
		r.expect("error after a rotation", s.Error, "")
		r.expect("history", len(s.History), 2)
		r.expect("history: latest", s.History[1].Action+" "+s.History[1].LeaseID, "rotate "+creds+"/lease-2")
		r.expect("predecessors alive", s.Replaced, 1)
		r.expect("output", status.Outputs[0].State, admin.Published)
		r.expect("output: generation", status.Outputs[0].Generation, uint64(2))
		r.expect("output: changed", status.Outputs[0].Changed, s.History[1].At)
		r.expect("token", status.Token.Epoch, uint64(1))
		r.expect("token: ends", status.Token.Ends.Sub(r.start), time.Hour)
		for _, want := range []string{"secret_dynamic_create_total 2", "secret_lease_renew_failure_total 1", "secret_lease_renew_total 0"} {
			r.probe("/metrics", 200, want+"\n")
		}
		r.at(100 * time.Second)
		r.probe("/metrics", 200, "secret_lease_revoke_total 1\n")
		_ = r.end()
	})
}

func TestALeaseThatEndsByItselfCountsAsExpired(t *testing.T) {
	within(t, func(r *rig) {
		r.launch(approle+pair("db")+observed, Options{})
		heal := r.server.Inject(vaulttest.Fault{Status: 503})
		r.at(200 * time.Second)
		heal()
		r.at(400 * time.Second)
		r.probe("/metrics", 200, "secret_lease_expire_total 1\n")
		r.probe("/ready", 200, "ready")
		_ = r.end()
	})
}

// Reference, section 2, row 14.
func TestQuitStopsTheAgentAsASignalDoes(t *testing.T) {
	within(t, func(r *rig) {
		r.launch(approle+pair("db")+observed, Options{})
		if code, body := r.ask(http.MethodPost, "/agent/v1/quit"); code != http.StatusNoContent {
			t.Errorf("quit = %d %s", code, body)
		}
		r.expect("end", <-r.done, nil)
		r.expect("live leases", len(r.server.Live()), 0)
	})
}

func TestNothingThatTheAgentTellsHoldsASecret(t *testing.T) {
	within(t, func(r *rig) {
		r.launch(approle+pair("db")+observed+`
template {
  contents    = "{{ with secret \"database/creds/app\" }}{{ index .Data.password 99 }}{{ end }}"
  destination = "DIR/broken"
}
template {
  contents    = "{{ with secret \"database/creds/app\" }}{{ .Data.password }}{{ end }}"
  destination = "DIR/loud"
  command     = ["no-such-program"]
}
template {
  contents    = "{{ with secret \"secret/data/missing\" }}{{ .Data }}{{ end }}"
  destination = "DIR/missing"
}`, Options{})
		var told bytes.Buffer
		for round := range 8 {
			r.at(time.Duration(round) * 60 * time.Second)
			for _, path := range []string{"/status", "/metrics", "/", "/ready"} {
				_, body := r.ask(http.MethodGet, path)
				told.WriteString(body)
			}
		}
		_ = r.end()
		for _, entry := range r.logs.All() {
			fmt.Fprintln(&told, entry.Message, entry.ContextMap())
		}
		r.expect("credentials", r.server.Issued("") > 1, true)
		secrets := []string{"the-secret", r.token()}
		for _, lease := range r.server.Leases() {
			for _, value := range lease.Data {
				secrets = append(secrets, value.(string))
			}
		}
		for _, secret := range secrets {
			if i := strings.Index(told.String(), secret); i >= 0 {
				t.Errorf("%q is told: …%s…", secret, told.String()[max(i-200, 0):i+len(secret)])
			}
		}
	})
}

func TestAOneShotRunAnswersNobody(t *testing.T) {
	within(t, func(r *rig) {
		a := r.build(approle+pair("db")+observed+listening, Options{Once: true})
		if a.admin != nil {
			t.Error("a run that is to end by itself has listeners")
		}
	})
}

// token returns the one that the agent used last.
func (r *rig) token() string {
	history := r.server.History()
	return history[len(history)-1].Token
}

// dialSocket returns a client that connects to a socket.
func dialSocket(path string) *http.Client {
	return &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}}
}

func TestTheStatusCommandDrawsWhatTheAgentTells(t *testing.T) {
	status := admin.Status{
		Now: time.Unix(1000, 0), Generation: 3, Missing: []string{"/run/app/b.env: waiting for a secret that nobody can have because the server says so, again and again"},
		Token: admin.Token{Epoch: 1, Grant: admin.Grant{Next: admin.Next{Action: "none"}}},
		Credentials: []admin.Credential{
			{Path: "database/creds/app", Held: true, Dependents: []string{"/run/app/a.env"}, Grant: admin.Grant{
				Granted: time.Unix(940, 0), Ends: time.Unix(1060, 0), Next: admin.Next{Action: "renew", At: time.Unix(1030, 0)}}},
			{Path: "a/very/long/path/that/does/not/fit/the/column/at/all", Grant: admin.Grant{
				Error: "refused\x1b[2J", Next: admin.Next{Action: "issue", Busy: true}}},
		},
		Outputs: []admin.Output{{Destination: "/run/app/b.env", State: admin.Failed, Error: "bad"}},
		Hooks:   admin.Hooks{Error: "exit status 1"},
	}
	want := `NOT READY, generation 3, 0 leases; 0 renewed, 0 rotated, 0 revoked
  ! /run/app/b.env: waiting for a secret that nobody can have because the server
    says so, again and again

SECRET                            TIME LEFT                NEXT
(the agent's token)                             no end     none
database/creds/app                [#####-----]  1m         renew in 30s
  → /run/app/a.env
a/very/long/path…e/column/at/all                none yet   issue now
  ! refused?[2J
  ! /run/app/b.env: bad
  ! the app was not told: exit status 1
`
	if got := table(status); got != want {
		t.Errorf("table:\n%s\nwant:\n%s", got, want)
	}
	for line := range strings.Lines(table(status)) {
		if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > lineWidth {
			t.Errorf("%d columns: %s", n, line)
		}
	}
}

func TestTheStatusCommandFindsTheAgentByItsConfiguration(t *testing.T) {
	dir := t.TempDir()
	server := vaulttest.New()
	server.Role(creds, vaulttest.Role{TTL: 100 * time.Second})
	r := &rig{T: t, dir: dir, server: server}
	text := pair("db") + listening
	getenv := func(name string) string { return map[string]string{"VAULT_TOKEN": vaulttest.RootToken}[name] }
	settled := make(chan struct{})
	a := r.build(text, Options{Getenv: getenv, Settled: func() { close(settled) }})
	done := make(chan error, 1)
	go func() { done <- a.Run(t.Context()) }()
	<-settled
	run := func(args ...string) (int, string, string) {
		var out, errs bytes.Buffer
		code := Status{Ctx: t.Context(), Stdout: &out, Stderr: &errs}.Run(args)
		return code, out.String(), errs.String()
	}
	if code, out, errs := run("-config", r.path("agent.hcl")); code != ExitOK || !strings.Contains(out, creds) {
		t.Errorf("status = %d %s %s", code, out, errs)
	}
	if code, out, _ := run("-format=json", "-address", "unix://"+r.path("agent.sock")); code != ExitOK || !json.Valid([]byte(out)) {
		t.Errorf("status as JSON = %d %s", code, out)
	}
	a.view.questions <- func() { a.outputs[0].published = false }
	if code, out, _ := run("-config", r.path("agent.hcl")); code != ExitNotReady || !strings.Contains(out, "NOT READY") {
		t.Errorf("status of an agent that is not ready = %d %s", code, out)
	}
	if code, _, _ := run("-address", "unix://"+r.path("agent.sock"), "surplus"); code != ExitConfig {
		t.Errorf("usage error = %d", code)
	}
	client := dialSocket(r.path("agent.sock"))
	resp, err := client.Get("http://localhost/v1/" + creds)
	if err != nil || resp.StatusCode != http.StatusOK || server.Issued(creds) != 2 {
		t.Errorf("a read through the proxy: %v, %v; %d credentials", resp, err, server.Issued(creds))
	}
	resp, err = client.Post("http://localhost/agent/v1/quit", "", nil)
	if err != nil || resp.StatusCode != http.StatusNoContent {
		t.Fatalf("quit over the socket: %v, %v", resp, err)
	}
	if err := <-done; err != nil {
		t.Errorf("the agent ended with %v", err)
	}
	if code, _, errs := run("-config", r.path("agent.hcl")); code != ExitServer || !strings.Contains(errs, "check that it runs") {
		t.Errorf("status of no agent = %d %s", code, errs)
	}
}

// It once asked the first listener of all, which refused it.
func TestTheStatusIsAskedWhereNoCertificateIsWanted(t *testing.T) {
	r := &rig{T: t, dir: t.TempDir()}
	r.load(pair("db") + `
listener "tcp" {
  address                            = "127.0.0.1:1"
  tls_cert_file                      = "cert.pem"
  tls_key_file                       = "key.pem"
  tls_client_ca_file                 = "ca.pem"
  tls_require_and_verify_client_cert = true
}
listener "tcp" {
  address       = "127.0.0.1:2"
  tls_cert_file = "cert.pem"
  tls_key_file  = "key.pem"
}`)
	f := statusFlags{configs: paths{r.path("agent.hcl")}}
	if err := f.fromConfig(); err != nil || f.address != "https://127.0.0.1:2" || f.caCert != "cert.pem" {
		t.Errorf("asks %q, with the certificate %q: %v", f.address, f.caCert, err)
	}
}

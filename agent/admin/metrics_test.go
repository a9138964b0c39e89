package admin

import (
	"maps"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/armon/go-metrics"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// busy is the status of an agent with a bit of everything.
func busy() Status {
	lasting := Grant{Granted: start, Ends: start.Add(100 * time.Second), Renewable: true, Next: Next{Action: "renew", At: start.Add(50 * time.Second), Why: "50 % of its time will have passed"}}
	short := Grant{Granted: start, Ends: start.Add(40 * time.Second), Failures: 3, Error: `reading "database/creds/app": <b>no</b>`, Next: Next{Action: "rotate", Busy: true}}
	return Status{
		Now: start.Add(10 * time.Second), Started: start, Server: "https://vault:8200", Settled: true, Generation: 7,
		Missing: []string{"/run/b: waiting for database/creds/b"},
		Token:   Token{Grant: lasting, Accessor: "the-accessor", Epoch: 2},
		Credentials: []Credential{
			{Grant: lasting, Path: "database/creds/app", LeaseID: "database/creds/app/1", Held: true, Generation: 7, Dependents: []string{"/run/a"},
				History: []Rotation{{At: start, Action: "issue", LeaseID: "database/creds/app/1", Generation: 7}}},
			{Grant: short, Path: "database/creds/app", LeaseID: "database/creds/app/2", Held: true, Failing: start, Replaced: 1},
			{Path: `odd"path`, Grant: Grant{Next: Next{Action: "issue"}}},
		},
		Outputs: []Output{
			{Destination: "/run/a", Template: "a.tpl", State: Published, Generation: 7, Changed: start},
			{Destination: "/run/b", Template: "b.tpl", State: Failed, Error: "template: bad"},
		},
		Hooks:    Hooks{Failures: 4, Pending: true, Error: "running command \"reload\": exit status 1"},
		Counters: Counters{Created: 1, Read: 2, Adopted: 3, Renewed: 40, RenewalFailed: 5, Rotated: 6, Expired: 7, Revoked: 8, Requests: 90, Failed: 10, Leases: 2},
	}
}

func TestFiguresHaveTheNamesOfTheGuide(t *testing.T) {
	s := newServer(t, Config{Source: &agentStub{status: busy()}})
	got := ask(s.Handler(local), "GET", "/metrics")
	if kind := got.Header().Get("Content-Type"); kind != prometheusType {
		t.Errorf("content type = %q", kind)
	}
	text := got.Body.String()
	for _, want := range []string{
		"# TYPE secret_dynamic_create_total counter\nsecret_dynamic_create_total 1\n",
		"secret_lease_renew_total 40\n",
		"secret_lease_renew_failure_total 5\n",
		"secret_lease_expire_total 7\n",
		"secret_lease_revoke_total 8\n",
		"securevault_agent_hooks_failure_total 4\n",
		"securevault_agent_generation 7\n",
		"securevault_agent_ready 0\n",
		"securevault_agent_token_ttl_seconds 90\n",
		"securevault_agent_start_timestamp_seconds 1.767323045e+09\n",
		`securevault_agent_lease_ttl_seconds{path="database/creds/app"} 30` + "\n", // the worst of the two
		`securevault_agent_secret_failures{path="odd\"path"} 0` + "\n",
		`securevault_agent_template_up{destination="/run/a"} 1` + "\n",
		`securevault_agent_template_up{destination="/run/b"} 0` + "\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

// line is what the text format allows, as far as it is used here.
var line = regexp.MustCompile(`^(# HELP [a-zA-Z_:][a-zA-Z0-9_:]* .*|# TYPE [a-zA-Z_:][a-zA-Z0-9_:]* (counter|gauge)|[a-zA-Z_:][a-zA-Z0-9_:]*(\{[a-z]+="([^"\\]|\\["\\n])*"\})? -?[0-9][0-9.e+]*)$`)

func checkFormat(t *testing.T, text string) {
	t.Helper()
	seen := make(map[string]bool)
	for l := range strings.Lines(text) {
		l = strings.TrimSuffix(l, "\n")
		if !line.MatchString(l) {
			t.Errorf("not in the text format: %q", l)
		}
		if name := strings.TrimSuffix(l, l[strings.LastIndex(l, " "):]); !strings.HasPrefix(l, "#") {
			if seen[name] {
				t.Errorf("%s is there twice", name)
			}
			seen[name] = true
		}
	}
}

func TestFiguresAreInThePrometheusFormat(t *testing.T) {
	for _, status := range []Status{{}, busy()} {
		s := newServer(t, Config{Source: &agentStub{status: status}})
		checkFormat(t, ask(s.Handler(local), "GET", "/metrics").Body.String())
	}
}

func FuzzPrometheusText(f *testing.F) {
	f.Add("a.b", "help", "path", 1.5)
	f.Add("a-b", "two\nlines\\", "with \" and \\ and \n", -2.0)
	f.Add("é", "", "\xff\xfe", 1e300)
	f.Fuzz(func(t *testing.T, name, help, label string, value float64) {
		if value != value || value < -1e18 || value > 1e18 {
			value = 0 // no figure here is one of those
		}
		var out strings.Builder
		figure := labelled("x"+name, strings.ToValidUTF8(help, ""), "path", map[string]float64{label: float64(int64(value))})
		if err := writePrometheus(&out, []family{figure}); err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(out.String(), "\n"); n != 3 {
			t.Errorf("%d lines: %q", n, out.String())
		}
		checkFormat(t, out.String())
	})
}

func TestFiguresArePushed(t *testing.T) {
	tests := []struct {
		name  string
		cfg   func(address string) Telemetry
		wants []string
	}{
		{"to statsd", func(a string) Telemetry { return Telemetry{Statsd: a} },
			[]string{"secret.lease.renew:40.000000|c", "securevault.agent.generation:7.000000|g", "securevault.agent.template.up./run/a:1.000000|g"}},
		{"to statsd under a prefix", func(a string) Telemetry { return Telemetry{Statsd: a, Prefix: "app"} },
			[]string{"app.secret.lease.renew:40.000000|c"}},
		{"to dogstatsd with tags", func(a string) Telemetry { return Telemetry{Dogstatsd: a, DogstatsdTags: []string{"env:test"}} },
			[]string{"secret.lease.renew:40|c|#env:test", "securevault.agent.template.up:1|g|#env:test,destination:/run/a"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			collector, err := net.ListenPacket("udp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer collector.Close()
			run(t, Config{Source: &agentStub{status: busy()}, Telemetry: test.cfg(collector.LocalAddr().String())})
			expectAll(t, collector, test.wants)
		})
	}
}

// expectAll reads until every text has come.
func expectAll(t *testing.T, collector net.PacketConn, wants []string) {
	t.Helper()
	if err := collector.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	packet := make([]byte, 64<<10)
	for _, want := range wants {
		for !strings.Contains(all.String(), want) {
			n, _, err := collector.ReadFrom(packet)
			if err != nil {
				t.Fatalf("%q did not come: %v; what did:\n%s", want, err, all.String())
			}
			all.Write(packet[:n])
			all.WriteByte('\n')
		}
	}
}

func TestFiltersAndPushesOfWhatHasRisen(t *testing.T) {
	to := Telemetry{HoldBack: true, PrefixFilter: []string{"+secret.lease", "-secret.lease.expire"}}
	sink := metrics.NewInmemSink(time.Hour, time.Hour)
	filtered, err := metrics.New(to.config("host"), sink)
	if err != nil {
		t.Fatal(err)
	}
	s, sent := newServer(t, Config{}), make(map[string]float64)
	emit(filtered, s.figures(busy()), sent)
	again := busy()
	again.Counters.Revoked = 9
	emit(filtered, s.figures(again), sent)
	data := sink.Data()[0]
	got := make(map[string]float64)
	for name, counter := range data.Counters {
		got[name] = counter.Sum
	}
	want := map[string]float64{"secret.lease.renew": 40, "secret.lease.renew.failure": 5, "secret.lease.revoke": 9}
	if !maps.Equal(got, want) || len(data.Gauges) != 0 {
		t.Errorf("pushed %v and %v, want %v", got, data.Gauges, want)
	}
}

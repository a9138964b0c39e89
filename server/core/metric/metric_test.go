package metric

import (
	"context"
	"encoding/json"
	"net"
	"strings"
	"testing"
	"time"
)

func registry(t *testing.T, c Config) *Registry {
	t.Helper()
	r, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// fill makes one event of every kind.
func fill(r *Registry) {
	labels := Labels{Mount: "database/", Role: "app", Engine: "database"}
	for name := range names() {
		r.Count(name, labels)
	}
	r.Count(Created, labels)
	r.Observe("database/", "read", 3*time.Millisecond)
	r.SetGauges(func() []Gauge {
		return []Gauge{{Name: "secret.lease.count", Labels: map[string]string{"mount": "database/"}, Value: 7}}
	})
}

func TestPrometheusReadsTheGuidesNames(t *testing.T) {
	r := registry(t, Config{})
	fill(r)
	text, err := r.Text()
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		`secret_dynamic_create{engine="database",mount="database/",role="app"} 2`,
		`secret_lease_renew{engine="database",mount="database/",role="app"} 1`,
		`secret_lease_renew_failure{engine="database",mount="database/",role="app"} 1`,
		`secret_lease_expire{engine="database",mount="database/",role="app"} 1`,
		`secret_lease_revoke{engine="database",mount="database/",role="app"} 1`,
		`database_creds_created{engine="database",mount="database/",role="app"} 1`,
		`secret_lease_count{mount="database/"} 7`,
		`core_request_duration_seconds_bucket{mount="database/",operation="read",le="0.005"} 1`,
		`core_request_duration_seconds_bucket{mount="database/",operation="read",le="0.0025"} 0`,
		`# TYPE secret_dynamic_create counter`,
	} {
		if !strings.Contains(string(text), line+"\n") {
			t.Errorf("%s is missing in:\n%s", line, text)
		}
	}
	r.SetGauges(nil)
	if text, err = r.Text(); err != nil || strings.Contains(string(text), "secret_lease_count") {
		t.Error("gauges are there without anybody to ask", err)
	}
}

func TestAPrefixComesBeforeEveryName(t *testing.T) {
	r := registry(t, Config{Prefix: "vault"})
	fill(r)
	text, err := r.Text()
	if err != nil || !strings.Contains(string(text), "vault_secret_dynamic_create{") || strings.Contains(string(text), "\nsecret_") {
		t.Errorf("%v\n%s", err, text)
	}
	for _, s := range r.Read() {
		if strings.HasPrefix(s.Name, "vault") {
			t.Errorf("alerts would not find %q", s.Name)
		}
	}
}

func TestTheSummaryIsReadableAsJSON(t *testing.T) {
	r := registry(t, Config{})
	fill(r)
	text, err := json.Marshal(r.Summary())
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{
		`{"Name":"secret.dynamic.create","Labels":{"engine":"database","mount":"database/","role":"app"},"Value":2}`,
		`{"Name":"secret.lease.count","Labels":{"mount":"database/"},"Value":7}`,
		`{"Name":"core.request.duration","Labels":{"mount":"database/","operation":"read"},"Count":1,"Sum":0.003,"Mean":0.003}`,
	} {
		if !strings.Contains(string(text), part) {
			t.Errorf("%s is missing in %s", part, text)
		}
	}
}

// packets returns what arrives at a new UDP socket, and its address.
func packets(t *testing.T) (read func(want string) bool, address string) {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	buffer := make([]byte, 64<<10)
	var seen strings.Builder
	return func(want string) bool {
		_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		for !strings.Contains(seen.String(), want) {
			n, _, err := conn.ReadFrom(buffer)
			if err != nil {
				return false
			}
			seen.Write(buffer[:n])
		}
		return true
	}, conn.LocalAddr().String()
}

func TestMetricsArePushed(t *testing.T) {
	cases := map[string]struct {
		push func(address string) Push
		want []string
	}{
		"statsd":         {func(a string) Push { return Push{Statsd: a, Default: true} }, []string{"secret.dynamic.create.database/.app.database:1.000000|c", "secret.lease.count.database/:7.000000|g"}},
		"DogStatsD":      {func(a string) Push { return Push{Dogstatsd: a, Default: true, DogstatsdTags: []string{"env:x"}} }, []string{"secret.dynamic.create:1|c|#env:x,mount:database/,role:app,engine:database"}},
		"without filter": {func(a string) Push { return Push{Statsd: a, Filter: []string{"+secret.lease"}} }, []string{"secret.lease.renew.database/.app.database:1.000000|c"}},
		"with its host":  {func(a string) Push { return Push{Statsd: a, Default: true, Host: "node1"} }, []string{"node1.secret.lease.count.database/:7.000000|g"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			read, address := packets(t)
			r := registry(t, Config{Push: c.push(address)})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			fill(r)
			go func() { _ = r.Run(ctx) }()
			for _, want := range c.want {
				if !read(want) {
					t.Fatalf("%q does not arrive", want)
				}
			}
		})
	}
}

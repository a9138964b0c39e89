// Package metric counts what the server does, under the names of the guide.
//
// A Registry (below) takes events (Count, Observe) and asks for gauges when it
// is read. It is read in two forms, the text of Prometheus and JSON
// (expose.go), and by the alerts (Read); push.go sends the same to statsd,
// statsite and DogStatsD. The names are written with dots here and wherever
// people read them; Prometheus gets underscores in their place.
package metric

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// Name is the name of a counter.
type Name string

// The counters there are.
const (
	Created         Name = "secret.dynamic.create"       // dynamic secrets created
	Renewed         Name = "secret.lease.renew"          // leases renewed
	RenewalFailed   Name = "secret.lease.renew.failure"  // renewals refused or failed
	Expired         Name = "secret.lease.expire"         // leases ended by their TTL
	Revoked         Name = "secret.lease.revoke"         // leases ended before
	DatabaseCreated Name = "database.creds.created"      // database credentials issued
	RevokeFailed    Name = "secret.lease.revoke.failure" // attempts to end a lease that failed
)

// names lists the counters with what they count.
func names() map[Name]string {
	return map[Name]string{
		Created:         "Dynamic secrets created.",
		Renewed:         "Lease renewals.",
		RenewalFailed:   "Lease renewals that were refused or failed.",
		Expired:         "Lease expirations.",
		Revoked:         "Lease revocations.",
		DatabaseCreated: "Database credentials issued.",
		RevokeFailed:    "Attempts to end a lease that failed.",
	}
}

// The gauges there are.
const (
	Unsealed     = "core.unsealed"            // 1; absent while the server is sealed
	Leases       = "secret.lease.count"       // leases now
	Irrevocable  = "secret.lease.irrevocable" // leases whose revocation keeps failing
	LimitUsed    = "secret.lease.limit.used"  // leases of a role, as a fraction of its limit
	durationSum  = requestDuration + ".seconds.sum"
	durationSeen = requestDuration + ".seconds.count"
)

// requestDuration is the histogram of requests.
const requestDuration = "core.request.duration"

// Known returns the name of every metric that Read may return, sorted.
func Known() []string {
	all := []string{Unsealed, Leases, Irrevocable, LimitUsed, durationSum, durationSeen}
	for name := range names() {
		all = append(all, string(name))
	}
	slices.Sort(all)
	return all
}

// Fraction tells whether a metric is a part of a whole: such series cannot be added up.
func Fraction(name string) bool { return name == LimitUsed }

// buckets bound the durations of requests, in seconds.
func buckets() []float64 {
	return []float64{0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 90}
}

// Labels tell whose event it was.
type Labels struct {
	Mount  string // path, with the final slash
	Role   string
	Engine string // type
}

func (l Labels) values() []string { return []string{l.Mount, l.Role, l.Engine} }

// Gauge is a value as it is now.
type Gauge struct {
	Name   string
	Labels map[string]string
	Value  float64
}

// Registry holds all metrics. Its methods are safe for concurrent use. A nil
// Registry takes everything and keeps nothing.
type Registry struct {
	prefix   string // with its dot, or empty
	registry *prometheus.Registry
	counters map[Name]*prometheus.CounterVec
	requests *prometheus.HistogramVec
	push     *pusher // nil: nowhere

	gauges atomic.Pointer[func() []Gauge] // nil: there are none now
}

// Config says how metrics are named and where they are sent.
type Config struct {
	Prefix string // before every name; empty for none
	Push   Push
}

// New returns a registry of zeros.
func New(c Config) (*Registry, error) {
	r := &Registry{registry: prometheus.NewRegistry(), counters: map[Name]*prometheus.CounterVec{}}
	if c.Prefix != "" {
		r.prefix = strings.TrimSuffix(c.Prefix, ".") + "."
	}
	for name, help := range names() {
		counter := prometheus.NewCounterVec(prometheus.CounterOpts{Name: r.underscored(string(name)), Help: help}, []string{"mount", "role", "engine"})
		r.counters[name] = counter
		r.registry.MustRegister(counter)
	}
	r.requests = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: r.underscored(requestDuration + ".seconds"), Help: "Time to answer a request.", Buckets: buckets(),
	}, []string{"mount", "operation"})
	r.registry.MustRegister(r.requests, current{r}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	var err error
	if r.push, err = newPusher(c.Prefix, c.Push); err != nil {
		return nil, fmt.Errorf("preparing telemetry: %w", err)
	}
	return r, nil
}

// Count counts one event.
func (r *Registry) Count(name Name, l Labels) {
	if r == nil {
		return
	}
	r.counters[name].WithLabelValues(l.values()...).Inc()
	r.push.count(name, l)
}

// Observe takes down how long a request took.
func (r *Registry) Observe(mount, operation string, took time.Duration) {
	if r == nil {
		return
	}
	r.requests.WithLabelValues(mount, operation).Observe(took.Seconds())
	r.push.observe(mount, operation, took)
}

// SetGauges names what to ask for the gauges from now on; nil for nobody.
func (r *Registry) SetGauges(read func() []Gauge) {
	switch {
	case r == nil:
	case read == nil:
		r.gauges.Store(nil)
	default:
		r.gauges.Store(&read)
	}
}

// Prefix returns what stands before every name, with its dot; it may be empty.
func (r *Registry) Prefix() string {
	if r == nil {
		return ""
	}
	return r.prefix
}

func (r *Registry) readGauges() []Gauge {
	if read := r.gauges.Load(); read != nil {
		return (*read)()
	}
	return nil
}

func (r *Registry) underscored(name string) string { return Underscored(r.prefix + name) }

// Underscored returns a name as Prometheus has it.
func Underscored(name string) string { return strings.NewReplacer(".", "_", "-", "_").Replace(name) }

// current is the collector of the gauges, which come and go.
type current struct{ registry *Registry }

// Describe implements prometheus.Collector; saying nothing leaves the names open.
func (c current) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c current) Collect(out chan<- prometheus.Metric) {
	for _, g := range c.registry.readGauges() {
		desc := prometheus.NewDesc(c.registry.underscored(g.Name), "The value of "+g.Name+" now.", nil, g.Labels)
		out <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, g.Value)
	}
}

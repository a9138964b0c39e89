package metric

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/hashicorp/go-metrics"
	"github.com/hashicorp/go-metrics/datadog"
)

// gaugePeriod is how often gauges are sent.
const gaugePeriod = 10 * time.Second

// Push says where metrics are sent, and which.
type Push struct {
	Statsd        string // host:port; empty for none
	Statsite      string
	Dogstatsd     string
	DogstatsdTags []string // name:value

	Host      string   // before the name of every gauge; empty for none
	HostLabel bool     // the host as a label instead
	Default   bool     // whether what no rule of Filter is about is sent
	Filter    []string // "+name" sends, "-name" holds back what begins so
}

// pusher sends to all of them. A nil pusher sends nothing.
type pusher struct{ metrics *metrics.Metrics }

func newPusher(prefix string, p Push) (*pusher, error) {
	sinks, err := p.sinks()
	if err != nil || len(sinks) == 0 {
		return nil, err
	}
	config := &metrics.Config{
		ServiceName: strings.TrimSuffix(prefix, "."), HostName: p.Host, EnableHostname: p.Host != "" && !p.HostLabel,
		EnableHostnameLabel: p.HostLabel, TimerGranularity: time.Millisecond, FilterDefault: p.Default,
	}
	if p.HostLabel && p.Host == "" {
		if config.HostName, err = os.Hostname(); err != nil {
			return nil, fmt.Errorf("finding the host's name: %w", err)
		}
	}
	for _, rule := range p.Filter {
		if name, allow := strings.CutPrefix(rule, "+"); allow {
			config.AllowedPrefixes = append(config.AllowedPrefixes, name)
		} else {
			config.BlockedPrefixes = append(config.BlockedPrefixes, strings.TrimPrefix(rule, "-"))
		}
	}
	made, err := metrics.New(config, sinks)
	if err != nil {
		return nil, err
	}
	return &pusher{made}, nil
}

func (p Push) sinks() (metrics.FanoutSink, error) {
	var sinks metrics.FanoutSink
	add := func(kind, address string, sink metrics.MetricSink, err error) error {
		if err != nil {
			return fmt.Errorf("sending metrics to %s at %q: %w", kind, address, err)
		}
		sinks = append(sinks, sink)
		return nil
	}
	if p.Statsd != "" {
		sink, err := metrics.NewStatsdSink(p.Statsd)
		if err := add("statsd", p.Statsd, sink, err); err != nil {
			return nil, err
		}
	}
	if p.Statsite != "" {
		sink, err := metrics.NewStatsiteSink(p.Statsite)
		if err := add("statsite", p.Statsite, sink, err); err != nil {
			return nil, err
		}
	}
	if p.Dogstatsd != "" {
		sink, err := datadog.NewDogStatsdSink(p.Dogstatsd, p.Host)
		if err == nil {
			sink.SetTags(p.DogstatsdTags)
		}
		if err := add("DogStatsD", p.Dogstatsd, sink, err); err != nil {
			return nil, err
		}
	}
	return sinks, nil
}

func (p *pusher) count(name Name, l Labels) {
	if p != nil {
		p.metrics.IncrCounterWithLabels(strings.Split(string(name), "."), 1, []metrics.Label{
			{Name: "mount", Value: l.Mount}, {Name: "role", Value: l.Role}, {Name: "engine", Value: l.Engine},
		})
	}
}

func (p *pusher) observe(mount, operation string, took time.Duration) {
	if p != nil {
		milliseconds := float32(took) / float32(time.Millisecond)
		p.metrics.AddSampleWithLabels(strings.Split(requestDuration, "."), milliseconds, []metrics.Label{
			{Name: "mount", Value: mount}, {Name: "operation", Value: operation},
		})
	}
}

// Run sends the gauges from time to time, until ctx ends.
func (r *Registry) Run(ctx context.Context) error {
	if r.push == nil {
		<-ctx.Done()
		return ctx.Err()
	}
	defer r.push.metrics.Shutdown()
	ticker := time.NewTicker(gaugePeriod)
	defer ticker.Stop()
	for {
		r.pushGauges()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}

func (r *Registry) pushGauges() {
	for _, g := range r.readGauges() {
		labels := make([]metrics.Label, 0, len(g.Labels))
		for name, value := range g.Labels {
			labels = append(labels, metrics.Label{Name: name, Value: value})
		}
		r.push.metrics.SetGaugeWithLabels(strings.Split(g.Name, "."), float32(g.Value), labels)
	}
}

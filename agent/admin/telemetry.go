package admin

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/armon/go-metrics"
	"go.uber.org/zap"
)

// pushEvery is the time between two pushes of the figures.
const pushEvery = 10 * time.Second

// Telemetry says where figures are pushed to; what is served at /metrics does
// not depend on it.
type Telemetry struct {
	Statsd        string   // "host:port", UDP; "" for none
	Statsite      string   // "host:port", TCP; "" for none
	Dogstatsd     string   // "host:port", UDP; "" for none
	DogstatsdTags []string // "key:value"
	Prefix        string   // before every name
	Hostname      bool     // put the name of this machine into the names of gauges
	HostnameLabel bool     // give every figure the name of this machine as a label
	HoldBack      bool     // push only what a filter lets through
	PrefixFilter  []string // "+name" lets through, "-name" holds back
}

func (t Telemetry) pushes() bool { return t.Statsd != "" || t.Statsite != "" || t.Dogstatsd != "" }

// sinks connects to whoever gets the figures.
func (t Telemetry) sinks() (metrics.FanoutSink, error) {
	var out metrics.FanoutSink
	if t.Statsd != "" {
		sink, err := metrics.NewStatsdSink(t.Statsd)
		if err != nil {
			return out, fmt.Errorf("connecting to statsd_address: %w", err)
		}
		out = append(out, sink)
	}
	if t.Statsite != "" {
		sink, err := metrics.NewStatsiteSink(t.Statsite)
		if err != nil {
			return out, fmt.Errorf("connecting to statsite_address: %w", err)
		}
		out = append(out, sink)
	}
	if t.Dogstatsd != "" {
		out = append(out, &dogstatsd{address: t.Dogstatsd, tags: t.DogstatsdTags})
	}
	return out, nil
}

// metrics returns what names, filters and sends figures.
func (t Telemetry) metrics() (*metrics.Metrics, error) {
	hostname, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("finding the name of this machine: %w", err)
	}
	sinks, err := t.sinks()
	if err != nil {
		return nil, err
	}
	return metrics.New(t.config(hostname), sinks)
}

func (t Telemetry) config(hostname string) *metrics.Config {
	config := &metrics.Config{
		ServiceName: t.Prefix, HostName: hostname, EnableHostname: t.Hostname, EnableHostnameLabel: t.HostnameLabel,
		FilterDefault: !t.HoldBack,
	}
	for _, filter := range t.PrefixFilter {
		if name, ok := strings.CutPrefix(filter, "-"); ok {
			config.BlockedPrefixes = append(config.BlockedPrefixes, name)
			continue
		}
		config.AllowedPrefixes = append(config.AllowedPrefixes, strings.TrimPrefix(filter, "+"))
	}
	return config
}

// push sends the figures every now and then, until ctx ends. No trouble with
// them is worth stopping the agent.
func (s *Server) push(ctx context.Context) error {
	if !s.cfg.Telemetry.pushes() {
		return nil
	}
	to, err := s.cfg.Telemetry.metrics()
	if err != nil {
		s.cfg.Log.Error("figures are not pushed", zap.Error(err))
		return nil
	}
	defer to.Shutdown()
	sent := make(map[string]float64) // name → what a counter stood at
	ticker := time.NewTicker(pushEvery)
	defer ticker.Stop()
	for {
		if status, err := s.ask(ctx); err == nil {
			emit(to, s.figures(status), sent)
		} else if ctx.Err() == nil {
			s.cfg.Log.Warn("pushing figures failed", zap.Error(err))
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ticker.C:
		}
	}
}

// emit sends figures; of a counter what it has risen by.
func emit(to *metrics.Metrics, families []family, sent map[string]float64) {
	for _, f := range families {
		if strings.HasSuffix(f.name, ".timestamp.seconds") {
			continue // too many digits for what is pushed
		}
		name := strings.Split(f.name, ".")
		for _, s := range f.samples {
			var labels []metrics.Label
			if f.label != "" {
				labels = []metrics.Label{{Name: f.label, Value: s.label}}
			}
			if !f.counter {
				to.SetGaugeWithLabels(name, float32(s.value), labels)
				continue
			}
			if risen := s.value - sent[f.name]; risen > 0 {
				to.IncrCounterWithLabels(name, float32(risen), labels)
				sent[f.name] = s.value
			}
		}
	}
}

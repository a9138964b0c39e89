package metric

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
)

// TextType returns the content type of Text.
func TextType() string { return string(expfmt.NewFormat(expfmt.TypeTextPlain)) }

// Text returns everything in the text format of Prometheus.
func (r *Registry) Text() ([]byte, error) {
	families, err := r.registry.Gather()
	if err != nil {
		return nil, fmt.Errorf("gathering metrics: %w", err)
	}
	var text bytes.Buffer
	encoder := expfmt.NewEncoder(&text, expfmt.NewFormat(expfmt.TypeTextPlain))
	for _, family := range families {
		if err := encoder.Encode(family); err != nil {
			return nil, fmt.Errorf("encoding metrics: %w", err)
		}
	}
	return text.Bytes(), nil
}

// Series is one metric of one set of labels.
type Series struct {
	Name   string // with dots
	Labels map[string]string
	Value  float64
	// Counter tells that the value only grows while the server runs.
	Counter bool
}

// Read returns the counters and gauges as they are now, without those of the
// process.
func (r *Registry) Read() []Series {
	var all []Series
	for name, counter := range r.counters {
		all = append(all, series(string(name), collect(counter), true)...)
	}
	for _, h := range collect(r.requests) {
		labels := labelsOf(h)
		all = append(all,
			Series{Name: durationSeen, Labels: labels, Value: float64(h.GetHistogram().GetSampleCount()), Counter: true},
			Series{Name: durationSum, Labels: labels, Value: h.GetHistogram().GetSampleSum(), Counter: true})
	}
	for _, g := range r.readGauges() {
		all = append(all, Series{Name: g.Name, Labels: g.Labels, Value: g.Value})
	}
	return all
}

// Summary is everything in the shape that sys/metrics has in JSON.
type Summary struct {
	Timestamp string
	Gauges    []Value
	Counters  []Value
	Samples   []Sample
}

// Value is a gauge or a counter.
type Value struct {
	Name   string
	Labels map[string]string
	Value  float64
}

// Sample sums up durations, in seconds.
type Sample struct {
	Name   string
	Labels map[string]string
	Count  uint64
	Sum    float64
	Mean   float64
}

// Summary returns everything but the metrics of the process.
func (r *Registry) Summary() Summary {
	s := Summary{Timestamp: time.Now().UTC().Format(time.RFC3339), Gauges: []Value{}, Counters: []Value{}, Samples: []Sample{}}
	for _, one := range r.Read() {
		value := Value{Name: r.prefix + one.Name, Labels: one.Labels, Value: one.Value}
		switch {
		case strings.HasPrefix(one.Name, requestDuration):
		case one.Counter:
			s.Counters = append(s.Counters, value)
		default:
			s.Gauges = append(s.Gauges, value)
		}
	}
	for _, m := range collect(r.requests) {
		h := m.GetHistogram()
		s.Samples = append(s.Samples, Sample{
			Name: r.prefix + requestDuration, Labels: labelsOf(m),
			Count: h.GetSampleCount(), Sum: h.GetSampleSum(), Mean: h.GetSampleSum() / float64(max(1, h.GetSampleCount())),
		})
	}
	slices.SortFunc(s.Counters, func(a, b Value) int { return strings.Compare(a.Name+fmt.Sprint(a.Labels), b.Name+fmt.Sprint(b.Labels)) })
	return s
}

func series(name string, metrics []*dto.Metric, counter bool) []Series {
	all := make([]Series, len(metrics))
	for i, m := range metrics {
		all[i] = Series{Name: name, Labels: labelsOf(m), Value: m.GetCounter().GetValue(), Counter: counter}
	}
	return all
}

func labelsOf(m *dto.Metric) map[string]string {
	labels := make(map[string]string, len(m.GetLabel()))
	for _, pair := range m.GetLabel() {
		labels[pair.GetName()] = pair.GetValue()
	}
	return labels
}

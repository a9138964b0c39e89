package alert

import (
	"time"

	"github.com/novatech/securevault/server/core/metric"
)

// history keeps what the metric of one condition was: as much of the past as
// the condition looks back.
type history struct {
	condition Condition
	samples   []sample // oldest first
}

type sample struct {
	at    time.Time
	value float64
}

// add remembers what the metric is now, and forgets what is too old.
func (h *history) add(now time.Time, series []metric.Series) {
	value := 0.0
	for _, s := range series {
		switch {
		case s.Name != h.condition.Metric || !matches(s.Labels, h.condition.Labels):
		case metric.Fraction(s.Name):
			value = max(value, s.Value)
		default:
			value += s.Value
		}
	}
	h.samples = append(h.samples, sample{now, value})
	old := 0
	for now.Sub(h.samples[old].at) > h.condition.Window+Interval/2 { // a ticker is never quite on time
		old++
	}
	h.samples = append(h.samples[:0], h.samples[old:]...)
}

// value returns the left side of the condition. A rate is over the whole window
// even when less of it is known: a burst in the first seconds of a server is no
// rate yet.
func (h *history) value() float64 {
	if h.condition.Function == Current {
		return h.samples[len(h.samples)-1].value
	}
	growth := 0.0
	for i := 1; i < len(h.samples); i++ {
		growth += max(0, h.samples[i].value-h.samples[i-1].value) // a counter that shrinks has begun anew
	}
	if h.condition.Function == Increase {
		return growth
	}
	return growth / h.condition.Window.Seconds()
}

func matches(labels, wanted map[string]string) bool {
	for name, value := range wanted {
		if labels[name] != value {
			return false
		}
	}
	return true
}

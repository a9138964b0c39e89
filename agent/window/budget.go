package window

import (
	"slices"
	"time"
)

// Budget allows Count events in any time of length Per. The zero value allows
// everything.
type Budget struct {
	Count int
	Per   time.Duration
}

// Next returns the first time from now on at which one more event is within
// the budget, given the times of past events in their order.
func (b Budget) Next(now time.Time, past []time.Time) time.Time {
	if b.Count <= 0 || len(past) < b.Count {
		return now
	}
	return later(now, past[len(past)-b.Count].Add(b.Per))
}

// Spend returns the past with one more event, and without those that no
// longer count. It leaves past alone.
func (b Budget) Spend(now time.Time, past []time.Time) []time.Time {
	if b.Count <= 0 {
		return nil
	}
	kept := append(slices.Clone(past), now)
	return kept[max(0, len(kept)-b.Count):]
}

package window

import "time"

// Window is a time of the day on some days of the week, by the clock on the
// wall: on the night that summer time begins, one from 22:00 to 04:00 is an
// hour shorter, and one in the hour that is left out does not open.
type Window struct {
	Days [7]bool        // on which it opens, by [time.Weekday]
	From time.Duration  // since midnight
	To   time.Duration  // since midnight; if not after From, on the next day
	Zone *time.Location // [time.Local] when nil
}

// Windows are times at which something may happen; none means always.
type Windows []Window

// span is one opening of a window: from start, and until before end.
type span struct{ start, end time.Time }

func (s span) contains(t time.Time) bool { return !t.Before(s.start) && t.Before(s.end) }

// Next returns the first time from now on at which a window is open. Windows
// that never open do not hold up anything.
func (w Windows) Next(now time.Time) time.Time {
	var next time.Time
	for _, s := range w.spans(now, now.AddDate(0, 0, 8)) {
		if start := later(s.start, now); start.Before(s.end) && (next.IsZero() || start.Before(next)) {
			next = start
		}
	}
	if next.IsZero() {
		return now
	}
	return next
}

// spread is the first part of a window over which a fleet is spread that has
// waited for it.
const spread = 5 * time.Minute

// due returns when to act in the window: a share, from 0 to 1, of its first
// minutes after it opens, and in its first half.
func (s span) due(share float64) time.Time {
	return s.start.Add(time.Duration(share * float64(min(spread, s.end.Sub(s.start)/2))))
}

// After returns the first time from now on at which to act in a window that has
// opened after some time before; zero for none. See [span.due] for the share.
func (w Windows) After(before, now time.Time, share float64) time.Time {
	var next time.Time
	for _, s := range w.spans(now, now.AddDate(0, 0, 8)) {
		at := later(s.due(share), now)
		if s.start.After(before) && at.Before(s.end) && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	return next
}

// By returns when to do what has to be done by the deadline, and may be done
// from a certain time on. That is the deadline if a window is open then; else
// the beginning of the last window before it, or from if that is later; else
// the deadline, since a credential must be replaced before it ends.
//
// To ask for half of a credential's life, and no more, is what keeps one that
// was just replaced in a long window from being replaced again in it.
func (w Windows) By(from, deadline time.Time, share float64) time.Time {
	var last time.Time
	for _, s := range w.spans(from, deadline) {
		if s.contains(deadline) {
			return deadline
		}
		if s.end.After(from) && !s.start.After(deadline) {
			last = later(last, earlier(later(s.due(share), from), deadline))
		}
	}
	if last.IsZero() {
		return deadline
	}
	return last
}

// spans returns every opening that may reach into the time from one moment to
// another, of at most nine days before the second.
func (w Windows) spans(from, to time.Time) []span {
	from = later(from, to.AddDate(0, 0, -9))
	var out []span
	for _, window := range w {
		// Noon exists on each day and belongs to it, which midnight does not
		// where summer time begins then.
		year, month, day := from.In(window.zone()).Date()
		noon := time.Date(year, month, day-1, 12, 0, 0, 0, window.zone())
		for ; noon.Before(to.AddDate(0, 0, 1)); noon = noon.AddDate(0, 0, 1) {
			if s := window.on(noon.Date()); window.Days[noon.Weekday()] && s.start.Before(s.end) {
				out = append(out, s)
			}
		}
	}
	return out
}

// on returns the opening of the window on a day.
func (w Window) on(year int, month time.Month, day int) span {
	at := func(day int, clock time.Duration) time.Time {
		// Not midnight plus clock: a day may have 23 or 25 hours.
		return time.Date(year, month, day, 0, 0, int(clock/time.Second), 0, w.zone())
	}
	if w.To <= w.From {
		return span{at(day, w.From), at(day+1, w.To)}
	}
	return span{at(day, w.From), at(day, w.To)}
}

func (w Window) zone() *time.Location {
	if w.Zone == nil {
		return time.Local
	}
	return w.Zone
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

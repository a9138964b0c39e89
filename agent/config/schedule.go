package config

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Never is the interval of what is read once.
const Never Interval = -1

// Interval is a [Duration] of more than 0, or [Never], written "never".
type Interval Duration

func (i *Interval) decode(v value) error {
	if v.kind == text && strings.EqualFold(v.scalar, "never") {
		*i = Never
		return nil
	}
	var d Duration
	if err := d.decode(v); err != nil {
		return fmt.Errorf("%w; \"never\" is possible too", err)
	}
	if d == 0 {
		return errors.New("want more than 0, or \"never\"")
	}
	*i = Interval(d)
	return nil
}

func (i *Interval) encode() value {
	if *i == Never {
		return value{kind: text, scalar: "never"}
	}
	return (*Duration)(i).encode()
}

// Budget allows Count events in any time of length Per. It is written "3/1h".
type Budget struct {
	Count int
	Per   Duration
}

func (b *Budget) decode(v value) error {
	count, per, found := strings.Cut(v.scalar, "/")
	n, err := strconv.Atoi(count)
	d, durationErr := ParseDuration(per)
	if v.kind != text || !found || err != nil || n < 1 || durationErr != nil || d == 0 {
		return fmt.Errorf("want a number in a time, such as \"3/1h\", got %s", got(v))
	}
	*b = Budget{n, d}
	return nil
}

func (b *Budget) encode() value {
	return value{kind: text, scalar: fmt.Sprintf("%d/%s", b.Count, b.Per.short())}
}

// Windows are the times of the week at which something may happen; none means
// always. They are written as one text or a list of texts, each
// "[DAYS ]HH:MM-HH:MM[ UTC]", such as "Mon-Fri 02:00-04:30".
type Windows []Window

// Window is a time of the day, on some days of the week. One that ends no
// later than it starts goes over midnight and belongs to the day it starts on.
type Window struct {
	Days     [7]bool  // by [time.Weekday]
	From, To Duration // since midnight
	UTC      bool     // local time otherwise
}

func (w *Windows) decode(v value) error {
	items := []value{v}
	if v.kind == list {
		items = v.items
	}
	var windows Windows
	for _, item := range items {
		window, ok := parseWindow(item.scalar)
		if item.kind != text || !ok {
			return fmt.Errorf("want a time such as \"Mon-Fri 02:00-04:30\" or \"Sun 23:00-01:00 UTC\", got %s", got(item))
		}
		windows = append(windows, window)
	}
	*w = windows
	return nil
}

func (w *Windows) encode() value {
	out := value{kind: list}
	for _, window := range *w {
		out.items = append(out.items, value{kind: text, scalar: window.String()})
	}
	return out
}

func parseWindow(s string) (w Window, ok bool) {
	words := strings.Fields(s)
	if n := len(words); n > 1 && strings.EqualFold(words[n-1], "UTC") {
		w.UTC, words = true, words[:n-1]
	}
	w.Days = [7]bool{true, true, true, true, true, true, true}
	if len(words) == 2 {
		if w.Days, ok = parseDays(words[0]); !ok {
			return Window{}, false
		}
		words = words[1:]
	}
	if len(words) != 1 {
		return Window{}, false
	}
	from, to, _ := strings.Cut(words[0], "-")
	var fromOK, toOK bool
	w.From, fromOK = parseClock(from)
	w.To, toOK = parseClock(to)
	return w, fromOK && toOK
}

// parseDays reads days with commas between, each alone or "first-last".
func parseDays(s string) (days [7]bool, ok bool) {
	for part := range strings.SplitSeq(s, ",") {
		first, last, ranged := strings.Cut(part, "-")
		if !ranged {
			last = first
		}
		day, end := weekday(first), weekday(last)
		if day < 0 || end < 0 {
			return days, false
		}
		for days[day] = true; day != end; days[day] = true {
			day = (day + 1) % 7
		}
	}
	return days, true
}

// weekday returns the number of a day, written with three letters; -1 for
// anything else.
func weekday(s string) int {
	return slices.IndexFunc(weekdays(), func(name string) bool { return strings.EqualFold(name, s) })
}

func weekdays() []string {
	return []string{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"}
}

// parseClock reads "HH:MM", up to 24:00.
func parseClock(s string) (Duration, bool) {
	if s == "24:00" {
		return Duration(24 * time.Hour), true
	}
	clock, err := time.Parse("15:04", s)
	return Duration(clock.Sub(clock.Truncate(24 * time.Hour))), err == nil
}

// String returns the window as it is written.
func (w Window) String() string {
	var out []string
	if w.Days != [7]bool{true, true, true, true, true, true, true} {
		var days []string
		for i, name := range weekdays() {
			if w.Days[i] {
				days = append(days, name)
			}
		}
		out = append(out, strings.Join(days, ","))
	}
	clock := func(d Duration) string {
		minutes := time.Duration(d) / time.Minute
		return fmt.Sprintf("%02d:%02d", minutes/60, minutes%60)
	}
	out = append(out, clock(w.From)+"-"+clock(w.To))
	if w.UTC {
		out = append(out, "UTC")
	}
	return strings.Join(out, " ")
}

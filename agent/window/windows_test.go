package window

import (
	"testing"
	"time"
)

func zone(t *testing.T, name string) *time.Location {
	t.Helper()
	location, err := time.LoadLocation(name)
	if err != nil {
		t.Fatalf("%v; install the package tzdata", err)
	}
	return location
}

// clock reads "Mon 22:00" as a time of the week of Monday, 2 March 2026, and
// "+Mon 22:00" as one of the week after.
func clock(t *testing.T, in *time.Location, text string) time.Time {
	t.Helper()
	week := 0
	if text[0] == '+' {
		text, week = text[1:], 7
	}
	days := map[string]int{"Mon": 2, "Tue": 3, "Wed": 4, "Thu": 5, "Fri": 6, "Sat": 7, "Sun": 8}
	of, err := time.Parse("15:04", text[4:])
	if err != nil || days[text[:3]] == 0 {
		t.Fatalf("bad time %q", text)
	}
	return time.Date(2026, time.March, days[text[:3]]+week, of.Hour(), of.Minute(), 0, 0, in)
}

func daily(from, to time.Duration, in *time.Location) Window {
	return Window{Days: [7]bool{true, true, true, true, true, true, true}, From: from, To: to, Zone: in}
}

func on(day time.Weekday, from, to time.Duration, in *time.Location) Window {
	w := Window{From: from, To: to, Zone: in}
	w.Days[day] = true
	return w
}

func TestNextOpening(t *testing.T) {
	utc := time.UTC
	nights := Windows{daily(22*time.Hour, 4*time.Hour, utc)}
	noons := Windows{daily(12*time.Hour, 13*time.Hour+30*time.Minute, utc)}
	sundays := Windows{on(time.Sunday, 23*time.Hour, time.Hour, utc)}
	tests := []struct {
		name      string
		windows   Windows
		now, want string
	}{
		{"no window means always", nil, "Mon 12:00", "Mon 12:00"},
		{"windows that never open hold up nothing", Windows{{From: 0, To: time.Hour}}, "Mon 12:00", "Mon 12:00"},
		{"an open window means now", noons, "Mon 13:29", "Mon 13:29"},
		{"a window opens on the minute", noons, "Mon 12:00", "Mon 12:00"},
		{"a window is closed when it ends", noons, "Mon 13:30", "Tue 12:00"},
		{"a later window of the day is waited for", noons, "Mon 03:00", "Mon 12:00"},
		{"one over midnight is open before it", nights, "Mon 23:59", "Mon 23:59"},
		{"one over midnight is open after it", nights, "Tue 03:59", "Tue 03:59"},
		{"one over midnight ends the next morning", nights, "Tue 04:00", "Tue 22:00"},
		{"a window belongs to the day that it opens on", sundays, "+Mon 00:59", "+Mon 00:59"},
		{"the night before is another day's", sundays, "Sun 00:30", "Sun 23:00"},
		{"a week is waited for", sundays, "Mon 01:00", "Sun 23:00"},
		{"of several windows the first counts", append(sundays, noons...), "Sun 14:00", "Sun 23:00"},
		{"of several windows one that is open counts", append(nights, noons...), "Mon 12:30", "Mon 12:30"},
		{"a window of a whole day never closes", Windows{daily(0, 24*time.Hour, utc)}, "Mon 23:59", "Mon 23:59"},
		{"the clock is that of its zone", Windows{daily(22*time.Hour, 23*time.Hour, zone(t, "Asia/Tokyo"))}, "Mon 12:00", "Mon 13:00"},
		{"and so is the day", Windows{on(time.Tuesday, time.Hour, 2*time.Hour, zone(t, "Asia/Tokyo"))}, "Mon 12:00", "Mon 16:00"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			want := clock(t, utc, test.want)
			if got := test.windows.Next(clock(t, utc, test.now)); !got.Equal(want) {
				t.Errorf("got %s, want %s", got.In(utc).Format("Mon 15:04"), test.want)
			}
		})
	}
}

func TestWindowWithoutAZoneIsLocal(t *testing.T) {
	windows := Windows{daily(12*time.Hour, 13*time.Hour, nil)}
	want := clock(t, time.Local, "Mon 12:00")
	if got := windows.Next(clock(t, time.Local, "Mon 11:00")); !got.Equal(want) {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestWindowsWhenTheClocksChange(t *testing.T) {
	berlin := zone(t, "Europe/Berlin")      // 2026-03-29 02:00 → 03:00, 2026-10-25 03:00 → 02:00
	santiago := zone(t, "America/Santiago") // 2026-09-06 00:00 → 01:00
	tests := []struct {
		name      string
		window    Window
		now, want string
	}{
		{"a window keeps to the clock on the wall in spring", daily(22*time.Hour, 4*time.Hour, berlin), "2026-03-29T04:00:00+02:00", "2026-03-29T22:00:00+02:00"},
		{"a window keeps to the clock on the wall in autumn", daily(22*time.Hour, 4*time.Hour, berlin), "2026-10-25T03:59:00+01:00", "2026-10-25T03:59:00+01:00"},
		{"one in the hour that is left out does not open", daily(2*time.Hour, 3*time.Hour, berlin), "2026-03-29T00:00:00+01:00", "2026-03-30T02:00:00+02:00"},
		{"one on a day without a midnight opens on that day", on(time.Sunday, 12*time.Hour, 13*time.Hour, santiago), "2026-09-06T03:00:00-04:00", "2026-09-06T12:00:00-03:00"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := Windows{test.window}.Next(instant(t, test.now))
			if want := instant(t, test.want); !got.Equal(want) {
				t.Errorf("got %s, want %s", got.In(test.window.Zone), want)
			}
		})
	}
}

func instant(t *testing.T, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func TestWhenToActByADeadline(t *testing.T) {
	nights := Windows{daily(22*time.Hour, 4*time.Hour, time.UTC)}
	saturdays := Windows{on(time.Saturday, 2*time.Hour, 3*time.Hour, time.UTC)}
	tests := []struct {
		name                 string
		windows              Windows
		from, deadline, want string
	}{
		{"no window changes nothing", nil, "Mon 12:00", "Tue 12:00", "Tue 12:00"},
		{"a deadline in a window stays", nights, "Mon 12:00", "Tue 01:00", "Tue 01:00"},
		{"else the last window before it is used", nights, "Mon 12:00", "Thu 12:00", "Wed 22:00"},
		{"one that is open from the start is used at once", nights, "Tue 01:00", "Tue 12:00", "Tue 01:00"},
		{"one that has ended is not", nights, "Tue 04:00", "Tue 12:00", "Tue 12:00"},
		{"one that opens after the deadline is not", nights, "Tue 05:00", "Tue 21:59", "Tue 21:59"},
		{"a deadline on the minute of the opening stays", nights, "Tue 05:00", "Tue 22:00", "Tue 22:00"},
		{"a window a week before is found", saturdays, "Mon 12:00", "+Fri 12:00", "Sat 02:00"},
		{"a deadline that has passed stays", nights, "Tue 12:00", "Tue 11:00", "Tue 11:00"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			want := clock(t, time.UTC, test.want)
			got := test.windows.By(clock(t, time.UTC, test.from), clock(t, time.UTC, test.deadline), 0)
			if !got.Equal(want) {
				t.Errorf("got %s, want %s", got.Format("Mon 15:04"), test.want)
			}
		})
	}
}

func TestFarDeadlineIsAnsweredAtOnce(t *testing.T) {
	windows := Windows{daily(2*time.Hour, 3*time.Hour, time.UTC)}
	from := clock(t, time.UTC, "Mon 12:00")
	want := from.AddDate(200, 0, 0).Add(-10 * time.Hour)
	if got := windows.By(from, from.AddDate(200, 0, 0), 0); !got.Equal(want) {
		t.Errorf("got %s, want %s", got, want)
	}
}

// A credential that lives for less than the time between two windows must not
// be replaced again and again while one is open.
func TestHalfOfALifeBoundsTheReplacementsInAWindow(t *testing.T) {
	windows := Windows{daily(22*time.Hour, 4*time.Hour, time.UTC)}
	for _, life := range []time.Duration{time.Minute, 20 * time.Minute, 8 * time.Hour, 30 * time.Hour, 768 * time.Hour} {
		granted := clock(t, time.UTC, "Mon 00:00")
		for range 50 {
			next := windows.By(granted.Add(life/2), granted.Add(life), 0.5)
			if held := next.Sub(granted); held < life/2 || held > life {
				t.Fatalf("a credential of %s was held for %s", life, held)
			}
			granted = next
		}
	}
}

func TestWhatCouldLiveOnIsReplacedOnceInEachWindow(t *testing.T) {
	nights := Windows{daily(22*time.Hour, 4*time.Hour, time.UTC)}
	tests := []struct {
		name        string
		windows     Windows
		before, now string
		share       float64
		want        string
	}{
		{"the next opening is waited for", nights, "Mon 12:00", "Mon 12:00", 0, "Mon 22:00"},
		{"one that opened since is used at once", nights, "Mon 12:00", "Tue 01:00", 0, "Tue 01:00"},
		{"one that was open already is not", nights, "Mon 23:00", "Tue 01:00", 0, "Tue 22:00"},
		{"one that was missed is not", nights, "Mon 12:00", "Tue 05:00", 0, "Tue 22:00"},
		{"a fleet is spread over its first minutes", nights, "Mon 12:00", "Mon 12:00", 0.6, "Mon 22:03"},
		{"the share counts from the opening, however often one asks", nights, "Mon 12:00", "Mon 22:02", 0.6, "Mon 22:03"},
		{"a short window is left in time", Windows{daily(22*time.Hour, 22*time.Hour+4*time.Minute, time.UTC)}, "Mon 12:00", "Mon 12:00", 1, "Mon 22:02"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := test.windows.After(clock(t, time.UTC, test.before), clock(t, time.UTC, test.now), test.share)
			if want := clock(t, time.UTC, test.want); !got.Equal(want) {
				t.Errorf("got %s, want %s", got.Format("Mon 15:04:05"), test.want)
			}
		})
	}
	if got := (Windows{{From: 0, To: time.Hour}}).After(time.Time{}, clock(t, time.UTC, "Mon 12:00"), 0); !got.IsZero() {
		t.Errorf("a window that never opens opens at %s", got)
	}
}

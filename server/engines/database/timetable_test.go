package database

import (
	"testing"
	"time"

	"github.com/novatech/securevault/server/engines/database/fault"
)

func TestAPasswordIsDueAtItsTime(t *testing.T) {
	at := func(text string) time.Time {
		moment, err := time.Parse(time.DateTime, text)
		if err != nil {
			t.Fatal(err)
		}
		return moment
	}
	hourly := timetable{Schedule: "0 * * * *"}
	windowed := timetable{Schedule: "0 4 * * *", Window: time.Hour}
	cases := map[string]struct {
		table           timetable
		last, now, want string
	}{
		"a period after the last":        {timetable{Period: time.Hour}, "2026-01-01 10:30:00", "2026-01-01 10:31:00", "2026-01-01 11:30:00"},
		"a period that is over":          {timetable{Period: time.Hour}, "2026-01-01 10:30:00", "2026-01-09 10:31:00", "2026-01-01 11:30:00"},
		"the next time of the schedule":  {hourly, "2026-01-01 10:30:00", "2026-01-01 10:31:00", "2026-01-01 11:00:00"},
		"set on time, the one after":     {hourly, "2026-01-01 11:00:00", "2026-01-01 11:00:01", "2026-01-01 12:00:00"},
		"missed, without a window":       {hourly, "2026-01-01 10:30:00", "2026-01-05 00:10:00", "2026-01-01 11:00:00"},
		"missed, the window still open":  {windowed, "2026-01-01 10:30:00", "2026-01-02 04:59:00", "2026-01-02 04:00:00"},
		"missed, the window closed":      {windowed, "2026-01-01 10:30:00", "2026-01-02 05:01:00", "2026-01-03 04:00:00"},
		"missed for days, a window open": {windowed, "2026-01-01 10:30:00", "2026-01-09 04:30:00", "2026-01-09 04:00:00"},
		"by name":                        {timetable{Schedule: "@weekly"}, "2026-01-01 10:30:00", "2026-01-01 10:31:00", "2026-01-04 00:00:00"},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			local := time.FixedZone("elsewhere", 5*3600)
			if got := test.table.next(at(test.last).In(local), at(test.now).In(local)); !got.Equal(at(test.want)) {
				t.Errorf("due at %s, want %s", got.UTC(), test.want)
			}
		})
	}
}

func TestARetryOutsideTheWindowWaitsForTheNext(t *testing.T) {
	rotated := time.Date(2026, 1, 1, 4, 0, 0, 0, time.UTC)
	role := staticRole{timetable: timetable{Schedule: "0 4 * * *", Window: time.Hour}, Rotated: rotated, Failures: 3}
	for retry, want := range map[time.Time]time.Time{
		rotated.Add(24*time.Hour + 30*time.Minute): rotated.Add(24*time.Hour + 30*time.Minute),
		rotated.Add(24*time.Hour + 90*time.Minute): rotated.Add(48 * time.Hour),
	} {
		role.RetryAt = retry
		if got := role.due(retry.Add(-time.Minute)); !got.Equal(want) {
			t.Errorf("a retry at %s is due at %s, want %s", retry, got, want)
		}
	}
}

func TestBackoffGrowsToItsLimit(t *testing.T) {
	for class, longest := range map[fault.Class]time.Duration{fault.Later: longestRetry, fault.Unknown: longestRetry, fault.Refused: longestRefusal} {
		last := time.Duration(0)
		for failures := 1; failures < 100; failures++ {
			wait := backoff(failures, class)
			if wait < last || wait > longest || wait <= 0 {
				t.Fatalf("failure %d waits %s after %s", failures, wait, last)
			}
			last = wait
		}
		if last != longest {
			t.Errorf("the longest wait is %s, want %s", last, longest)
		}
	}
}

func FuzzParseSchedule(f *testing.F) {
	for _, seed := range []string{"0 4 * * SAT", "@daily", "@every 1s", "TZ=UTC 0 4 * * *", "TZ=", "CRON_TZ=0", "0 0 30 2 *", "*/0 * * * *", "a b c d e", "1-9999999999 * * * *", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		schedule, err := parseSchedule(text)
		if err != nil {
			return
		}
		now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		first := schedule.Next(now)
		if second := schedule.Next(first); !first.After(now) || second.Sub(first) < time.Minute {
			t.Errorf("%q is due at %s and then at %s", text, first, second)
		}
	})
}

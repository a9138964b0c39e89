package database

import (
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/robfig/cron/v3"

	"github.com/novatech/securevault/server/engines/database/fault"
)

const (
	shortestPeriod = 5 * time.Second
	shortestWindow = time.Minute
	never          = 365 * 24 * time.Hour // long enough to stand for it
)

// timetable says when a password is due for another: a while after the last
// rotation, or at the times of a cron expression in UTC.
type timetable struct {
	Period   time.Duration `json:"rotation_period,omitempty"`
	Schedule string        `json:"rotation_schedule,omitempty"`
	// Window is how long after a time of the schedule the rotation may begin; what
	// misses it waits for the next time. 0: until it succeeds.
	Window time.Duration `json:"rotation_window,omitempty"`
}

func timetableFields() map[string]*framework.FieldSchema {
	return map[string]*framework.FieldSchema{
		"rotation_period":   {Type: framework.TypeDurationSecond, Description: "How long a password lives, from 5s."},
		"rotation_schedule": {Type: framework.TypeString, Description: "Cron expression in UTC, such as \"0 4 * * SAT\", in place of rotation_period."},
		"rotation_window":   {Type: framework.TypeDurationSecond, Description: "How long after a time of rotation_schedule a rotation may begin, from 1m; 0: until it succeeds."},
	}
}

// update merges what a request says. Clients send 0 and "" for what they leave out.
func (t *timetable) update(data *framework.FieldData) error {
	var given timetable
	setSeconds(data, "rotation_period", &given.Period)
	setSeconds(data, "rotation_window", &given.Window)
	set(data, "rotation_schedule", &given.Schedule)
	switch {
	case given.Period != 0 && given.Schedule != "":
		return fault.New(fault.Refused, "rotation_period and rotation_schedule exclude each other: write one of them")
	case given.Period != 0:
		*t = given
	case given.Schedule != "":
		t.Period, t.Schedule = 0, given.Schedule
	}
	if data.Raw["rotation_window"] != nil {
		t.Window = given.Window
	}
	return t.check()
}

func (t timetable) check() error {
	switch {
	case t.Schedule != "" && t.Window != 0 && t.Window < shortestWindow:
		return fault.New(fault.Refused, "rotation_window %s is too short: write %s or more", t.Window, shortestWindow)
	case t.Schedule != "":
		_, err := parseSchedule(t.Schedule)
		return err
	case t.Window != 0:
		return fault.New(fault.Refused, "rotation_window belongs to rotation_schedule: leave it out, or write a schedule")
	case t.Period == 0:
		return fault.New(fault.Refused, "rotation_period is missing: write rotation_period=24h, or rotation_schedule with a cron expression")
	case t.Period < shortestPeriod:
		return fault.New(fault.Refused, "rotation_period %s is too short: write %s or more", t.Period, shortestPeriod)
	}
	return nil
}

// parseSchedule reads five fields, or a name such as @daily. The parser would also
// take a time zone, which is always UTC here, and intervals, which rotation_period
// is for.
func parseSchedule(text string) (cron.Schedule, error) {
	const hint = `write minute, hour, day, month and weekday, as in "0 4 * * SAT"`
	if strings.Contains(text, "TZ=") || strings.HasPrefix(strings.TrimSpace(text), "@every") {
		return nil, fault.New(fault.Refused, "rotation_schedule takes neither a time zone, it is in UTC, nor @every, for which there is rotation_period: "+hint)
	}
	schedule, err := cron.ParseStandard(text)
	if err != nil {
		return nil, fault.New(fault.Refused, "rotation_schedule cannot be read: %s: "+hint, err)
	}
	if schedule.Next(time.Now().UTC()).IsZero() {
		return nil, fault.New(fault.Refused, "rotation_schedule %q names no day that exists: "+hint, text)
	}
	return schedule, nil
}

// next returns when a password is due that was set at last, looked at from now: a
// time of the schedule whose window is over does not count.
func (t timetable) next(last, now time.Time) time.Time {
	if t.Schedule == "" {
		return last.Add(t.Period)
	}
	schedule, err := parseSchedule(t.Schedule)
	if err != nil { // check has let it through: a day that does not come again
		return now.Add(never)
	}
	due := schedule.Next(last.UTC())
	if t.Window > 0 && now.After(due.Add(t.Window)) {
		due = schedule.Next(now.Add(-t.Window).UTC())
	}
	return due
}

// shown adds the fields as they are read back, in seconds.
func (t timetable) shown(into map[string]any) {
	if t.Schedule == "" {
		into["rotation_period"] = int64(t.Period / time.Second)
		return
	}
	into["rotation_schedule"] = t.Schedule
	into["rotation_window"] = int64(t.Window / time.Second)
}

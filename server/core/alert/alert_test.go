package alert

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/novatech/securevault/server/core/metric"
)

// meter is a source whose values a test sets.
type meter struct {
	mu     sync.Mutex
	values map[string]float64
}

func (m *meter) set(name string, value float64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.values == nil {
		m.values = map[string]float64{}
	}
	m.values[name] = value
}

func (m *meter) Read() []metric.Series {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []metric.Series
	for name, value := range m.values {
		metricName, mount, _ := strings.Cut(name, " ")
		all = append(all, metric.Series{Name: metricName, Labels: map[string]string{"mount": mount}, Value: value})
	}
	return all
}

// messages is a notifier that takes down what it is told, and fails as often as
// it is set to.
type messages struct {
	mu    sync.Mutex
	fail  int
	tried int
	told  []string
}

func (m *messages) Notify(_ context.Context, target string, a Alert) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tried++
	if m.tried <= m.fail {
		return errors.New("no answer")
	}
	m.told = append(m.told, fmt.Sprintf("%s %s %s", target, a.Rule.Name, a.State))
	return nil
}

func (m *messages) list() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return strings.Join(m.told, "\n")
}

func rule(t *testing.T, name, condition string, after time.Duration) Rule {
	t.Helper()
	c, err := Parse(condition)
	if err != nil {
		t.Fatal(err)
	}
	return Rule{Name: name, Condition: c, Severity: "warning", For: after, Notify: []string{"ops@example.com"}}
}

// watch runs a watch over one rule inside a bubble.
func watch(t *testing.T, r Rule, m *meter, n Notifier) *Watch {
	t.Helper()
	w := New([]Rule{r}, m, n, hclog.NewNullLogger())
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = w.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return w
}

// after lets time pass, and wants the alert to be in a state then.
func (w *Watch) after(t *testing.T, pass time.Duration, want State) {
	t.Helper()
	time.Sleep(pass) // of the bubble
	synctest.Wait()
	if got := w.Alerts()[0]; got.State != want {
		t.Fatalf("%s, want %s (value %g)", got.State, want, got.Value)
	}
}

func TestAnAlertGoesThroughItsStates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, told := &meter{}, &messages{}
		m.set("a", 0)
		w := watch(t, rule(t, "busy", "a > 10", 30*time.Second), m, told)
		w.after(t, time.Second, Inactive)
		m.set("a", 11)
		w.after(t, 5*time.Second, Pending)
		m.set("a", 9)
		w.after(t, 5*time.Second, Inactive)
		m.set("a", 11)
		w.after(t, 5*time.Second, Pending)
		w.after(t, 25*time.Second, Pending)
		w.after(t, 5*time.Second, Firing)
		w.after(t, time.Hour, Firing)
		m.set("a", 0)
		w.after(t, 5*time.Second, Resolved)
		m.set("a", 11)
		w.after(t, 5*time.Second, Pending)
		if got, want := told.list(), "ops@example.com busy firing\nops@example.com busy resolved"; got != want {
			t.Errorf("told %q, want %q", got, want)
		}
	})
}

func TestTheGuidesRateFiresAboveItsThresholdOnly(t *testing.T) {
	for created, want := range map[float64]State{100: Inactive, 101: Firing} {
		synctest.Test(t, func(t *testing.T) {
			m := &meter{}
			m.set("secret.dynamic.create database/", 5000) // before this server looked
			w := watch(t, rule(t, "high", "rate(secret.dynamic.create) > 100/min", 0), m, &messages{})
			w.after(t, time.Second, Inactive)
			m.set("secret.dynamic.create database/", 5000+created-1)
			m.set("secret.dynamic.create aws/", 1)
			w.after(t, 5*time.Second, want)
			if want == Firing {
				w.after(t, 2*time.Minute, Resolved)
			}
		})
	}
}

func TestIncreaseLooksAtItsLabelsAndItsWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &meter{}
		m.set("a x/", 0)
		m.set("a y/", 0)
		w := watch(t, rule(t, "more", `increase(a{mount="x/"}[2m]) >= 5`, 0), m, &messages{})
		w.after(t, time.Second, Inactive)
		m.set("a y/", 100)
		w.after(t, time.Minute, Inactive)
		m.set("a x/", 3)
		w.after(t, time.Minute, Inactive)
		m.set("a x/", 5)
		w.after(t, 5*time.Second, Firing)
		w.after(t, 55*time.Second, Firing)
		w.after(t, 20*time.Second, Resolved) // the first three are out of sight
		m.set("a x/", 2)                     // began anew
		w.after(t, 5*time.Second, Resolved)
	})
}

func TestWhoeverCannotBeToldIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, told := &meter{}, &messages{fail: 3}
		m.set("a", 1)
		w := watch(t, rule(t, "busy", "a > 0", 0), m, told)
		w.after(t, time.Second, Firing)
		if told.list() != "" {
			t.Error("told at once")
		}
		w.after(t, 2*time.Second+4*time.Second+8*time.Second, Firing)
		if told.list() != "ops@example.com busy firing" || w.Alerts()[0].NotifyError != "" {
			t.Errorf("%q %q", told.list(), w.Alerts()[0].NotifyError)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		m, told := &meter{}, &messages{fail: 100}
		m.set("a", 1)
		w := watch(t, rule(t, "busy", "a > 0", 0), m, told)
		w.after(t, 10*time.Minute, Firing)
		if told.tried != attempts || w.Alerts()[0].NotifyError != "no answer" {
			t.Errorf("%d attempts, %q", told.tried, w.Alerts()[0].NotifyError)
		}
	})
}

// unreachable is a notifier that tells all but one target.
type unreachable struct {
	messages
	target string
}

func (u *unreachable) Notify(ctx context.Context, target string, a Alert) error {
	if target == u.target {
		return errors.New("no answer")
	}
	return u.messages.Notify(ctx, target, a)
}

func TestATargetThatDoesNotAnswerKeepsNoOtherWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, told := &meter{}, &unreachable{target: "dead@example.com"}
		m.set("a", 1)
		both := rule(t, "busy", "a > 0", 0)
		both.Notify = []string{"dead@example.com", "ops@example.com"}
		w := watch(t, both, m, told)
		w.after(t, time.Second, Firing)
		if got := told.list(); got != "ops@example.com busy firing" {
			t.Errorf("told %q within a second", got)
		}
		w.after(t, time.Minute, Firing)
		if got := w.Alerts()[0].NotifyError; got != "no answer" {
			t.Errorf("the failure is shown as %q", got)
		}
	})
}

func TestAnOldAlarmDoesNotArriveAfterItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, told := &meter{}, &messages{fail: 2}
		m.set("a", 1)
		w := watch(t, rule(t, "busy", "a > 0", 0), m, told)
		w.after(t, 3*time.Second, Firing) // tried twice; the next time is after 6 s
		m.set("a", 0)
		w.after(t, 3*time.Second-time.Millisecond, Resolved)
		w.after(t, time.Minute, Resolved)
		if got := told.list(); got != "ops@example.com busy resolved" {
			t.Errorf("told %q", got)
		}
	})
}

// Half of the evaluations counted the growth of 55 seconds as that of a minute.
func TestARateIsTheSameWhenTheTickerIsLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := history{condition: rule(t, "high", "rate(a) > 100/min", 0).Condition}
		begun := time.Now()
		for i := range 20 {
			late := time.Duration(i%3) * time.Millisecond
			at := begun.Add(time.Duration(i)*Interval + late)
			h.add(at, []metric.Series{{Name: "a", Value: float64(i * 9)}}) // 108 per minute
			if i >= 13 && !h.condition.Holds(h.value()) {
				t.Errorf("evaluation %d: %g per second", i, h.value())
			}
		}
	})
}

func TestFractionsAreNotAddedUp(t *testing.T) {
	condition, err := Parse(`secret.lease.limit.used{mount="database/"} > 0.9`)
	if err != nil {
		t.Fatal(err)
	}
	h := &history{condition: condition}
	h.add(time.Now(), []metric.Series{
		{Name: metric.LimitUsed, Labels: map[string]string{"mount": "database/", "role": "a"}, Value: 0.5},
		{Name: metric.LimitUsed, Labels: map[string]string{"mount": "database/", "role": "b"}, Value: 0.75},
		{Name: metric.LimitUsed, Labels: map[string]string{"mount": "aws/", "role": "c"}, Value: 1},
	})
	if got := h.value(); got != 0.75 {
		t.Errorf("the value is %v, want that of the role that has used most, 0.75", got)
	}
}

func TestNewRulesTakeOverWhatTheyHaveInCommon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, told := &meter{}, &messages{}
		m.set("a", 1)
		w := watch(t, rule(t, "kept", "a > 0", 0), m, &messages{})
		w.after(t, time.Second, Firing)
		kept := rule(t, "kept", "a > 0", 0)
		kept.Severity = "critical"
		w.Replace([]Rule{kept, rule(t, "new", "a > 0", time.Minute)}, told)
		w.after(t, 5*time.Second, Firing)
		if all := w.Alerts(); all[0].Rule.Severity != "critical" || all[1].State != Pending || told.list() != "" {
			t.Errorf("%+v; told %q", all, told.list())
		}
		m.set("a", 0)
		w.after(t, 5*time.Second, Resolved)
		if got := told.list(); got != "ops@example.com kept resolved" {
			t.Errorf("told %q", got)
		}
		w.Replace([]Rule{rule(t, "kept", "a > 2", 0)}, told)
		w.after(t, 0, Inactive)
		w.Replace(nil, told)
		if all := w.Alerts(); len(all) != 0 {
			t.Errorf("%+v", all)
		}
	})
}

func TestRulesAreExportedForPrometheus(t *testing.T) {
	high := rule(t, "high-lease-creation", "rate(secret.dynamic.create) > 60/min", 90*time.Second)
	high.Description = "Somebody asks for very many {{name}}s."
	got, err := Export([]Rule{high, rule(t, "sealed", "core.unsealed < 1", 0)}, "")
	want := `groups:
  - name: securevault
    rules:
      - alert: high-lease-creation
        expr: sum(rate(secret_dynamic_create[60s])) > 1
        for: 90s
        labels:
          severity: warning
        annotations:
          description: Somebody asks for very many {{"{{"}}name}}s.
          summary: rate(secret.dynamic.create) > 60/min
      - alert: sealed
        expr: (sum(core_unsealed) or vector(0)) < 1
        labels:
          severity: warning
        annotations:
          summary: core.unsealed < 1
`
	if err != nil || string(got) != want {
		t.Errorf("%v\n%s", err, got)
	}
}

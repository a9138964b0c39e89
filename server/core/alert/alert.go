// Package alert watches the server's own metrics and tells people about them.
//
// A Rule is a condition in the language of the guide (expression.go), how long
// it must hold, and who is told. Watch.Run reads the metrics at a steady pace,
// keeps as much of the past as the rules look back (history.go), and moves each
// alert between its states:
//
//	inactive → pending    the condition holds
//	pending  → firing     it has held for as long as the rule says
//	pending  → inactive   it holds no more
//	firing   → resolved   it holds no more
//	resolved → pending    it holds again
//
// Whoever is named in the rule is told of firing and resolved, by mail (mail.go)
// or through a webhook (webhook.go), with retries. Export (export.go) writes the
// same rules for Prometheus.
package alert

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/novatech/securevault/server/core/metric"
)

const (
	// Interval is how often rules are evaluated.
	Interval = 5 * time.Second
	// DefaultWindow is how far rate and increase look back if a rule does not say.
	DefaultWindow = time.Minute
)

// Rule is one alert.
type Rule struct {
	Name        string
	Condition   Condition
	Severity    string
	For         time.Duration // how long the condition must hold before it fires
	Description string
	Notify      []string // mail addresses and URLs
}

// State is what an alert is in.
type State string

// The states.
const (
	Inactive State = "inactive"
	Pending  State = "pending"
	Firing   State = "firing"
	Resolved State = "resolved"
)

// Alert is a rule and its state: a snapshot.
type Alert struct {
	Rule  Rule
	State State
	Value float64   // of the condition's left side, at the last evaluation
	Since time.Time // when the state began; zero before the first evaluation
	// NotifyError is why somebody could not be told last time; empty if all were.
	NotifyError string
}

// Source is where metrics are read.
type Source interface {
	// Read returns the counters and gauges as they are now.
	Read() []metric.Series
}

// Notifier tells one target of an alert that fires or is resolved.
type Notifier interface {
	// Notify returns nil when the target was told; any error is tried again.
	Notify(ctx context.Context, target string, a Alert) error
}

// Watch evaluates rules. Its methods are safe for concurrent use.
type Watch struct {
	source Source
	logger hclog.Logger

	mu       sync.Mutex
	notifier Notifier   // guarded by mu
	alerts   []*watched // guarded by mu
}

// watched is an alert and what its metric was.
type watched struct {
	Alert
	history history
	turned  time.Time // when there was last something to tell people
}

// New returns a watch over rules; Run starts it.
func New(rules []Rule, source Source, notifier Notifier, logger hclog.Logger) *Watch {
	w := &Watch{source: source, logger: logger}
	w.Replace(rules, notifier)
	return w
}

// Replace makes these the rules, and the notifier the one that tells people. An
// alert whose name and condition stay goes on from its state; others begin anew.
func (w *Watch) Replace(rules []Rule, notifier Notifier) {
	w.mu.Lock()
	defer w.mu.Unlock()
	alerts := make([]*watched, len(rules))
	for i, r := range rules {
		alerts[i] = &watched{Alert: Alert{Rule: r, State: Inactive}, history: history{condition: r.Condition}}
		for _, before := range w.alerts {
			if before.Rule.Name == r.Name && before.Rule.Condition.String() == r.Condition.String() {
				before.Rule, alerts[i] = r, before
			}
		}
	}
	w.alerts, w.notifier = alerts, notifier
}

// Alerts returns every alert as it is now, in the order of the rules. A nil
// watch has none.
func (w *Watch) Alerts() []Alert {
	if w == nil {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	all := make([]Alert, len(w.alerts))
	for i, a := range w.alerts {
		all[i] = a.Alert
	}
	return all
}

// Run evaluates the rules until ctx ends, and then waits for the notifications
// under way.
func (w *Watch) Run(ctx context.Context) error {
	var telling sync.WaitGroup
	defer telling.Wait()
	ticker := time.NewTicker(Interval)
	defer ticker.Stop()
	for {
		for _, turned := range w.evaluate(time.Now()) {
			telling.Go(func() { w.tell(ctx, turned) })
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}

// evaluate looks at every rule and returns the alerts that people are to be
// told of.
func (w *Watch) evaluate(now time.Time) []Alert {
	if len(w.Alerts()) == 0 { // the metrics need not be read
		return nil
	}
	series := w.source.Read()
	w.mu.Lock()
	defer w.mu.Unlock()
	var turned []Alert
	for _, a := range w.alerts {
		a.history.add(now, series)
		a.Value = a.history.value()
		before := a.State
		a.State = next(a.State, a.Rule.Condition.Holds(a.Value), now.Sub(a.Since) >= a.Rule.For)
		if a.State == Pending && a.Rule.For == 0 {
			a.State = Firing
		}
		if a.State == before {
			continue
		}
		a.Since = now
		w.logger.Info("alert "+string(a.State), "alert", a.Rule.Name, "severity", a.Rule.Severity, "value", a.Value)
		if a.State == Firing || a.State == Resolved {
			a.turned = now
			turned = append(turned, a.Alert)
		}
	}
	return turned
}

// next is the state after s, when the condition holds or not, and the state has
// lasted for as long as the rule wants before it fires.
func next(s State, holds, long bool) State {
	switch {
	case s == Firing && !holds:
		return Resolved
	case s == Pending && !holds:
		return Inactive
	case s == Pending && long:
		return Firing
	case (s == Inactive || s == Resolved) && holds:
		return Pending
	}
	return s
}

// tell notifies every target of an alert. One that does not answer keeps no
// other waiting.
func (w *Watch) tell(ctx context.Context, a Alert) {
	failures := make([]string, len(a.Rule.Notify))
	var targets sync.WaitGroup
	for i, target := range a.Rule.Notify {
		targets.Go(func() {
			if err := w.insist(ctx, target, a); err != nil {
				failures[i] = err.Error()
				w.logger.Error("nobody could be told of an alert", "alert", a.Rule.Name, "target", redactTarget(target), "error", err)
			}
		})
	}
	targets.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	if one := w.latest(a); one != nil {
		one.NotifyError = strings.Join(slices.DeleteFunc(failures, func(f string) bool { return f == "" }), "; ")
	}
}

// latest returns what is watched for a, or nil when it has turned again since;
// the caller holds w.mu.
func (w *Watch) latest(a Alert) *watched {
	i := slices.IndexFunc(w.alerts, func(one *watched) bool { return one.Rule.Name == a.Rule.Name && one.turned.Equal(a.Since) })
	if i < 0 {
		return nil
	}
	return w.alerts[i]
}

// superseded reports whether people are being told of something newer.
func (w *Watch) superseded(a Alert) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.latest(a) == nil
}

const (
	attempts   = 5
	firstRetry = 2 * time.Second
)

// insist tries to notify a target several times, with growing delays, as long
// as it is news: an old alarm must not arrive after its end.
func (w *Watch) insist(ctx context.Context, target string, a Alert) error {
	w.mu.Lock()
	notifier := w.notifier
	w.mu.Unlock()
	delay := firstRetry
	for attempt := 1; ; attempt++ {
		err := notifier.Notify(ctx, target, a)
		if err == nil || attempt == attempts {
			return err
		}
		w.logger.Warn("telling of an alert failed", "alert", a.Rule.Name, "retry_in", delay, "error", err)
		select {
		case <-ctx.Done():
			return err
		case <-time.After(delay):
		}
		if w.superseded(a) {
			return nil
		}
		delay *= 2
	}
}

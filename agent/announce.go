package agent

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/novatech/securevault/agent/notify"
	"github.com/novatech/securevault/agent/schedule"
	"github.com/novatech/securevault/internal/vault"
)

// announcement is what has to be told of one published group, and the
// versions of the secrets that are in use once that is done.
type announcement struct {
	at       time.Time // when it was published; zero to tell of it without patience
	calls    []notify.Call
	changed  []string // destinations whose content is new
	versions map[vault.Want]uint64
	outputs  []*output // that were published
	final    bool      // none of the outputs can go back
	early    bool      // nothing was told before: the app may be yet to start
}

// add has the hooks told of an event.
func (what *announcement) add(hooks []hook, event notify.Event) {
	event.At, event.Early = what.at, what.early
	what.changed = append(what.changed, event.Changed...)
	for _, h := range hooks {
		what.calls = append(what.calls, notify.Call{Notifier: h, Event: event})
	}
}

// told is what has become of announcements.
type told struct {
	versions map[vault.Want]uint64 // in use everywhere, since every hook of theirs has succeeded
	outputs  []*output             // whose content all that is for
	refused  []announcement        // given up: a hook fails for good, and the outputs may go back
}

// announcer tells the app of what was published, in the order of publication,
// on a goroutine of its own so that a slow hook holds up no file. A hook that
// fails is tried again alone; what was published stays published, unless the
// supply loop takes it back.
type announcer struct {
	log      *zap.Logger
	redactor *redactor       // of what the hooks print
	policy   schedule.Policy // of the retries
	wake     chan struct{}   // capacity one
	told     chan told
	past     map[string]*past // hook, spelled out → what was; of Run alone

	mu      sync.Mutex
	waiting []announcement
	forget  bool // drop what is left of earlier rounds
	busy    bool
	err     error // of a hook that has still to succeed; nil for none
	failed  int   // hooks that have failed, since the start
}

// past is what has become of a hook so far.
type past struct {
	failures int // in a row
	retryAt  time.Time
	err      error
	spent    []time.Time // of its budget
}

func newAnnouncer(log *zap.Logger, redactor *redactor) *announcer {
	return &announcer{
		log:      log,
		redactor: redactor,
		policy:   schedule.Policy{}.WithDefaults(),
		wake:     make(chan struct{}, 1),
		told:     make(chan told),
		past:     make(map[string]*past),
	}
}

// Tell queues an announcement. It does not block.
func (n *announcer) Tell(what announcement) {
	n.mu.Lock()
	n.waiting = append(n.waiting, what)
	n.mu.Unlock()
	fire(n.wake)
}

// Forget drops what has still to be told. Whoever published it tells of it anew.
func (n *announcer) Forget() {
	n.mu.Lock()
	n.waiting, n.forget = nil, true
	n.mu.Unlock()
	fire(n.wake)
}

// Told hands on what has become of the announcements.
func (n *announcer) Told() <-chan told { return n.told }

// Idle reports whether everything has been told, but for what is to wait.
func (n *announcer) Idle() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return !n.busy && len(n.waiting) == 0
}

// Err returns why a hook fails, nil if none does.
func (n *announcer) Err() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.err
}

// Run tells what is queued until ctx ends.
func (n *announcer) Run(ctx context.Context) error {
	var left []announcement // with hooks that have still to succeed
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-n.wake:
		case <-timer.C:
		}
		due := n.take(left)
		open, wait := n.round(ctx, due)
		var done told
		done, left = n.outcome(due, open)
		timer.Reset(wait)
		n.finish(open)
		select {
		case n.told <- done:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// take returns what is to be told now: what is left, and what is new.
func (n *announcer) take(left []announcement) []announcement {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.forget {
		left = nil
	}
	due := append(left, n.waiting...)
	n.waiting, n.forget, n.busy = nil, false, true
	return due
}

// finish notes which of the hooks that have still to be told fail.
func (n *announcer) finish(open map[string]bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.busy, n.err = false, nil
	for key := range open {
		if err := n.past[key].err; err != nil {
			n.busy, n.err = true, err
		}
	}
}

// round makes each call that is due, once for all announcements together. It
// returns the hooks that are still to be told, and how long none of them is due.
func (n *announcer) round(ctx context.Context, all []announcement) (open map[string]bool, wait time.Duration) {
	var calls []notify.Call
	for _, what := range all {
		calls = append(calls, what.calls...)
	}
	open, wait = make(map[string]bool), time.Hour
	for _, call := range notify.Coalesce(calls) {
		key, h := notify.Key(call.Notifier), call.Notifier.(hook)
		p := n.past[key]
		if p == nil {
			p = &past{}
			n.past[key] = p
		}
		at := p.due(h, call.Event.At)
		if !at.After(time.Now()) {
			if n.call(ctx, h, call.Event, p) {
				continue
			}
			at = p.retryAt
		}
		open[key] = true
		wait = min(wait, max(time.Until(at), 0))
	}
	return open, wait
}

// due returns when to tell of what was published at some time.
func (p *past) due(h hook, published time.Time) time.Time {
	if published.IsZero() {
		return p.retryAt
	}
	at := h.budget.Next(published.Add(h.splay), p.spent)
	if at.Before(p.retryAt) {
		return p.retryAt
	}
	return at
}

// call tells one hook, and reports whether that succeeded.
func (n *announcer) call(ctx context.Context, h hook, event notify.Event, p *past) bool {
	if p.err = n.redactor.hide(h.Notify(ctx, event)); p.err == nil {
		now := time.Now()
		p.failures, p.retryAt, p.spent = 0, time.Time{}, h.budget.Spend(now, p.spent)
		n.log.Info("app told", zap.Stringer("hook", h), zap.Uint64("generation", event.Generation), zap.Strings("changed", event.Changed))
		return true
	}
	p.failures++
	delay := n.policy.Ceiling
	if p.failures <= h.retries {
		delay = n.policy.Backoff(vault.Later, p.failures, 0)
	}
	p.retryAt = time.Now().Add(delay)
	if event.Early && h.absent(p.err) {
		p.err = nil // the app may be waiting for us to be ready
		n.log.Info("nobody is there to be told yet; it is tried again", zap.Stringer("hook", h), zap.Duration("retry", delay))
		return false
	}
	n.mu.Lock()
	n.failed++
	n.mu.Unlock()
	n.log.Warn("telling the app failed; it is tried again", zap.Stringer("hook", h), zap.Duration("retry", delay), zap.Error(p.err))
	return false
}

// outcome sorts announcements into what is in use now, what is given up, and
// what is left, with the hooks that have still to succeed.
func (n *announcer) outcome(due []announcement, open map[string]bool) (done told, left []announcement) {
	done.versions = make(map[vault.Want]uint64)
	for _, what := range due {
		what.calls = slices.DeleteFunc(slices.Clone(what.calls), func(call notify.Call) bool { return !open[notify.Key(call.Notifier)] })
		switch {
		case len(what.calls) == 0:
			maps.Copy(done.versions, what.versions)
			done.outputs = append(done.outputs, what.outputs...)
		case !what.final && n.hopeless(what):
			done.refused = append(done.refused, what)
		default:
			left = append(left, what)
		}
	}
	return done, left
}

// hopeless reports whether quick retries of a hook have not helped.
func (n *announcer) hopeless(what announcement) bool {
	return slices.ContainsFunc(what.calls, func(call notify.Call) bool {
		p := n.past[notify.Key(call.Notifier)]
		return p.err != nil && p.failures > call.Notifier.(hook).retries
	})
}

// learn takes note of what has become of announcements.
func (a *Agent) learn(done told, now time.Time) {
	for _, o := range done.outputs {
		o.ahead = 0
		if a.child.lags() && o.feeds(a.child) {
			for _, w := range o.wants {
				delete(done.versions, w) // the program still uses what was before
			}
		}
	}
	a.leases.Published(done.versions)
	a.takeBack(done.refused, now)
}

// errTakenBack is why an output does not hold its newest secrets.
var errTakenBack = errors.New("the app could not be told of the newest secrets, and the folder went back to those before; see why the hook fails")

// takeBack has the folders of announcements that were given up go back to the
// generation before, if its secrets are still alive, and has the rest told of
// for as long as it takes.
func (a *Agent) takeBack(refused []announcement, now time.Time) {
	for _, what := range refused {
		back := false
		for _, o := range what.outputs {
			back = a.goBack(o, now) || back
		}
		if back {
			what.versions = nil // what they replaced is in use
		}
		what.at, what.final = time.Time{}, true
		a.announcer.Tell(what)
	}
}

// goBack has a folder hold its last generation, if that was in use.
func (a *Agent) goBack(o *output, now time.Time) bool {
	folder, ok := o.place.(switched)
	if !ok || o.checking || o.ahead > 1 || !a.leases.Reversible(o.live) {
		return false
	}
	if err := folder.Rollback(); err != nil {
		a.log.Warn("going back to the generation before failed", zap.String("destination", o.place.Path()), zap.Error(err))
		return false
	}
	o.fail(ExitNotify, errTakenBack, now)
	o.ahead, o.retryAt = 0, now.Add(takeBackDelay)
	a.log.Error("went back to the generation before, since the app could not be told", zap.String("destination", o.place.Path()), zap.Duration("retry", takeBackDelay))
	return true
}

// takeBackDelay is after which a folder that went back is switched again.
const takeBackDelay = time.Minute

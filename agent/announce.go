package agent

import (
	"context"
	"maps"
	"reflect"
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
	calls    []notify.Call
	versions map[vault.Want]uint64
}

// announcer tells the app of what was published, in the order of publication,
// on a goroutine of its own so that a slow hook holds up no file. A hook that
// fails is tried again alone; what was published stays published.
type announcer struct {
	log    *zap.Logger
	policy schedule.Policy // of the retries
	wake   chan struct{}   // capacity one
	told   chan map[vault.Want]uint64

	mu      sync.Mutex
	waiting []announcement
	busy    bool
	err     error // of the last round of hooks
	failed  int   // hooks that have failed, since the start
}

func newAnnouncer(log *zap.Logger) *announcer {
	return &announcer{
		log:    log,
		policy: schedule.Policy{}.WithDefaults(),
		wake:   make(chan struct{}, 1),
		told:   make(chan map[vault.Want]uint64),
	}
}

// Tell queues an announcement. It does not block.
func (n *announcer) Tell(what announcement) {
	n.mu.Lock()
	n.waiting = append(n.waiting, what)
	n.mu.Unlock()
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

// Told hands on the versions of the secrets that are in use everywhere, since
// every hook of theirs has succeeded.
func (n *announcer) Told() <-chan map[vault.Want]uint64 { return n.told }

// Idle reports whether everything has been told.
func (n *announcer) Idle() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return !n.busy && len(n.waiting) == 0
}

// Err returns why the last hooks failed, nil if they succeeded.
func (n *announcer) Err() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.err
}

// Run tells what is queued until ctx ends.
func (n *announcer) Run(ctx context.Context) error {
	var left []announcement // whose hooks have failed so far
	failures := 0
	retry := time.NewTimer(time.Hour)
	defer retry.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-n.wake:
		case <-retry.C:
		}
		due := append(left, n.take()...)
		failed, err := n.call(ctx, due)
		var versions map[vault.Want]uint64
		versions, left = outcome(due, failed)
		delay := time.Hour
		if failures++; len(left) == 0 {
			failures = 0
		} else {
			delay = n.policy.Backoff(vault.Later, failures, 0)
		}
		retry.Reset(delay)
		n.finish(len(left) > 0, err, len(failed))
		select {
		case n.told <- versions:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (n *announcer) take() []announcement {
	n.mu.Lock()
	defer n.mu.Unlock()
	taken := n.waiting
	n.waiting, n.busy = nil, true
	return taken
}

func (n *announcer) finish(busy bool, err error, failed int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.busy, n.err = busy, err
	n.failed += failed
}

// call runs every hook once for all announcements together. It returns those
// that failed, and the first error.
func (n *announcer) call(ctx context.Context, due []announcement) (failed []notify.Notifier, first error) {
	var calls []notify.Call
	for _, what := range due {
		calls = append(calls, what.calls...)
	}
	for _, call := range notify.Coalesce(calls) {
		name := zap.Any("hook", call.Notifier)
		if err := call.Notifier.Notify(ctx, call.Event); err != nil {
			n.log.Warn("telling the app failed; it is tried again", name, zap.Error(err))
			failed = append(failed, call.Notifier)
			if first == nil {
				first = err
			}
			continue
		}
		n.log.Info("app told", name, zap.Uint64("generation", call.Event.Generation), zap.Strings("changed", call.Event.Changed))
	}
	return failed, first
}

// outcome sorts announcements into what is in use now and what is left, with
// the hooks that have still to succeed.
func outcome(due []announcement, failed []notify.Notifier) (versions map[vault.Want]uint64, left []announcement) {
	versions = make(map[vault.Want]uint64)
	for _, what := range due {
		what.calls = slices.DeleteFunc(slices.Clone(what.calls), func(call notify.Call) bool {
			return !slices.ContainsFunc(failed, func(n notify.Notifier) bool { return reflect.DeepEqual(n, call.Notifier) })
		})
		if len(what.calls) > 0 {
			left = append(left, what)
			continue
		}
		maps.Copy(versions, what.versions)
	}
	return versions, left
}

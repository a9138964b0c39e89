package lease

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/novatech/securevault/server/core/work"
)

const (
	// revocations is how many leases of one mount are revoked at a time. The
	// engine bounds its own connections; this bounds what waits for them.
	revocations = 256
	// revokeTimeout bounds one attempt.
	revokeTimeout = time.Minute

	firstRetry = 2 * time.Second
	lastRetry  = 5 * time.Minute

	// irrevocableAfter is how many failures in a row, over some four minutes,
	// make a lease irrevocable.
	irrevocableAfter = 8
)

// trouble is what memory holds of a lease whose revocation fails.
type trouble struct {
	failures int // in a row
	reason   string
}

// job is one revocation under way; those who ask for the same lease share it.
type job struct {
	done chan struct{}
	err  error // written before done is closed
}

// Revoke ends a lease and waits for it. A lease that is unknown is gone, which
// is not an error. When the engine fails, its error is returned and the
// revocation tried again later.
func (m *Manager) Revoke(ctx context.Context, id string) error {
	e, err := m.find(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return wait(ctx, []*job{m.begin(ctx, e)})
}

// RevokeLater ends a lease without waiting. Once it returns, a crash does not
// keep the lease alive, unless the engine was at work on it.
func (m *Manager) RevokeLater(ctx context.Context, id string) {
	e, err := m.find(ctx, id)
	if err != nil {
		if !errors.Is(err, ErrNotFound) {
			m.logger.Error("revoking a lease", "lease_id", id, "error", err)
		}
		return
	}
	if e.busy.TryLock() {
		if l, err := m.load(ctx, e); err == nil {
			m.markEnded(ctx, e, l)
		}
		e.busy.Unlock()
	}
	m.begin(ctx, e)
}

// RevokePrefix ends every lease below prefix, in parallel, waiting only if asked
// to.
func (m *Manager) RevokePrefix(ctx context.Context, prefix string, sync bool) error {
	entries, err := m.under(ctx, prefix)
	if err != nil {
		return err
	}
	jobs := m.beginAll(ctx, entries)
	if !sync {
		return nil
	}
	return wait(ctx, jobs)
}

// ForgetPrefix ends every lease below prefix and removes even those whose
// engine fails: what they gave access to may be left behind.
func (m *Manager) ForgetPrefix(ctx context.Context, prefix string) error {
	entries, err := m.under(ctx, prefix)
	if err != nil {
		return err
	}
	for _, e := range entries {
		e.force.Store(true)
	}
	if err := wait(ctx, m.beginAll(ctx, entries)); err == nil {
		return nil
	}
	// An attempt begun before this call may not have known; ask once more.
	return m.RevokePrefix(ctx, prefix, true)
}

// RevokeToken ends the leases of a token, waiting only if asked to. Those that
// fail are tried again, so the token may go in any case; those that are not
// known yet are found by their owner, which is gone, once they are restored.
func (m *Manager) RevokeToken(ctx context.Context, token string, sync bool) error {
	if sync {
		if err := m.wait(ctx); err != nil {
			return err
		}
	}
	m.mu.Lock()
	entries := make([]*entry, 0, len(m.byToken[token]))
	for e := range m.byToken[token] {
		entries = append(entries, e)
	}
	m.mu.Unlock()

	jobs := m.beginAll(ctx, entries)
	if !sync {
		return nil
	}
	return wait(ctx, jobs)
}

func (m *Manager) beginAll(ctx context.Context, entries []*entry) []*job {
	jobs := make([]*job, len(entries))
	for i, e := range entries {
		jobs[i] = m.begin(ctx, e)
	}
	return jobs
}

// Expire begins the revocation when the lease's time has come, or when it is
// time to try again.
func (e *entry) Expire() {
	m := e.manager
	m.mu.Lock()
	e.expired = e.expired || e.job == nil && e.trouble == nil
	m.mu.Unlock()
	m.begin(context.Background(), e)
}

// begin starts the revocation of e, or returns the one under way. It goes on
// when ctx ends: a client that hangs up must not leave a credential behind.
func (m *Manager) begin(ctx context.Context, e *entry) *job {
	m.mu.Lock()
	defer m.mu.Unlock()
	if e.job != nil {
		return e.job
	}
	j := &job{done: make(chan struct{})}
	e.job = j
	if !e.pending { // else when it is registered: the engine is at work on it
		m.start(ctx, e)
	}
	return j
}

// start hands the revocation of e on to its mount's pool; the caller holds m.mu.
func (m *Manager) start(ctx context.Context, e *entry) {
	pool := m.pools[e.group.Mount]
	if pool == nil {
		pool = work.NewPool(revocations)
		m.pools[e.group.Mount] = pool
	}
	ctx = context.WithoutCancel(ctx)
	j := e.job
	pool.Go(func() {
		j.err = m.attempt(ctx, e)
		m.finish(e, j.err)
		close(j.done)
	})
}

// attempt asks the engine to end the credential and removes the record once
// it is gone.
func (m *Manager) attempt(ctx context.Context, e *entry) error {
	ctx, cancel := context.WithTimeout(ctx, revokeTimeout)
	defer cancel()
	e.busy.Lock()
	defer e.busy.Unlock()
	l, err := m.load(ctx, e)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	m.markEnded(ctx, e, l)
	if err := m.engine.Revoke(ctx, l); err != nil && !e.force.Load() {
		m.markIrrevocable(ctx, e, l, err)
		return fmt.Errorf("revoking lease %q (it will be tried again): %w", e.id, err)
	} else if err != nil {
		m.logger.Warn("lease forgotten by force; its credential may still exist", "lease_id", e.id, "error", err)
	}
	if err := m.storage.Delete(ctx, e.id); err != nil {
		return fmt.Errorf("removing lease %q: %w", e.id, err)
	}
	e.gone = true
	m.logger.Debug("lease revoked", "lease_id", e.id)
	return nil
}

// markEnded makes the record say that the lease is over, so that a restart
// goes on with its revocation. The caller holds e.busy.
func (m *Manager) markEnded(ctx context.Context, e *entry, l *Lease) {
	if e.unsaved != nil || l.TTL() <= 0 {
		return
	}
	l.ExpireTime = time.Now()
	if err := m.write(ctx, l); err != nil {
		m.logger.Error("marking a lease as ended", "lease_id", e.id, "error", err)
	}
}

// markIrrevocable makes the record say so when the failure that has just
// happened is the one too many. The caller holds e.busy.
func (m *Manager) markIrrevocable(ctx context.Context, e *entry, l *Lease, cause error) {
	m.mu.Lock()
	before := 0
	if e.trouble != nil {
		before = e.trouble.failures
	}
	m.mu.Unlock()
	if e.unsaved != nil || before+1 != irrevocableAfter {
		return
	}
	m.logger.Error("lease is irrevocable: its credential may still work; mend the cause, then revoke it, or forget it by revoke-force",
		"lease_id", e.id, "error", cause)
	l.Failure = cause.Error()
	if err := m.write(ctx, l); err != nil {
		m.logger.Error("marking a lease as irrevocable", "lease_id", e.id, "error", err)
	}
}

// finish records the outcome of an attempt, and sets the next after a failure.
func (m *Manager) finish(e *entry, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e.job = nil
	m.events.Ended(e.group.Group, e.expired, err)
	if err == nil {
		m.forget(e)
		m.queue.Stop(&e.Timer)
		return
	}
	t := &trouble{failures: 1, reason: cause(err).Error()}
	if e.trouble != nil {
		t.failures += e.trouble.failures
	}
	e.trouble = t
	delay := retryDelay(t.failures)
	m.queue.Set(&e.Timer, time.Now().Add(delay), e)
	m.logger.Warn("revocation failed", "lease_id", e.id, "failures", t.failures, "retry_in", delay.Round(time.Millisecond), "error", err)
}

// cause returns what an attempt's error wraps, where it wraps one.
func cause(err error) error {
	if inner := errors.Unwrap(err); inner != nil {
		return inner
	}
	return err
}

// retryDelay doubles from firstRetry to lastRetry with the number of failures
// so far, give or take a fifth so that a recovering database is not stampeded.
func retryDelay(failures int) time.Duration {
	delay := lastRetry
	if doublings := failures - 1; doublings < 10 {
		delay = min(lastRetry, firstRetry<<doublings)
	}
	return time.Duration(float64(delay) * (0.8 + 0.4*rand.Float64()))
}

// wait returns when every job is done or ctx ends. Of several errors it
// returns the first, with their number.
func wait(ctx context.Context, jobs []*job) error {
	failed := 0
	var first error
	for _, j := range jobs {
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for revocation: %w", ctx.Err())
		case <-j.done:
		}
		if j.err == nil {
			continue
		}
		if failed++; first == nil {
			first = j.err
		}
	}
	if failed > 1 {
		return fmt.Errorf("%d of %d revocations failed, the first: %w", failed, len(jobs), first)
	}
	return first
}

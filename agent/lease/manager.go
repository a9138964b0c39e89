package lease

import (
	"container/heap"
	"context"
	"errors"
	"hash/maphash"
	"net/http"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/novatech/securevault/agent/schedule"
	"github.com/novatech/securevault/agent/state"
	"github.com/novatech/securevault/internal/vault"
)

// Server is what the manager asks of the server. Errors are classified by
// [vault.Classify]. Revoke of a lease that the server does not know is no
// error.
type Server interface {
	Fetch(ctx context.Context, token vault.Token, w vault.Want) (*vault.Secret, error)
	Renew(ctx context.Context, token vault.Token, leaseID string, increment time.Duration) (*vault.Secret, error)
	Revoke(ctx context.Context, token vault.Token, leaseID string) error
}

// Config says how a manager works.
type Config struct {
	Server      Server
	Log         *zap.Logger
	Connections int     // requests in flight at once
	Journal     Journal // nil for none
	// Held is what another manager hands on, see [Manager.Held]. The journal
	// has it too, or is told.
	Held []state.Record
	// Suspect is called, if set, with the token of a request that the server
	// answered as if the token were no longer valid. It must not block.
	Suspect func(vault.Token)
	// Released is called, if set, some time after a token was replaced, with an
	// epoch before which nothing depends on a token any more: the leases that
	// those have issued are gone. It must not block.
	Released func(before uint64)
}

// A change waits this long for others to be handed on with it while requests
// are in flight: longer where there are many entries, since whoever takes a
// snapshot then looks at all of them.
const (
	quiet     = 20 * time.Millisecond
	quietEach = 20 * time.Microsecond // of the entries
)

const (
	hasteShare   = 20 // of the TTL, as a divisor
	longestHaste = time.Second
)

// Manager keeps every wanted secret alive. Make one with [New]; it does
// nothing until [Manager.Run].
type Manager struct {
	cfg     Config
	seed    maphash.Seed
	wake    chan struct{} // capacity one: look at the queue again
	changed chan struct{} // capacity one: a newer snapshot is there

	mu         sync.Mutex
	token      vault.Token
	entries    map[vault.Want]*entry
	drains     map[*drain]struct{}
	queue      queue
	inflight   int
	asking     map[uint64]int // epoch of the token → requests in flight with it
	generation uint64
	snapshot   *Snapshot // nil when out of date
	flushAt    time.Time // when to signal changed at the latest; zero if nothing is unsaid
	offered    bool      // Changed has fired since the last snapshot was made
	stats      Stats

	handed  *Snapshot                    // the last one: all its credentials are in the journal
	unsaved []state.Record               // that the journal has still to be told
	saveAt  time.Time                    // when to tell it at the latest; zero for nothing
	adopted map[vault.Want][]*credential // held by an earlier run, oldest first, not wanted so far

	surveyAt time.Time // when to look which tokens are still needed; zero while only the current one is
}

// New returns a manager that holds what its journal says an earlier run did,
// as soon as somebody wants it. The error is about the journal.
func New(cfg Config) (*Manager, error) {
	if cfg.Connections <= 0 {
		cfg.Connections = vault.DefaultConnections
	}
	m := &Manager{
		cfg:     cfg,
		seed:    maphash.MakeSeed(),
		wake:    make(chan struct{}, 1),
		changed: make(chan struct{}, 1),
		entries: make(map[vault.Want]*entry),
		drains:  make(map[*drain]struct{}),
		handed:  &Snapshot{},
		adopted: make(map[vault.Want][]*credential),
		asking:  make(map[uint64]int),
	}
	if cfg.Journal == nil {
		return m, m.restore(cfg.Held)
	}
	if err := cfg.Journal.Append(cfg.Held...); err != nil {
		return nil, err
	}
	return m, m.restore(cfg.Journal.Records())
}

// Run requests, renews, rotates and revokes until ctx ends. Requests in
// flight are not cut off by that, since their answers may carry credentials:
// [Manager.Revoke] waits for them.
func (m *Manager) Run(ctx context.Context) error {
	requests := context.WithoutCancel(ctx)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		timer.Reset(m.dispatch(requests, time.Now()))
		select {
		case <-ctx.Done():
			return m.stop(ctx)
		case <-timer.C:
		case <-m.wake:
		}
	}
}

// stop brings the journal up to date when Run ends.
func (m *Manager) stop(ctx context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.save(time.Now()); err != nil {
		return err
	}
	return context.Cause(ctx)
}

// SetToken says which token to use from now on. A new epoch makes every lease
// of the older ones stale: each is replaced before its own token ends.
func (m *Manager) SetToken(token vault.Token) {
	m.mu.Lock()
	defer m.mu.Unlock()
	defer signal(m.wake)
	known := m.token.Epoch
	m.token = token
	if token.Epoch == known {
		return
	}
	now := time.Now()
	if m.cfg.Released != nil {
		m.surveyAt = now.Add(surveyDelay)
	}
	for _, e := range m.entries {
		m.markStale(e, now)
		e.succeed() // whatever the old token was refused, the new one may be allowed
		m.reschedule(e, now)
	}
}

// markStale notes that the token in use is not the one that issued what an
// entry holds, and how long that one still lives.
func (m *Manager) markStale(e *entry, now time.Time) {
	c := e.current
	if c == nil || c.epoch >= m.token.Epoch || !c.staleSince.IsZero() {
		return
	}
	c.staleSince = now
	if c.epoch+1 == m.token.Epoch {
		c.tokenEnds = m.token.PreviousEnds
	}
}

// Want says what is wanted from now on, and on which policy. A want that is
// new is requested; one that is missing is let go of: its leases are revoked
// after their overlap.
func (m *Manager) Want(wants map[vault.Want]schedule.Policy) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	for want, policy := range wants {
		e := m.entries[want]
		if e == nil {
			e = &entry{want: want}
			e.task = task{index: -1, entry: e}
			m.entries[want] = e
			m.claim(e, now)
		} else if e.policy == policy.WithDefaults() {
			continue
		}
		e.policy = policy.WithDefaults()
		m.reschedule(e, now)
	}
	for want, e := range m.entries {
		if _, ok := wants[want]; !ok {
			m.drop(e, now)
		}
	}
	signal(m.wake)
}

// Published says that of each want the given version, or a newer one, is in
// use everywhere: what it replaced may end after its overlap.
func (m *Manager) Published(versions map[vault.Want]uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	for want, version := range versions {
		e := m.entries[want]
		if e == nil {
			continue
		}
		if c := e.current; c != nil && !c.inUse && c.version <= version {
			c.inUse, c.untold = true, false
			m.note(want, c)
			m.snapshot = nil
		}
		e.replaced = slices.DeleteFunc(e.replaced, func(c *credential) bool {
			if c.version >= version {
				return false
			}
			if c.leased() && !c.gone && !c.ends().After(now) {
				m.cfg.Log.Warn("a lease ended before its successor was in use everywhere: see overlap and budget", fieldsOf(want, c)...)
			}
			m.drain(e, c, now)
			return true
		})
	}
	signal(m.wake)
}

// Reversible reports whether going back to what the wants held before would
// find it alive for a while yet.
func (m *Manager) Reversible(wants []vault.Want) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	soon := time.Now().Add(time.Minute)
	for _, w := range wants {
		e := m.entries[w]
		if e == nil {
			return false
		}
		for _, c := range e.replaced {
			if c.gone || c.ends().Before(soon) {
				return false
			}
		}
	}
	return true
}

// Changed fires when there is a newer [Manager.Snapshot]. It is a level, not
// a queue: however much has changed, it fires once.
func (m *Manager) Changed() <-chan struct{} { return m.changed }

// Snapshot returns all that is held, but for changes that are yet to be handed
// on together: [Manager.Changed] will fire. With a journal it holds nothing
// that a kill would make us forget: while that cannot be written, the last
// snapshot stays the newest.
func (m *Manager) Snapshot() *Snapshot {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.offered && !m.flushAt.IsZero() {
		return m.handed
	}
	if m.snapshot == nil {
		if err := m.save(time.Now()); err != nil {
			return &Snapshot{Generation: m.handed.Generation, Err: err, items: m.handed.items}
		}
		m.snapshot = &Snapshot{Generation: m.generation, items: make(map[vault.Want]Item, len(m.entries))}
		for want, e := range m.entries {
			m.snapshot.items[want] = e.item()
		}
		m.handed, m.offered = m.snapshot, false
	}
	return m.snapshot
}

// Stats returns what was done so far.
func (m *Manager) Stats() Stats {
	m.mu.Lock()
	defer m.mu.Unlock()
	stats := m.stats
	stats.Held = len(m.heldLocked())
	return stats
}

// dispatch starts the requests that are due, within the budget of requests in
// flight, hands on what has changed, and returns how long nothing else is due.
func (m *Manager) dispatch(ctx context.Context, now time.Time) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	for m.ready() && !m.queue[0].at.After(now.Add(m.haste())) {
		m.start(ctx, heap.Pop(&m.queue).(*task))
	}
	m.flush(now)
	m.survey(now)
	if !m.saveAt.IsZero() && !now.Before(m.saveAt) && m.save(now) == nil && m.snapshot == nil {
		signal(m.changed)
	}
	wait := time.Hour // nothing is due: the next wake-up comes from a signal
	if m.ready() {
		wait = m.queue[0].at.Sub(now)
	}
	for _, at := range []time.Time{m.flushAt, m.saveAt, m.surveyAt} {
		if !at.IsZero() {
			wait = min(wait, at.Sub(now))
		}
	}
	return max(wait, 0)
}

// ready reports whether the first task of the queue could be started if it
// were due.
func (m *Manager) ready() bool {
	return len(m.queue) > 0 && m.token.Epoch > 0 && m.inflight < m.cfg.Connections
}

// haste returns how long before its time the first task of the queue is
// started: while other requests are in flight, a renewal may join them. Each
// wake-up from rest costs more than a request.
func (m *Manager) haste() time.Duration {
	e := m.queue[0].entry
	if m.inflight == 0 || e == nil || e.action != schedule.Renew || e.failed != schedule.None {
		return 0
	}
	return min(e.current.full/hasteShare, longestHaste)
}

// start sends the request of a task that is due. The lock is held.
func (m *Manager) start(ctx context.Context, t *task) {
	m.inflight++
	m.asking[m.token.Epoch]++
	m.stats.Requested++
	if d := t.drain; d != nil {
		go m.revoke(ctx, d, m.token)
		return
	}
	e := t.entry
	e.busy = true
	patience := time.Duration(0)
	if e.action == schedule.Renew {
		patience = e.policy.Patience(e.facts(m.seed), time.Now())
	}
	go m.request(ctx, e, e.action, e.current, m.token, patience)
}

// request performs one action on an entry. It runs without the lock. Only a
// renewal is given up after some patience: the answer to any other request may
// carry a credential.
func (m *Manager) request(ctx context.Context, e *entry, action schedule.Action, held *credential, token vault.Token, patience time.Duration) {
	asked := time.Now() // the TTL counts from before the request: better early than late
	var secret *vault.Secret
	var err error
	if action == schedule.Renew {
		limited, cancel := context.WithTimeoutCause(ctx, patience, errSlow)
		secret, err = m.cfg.Server.Renew(limited, token, held.secret.LeaseID, held.full)
		cancel()
	} else {
		secret, err = m.cfg.Server.Fetch(ctx, token, e.want)
	}
	if err != nil && m.cfg.Suspect != nil && suspicious(err) {
		m.cfg.Suspect(token)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	defer signal(m.wake)
	m.answered(token)
	e.busy = false
	now := time.Now()
	switch {
	case err != nil:
		m.failed(e, action, err, now)
	case action == schedule.Renew:
		m.renewed(e, held, secret, asked)
	default:
		m.issued(e, action, newCredential(e.want, secret, token, asked), now)
	}
	m.reschedule(e, now)
}

// errSlow is why a renewal was given up.
var errSlow = errors.New("the server has not answered a renewal in time for anything else to be done")

// suspicious reports whether an error may mean that the token has ended:
// servers answer "permission denied" to a dead token and to a living one that
// may not.
func suspicious(err error) bool {
	return vault.Classify(err) == vault.Login || vault.Status(err) == http.StatusForbidden
}

func (m *Manager) failed(e *entry, action schedule.Action, err error, now time.Time) {
	m.stats.Failed++
	if action == schedule.Renew {
		m.stats.RenewFailed++
	}
	log := m.cfg.Log.Debug
	if e.fail(action, err, now) {
		log = m.cfg.Log.Warn
	}
	log("request failed", zap.Stringer("secret", e.want), zap.Stringer("action", action),
		zap.Stringer("class", e.class), zap.Int("failures", e.failures), zap.Error(err))
	m.touch(now)
}

func (m *Manager) renewed(e *entry, held *credential, renewal *vault.Secret, asked time.Time) {
	e.succeed()
	held.extend(renewal, asked)
	m.note(e.want, held)
	m.stats.Renewed++
	m.snapshot = nil
	m.cfg.Log.Info("lease renewed", zap.Stringer("secret", e.want),
		zap.String("lease", held.secret.LeaseID), zap.Duration("ttl", held.ttl))
}

// issued takes over a new credential. Its predecessor stays alive until
// Published says that this one is in use.
func (m *Manager) issued(e *entry, action schedule.Action, c *credential, now time.Time) {
	e.succeed()
	if e.dropped {
		m.drain(e, c, now)
		return
	}
	old := e.current
	if action == schedule.Reread && old != nil && sameData(old, c) {
		old.granted, old.ttl, old.full = c.granted, c.ttl, c.full
		return
	}
	m.generation++
	c.version = m.generation
	e.current = c
	m.markStale(e, now) // the token was replaced while the answer was on its way
	m.note(e.want, c)
	m.count(e, action, now)
	if old != nil && old.leased() {
		if old.gone {
			// A server that loses every lease gets one request per lifetime.
			c.notBefore = c.ends()
		}
		e.replaced = append(e.replaced, old)
	}
	m.cfg.Log.Info("secret issued", zap.Stringer("secret", e.want), zap.Stringer("action", action),
		zap.String("lease", c.secret.LeaseID), zap.Duration("ttl", c.ttl), zap.Uint64("generation", c.version))
	m.touch(now)
}

// reschedule places an entry in the queue by its next action.
func (m *Manager) reschedule(e *entry, now time.Time) {
	if e.busy || e.dropped {
		return
	}
	action, at := e.policy.Next(e.facts(m.seed))
	if e.action = action; action == schedule.None {
		m.queue.remove(&e.task)
		return
	}
	m.queue.put(&e.task, latest(at, now))
}

// drop lets go of an entry that is no longer wanted.
func (m *Manager) drop(e *entry, now time.Time) {
	e.dropped = true
	m.queue.remove(&e.task)
	delete(m.entries, e.want)
	for _, c := range append(e.replaced, e.current) {
		if c != nil {
			m.drain(e, c, now)
		}
	}
	e.replaced, e.current = nil, nil
	m.snapshot = nil
}

// touch marks the snapshot as out of date and has it handed on: at once when
// nothing is in flight, else together with what else arrives shortly.
func (m *Manager) touch(now time.Time) {
	m.snapshot = nil
	if m.flushAt.IsZero() {
		m.flushAt = now.Add(quiet + time.Duration(len(m.entries))*quietEach)
	}
}

func (m *Manager) flush(now time.Time) {
	if m.flushAt.IsZero() || (m.inflight > 0 && now.Before(m.flushAt)) {
		return
	}
	m.flushAt, m.offered = time.Time{}, true
	signal(m.changed)
}

// signal fires a channel of capacity one, which never blocks the sender.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

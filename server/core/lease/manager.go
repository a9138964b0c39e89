package lease

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/core/expiry"
	"github.com/novatech/securevault/server/core/work"
)

// Engine reaches the engine that made a lease's credential.
type Engine interface {
	// Renew asks the engine to prolong the credential and returns its answer,
	// whose Secret carries the TTL granted from now. ErrNotRenewable refuses.
	Renew(ctx context.Context, l *Lease, increment time.Duration) (*logical.Response, error)
	// Revoke ends the credential. It returns nil only when the credential is
	// gone; ending one that is gone already is not an error.
	Revoke(ctx context.Context, l *Lease) error
}

// Config is what a Manager works with.
type Config struct {
	Storage logical.Storage // the leases' own view
	Queue   *expiry.Queue   // run by its owner
	Engine  Engine
	Limit   Limit  // nil: none
	Events  Events // nil: nobody listens
	Logger  hclog.Logger
}

// Manager keeps the leases. Its methods are safe for concurrent use.
type Manager struct {
	storage  logical.Storage
	queue    *expiry.Queue
	engine   Engine
	limit    Limit
	events   Events
	logger   hclog.Logger
	restored chan struct{} // closed when memory knows every lease

	mu      sync.Mutex
	entries map[string]*entry              // guarded by mu; lease id → entry
	byToken map[string]map[*entry]struct{} // guarded by mu; token key → its entries
	groups  map[Group]*group               // guarded by mu; those that have leases or places
	pools   map[string]*work.Pool          // guarded by mu; mount id → revocations
	ended   map[string]struct{}            // guarded by mu; ids that Restore must not bring back; nil once restored
}

// entry is what memory holds of a lease.
type entry struct {
	expiry.Timer
	manager *Manager
	group   *group
	id      string
	token   string
	force   atomic.Bool // forget the lease even if its engine fails

	busy    sync.Mutex // held while the engine works on this lease
	unsaved *Lease     // guarded by busy; the record when storage refused it
	gone    bool       // guarded by busy

	expired bool     // guarded by Manager.mu; its time came before anybody revoked it
	pending bool     // guarded by Manager.mu; intended, and busy until it is registered
	job     *job     // guarded by Manager.mu; the revocation under way
	trouble *trouble // guarded by Manager.mu; nil unless revocations failed
}

// New returns a manager that knows no leases; Restore reads them.
func New(c Config) *Manager {
	if c.Events == nil {
		c.Events = unheard{}
	}
	return &Manager{
		storage:  c.Storage,
		queue:    c.Queue,
		engine:   c.Engine,
		limit:    c.Limit,
		events:   c.Events,
		logger:   c.Logger,
		restored: make(chan struct{}),
		entries:  map[string]*entry{},
		byToken:  map[string]map[*entry]struct{}{},
		groups:   map[Group]*group{},
		pools:    map[string]*work.Pool{},
		ended:    map[string]struct{}{},
	}
}

// Intend takes charge of a credential before it is made, at the latest when it
// returns nil: whatever happens then, it is revoked unless Register or Withdraw
// is called. The lease's id, role and what the engine needs to revoke are set by
// the caller. A place that was reserved becomes the lease's.
func (m *Manager) Intend(ctx context.Context, l *Lease, place *Place) error {
	over := *l
	over.ExpireTime = l.IssueTime
	e := m.hold(l, place)
	if err := m.write(ctx, &over); err != nil {
		m.let(e, nil)
		m.mu.Lock()
		m.forget(e)
		m.mu.Unlock()
		return fmt.Errorf("writing down what is about to be created: %w", err)
	}
	return nil
}

// Register takes charge of a new credential, intended or not; the lease's id and
// times are set by the caller. When the record cannot be written, the credential
// is revoked, with retries as long as the process lives, and the error returned
// after the first attempt.
func (m *Manager) Register(ctx context.Context, l *Lease, place *Place) error {
	e := m.hold(l, place)
	if err := m.write(ctx, l); err != nil {
		m.let(e, l)
		if failed := wait(ctx, []*job{m.begin(ctx, e)}); failed != nil {
			m.logger.Error("ending a credential whose lease cannot be registered", "lease_id", e.id, "error", failed)
		}
		return fmt.Errorf("registering lease: %w", err)
	}
	m.let(e, nil)
	m.reschedule(e, l.ExpireTime)
	m.logger.Debug("lease issued", "lease_id", l.ID, "ttl", l.Secret.TTL)
	return nil
}

// Abandon takes charge of a new credential, intended or not, only to end it at
// once, with retries as long as the process lives.
func (m *Manager) Abandon(ctx context.Context, l *Lease) {
	e := m.hold(l, nil)
	m.let(e, l)
	m.begin(ctx, e)
}

// Withdraw forgets an intended lease of which nothing was created.
func (m *Manager) Withdraw(ctx context.Context, l *Lease) {
	e := m.hold(l, nil)
	if err := m.storage.Delete(ctx, l.ID); err != nil {
		m.logger.Warn("removing the record of what was not created; it is revoked instead", "lease_id", l.ID, "error", err)
		m.let(e, l)
		m.begin(ctx, e)
		return
	}
	e.gone = true
	m.let(e, nil)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.forget(e)
}

// hold returns the entry of a lease that is being created, busy: the one that
// was intended, or a new one.
func (m *Manager) hold(l *Lease, place *Place) *entry {
	m.mu.Lock()
	defer m.mu.Unlock()
	if e := m.entries[l.ID]; e != nil && e.pending {
		return e
	}
	e := &entry{manager: m, id: l.ID, token: l.Token, pending: true}
	e.busy.Lock()
	m.index(e, Group{l.Mount, l.Role}, place)
	return e
}

// let ends what hold began; unsaved is the record if storage does not have it.
func (m *Manager) let(e *entry, unsaved *Lease) {
	if unsaved != nil {
		kept := *unsaved
		kept.Unrecorded = true
		e.unsaved = &kept
	}
	e.busy.Unlock()
	m.mu.Lock()
	defer m.mu.Unlock()
	e.pending = false
	if e.job != nil {
		m.start(context.Background(), e)
	}
}

// Renew prolongs a lease by increment from now, or by what its role says when
// increment is zero. The answer's Secret carries the lease's id and what was
// granted.
func (m *Manager) Renew(ctx context.Context, id string, increment time.Duration) (*logical.Response, error) {
	resp, err := m.renew(ctx, id, increment)
	m.events.Renewed(id, err)
	return resp, err
}

func (m *Manager) renew(ctx context.Context, id string, increment time.Duration) (*logical.Response, error) {
	e, err := m.live(ctx, id)
	if err != nil {
		return nil, err
	}
	e.busy.Lock()
	defer e.busy.Unlock()
	l, err := m.load(ctx, e)
	switch {
	case err != nil:
		return nil, err
	case l.TTL() <= 0:
		return nil, ErrNotFound
	case !l.Secret.Renewable:
		return nil, ErrNotRenewable
	}
	resp, err := m.engine.Renew(ctx, l, increment)
	if err != nil {
		return nil, err
	}

	now := time.Now()
	secret := *resp.Secret
	secret.LeaseID = id
	if secret.InternalData == nil {
		secret.InternalData = l.Secret.InternalData
	}
	l.Secret, l.LastRenewal, l.ExpireTime = &secret, now, now.Add(secret.TTL)
	if err := m.write(ctx, l); err != nil {
		return nil, fmt.Errorf("renewing lease: %w", err)
	}
	m.reschedule(e, l.ExpireTime)
	m.logger.Debug("lease renewed", "lease_id", id, "ttl", secret.TTL)
	return &logical.Response{Secret: &secret, Warnings: resp.Warnings}, nil
}

// Lookup returns the record of a lease as it was last written.
func (m *Manager) Lookup(ctx context.Context, id string) (*Lease, error) {
	if _, err := m.find(ctx, id); err != nil {
		return nil, err
	}
	return m.read(ctx, id)
}

// List returns the parts of lease ids one level below prefix, sorted; deeper
// levels end in a slash.
func (m *Manager) List(ctx context.Context, prefix string) ([]string, error) {
	return m.storage.List(ctx, folder(prefix))
}

// RevokeOwnerless begins to end the leases whose token is not alive any more,
// which a crash in the middle of a token's revocation leaves. It waits until all
// leases are known.
func (m *Manager) RevokeOwnerless(ctx context.Context, alive func(token string) bool) error {
	if err := m.wait(ctx); err != nil {
		return err
	}
	m.mu.Lock()
	owners := slices.Collect(maps.Keys(m.byToken))
	m.mu.Unlock()
	for _, owner := range owners {
		if alive(owner) {
			continue
		}
		if err := m.RevokeToken(ctx, owner, false); err != nil {
			return err
		}
	}
	return nil
}

// load reads the record of an entry; the caller holds e.busy.
func (m *Manager) load(ctx context.Context, e *entry) (*Lease, error) {
	if e.gone {
		return nil, ErrNotFound
	}
	if e.unsaved != nil {
		return e.unsaved, nil
	}
	return m.read(ctx, e.id)
}

// index makes e known; the caller holds m.mu.
func (m *Manager) index(e *entry, in Group, place *Place) {
	e.group = m.groupOf(in)
	if place == nil || !place.take() {
		e.group.leases++
	}
	m.entries[e.id] = e
	if e.token == "" {
		return
	}
	if m.byToken[e.token] == nil {
		m.byToken[e.token] = map[*entry]struct{}{}
	}
	m.byToken[e.token][e] = struct{}{}
}

// forget removes e from memory; the caller holds m.mu.
func (m *Manager) forget(e *entry) {
	if m.entries[e.id] != e {
		return
	}
	delete(m.entries, e.id)
	m.leave(e.group)
	if m.ended != nil {
		m.ended[e.id] = struct{}{}
	}
	delete(m.byToken[e.token], e)
	if len(m.byToken[e.token]) == 0 {
		delete(m.byToken, e.token)
	}
}

// live finds an entry that is not on its way out.
func (m *Manager) live(ctx context.Context, id string) (*entry, error) {
	e, err := m.find(ctx, id)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if e.job != nil || e.trouble != nil {
		return nil, ErrNotFound
	}
	return e, nil
}

// reschedule moves the deadline of e, unless its revocation has begun: then
// the retries own the timer.
func (m *Manager) reschedule(e *entry, at time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if e.job == nil && e.trouble == nil {
		m.queue.Set(&e.Timer, at, e)
	}
}

// under returns the entries whose ids lie below prefix, once all are known.
func (m *Manager) under(ctx context.Context, prefix string) ([]*entry, error) {
	if err := m.wait(ctx); err != nil {
		return nil, err
	}
	prefix = folder(prefix)
	m.mu.Lock()
	defer m.mu.Unlock()
	var found []*entry
	for id, e := range m.entries {
		if strings.HasPrefix(id, prefix) {
			found = append(found, e)
		}
	}
	return found, nil
}

// folder makes a prefix end where a segment ends, so that "db/creds/app" does
// not reach the leases of "db/creds/app-two".
func folder(prefix string) string {
	if prefix == "" || strings.HasSuffix(prefix, "/") {
		return prefix
	}
	return prefix + "/"
}

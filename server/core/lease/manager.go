package lease

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/core/expiry"
	"github.com/novatech/securevault/server/core/work"
	"github.com/novatech/securevault/server/store"
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
	Logger  hclog.Logger
}

// Manager keeps the leases. Its methods are safe for concurrent use.
type Manager struct {
	storage logical.Storage
	queue   *expiry.Queue
	engine  Engine
	logger  hclog.Logger

	mu      sync.Mutex
	entries map[string]*entry              // guarded by mu; lease id → entry
	byToken map[string]map[*entry]struct{} // guarded by mu; token key → its entries
	pools   map[string]*work.Pool          // guarded by mu; mount id → revocations
}

// entry is what memory holds of a lease.
type entry struct {
	expiry.Timer
	manager *Manager
	id      string
	mount   string
	token   string
	force   atomic.Bool // forget the lease even if its engine fails

	busy    sync.Mutex // held while the engine works on this lease
	unsaved *Lease     // guarded by busy; the record when storage refused it
	gone    bool       // guarded by busy

	job      *job // guarded by Manager.mu; the revocation under way
	failures int  // guarded by Manager.mu; revocations that failed in a row
}

// New returns a manager without leases.
func New(c Config) *Manager {
	return &Manager{
		storage: c.Storage,
		queue:   c.Queue,
		engine:  c.Engine,
		logger:  c.Logger,
		entries: map[string]*entry{},
		byToken: map[string]map[*entry]struct{}{},
		pools:   map[string]*work.Pool{},
	}
}

// Restore reads every lease and sets its deadline; those that ended meanwhile
// are revoked as soon as the queue runs.
func (m *Manager) Restore(ctx context.Context) error {
	ids, err := logical.CollectKeys(ctx, m.storage)
	if err != nil {
		return fmt.Errorf("listing leases: %w", err)
	}
	for _, id := range ids {
		l, err := store.GetJSON[Lease](ctx, m.storage, id)
		if err != nil {
			return fmt.Errorf("restoring lease %q: %w", id, err)
		}
		if l != nil {
			e := m.add(l)
			m.queue.Set(&e.Timer, l.ExpireTime, e)
		}
	}
	return nil
}

// Register takes charge of a new credential; the lease's id and times are set
// by the caller. When the record cannot be written, the credential is revoked,
// with retries as long as the process lives, and the error returned.
func (m *Manager) Register(ctx context.Context, l *Lease) error {
	e := m.add(l)
	if err := store.PutJSON(ctx, m.storage, l.ID, l); err != nil {
		m.abandon(ctx, e, l)
		return fmt.Errorf("registering lease: %w", err)
	}
	m.queue.Set(&e.Timer, l.ExpireTime, e)
	return nil
}

// Abandon takes charge of a new credential only to end it at once, with retries
// as long as the process lives.
func (m *Manager) Abandon(ctx context.Context, l *Lease) { m.abandon(ctx, m.add(l), l) }

func (m *Manager) abandon(ctx context.Context, e *entry, l *Lease) {
	e.busy.Lock()
	e.unsaved = l
	e.busy.Unlock()
	m.begin(ctx, e)
}

// Renew prolongs a lease by increment from now, or by what its role says when
// increment is zero. The answer's Secret carries the lease's id and what was
// granted.
func (m *Manager) Renew(ctx context.Context, id string, increment time.Duration) (*logical.Response, error) {
	e, ok := m.live(id)
	if !ok {
		return nil, ErrNotFound
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
	if err := store.PutJSON(ctx, m.storage, id, l); err != nil {
		return nil, fmt.Errorf("renewing lease: %w", err)
	}
	m.reschedule(e, l.ExpireTime)
	return &logical.Response{Secret: &secret, Warnings: resp.Warnings}, nil
}

// Lookup returns the record of a lease as it was last written.
func (m *Manager) Lookup(ctx context.Context, id string) (*Lease, error) {
	if _, ok := m.find(id); !ok {
		return nil, ErrNotFound
	}
	return m.read(ctx, id)
}

// List returns the parts of lease ids one level below prefix, sorted; deeper
// levels end in a slash.
func (m *Manager) List(ctx context.Context, prefix string) ([]string, error) {
	return m.storage.List(ctx, folder(prefix))
}

// Count returns the number of leases that are not known to be gone.
func (m *Manager) Count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.entries)
}

// Owners returns the keys of the tokens that own leases, in no order.
func (m *Manager) Owners() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	owners := make([]string, 0, len(m.byToken))
	for token := range m.byToken {
		owners = append(owners, token)
	}
	return owners
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

func (m *Manager) read(ctx context.Context, id string) (*Lease, error) {
	l, err := store.GetJSON[Lease](ctx, m.storage, id)
	if err == nil && l == nil {
		err = ErrNotFound
	}
	return l, err
}

func (m *Manager) add(l *Lease) *entry {
	e := &entry{manager: m, id: l.ID, mount: l.Mount, token: l.Token}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.entries[e.id] = e
	if m.byToken[e.token] == nil {
		m.byToken[e.token] = map[*entry]struct{}{}
	}
	m.byToken[e.token][e] = struct{}{}
	return e
}

// forget removes e from memory; the caller holds m.mu.
func (m *Manager) forget(e *entry) {
	delete(m.entries, e.id)
	delete(m.byToken[e.token], e)
	if len(m.byToken[e.token]) == 0 {
		delete(m.byToken, e.token)
	}
}

func (m *Manager) find(id string) (*entry, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e, ok := m.entries[id]
	return e, ok
}

// live finds an entry that is not on its way out.
func (m *Manager) live(id string) (*entry, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e, ok := m.entries[id]
	return e, ok && e.job == nil && e.failures == 0
}

// reschedule moves the deadline of e, unless its revocation has begun: then
// the retries own the timer.
func (m *Manager) reschedule(e *entry, at time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if e.job == nil && e.failures == 0 {
		m.queue.Set(&e.Timer, at, e)
	}
}

// under returns the entries whose ids lie below prefix.
func (m *Manager) under(prefix string) []*entry {
	prefix = folder(prefix)
	m.mu.Lock()
	defer m.mu.Unlock()
	var found []*entry
	for id, e := range m.entries {
		if strings.HasPrefix(id, prefix) {
			found = append(found, e)
		}
	}
	return found
}

// folder makes a prefix end where a segment ends, so that "db/creds/app" does
// not reach the leases of "db/creds/app-two".
func folder(prefix string) string {
	if prefix == "" || strings.HasSuffix(prefix, "/") {
		return prefix
	}
	return prefix + "/"
}

package lease

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/novatech/securevault/agent/schedule"
	"github.com/novatech/securevault/agent/state"
	"github.com/novatech/securevault/internal/vault"
)

// Journal keeps what the manager holds beyond the end of the process. Append
// must not return before the records would survive a power cut, and must
// leave everything as it was when it fails.
type Journal interface {
	Records() []state.Record
	Append(records ...state.Record) error
}

const (
	leasedPrefix = "lease/"  // and the lease id: a credential that can be revoked
	secretPrefix = "secret/" // and the want: a secret without a lease

	// saveDelay is how long what need not be safe at once (a renewal, a
	// revocation) waits for others, to reach the disk together with them.
	saveDelay = time.Second
	// saveRetry is between two tries to write a journal that failed.
	saveRetry = 5 * time.Second
)

// entryRecord is a credential in the journal.
type entryRecord struct {
	Want      vault.Want     `json:"want"`
	LeaseID   string         `json:"lease_id,omitempty"`
	Renewable bool           `json:"renewable,omitempty"`
	Data      map[string]any `json:"data"`
	Version   uint64         `json:"version"`
	Epoch     uint64         `json:"epoch"` // of the token
	Issued    time.Time      `json:"issued"`
	Granted   time.Time      `json:"granted"`
	TTL       time.Duration  `json:"ttl"`
	Full      time.Duration  `json:"full"`
	InUse     bool           `json:"in_use,omitempty"`
}

// journalKey names a credential in the journal.
func journalKey(w vault.Want, c *credential) string {
	if c.leased() {
		return leasedPrefix + c.secret.LeaseID
	}
	return secretPrefix + strings.Join([]string{w.Method, w.Namespace, w.Path, w.Params}, "\x00")
}

// note has the journal hold a credential as it is now. The lock is held, as
// for everything below.
func (m *Manager) note(w vault.Want, c *credential) {
	if m.cfg.Journal == nil {
		return
	}
	if r, ok := m.record(w, c); ok {
		m.write(r)
	}
}

// record returns a credential as it is in the journal.
func (m *Manager) record(w vault.Want, c *credential) (_ state.Record, ok bool) {
	value, err := json.Marshal(entryRecord{
		Want: w, LeaseID: c.secret.LeaseID, Renewable: c.renewable, Data: c.secret.Data, Version: c.version,
		Epoch: c.epoch, Issued: c.issued, Granted: c.granted, TTL: c.ttl, Full: c.full, InUse: c.inUse,
	})
	if err != nil { // the data came as JSON, so it can be written as JSON
		m.cfg.Log.Error("encoding a credential for the state failed", zap.Stringer("secret", w), zap.Error(err))
		return state.Record{}, false
	}
	return state.Record{Key: journalKey(w, c), Value: value}, true
}

// unnote has the journal forget a credential.
func (m *Manager) unnote(w vault.Want, c *credential) {
	if m.cfg.Journal != nil {
		m.write(state.Record{Key: journalKey(w, c)})
	}
}

func (m *Manager) write(r state.Record) {
	m.unsaved = append(m.unsaved, r)
	if m.saveAt.IsZero() {
		m.saveAt = time.Now().Add(saveDelay)
	}
}

// save brings the journal up to date.
func (m *Manager) save(now time.Time) error {
	if len(m.unsaved) == 0 {
		return nil
	}
	if err := m.cfg.Journal.Append(m.unsaved...); err != nil {
		m.saveAt = now.Add(saveRetry)
		m.cfg.Log.Error("saving the state failed; nothing new is published until it succeeds",
			zap.Duration("retry", saveRetry), zap.Error(err))
		return err
	}
	m.unsaved, m.saveAt = nil, time.Time{}
	return nil
}

// restore reads what an earlier run held. It stays out of use until somebody
// wants it.
func (m *Manager) restore(records []state.Record) error {
	for _, r := range records {
		if !strings.HasPrefix(r.Key, leasedPrefix) && !strings.HasPrefix(r.Key, secretPrefix) {
			continue
		}
		var held entryRecord
		dec := json.NewDecoder(bytes.NewReader(r.Value))
		dec.UseNumber() // as the wire does
		if err := dec.Decode(&held); err != nil {
			return fmt.Errorf("reading the state: %q: %w", r.Key, err)
		}
		m.generation = max(m.generation, held.Version)
		m.adopted[held.Want] = append(m.adopted[held.Want], held.credential())
	}
	for _, credentials := range m.adopted {
		slices.SortFunc(credentials, func(a, b *credential) int { return cmp.Compare(a.version, b.version) })
	}
	return nil
}

func (r entryRecord) credential() *credential {
	secret := &vault.Secret{LeaseID: r.LeaseID, Renewable: r.Renewable, TTL: r.TTL, Data: r.Data}
	return &credential{
		secret: secret, version: r.Version, epoch: r.Epoch, issued: r.Issued, granted: r.Granted, ttl: r.TTL, full: r.Full, inUse: r.InUse, untold: !r.InUse,
		renewable: r.Renewable, end: vault.LifeOf(r.Want, secret, r.Granted).End,
	}
}

// claim gives an entry what an earlier run held for its want. Whether it is
// still alive is found out by its first renewal.
func (m *Manager) claim(e *entry, now time.Time) {
	held := m.adopted[e.want]
	if len(held) == 0 {
		return
	}
	delete(m.adopted, e.want)
	e.current = held[len(held)-1]
	e.replaced = append(e.replaced, held[:len(held)-1]...)
	if e.current.leased() {
		e.current.adoptedAt = now
	}
	m.markStale(e, now)
	e.remember(schedule.None, now)
	m.stats.Adopted++
	m.touch(now)
	m.cfg.Log.Info("secret adopted", zap.Stringer("secret", e.want),
		zap.String("lease", e.current.secret.LeaseID), zap.Time("ends", e.current.ends()))
}

// Settle lets go of what an earlier run held and nobody has wanted: it is
// called when everything that is wanted is known.
func (m *Manager) Settle() {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	for w, credentials := range m.adopted {
		e := &entry{want: w}
		e.policy = e.policy.WithDefaults()
		for _, c := range credentials {
			m.cfg.Log.Warn("a lease of an earlier run is not wanted any more, and is revoked",
				zap.Stringer("secret", w), zap.String("lease", c.secret.LeaseID))
			m.drain(e, c, now)
		}
	}
	clear(m.adopted)
	signal(m.wake)
}

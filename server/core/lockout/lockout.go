// Package lockout keeps those who guess passwords out: after some failed
// logins in a row, a user's logins are refused for a while, right or wrong.
//
// Guard counts by mount and by the name that the auth method knows the client
// under. It counts names that do not exist like others, so that a lock tells
// nothing. A login begins by its turn (turn.go), so that guesses sent at once do
// not outrun the count. Counts are in memory; locks are stored as well
// (keep.go), so that they outlive the server.
package lockout

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
)

// ErrLocked is returned while logins are refused. The client is not told: it
// must look like any refusal.
var ErrLocked = errors.New("locked out after too many failed logins")

// maxNames bounds how many names are remembered, so that guessing at random
// names cannot fill the memory.
const maxNames = 100_000

// looksPerName is how many names are looked at to make room for one.
const looksPerName = 16

// Settings say when to lock. A zero value stands for the default.
type Settings struct {
	Threshold    int           `json:"threshold,omitempty"`     // failures that lock; 5
	Duration     time.Duration `json:"duration,omitempty"`      // of the lock; 15 minutes
	CounterReset time.Duration `json:"counter_reset,omitempty"` // after the last failure; 15 minutes
	Disabled     bool          `json:"disabled,omitempty"`
}

// Or returns s, with what it leaves open taken from other.
func (s Settings) Or(other Settings) Settings {
	return Settings{
		Threshold:    either(s.Threshold, other.Threshold),
		Duration:     either(s.Duration, other.Duration),
		CounterReset: either(s.CounterReset, other.CounterReset),
		Disabled:     s.Disabled || other.Disabled,
	}
}

// Default is what holds where nothing else is set.
func Default() Settings {
	return Settings{Threshold: 5, Duration: 15 * time.Minute, CounterReset: 15 * time.Minute}
}

func either[T comparable](first, second T) T {
	var none T
	if first == none {
		return second
	}
	return first
}

// Guards reports whether failed logins count on an auth method of that type:
// those where a client proves itself by something that could be guessed.
func Guards(method string) bool {
	return slices.Contains([]string{"userpass", "ldap", "approle"}, method)
}

// maxAlias is how long an alias may be to be remembered as it is, in bytes: it is
// whatever a client without any token has sent.
const maxAlias = 128

// Name is who tries to log in; NewName makes one.
type Name struct {
	Mount string // accessor of the auth method
	Alias string // as the method knows the client, or what stands for it
}

// NewName returns the name of a client. A long alias is stood for by its hash.
func NewName(mount, alias string) Name {
	if len(alias) > maxAlias {
		sum := sha256.Sum256([]byte(alias))
		alias = "sha256:" + hex.EncodeToString(sum[:])
	}
	return Name{Mount: mount, Alias: strings.Clone(alias)} // it may be a part of something large
}

// record is what is remembered of a name that failed.
type record struct {
	failures    int
	forgottenAt time.Time // unless it fails again
	lockedUntil time.Time // zero if it is not
}

func (r *record) locked(now time.Time) bool { return now.Before(r.lockedUntil) }

func (r *record) over(now time.Time) bool { return !r.locked(now) && !now.Before(r.forgottenAt) }

// stale reports whether counting begins anew.
func (r *record) stale(now time.Time) bool {
	return r.over(now) || !r.lockedUntil.IsZero() && !r.locked(now)
}

// Guard counts failed logins. Its methods are safe for concurrent use.
type Guard struct {
	storage logical.Storage

	mu      sync.Mutex
	records map[Name]*record // guarded by mu
	queues  map[Name]*queue  // guarded by mu; of names that log in just now

	keeping sync.Mutex    // taken before mu
	kept    map[Name]bool // guarded by keeping; names whose lock is stored
}

// New returns a guard that has seen nothing.
func New(storage logical.Storage) *Guard {
	return &Guard{storage: storage, records: map[Name]*record{}, queues: map[Name]*queue{}, kept: map[Name]bool{}}
}

// Failed counts a failed login, and reports whether it has locked the name.
// Settings must be complete. After an error the lock holds, but not beyond the
// life of this server.
func (g *Guard) Failed(ctx context.Context, n Name, s Settings) (locked bool, err error) {
	if s.Disabled || !g.count(n, s) {
		return false, nil
	}
	return true, g.keep(ctx, n)
}

// count counts a failed login in memory.
func (g *Guard) count(n Name, s Settings) (locked bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	r, ok := g.records[n]
	switch {
	case ok && r.locked(now): // it was under way when another one locked
		return false
	case !ok && !g.makeRoom(now):
		return false
	case !ok || r.stale(now):
		r = &record{}
		g.records[n] = r
	}
	r.failures++
	r.forgottenAt = now.Add(s.CounterReset)
	if r.failures >= s.Threshold {
		r.lockedUntil = now.Add(s.Duration)
	}
	return r.locked(now)
}

// Succeeded forgets the failures of a name.
func (g *Guard) Succeeded(ctx context.Context, n Name) error { return g.Unlock(ctx, n) }

// Unlock lets a name log in again at once.
func (g *Guard) Unlock(ctx context.Context, n Name) error {
	g.mu.Lock()
	r, ok := g.records[n]
	delete(g.records, n)
	g.mu.Unlock()
	if !ok || r.lockedUntil.IsZero() {
		return nil
	}
	return g.keep(ctx, n)
}

// Locked returns the names that are locked out, sorted.
func (g *Guard) Locked() []Name {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	var names []Name
	for n, r := range g.records {
		if r.locked(now) {
			names = append(names, n)
		}
	}
	slices.SortFunc(names, func(a, b Name) int {
		return strings.Compare(a.Mount+"\x00"+a.Alias, b.Mount+"\x00"+b.Alias)
	})
	return names
}

// makeRoom reports whether one more name can be remembered. It looks at a few
// at random, which keeps it quick: what is over goes, and when the memory is
// full, whoever is not locked. The caller holds mu.
func (g *Guard) makeRoom(now time.Time) bool {
	looks := 0
	for n, r := range g.records {
		if r.over(now) || len(g.records) >= maxNames && !r.locked(now) {
			delete(g.records, n)
		}
		if looks++; looks == looksPerName {
			break
		}
	}
	return len(g.records) < maxNames
}

// Package lockout keeps those who guess passwords out: after some failed
// logins in a row, a user's logins are refused for a while, right or wrong.
//
// Guard counts by mount and by the name that the auth method knows the client
// under. It counts names that do not exist like others, so that a lock tells
// nothing. What it knows is in memory: a restart forgets it.
package lockout

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"time"
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

// Name is who tries to log in.
type Name struct {
	Mount string // accessor of the auth method
	Alias string // as the method knows the client
}

// record is what is remembered of a name that failed.
type record struct {
	failures    int
	forgottenAt time.Time // unless it fails again
	lockedUntil time.Time // zero if it is not
}

func (r *record) locked(now time.Time) bool { return now.Before(r.lockedUntil) }

func (r *record) over(now time.Time) bool { return !r.locked(now) && !now.Before(r.forgottenAt) }

// Guard counts failed logins. Its methods are safe for concurrent use.
type Guard struct {
	mu      sync.Mutex
	records map[Name]*record // guarded by mu
}

// New returns a guard that has seen nothing.
func New() *Guard { return &Guard{records: map[Name]*record{}} }

// Allow returns ErrLocked while the logins of a name are to be refused.
func (g *Guard) Allow(n Name) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if r, ok := g.records[n]; ok && r.locked(time.Now()) {
		return ErrLocked
	}
	return nil
}

// Failed counts a failed login, and reports whether it has locked the name.
// Settings must be complete.
func (g *Guard) Failed(n Name, s Settings) (locked bool) {
	if s.Disabled {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	r, ok := g.records[n]
	switch {
	case ok && r.locked(now): // it was under way when another one locked
		return false
	case !ok && !g.makeRoom(now):
		return false
	case !ok || r.over(now) || !r.lockedUntil.IsZero():
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
func (g *Guard) Succeeded(n Name) { g.Unlock(n) }

// Unlock lets a name log in again at once.
func (g *Guard) Unlock(n Name) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.records, n)
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

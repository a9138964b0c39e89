package lease

import (
	"cmp"
	"iter"
	"slices"
	"time"

	"github.com/novatech/securevault/agent/schedule"
	"github.com/novatech/securevault/internal/vault"
)

// remembered is how many events of a want are kept.
const remembered = 5

// Event is a credential that became current.
type Event struct {
	At      time.Time
	Action  schedule.Action // what brought it; None for one taken over from an earlier run
	LeaseID string          // "" for a secret without a lease
	Version uint64          // generation at which it became current
}

// Status is what an operator may know of a want: everything but the secret.
type Status struct {
	Want      vault.Want
	LeaseID   string
	Held      bool      // there is a credential
	Granted   time.Time // when it was issued or renewed last
	Ends      time.Time // zero for a secret without a lease
	Renewable bool
	Version   uint64
	Replaced  int // predecessors that are still alive

	Busy   bool            // Action is under way
	Action schedule.Action // next
	At     time.Time       // when; zero for never
	Why    string          // in a few words

	Err      error     // of the last request; nil if it succeeded
	Failures int       // in a row
	Failing  time.Time // since when; zero if the last request succeeded
	History  []Event   // the last few, oldest first
}

// Status returns what there is to know of every want, by name.
func (m *Manager) Status() []Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	draining := make(map[vault.Want]int, len(m.drains))
	for d := range m.drains {
		draining[d.want]++
	}
	out := make([]Status, 0, len(m.entries))
	for _, e := range m.entries {
		s := m.statusOf(e)
		s.Replaced += draining[e.want]
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b Status) int {
		return cmp.Or(cmp.Compare(a.Want.String(), b.Want.String()), cmp.Compare(a.Want.Params, b.Want.Params))
	})
	return out
}

func (m *Manager) statusOf(e *entry) Status {
	s := Status{
		Want: e.want, Replaced: len(e.replaced), Busy: e.busy, Action: e.action,
		Err: e.err, Failures: e.failures, Failing: e.failing, History: slices.Clone(e.history),
	}
	facts := e.facts(m.seed)
	s.Why = e.policy.Why(facts, e.action)
	if e.action != schedule.None {
		s.At = e.task.at
	}
	if c := e.current; c != nil {
		s.Held, s.LeaseID, s.Granted, s.Ends = true, c.secret.LeaseID, c.granted, facts.Ends()
		s.Renewable, s.Version = c.renewable, c.version
	}
	return s
}

// Secrets returns every secret of the snapshot.
func (s *Snapshot) Secrets() iter.Seq[*vault.Secret] {
	return func(yield func(*vault.Secret) bool) {
		for _, item := range s.items {
			if item.Secret != nil && !yield(item.Secret) {
				return
			}
		}
	}
}

// count counts a credential that has just become current.
func (m *Manager) count(e *entry, action schedule.Action, now time.Time) {
	if action == schedule.Rotate {
		m.stats.Rotated++
	} else {
		m.stats.Issued++
	}
	if e.current.leased() {
		m.stats.Leased++
	}
	e.remember(action, now)
}

// remember notes that the current credential is new. The oldest event is
// forgotten for it.
func (e *entry) remember(action schedule.Action, now time.Time) {
	if len(e.history) == remembered {
		e.history = slices.Delete(e.history, 0, 1)
	}
	e.history = append(e.history, Event{At: now, Action: action, LeaseID: e.current.secret.LeaseID, Version: e.current.version})
}

package lease

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
)

// Group is what limits and counts are about: one role of one mount.
type Group struct {
	Mount string // id
	Role  string
}

// Limit returns how many leases a group may have at a time; 0 for any number.
type Limit func(Group) int

// group counts the leases of a Group.
type group struct {
	Group
	leases int // guarded by Manager.mu; places among them
}

// issuing are the first parts of the paths that give out credentials.
var issuing = [...]string{"creds", "issue", "sign", "sts", "token"}

// RoleOf returns the role that a path, relative to its mount, is about: the
// part after the first, as app in "creds/app", or the first where there is no
// other. Issues reports whether such paths are known to give out credentials, so
// that a place can be reserved before.
func RoleOf(path string) (role string, issues bool) {
	verb, rest, more := strings.Cut(strings.Trim(path, "/"), "/")
	if !more {
		return verb, false
	}
	role, _, _ = strings.Cut(rest, "/")
	return role, slices.Contains(issuing[:], verb)
}

// LimitError says that a role has as many leases as it may have.
type LimitError struct {
	Role  string
	Count int
	Limit int
}

// Error implements error.
func (e *LimitError) Error() string {
	return fmt.Sprintf("role %q has %d of at most %d leases: revoke some that are not needed, wait until they end, or raise max_leases_per_role",
		e.Role, e.Count, e.Limit)
}

// Place is room for one lease within a limit. The zero Place is taken.
type Place struct {
	manager *Manager
	group   *group // guarded by Manager.mu; nil once it is taken or released
}

// Limit returns how many leases a group may have at a time; 0 for any number.
func (m *Manager) Limit(in Group) int {
	if m.limit == nil {
		return 0
	}
	return m.limit(in)
}

// Reserve takes room for one more lease of a group, or returns a *LimitError.
// The place must be released, whether a lease took it or not.
func (m *Manager) Reserve(ctx context.Context, in Group) (*Place, error) {
	limit := m.Limit(in)
	if limit == 0 {
		return &Place{}, nil
	}
	if err := m.wait(ctx); err != nil { // before that, nobody knows how many there are
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if g := m.groups[in]; g != nil && g.leases >= limit {
		return nil, &LimitError{Role: in.Role, Count: g.leases, Limit: limit}
	}
	g := m.groupOf(in)
	g.leases++
	return &Place{manager: m, group: g}, nil
}

// Release gives the place back, unless a lease has taken it.
func (p *Place) Release() {
	if p.manager == nil {
		return
	}
	p.manager.mu.Lock()
	defer p.manager.mu.Unlock()
	if p.group != nil {
		p.manager.leave(p.group)
		p.group = nil
	}
}

// take makes the place a lease's, unless it has none; the caller holds
// Manager.mu.
func (p *Place) take() bool {
	had := p.group != nil
	p.group = nil
	return had
}

// groupOf returns the counter of a group; the caller holds m.mu.
func (m *Manager) groupOf(in Group) *group {
	g := m.groups[in]
	if g == nil {
		g = &group{Group: in}
		m.groups[in] = g
	}
	return g
}

// leave counts one lease less; the caller holds m.mu.
func (m *Manager) leave(g *group) {
	if g.leases--; g.leases == 0 {
		delete(m.groups, g.Group)
	}
}

// Count is how many leases a group has.
type Count struct {
	Group
	Leases int
}

// Counts returns how many leases each role of each mount has, those that are
// being created and revoked included, sorted; of those read so far, while they
// are being restored.
func (m *Manager) Counts() []Count {
	m.mu.Lock()
	defer m.mu.Unlock()
	counts := make([]Count, 0, len(m.groups))
	for _, g := range m.groups {
		counts = append(counts, Count{Group: g.Group, Leases: g.leases})
	}
	slices.SortFunc(counts, func(a, b Count) int {
		return cmp.Or(strings.Compare(a.Mount, b.Mount), strings.Compare(a.Role, b.Role))
	})
	return counts
}

// Count returns the number of leases that are not known to be gone.
func (m *Manager) Count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.entries)
}

// Irrevocable is a lease whose revocation has failed so often that somebody
// should look at it. It is still tried, every few minutes.
type Irrevocable struct {
	ID     string
	Mount  string // id
	Reason string // of the last failure
}

// Irrevocables returns the irrevocable leases, sorted by id.
func (m *Manager) Irrevocables() []Irrevocable {
	m.mu.Lock()
	defer m.mu.Unlock()
	var found []Irrevocable
	for id, e := range m.entries {
		if e.trouble != nil && e.trouble.failures >= irrevocableAfter {
			found = append(found, Irrevocable{ID: id, Mount: e.group.Mount, Reason: e.trouble.reason})
		}
	}
	slices.SortFunc(found, func(a, b Irrevocable) int { return strings.Compare(a.ID, b.ID) })
	return found
}

package policy

import (
	"slices"
	"strings"
)

// ACL is what a set of policies grants together. It never changes: a changed
// policy makes a new ACL.
type ACL struct {
	root  bool
	exact map[string]Capabilities // path → grants
	rules []rule                  // patterns, most specific first
}

// compile merges policies; nil policies (deleted since the token was made)
// grant nothing.
func compile(policies []*Policy) *ACL {
	acl := &ACL{exact: map[string]Capabilities{}}
	patterns := map[string]rule{} // text → merged rule
	for _, p := range policies {
		if p == nil {
			continue
		}
		for _, r := range p.rules {
			if r.pattern.exact() {
				acl.exact[r.pattern.text] |= r.grants
				continue
			}
			merged := patterns[r.pattern.text]
			merged.pattern = r.pattern
			merged.grants |= r.grants
			patterns[r.pattern.text] = merged
		}
	}
	for _, r := range patterns {
		acl.rules = append(acl.rules, r)
	}
	slices.SortFunc(acl.rules, func(a, b rule) int { return moreSpecific(a.pattern, b.pattern) })
	return acl
}

// Capabilities returns what is granted on path, given without leading slash.
// A path that ends in a slash is that of a listing: a rule for the same path
// without the slash grants it too.
func (a *ACL) Capabilities(path string) Capabilities {
	if a.root {
		return Create | Read | Update | Patch | Delete | List | Sudo
	}
	if grants, ok := a.exact[path]; ok {
		return grants
	}
	if folder, ok := strings.CutSuffix(path, "/"); ok {
		if grants, ok := a.exact[folder]; ok {
			return grants & (List | Sudo | Deny)
		}
	}
	for _, r := range a.rules {
		if r.pattern.match(path) {
			return r.grants
		}
	}
	return 0
}

// Names returns the names of the capabilities on path, as sys/capabilities
// shows them: "root" alone for the root policy.
func (a *ACL) Names(path string) []string {
	if a.root {
		return []string{"root"}
	}
	return a.Capabilities(path).Names()
}

// Touches reports whether anything at all is granted at or below prefix.
func (a *ACL) Touches(prefix string) bool {
	if a.root {
		return true
	}
	for path, grants := range a.exact {
		if grants&Deny == 0 && grants != 0 && strings.HasPrefix(path, prefix) {
			return true
		}
	}
	return slices.ContainsFunc(a.rules, func(r rule) bool {
		start := r.pattern.literal()
		return r.grants&Deny == 0 && r.grants != 0 &&
			(strings.HasPrefix(start, prefix) || strings.HasPrefix(prefix, start))
	})
}

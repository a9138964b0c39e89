package policy

import (
	"slices"
	"strings"
	"time"
)

// ACL is what a set of policies grants together to one identity. It never
// changes: a changed policy makes a new ACL.
type ACL struct {
	root      bool
	templated bool            // it holds for the identity it was made for alone
	exact     map[string]rule // path → merged rule
	rules     []rule          // patterns, most specific first
}

// Ask is one request as policies see it.
type Ask struct {
	Path    string         // without leading slash
	Want    Capabilities   // all of them
	Data    map[string]any // parameters
	WrapTTL time.Duration  // asked for the answer; 0 for none
}

// compile merges policies for who; nil policies (deleted since the token was
// made) grant nothing.
func compile(policies []*Policy, who Identity) *ACL {
	acl := &ACL{exact: map[string]rule{}}
	patterns := map[string]rule{} // text → merged rule
	for _, p := range policies {
		if p == nil {
			continue
		}
		for _, r := range p.rules {
			known := true
			if r.templated {
				acl.templated = true
				r, known = r.resolve(who)
			}
			switch {
			case !known:
			case r.pattern.exact():
				merge(acl.exact, r)
			default:
				merge(patterns, r)
			}
		}
	}
	for _, r := range patterns {
		acl.rules = append(acl.rules, r)
	}
	slices.SortFunc(acl.rules, func(a, b rule) int { return moreSpecific(a.pattern, b.pattern) })
	return acl
}

// merge adds a rule to those for the same path.
func merge(into map[string]rule, r rule) {
	if before, ok := into[r.pattern.text]; ok {
		r.grants |= before.grants
		r.limits = before.limits.and(r.limits)
	}
	into[r.pattern.text] = r
}

// find returns the rule that decides on path, or the zero rule. A path that
// ends in a slash is that of a listing: a rule for the same path without the
// slash grants it too.
func (a *ACL) find(path string) rule {
	if r, ok := a.exact[path]; ok {
		return r
	}
	if folder, ok := strings.CutSuffix(path, "/"); ok {
		if r, ok := a.exact[folder]; ok {
			r.grants &= List | Sudo | Deny
			return r
		}
	}
	for _, r := range a.rules {
		if r.pattern.match(path) {
			return r
		}
	}
	return rule{}
}

// Capabilities returns what is granted on path, given without leading slash.
func (a *ACL) Capabilities(path string) Capabilities {
	if a.root {
		return Create | Read | Update | Patch | Delete | List | Sudo
	}
	return a.find(path).grants
}

// Allows reports whether a request may pass: its operation, its parameters and
// the wrapping of its answer.
func (a *ACL) Allows(ask Ask) bool {
	if a.root {
		return true
	}
	r := a.find(ask.Path)
	writes := ask.Want&(Create|Update|Patch) != 0
	return r.grants.Has(ask.Want) && r.limits.permit(ask.Data, writes) && r.limits.permitWrap(ask.WrapTTL)
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
	for path, r := range a.exact {
		if r.grants&Deny == 0 && r.grants != 0 && strings.HasPrefix(path, prefix) {
			return true
		}
	}
	return slices.ContainsFunc(a.rules, func(r rule) bool {
		start := r.pattern.literal()
		return r.grants&Deny == 0 && r.grants != 0 &&
			(strings.HasPrefix(start, prefix) || strings.HasPrefix(prefix, start))
	})
}

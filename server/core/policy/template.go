package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Identity is what a policy's templates may know of who asks. The server keeps
// no entities: who logged in is known by the auth method's alias alone.
type Identity struct {
	Accessor string            `json:"accessor,omitempty"` // of the auth mount
	Name     string            `json:"name,omitempty"`     // what the method calls them
	Metadata map[string]string `json:"metadata,omitempty"`
}

// key tells identities apart, whatever they put into their names.
func (who Identity) key() string {
	parts := []string{who.Accessor, who.Name}
	for _, name := range slices.Sorted(maps.Keys(who.Metadata)) {
		parts = append(parts, name, who.Metadata[name])
	}
	return fmt.Sprintf("%q", parts)
}

// value resolves one template. What the server does not know, entities and
// groups above all, has no value.
func (who Identity) value(template string) (string, bool) {
	rest, ok := strings.CutPrefix(template, "identity.entity.aliases.")
	if !ok || who.Accessor == "" {
		return "", false
	}
	field, ok := strings.CutPrefix(rest, who.Accessor+".")
	if !ok {
		return "", false
	}
	if field == "name" {
		return who.Name, fits(who.Name)
	}
	name, ok := strings.CutPrefix(field, "metadata.")
	value := who.Metadata[name]
	return value, ok && fits(value)
}

// fits refuses values that would reach further than the policy's author meant:
// patterns, and what is no part of a path. A slash is one of the value's own, as
// in the names of repositories and of service accounts.
func fits(value string) bool {
	for segment := range strings.SplitSeq(value, "/") {
		if segment == "" || segment == "." || segment == ".." || strings.ContainsAny(segment, "*+{}") {
			return false
		}
	}
	return true
}

// isTemplated reports whether a path has templates in it.
func isTemplated(path string) bool { return strings.Contains(path, "{{") }

// expand fills in the templates of a path, or tells what is wrong with them.
// A nil value checks them only.
func expand(path string, value func(template string) (string, bool)) (expanded string, known bool, err error) {
	var out strings.Builder
	known = true
	for {
		before, rest, found := strings.Cut(path, "{{")
		out.WriteString(before)
		if !found {
			return out.String(), known, nil
		}
		template, after, closed := strings.Cut(rest, "}}")
		if !closed {
			return "", false, fmt.Errorf("path %q: a template that begins with {{ must end with }}", path)
		}
		template = strings.TrimSpace(template)
		if !strings.HasPrefix(template, "identity.") {
			return "", false, fmt.Errorf("unknown template {{%s}}: use {{identity.entity.aliases.ACCESSOR.name}} or …metadata.KEY}}", template)
		}
		if value != nil {
			text, ok := value(template)
			known = known && ok
			out.WriteString(text)
		}
		path = after
	}
}

// resolve returns the rule as it is for who, or false when a template has no
// value: such a rule matches nothing.
func (r rule) resolve(who Identity) (rule, bool) {
	path, known, err := expand(r.pattern.text, who.value)
	if err != nil || !known {
		return rule{}, false
	}
	resolved, err := parsePattern(path)
	if err != nil {
		return rule{}, false
	}
	r.pattern = resolved
	return r, true
}

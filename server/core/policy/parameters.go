package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-secure-stdlib/parseutil"
	"github.com/hashicorp/hcl/hcl/ast"
	"github.com/hashicorp/hcl/hcl/token"
)

// anyParameter is the name that stands for every parameter not named itself.
const anyParameter = "*"

// limits is what a rule says about the parameters of a request and about the
// wrapping of its answer. The zero limits allow everything.
type limits struct {
	allowed  map[string][]string // parameter → patterns of its values, none for any; nil: all
	denied   map[string][]string // likewise
	required []string

	minWrap, maxWrap time.Duration // 0: no such limit
}

// and returns the limits that two rules for the same path set together: what
// one of them allows, whatever one of them denies or requires, and the lower
// of their wrapping TTLs.
func (l limits) and(other limits) limits {
	return limits{
		allowed:  union(l.allowed, other.allowed),
		denied:   union(l.denied, other.denied),
		required: slices.Concat(l.required, other.required),
		minWrap:  lower(l.minWrap, other.minWrap),
		maxWrap:  lower(l.maxWrap, other.maxWrap),
	}
}

// union joins the values of each parameter; no values, which is any, stays any.
func union(a, b map[string][]string) map[string][]string {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	joined := make(map[string][]string, len(a)+len(b))
	for name, values := range a {
		joined[name] = values
	}
	for name, values := range b {
		before, known := joined[name]
		if known && (len(before) == 0 || len(values) == 0) {
			joined[name] = nil
			continue
		}
		joined[name] = slices.Concat(before, values)
	}
	return joined
}

// lower returns the smaller of two limits, of which 0 is none.
func lower(a, b time.Duration) time.Duration {
	if a == 0 || b == 0 {
		return max(a, b)
	}
	return min(a, b)
}

// permit reports whether a request may carry these parameters. Those that are
// required are asked for only where parameters are written.
func (l *limits) permit(data map[string]any, writes bool) bool {
	if writes && slices.ContainsFunc(l.required, func(name string) bool { return !carries(data, name) }) {
		return false
	}
	if l.denied == nil && l.allowed == nil {
		return true
	}
	for name, value := range data {
		name = strings.ToLower(name)
		if patterns, named := find(l.denied, name); named && (len(patterns) == 0 || anyMatches(patterns, value)) {
			return false
		}
		if l.allowed == nil {
			continue
		}
		if patterns, named := find(l.allowed, name); !named || len(patterns) > 0 && !allMatch(patterns, value) {
			return false
		}
	}
	return true
}

// permitWrap reports whether the answer may be wrapped for ttl, 0 being not at
// all.
func (l *limits) permitWrap(ttl time.Duration) bool {
	return (l.minWrap == 0 || ttl >= l.minWrap) && (l.maxWrap == 0 || ttl != 0 && ttl <= l.maxWrap)
}

func carries(data map[string]any, name string) bool {
	for sent := range data {
		if strings.EqualFold(sent, name) {
			return true
		}
	}
	return false
}

// find returns the patterns for a parameter: its own, or those of all others.
func find(rules map[string][]string, name string) ([]string, bool) {
	if patterns, ok := rules[name]; ok {
		return patterns, true
	}
	patterns, ok := rules[anyParameter]
	return patterns, ok
}

// anyMatches reports whether the value, or one of a list, matches a pattern.
func anyMatches(patterns []string, value any) bool {
	return slices.ContainsFunc(texts(value), func(text string) bool { return matches(patterns, text) })
}

// allMatch reports whether the value, or each of a list, matches a pattern.
func allMatch(patterns []string, value any) bool {
	return !slices.ContainsFunc(texts(value), func(text string) bool { return !matches(patterns, text) })
}

// texts returns a parameter's values as they are written.
func texts(value any) []string {
	switch list := value.(type) {
	case []any:
		all := make([]string, len(list))
		for i, element := range list {
			all[i] = fmt.Sprint(element)
		}
		return all
	case []string:
		return list
	}
	return []string{fmt.Sprint(value)}
}

// matches compares with patterns that may begin or end in "*".
func matches(patterns []string, text string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		after, open := strings.CutPrefix(pattern, "*")
		if open {
			body, inside := strings.CutSuffix(after, "*")
			return inside && strings.Contains(text, body) || !inside && strings.HasSuffix(text, after)
		}
		before, open := strings.CutSuffix(pattern, "*")
		return open && strings.HasPrefix(text, before) || text == pattern
	})
}

// parseParameters reads allowed_parameters or denied_parameters into target.
// JSON may give them parameter by parameter, as keys of their own.
func parseParameters(target *map[string][]string, keys []*ast.ObjectKey, value ast.Node) error {
	const shape = `parameters are written like { "name" = ["value", "*"] }`
	if *target == nil {
		*target = map[string][]string{}
	}
	if len(keys) == 0 {
		body, ok := value.(*ast.ObjectType)
		if !ok {
			return errors.New(shape)
		}
		for _, item := range body.List.Items {
			if err := parseParameters(target, item.Keys, item.Val); err != nil {
				return err
			}
		}
		return nil
	}
	list, ok := value.(*ast.ListType)
	if !ok || len(keys) != 1 {
		return errors.New(shape)
	}
	values := make([]string, len(list.List))
	for i, element := range list.List {
		literal, ok := element.(*ast.LiteralType)
		if !ok {
			return fmt.Errorf("the values of parameter %q must be strings, numbers or true and false", keyName(keys[0]))
		}
		values[i] = literalText(literal.Token)
	}
	(*target)[strings.ToLower(keyName(keys[0]))] = values
	return nil
}

// parseNames reads required_parameters.
func parseNames(node ast.Node) ([]string, error) {
	list, ok := node.(*ast.ListType)
	if !ok {
		return nil, errors.New(`required_parameters must be a list of names, like ["ttl"]`)
	}
	names := make([]string, len(list.List))
	for i, element := range list.List {
		if names[i], ok = stringValue(element); !ok {
			return nil, errors.New(`required_parameters must be a list of names, like ["ttl"]`)
		}
	}
	return names, nil
}

// parseTTL reads min_wrapping_ttl or max_wrapping_ttl.
func parseTTL(field string, node ast.Node) (time.Duration, error) {
	literal, ok := node.(*ast.LiteralType)
	if !ok || literal.Token.Type != token.STRING && literal.Token.Type != token.NUMBER {
		return 0, fmt.Errorf("%s must be a duration like \"60s\"", field)
	}
	ttl, err := parseutil.ParseDurationSecond(literalText(literal.Token))
	if err != nil || ttl < 0 {
		return 0, fmt.Errorf("%s must be a duration like \"60s\"", field)
	}
	return ttl, nil
}

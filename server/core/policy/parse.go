// Package policy decides what a token may do.
//
// A Policy is parsed once from its HCL (Parse); the policies of a token are
// compiled together into an ACL, which answers Capabilities(path); Store keeps
// the texts and the compiled forms. Start reading at ACL.
//
// The rules: an exact path wins over patterns, among patterns the most
// specific wins, the same path in several policies grants the union, and deny
// takes everything away. A path may hold templates (template.go), which are
// resolved for each identity, and may limit parameters and the wrapping of
// answers (parameters.go); the limits of several policies all hold.
package policy

import (
	"errors"
	"fmt"
	"strings"

	"github.com/hashicorp/hcl"
	"github.com/hashicorp/hcl/hcl/ast"
	"github.com/hashicorp/hcl/hcl/parser"
	"github.com/hashicorp/hcl/hcl/token"
)

// Policy is one parsed policy.
type Policy struct {
	Name string
	Text string // as written by its author

	rules []rule
}

// rule is one path block.
type rule struct {
	pattern   pattern
	templated bool // the pattern has templates in it: to be resolved before use
	grants    Capabilities
	limits    limits
}

// ParseError says where in a policy the mistake is.
type ParseError struct {
	Policy string
	Line   int // from 1; 0 when the parser did not say
	Err    error
}

// Error implements error.
func (e *ParseError) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("policy %q: %v", e.Policy, e.Err)
	}
	return fmt.Sprintf("policy %q, line %d: %v", e.Policy, e.Line, e.Err)
}

// Unwrap returns the mistake itself.
func (e *ParseError) Unwrap() error { return e.Err }

// maxNesting bounds brackets: the parser recurses on them, and a stack that
// overflows ends the whole server. A policy needs three or four; those in texts
// and comments count as well.
const maxNesting = 1000

// nestedTooDeep tells before a text is parsed whether it must not be.
func nestedTooDeep(text string) bool {
	depth := 0
	for i := range len(text) {
		switch text[i] {
		case '{', '[':
			depth++
		case '}', ']':
			depth = max(0, depth-1) // else closing ones in advance would buy depth
		}
		if depth > maxNesting {
			return true
		}
	}
	return false
}

// Parse reads a policy written in HCL or JSON. Errors are of type *ParseError.
func Parse(name, text string) (*Policy, error) {
	fail := func(pos token.Pos, err error) (*Policy, error) {
		return nil, &ParseError{Policy: name, Line: pos.Line, Err: err}
	}
	if nestedTooDeep(text) {
		return fail(token.Pos{}, fmt.Errorf("it is nested more than %d deep; a policy is a list of path blocks", maxNesting))
	}
	file, err := hcl.Parse(text)
	if err != nil {
		var at *parser.PosError
		if errors.As(err, &at) {
			return fail(at.Pos, at.Err)
		}
		return fail(token.Pos{}, err)
	}
	root, ok := file.Node.(*ast.ObjectList)
	if !ok {
		return fail(file.Pos(), errors.New(`a policy is a list of path "…" { capabilities = […] } blocks`))
	}
	policy := &Policy{Name: name, Text: text}
	for _, item := range root.Items {
		r, err := parseItem(item)
		if err != nil {
			return fail(item.Pos(), err)
		}
		if r != nil {
			policy.rules = append(policy.rules, *r)
		}
	}
	return policy, nil
}

// parseItem reads one top-level item; the result is nil for the harmless
// `name = "…"` of older policies.
func parseItem(item *ast.ObjectItem) (*rule, error) {
	if len(item.Keys) == 0 {
		return nil, errors.New(`expected path "…" { capabilities = […] }`)
	}
	switch key := keyName(item.Keys[0]); key {
	case "name":
		return nil, nil
	case "path":
		return parsePath(item)
	default:
		return nil, fmt.Errorf("unknown key %q: a policy holds only path blocks", key)
	}
}

func parsePath(item *ast.ObjectItem) (*rule, error) {
	body, ok := item.Val.(*ast.ObjectType)
	if !ok || len(item.Keys) != 2 {
		return nil, errors.New(`expected path "…" { capabilities = […] }`)
	}
	path := keyName(item.Keys[1])
	if _, _, err := expand(path, nil); err != nil {
		return nil, err
	}
	pattern, err := parsePattern(path)
	if err != nil {
		return nil, err
	}
	r := &rule{pattern: pattern, templated: isTemplated(path)}
	for _, field := range body.List.Items {
		if err := r.parseField(field); err != nil {
			return nil, fmt.Errorf("path %q: %w", path, err)
		}
	}
	if l := r.limits; l.maxWrap != 0 && l.minWrap > l.maxWrap {
		return nil, fmt.Errorf("path %q: min_wrapping_ttl %s is longer than max_wrapping_ttl %s", path, l.minWrap, l.maxWrap)
	}
	return r, nil
}

// parseField reads one line of a path block.
func (r *rule) parseField(field *ast.ObjectItem) (err error) {
	if len(field.Keys) == 0 {
		return errors.New("expected capabilities = […]")
	}
	key, rest := keyName(field.Keys[0]), field.Keys[1:]
	switch key {
	case "allowed_parameters":
		return parseParameters(&r.limits.allowed, rest, field.Val)
	case "denied_parameters":
		return parseParameters(&r.limits.denied, rest, field.Val)
	}
	if len(rest) > 0 {
		return errors.New("expected capabilities = […]")
	}
	var grants Capabilities
	switch key {
	case "capabilities":
		grants, err = parseList(field.Val)
	case "policy":
		grants, err = parseShorthand(field.Val)
	case "required_parameters":
		r.limits.required, err = parseNames(field.Val)
	case "min_wrapping_ttl":
		r.limits.minWrap, err = parseTTL(key, field.Val)
	case "max_wrapping_ttl":
		r.limits.maxWrap, err = parseTTL(key, field.Val)
	default:
		// A restriction that is not enforced must not be accepted.
		err = fmt.Errorf("unknown key %q: use capabilities, allowed_parameters, denied_parameters, required_parameters, min_wrapping_ttl or max_wrapping_ttl", key)
	}
	r.grants |= grants
	return err
}

func parseShorthand(node ast.Node) (Capabilities, error) {
	word, ok := stringValue(node)
	if !ok {
		return 0, errors.New("policy must be a string")
	}
	return shorthand(word)
}

func parseList(node ast.Node) (Capabilities, error) {
	list, ok := node.(*ast.ListType)
	if !ok {
		return 0, errors.New(`capabilities must be a list of strings, like ["read", "list"]`)
	}
	var all Capabilities
	for _, element := range list.List {
		name, ok := stringValue(element)
		if !ok {
			return 0, errors.New(`capabilities must be a list of strings, like ["read", "list"]`)
		}
		one, err := parseCapability(name)
		if err != nil {
			return 0, err
		}
		all |= one
	}
	return all, nil
}

func keyName(key *ast.ObjectKey) string {
	name, _ := key.Token.Value().(string)
	return name
}

// literalText returns a text, or a number as it is written: the library panics
// when it is asked for one that is too large.
func literalText(t token.Token) string {
	switch t.Type {
	case token.STRING, token.HEREDOC:
		text, _ := t.Value().(string)
		return text
	}
	return t.Text
}

func stringValue(node ast.Node) (string, bool) {
	literal, ok := node.(*ast.LiteralType)
	if !ok || (literal.Token.Type != token.STRING && literal.Token.Type != token.HEREDOC) {
		return "", false
	}
	value, ok := literal.Token.Value().(string)
	return strings.TrimSpace(value), ok
}

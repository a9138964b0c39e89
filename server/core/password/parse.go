package password

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/hcl/ast"
	"github.com/hashicorp/hcl/hcl/parser"
)

// maxText bounds a policy's text in bytes: a hundred charsets fit.
const maxText = 64 << 10

// Parse reads a policy in HCL or JSON. Unknown and doubled fields, values of the
// wrong type and policies that Validate refuses are errors that name the field.
func Parse(text string) (Policy, error) {
	if len(text) > maxText {
		return Policy{}, fmt.Errorf("password policy is %d bytes long: use at most %d", len(text), maxText)
	}
	parse := parseHCL
	if strings.HasPrefix(strings.TrimSpace(text), "{") {
		parse = parseJSON
	}
	fields, err := parse(text)
	if err != nil {
		return Policy{}, fmt.Errorf("reading password policy: %w", err)
	}
	policy, err := decodePolicy(fields)
	if err != nil {
		return Policy{}, fmt.Errorf("reading password policy: %w", err)
	}
	if err := policy.Validate(); err != nil {
		return Policy{}, fmt.Errorf("checking password policy: %w", err)
	}
	return policy, nil
}

func parseJSON(text string) (map[string]any, error) {
	var fields map[string]any
	if err := json.Unmarshal([]byte(text), &fields); err != nil {
		return nil, fmt.Errorf("parsing JSON: %w", err)
	}
	return fields, nil
}

func parseHCL(text string) (fields map[string]any, err error) {
	// The library panics on literals it parses but cannot represent, such as a
	// number beyond 64 bits.
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("parsing HCL: %v", cause)
		}
	}()
	file, err := parser.Parse([]byte(text))
	if err != nil {
		return nil, fmt.Errorf("parsing HCL: %w", err)
	}
	list, ok := file.Node.(*ast.ObjectList)
	if !ok {
		return nil, fmt.Errorf("parsing HCL: found no fields: write length = 20 and a rule")
	}
	return table(list)
}

// table turns HCL's syntax tree into what JSON would have given: blocks become
// lists of tables, one table for each label.
func table(list *ast.ObjectList) (map[string]any, error) {
	fields := map[string]any{}
	for _, item := range list.Items {
		names := make([]string, len(item.Keys))
		for i, key := range item.Keys {
			names[i], _ = key.Token.Value().(string)
		}
		if len(names) == 0 {
			return nil, fmt.Errorf("line %d: a value has no name: write name = value", item.Pos().Line)
		}
		switch value := item.Val.(type) {
		case *ast.LiteralType:
			if _, doubled := fields[names[0]]; doubled || len(names) > 1 {
				return nil, fmt.Errorf("line %d: %q is both a block and a value: keep one", item.Pos().Line, names[0])
			}
			fields[names[0]] = value.Token.Value()
		case *ast.ObjectType:
			body, err := table(value.List)
			if err != nil {
				return nil, err
			}
			for _, label := range slices.Backward(names[1:]) {
				body = map[string]any{label: []any{body}}
			}
			earlier, _ := fields[names[0]].([]any)
			fields[names[0]] = append(earlier, body)
		default:
			return nil, fmt.Errorf("line %d: %q is a list: write a number, a text or a block", item.Pos().Line, names[0])
		}
	}
	return fields, nil
}

func decodePolicy(fields map[string]any) (Policy, error) {
	if err := onlyKnown(fields, "length", "rule"); err != nil {
		return Policy{}, err
	}
	length, err := number(fields, "length")
	if err != nil {
		return Policy{}, err
	}
	policy := Policy{Length: length}
	kinds, err := blocks(fields["rule"], "rule")
	if err != nil {
		return Policy{}, err
	}
	for _, kind := range kinds {
		rules, err := decodeRules(kind)
		if err != nil {
			return Policy{}, err
		}
		policy.Rules = append(policy.Rules, rules...)
	}
	return policy, nil
}

// decodeRules reads one `rule "charset" {…}`, or the several that JSON lists
// under one label.
func decodeRules(kind map[string]any) ([]Rule, error) {
	if err := onlyKnown(kind, "charset"); err != nil {
		return nil, fmt.Errorf("rule: %w", err)
	}
	bodies, err := blocks(kind["charset"], `rule "charset"`)
	if err != nil {
		return nil, err
	}
	rules := make([]Rule, 0, len(bodies))
	for _, body := range bodies {
		if err := onlyKnown(body, "charset", "min-chars"); err != nil {
			return nil, fmt.Errorf(`rule "charset": %w`, err)
		}
		charset, ok := body["charset"].(string)
		if !ok {
			return nil, fmt.Errorf(`rule "charset": charset is missing or no text: write charset = "abc…"`)
		}
		least, err := number(body, "min-chars")
		if err != nil {
			return nil, fmt.Errorf(`rule "charset": %w`, err)
		}
		rules = append(rules, Rule{Charset: charset, MinChars: least})
	}
	return rules, nil
}

// blocks accepts a list of tables, or a single table as JSON may have it. A
// missing block is an empty list.
func blocks(value any, name string) ([]map[string]any, error) {
	switch value := value.(type) {
	case nil:
		return nil, nil
	case map[string]any:
		return []map[string]any{value}, nil
	case []any:
		tables := make([]map[string]any, 0, len(value))
		for _, item := range value {
			table, ok := item.(map[string]any)
			if !ok {
				return nil, fmt.Errorf(`%s is no block: write rule "charset" { charset = "abc…" }`, name)
			}
			tables = append(tables, table)
		}
		return tables, nil
	default:
		return nil, fmt.Errorf(`%s is no block: write rule "charset" { charset = "abc…" }`, name)
	}
}

// number returns the whole number under key; a missing one is 0. HCL's arrive
// as int64, JSON's as float64.
func number(fields map[string]any, key string) (int, error) {
	switch value := fields[key].(type) {
	case nil:
		return 0, nil
	case int64:
		if value == int64(int32(value)) {
			return int(value), nil
		}
	case float64:
		if value == math.Trunc(value) && math.Abs(value) < math.MaxInt32 {
			return int(value), nil
		}
	}
	return 0, fmt.Errorf("%s is no whole number: write %s = 20, without quotes", key, key)
}

func onlyKnown(fields map[string]any, known ...string) error {
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		if !slices.Contains(known, key) {
			return fmt.Errorf("unknown field %q: use %s", key, strings.Join(known, ", "))
		}
	}
	return nil
}

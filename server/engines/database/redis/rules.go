package redis

import (
	"encoding/json"
	"slices"
	"strings"
	"unicode"

	"github.com/novatech/securevault/server/engines/database/fault"
	"github.com/novatech/securevault/server/engines/database/statement"
)

const exampleRules = `["~app:*", "+@read", "-@dangerous"]`

// rulesOf reads what a user of that name may do from the creation statements. Each
// is a list of ACL rules, in JSON or with spaces between; together they are the
// rules of one user.
func rulesOf(statements []string, name string) ([]string, error) {
	var rules []string
	for _, text := range statements {
		text, err := statement.Render(text, map[string]string{"name": name, "username": name})
		if err != nil {
			return nil, fault.New(fault.Refused, "creation_statements: %s", err)
		}
		more, err := parseRules(text)
		if err != nil {
			return nil, err
		}
		rules = append(rules, more...)
	}
	if len(rules) == 0 {
		return nil, fault.New(fault.Refused, "creation_statements is empty: write the ACL rules of the users, such as %s", exampleRules)
	}
	for _, rule := range rules {
		if err := ours(rule); err != nil {
			return nil, err
		}
	}
	return rules, nil
}

// parseRules splits one statement.
func parseRules(text string) (rules []string, err error) {
	text = strings.TrimSpace(text)
	if !strings.HasPrefix(text, "[") {
		return splitRules(text)
	}
	if err := json.Unmarshal([]byte(text), &rules); err != nil {
		return nil, fault.New(fault.Refused, "creation_statements is no list of texts in JSON: write it as %s", exampleRules)
	}
	return rules, nil
}

// splitRules splits a text at its spaces. A rule may stand in quotes, single or
// double, and is then what stands between them: a selector such as
// '(+get ~cache:*)' is one rule. Quotes within a rule are part of it.
func splitRules(text string) ([]string, error) {
	var rules []string
	for {
		text = strings.TrimLeftFunc(text, unicode.IsSpace)
		if text == "" {
			return rules, nil
		}
		quote := text[0]
		if quote != '"' && quote != '\'' {
			end := strings.IndexFunc(text, unicode.IsSpace)
			if end < 0 {
				end = len(text)
			}
			rules, text = append(rules, text[:end]), text[end:]
			continue
		}
		rule, rest, closed := strings.Cut(text[1:], string(quote))
		switch {
		case !closed:
			return nil, fault.New(fault.Refused, "creation_statements has a quote without its end: write the rules as %s", exampleRules)
		case rest != "" && !strings.ContainsAny(rest[:1], " \t\r\n"):
			return nil, fault.New(fault.Refused, "creation_statements has no space after the rule %q: write the rules as %s", rule, exampleRules)
		}
		rules, text = append(rules, rule), rest
	}
}

// ours refuses rules about passwords and about whether the user may log in at all:
// these are this plugin's.
func ours(rule string) error {
	if strings.TrimSpace(rule) == "" {
		return fault.New(fault.Refused, "creation_statements holds an empty rule: remove it")
	}
	if slices.Contains([]string{"on", "off", "reset", "resetpass", "nopass"}, strings.ToLower(rule)) {
		return fault.New(fault.Refused, "creation_statements holds the rule %q: remove it, the server switches its users on and off itself", rule)
	}
	if strings.ContainsAny(rule[:1], "><#!") {
		// The rule may hold a password.
		return fault.New(fault.Refused, "creation_statements holds a rule that begins with %q: remove it, the server gives its users their passwords itself", rule[:1])
	}
	return nil
}

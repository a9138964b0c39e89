package oraclestandin

import (
	"regexp"
	"strings"
)

type kind int

const (
	word     kind = iota // an unquoted name or keyword, in upper case
	quoted               // a name in double quotes, as written
	literal              // a string
	number               // digits
	variable             // a bind variable
	symbol
)

type token struct {
	kind kind
	text string
}

func (t token) is(kind kind, text string) bool { return t.kind == kind && t.text == text }

// lexemes are tried in this order; the first group is the text of the token.
var lexemes = []struct {
	kind    kind
	pattern *regexp.Regexp
}{
	{-1, regexp.MustCompile(`^(\s+|--[^\n]*|/\*(?s:.*?)\*/)`)},
	{literal, regexp.MustCompile(`^[qQ]'(?:\[((?s:.*?))\]|\{((?s:.*?))\}|\(((?s:.*?))\)|<((?s:.*?))>)'`)},
	{literal, regexp.MustCompile(`^'((?:[^']|'')*)'`)},
	{quoted, regexp.MustCompile(`^"([^"]+)"`)},
	{word, regexp.MustCompile(`^([A-Za-z][A-Za-z0-9_$#]*)`)},
	{number, regexp.MustCompile(`^([0-9]+)`)},
	{variable, regexp.MustCompile(`^:([A-Za-z0-9_]+)`)},
	{symbol, regexp.MustCompile(`^(<>|!=|[(),.*=;])`)},
}

// tokenize splits a statement.
func tokenize(text string) ([]token, error) {
	var tokens []token
next:
	for text != "" {
		for _, lexeme := range lexemes {
			match := lexeme.pattern.FindStringSubmatch(text)
			if match == nil {
				continue
			}
			text = text[len(match[0]):]
			if lexeme.kind >= 0 {
				tokens = append(tokens, newToken(lexeme.kind, strings.Join(match[1:], "")))
			}
			continue next
		}
		return nil, unreadable(text)
	}
	return tokens, nil
}

func newToken(kind kind, text string) token {
	switch kind {
	case word:
		text = strings.ToUpper(text)
	case literal:
		text = strings.ReplaceAll(text, "''", "'")
	}
	return token{kind, text}
}

func unreadable(text string) error {
	switch {
	case strings.HasPrefix(text, `""`):
		return refuse(1741, "illegal zero-length identifier")
	case strings.HasPrefix(text, `"`):
		return refuse(1740, "missing double quote in identifier")
	case strings.HasPrefix(text, `'`):
		return refuse(1756, "quoted string not properly terminated")
	}
	return refuse(911, "invalid character")
}

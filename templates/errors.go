package templates

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"github.com/novatech/securevault/internal/vault"
)

const (
	shortestHidden = 4 // a secret value shorter than this is not hidden
	hiddenWindow   = 6 // so many characters of a longer value in a row are

	longestMessage = 1_000 // bytes; of a longer one the middle is left out
)

// position finds where text/template says an error is: in a template without a
// name, at a line and mostly a column, which instrument may have moved.
var position = regexp.MustCompile(`(?:execute: )?template: :(\d+)(?::\d+)?: (?:executing "[^"]*" at )?`)

// positioned turns an error of text/template into one at "name:line", with
// redact applied to its words. Errors of nested templates keep their own line.
func positioned(name string, err error, redact func(string) string) error {
	message, line := err.Error(), ""
	if at := position.FindStringSubmatchIndex(message); at != nil {
		line = ":" + message[at[2]:at[3]]
		message = message[:at[0]] + message[at[1]:]
	}
	message = position.ReplaceAllString(message, "line $1: ")
	if len(message) > longestMessage {
		half := longestMessage / 2
		message = strings.ToValidUTF8(message[:half]+" … "+message[len(message)-half:], "")
	}
	message = redact(strings.ReplaceAll(message, "started at :", "started at line "))
	return fmt.Errorf("%s%s: %s%s", name, line, message, hint(message))
}

func syntaxError(name string, err error) error {
	return positioned(name, err, func(text string) string { return text })
}

func hint(message string) string {
	for _, known := range []struct{ phrase, advice string }{
		{"unexpected EOF", `end each "with", "if", "range" and "define" by an "end"`},
		{"unclosed action", "close the action on its line"},
		{"map has no entry for key", "check the key, or set error_on_missing_key = false"},
		{"nil pointer evaluating", "there is no such key; version 2 of the key-value engine has its keys under .Data.data"},
	} {
		if strings.Contains(message, known.phrase) {
			return "; " + known.advice
		}
	}
	return ""
}

// redact hides in a text what it repeats of the secrets of the evaluation.
func (e *evaluation) redact(text string) string {
	hidden := make([]bool, len(text))
	for _, found := range e.found {
		eachString(found.Data, func(value string) { hide(text, value, hidden) })
		if found.Auth != nil {
			hide(text, found.Auth.Token.Reveal(), hidden)
		}
	}
	var out strings.Builder
	for i := range len(text) {
		switch {
		case !hidden[i]:
			out.WriteByte(text[i])
		case i == 0 || !hidden[i-1]:
			out.WriteString(vault.Redacted)
		}
	}
	return out.String()
}

// hide marks the places of a text that repeat value, or a part of it: errors
// shorten what they cite, and escape line ends in it.
func hide(text, value string, hidden []bool) {
	width := min(len(value), hiddenWindow)
	if width < shortestHidden {
		return
	}
	for i := range len(text) - width + 1 {
		if strings.Contains(value, text[i:i+width]) {
			for j := range width {
				hidden[i+j] = true
			}
		}
	}
}

// eachString calls f with every string and number within a value.
func eachString(value any, f func(string)) {
	switch v := value.(type) {
	case map[string]any:
		for _, inner := range v {
			eachString(inner, f)
		}
	case []any:
		for _, inner := range v {
			eachString(inner, f)
		}
	case string:
		f(v)
	case json.Number:
		f(v.String())
	}
}

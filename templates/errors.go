package templates

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/novatech/securevault/internal/vault"
)

// longestMessage is in bytes; of a longer message the middle is left out.
const longestMessage = 1_000

// position finds where text/template says an error is: in a template without a
// name, at a line and mostly a column, which instrument may have moved.
var position = regexp.MustCompile(`template: :(\d+)(?::\d+)?: (?:executing "[^"]*" at )?`)

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
func (e *evaluation) redact(text string) string { return vault.Redact(text, slices.Values(e.found)) }

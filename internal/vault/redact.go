package vault

import (
	"encoding/json"
	"iter"
	"strings"
)

const (
	shortestHidden = 4 // a secret value shorter than this is not hidden
	hiddenWindow   = 6 // so many characters of a longer value in a row are
)

// Redact hides in a text what it repeats of any of the secrets.
func Redact(text string, secrets iter.Seq[*Secret]) string {
	hidden := make([]bool, len(text))
	for secret := range secrets {
		eachString(secret.Data, func(value string) { hide(text, value, hidden) })
		if secret.Auth != nil {
			hide(text, secret.Auth.Token.Reveal(), hidden)
		}
	}
	var out strings.Builder
	for i := range len(text) {
		switch {
		case !hidden[i]:
			out.WriteByte(text[i])
		case i == 0 || !hidden[i-1]:
			out.WriteString(Redacted)
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

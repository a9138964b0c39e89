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
	h := newHider(text)
	for secret := range secrets {
		eachString(secret.Data, h.hide)
		if secret.Auth != nil {
			h.hide(secret.Auth.Token.Reveal())
		}
	}
	return h.String()
}

// hider is a text and what is to be hidden in it. The text is indexed rather
// than the values, since these may be many.
type hider struct {
	text    string
	windows map[string][]int // so many characters in a row → where they stand, until they are hidden
	hidden  []bool           // place in the text → it is hidden
}

func newHider(text string) *hider {
	h := &hider{text: text, windows: make(map[string][]int), hidden: make([]bool, len(text))}
	for i := range len(text) - hiddenWindow + 1 {
		window := text[i : i+hiddenWindow]
		h.windows[window] = append(h.windows[window], i)
	}
	return h
}

// hide marks the places that repeat value, or a part of it: errors shorten
// what they cite, and escape line ends in it.
func (h *hider) hide(value string) {
	if len(value) < shortestHidden {
		return
	}
	if len(value) < hiddenWindow {
		for i := range len(h.text) - len(value) + 1 {
			if h.text[i:i+len(value)] == value {
				h.mark(i, len(value))
			}
		}
		return
	}
	for i := range len(value) - hiddenWindow + 1 {
		window := value[i : i+hiddenWindow]
		for _, at := range h.windows[window] {
			h.mark(at, hiddenWindow)
		}
		delete(h.windows, window)
	}
}

func (h *hider) mark(at, width int) {
	for i := range width {
		h.hidden[at+i] = true
	}
}

// String returns the text without what is hidden.
func (h *hider) String() string {
	var out strings.Builder
	for i := range len(h.text) {
		switch {
		case !h.hidden[i]:
			out.WriteByte(h.text[i])
		case i == 0 || !h.hidden[i-1]:
			out.WriteString(Redacted)
		}
	}
	return out.String()
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

package vault

import (
	"fmt"
	"io"
)

// Redacted is what every sensitive value prints as.
const Redacted = "**redacted**"

// Sensitive is a string that must not reach a log, an error or a status page:
// it prints as [Redacted] under every fmt verb and as JSON. Reveal is the one
// way out, so that a search for it finds every place a secret is used.
type Sensitive string

// Reveal returns the value itself.
func (s Sensitive) Reveal() string { return string(s) }

// Format implements [fmt.Formatter].
func (Sensitive) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, Redacted) }

// MarshalText implements [encoding.TextMarshaler], and so covers JSON, YAML
// and map keys.
func (Sensitive) MarshalText() ([]byte, error) { return []byte(Redacted), nil }

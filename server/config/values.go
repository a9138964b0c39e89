package config

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"strconv"
	"strings"
	"time"
)

// got describes a value whose content is no secret by the type it was meant
// to have.
func got(v value) string {
	switch v.kind {
	case text:
		return strconv.Quote(v.scalar)
	case number, boolean, null:
		return v.scalar
	}
	return v.kind.String()
}

// Duration is a length of time that is not negative. It is written as a text
// such as "5m", "1h30m" or "7d", or as a number of seconds.
type Duration time.Duration

// String returns the duration as Go writes it.
func (d Duration) String() string { return time.Duration(d).String() }

func (d *Duration) decode(v value) error {
	const want = "want a duration such as \"5m\" or a number of seconds"
	if v.kind != text && v.kind != number {
		return fmt.Errorf(want+", got %s", v.kind)
	}
	parsed, err := parseDuration(v.scalar)
	if err != nil {
		return fmt.Errorf(want+", got %s", got(v))
	}
	*d = Duration(parsed)
	return nil
}

func parseDuration(s string) (time.Duration, error) {
	unit, count := time.Second, s
	if days, ok := strings.CutSuffix(s, "d"); ok {
		unit, count = 24*time.Hour, days
	}
	if n, err := strconv.ParseInt(count, 10, 64); err == nil {
		if n < 0 || n > math.MaxInt64/int64(unit) {
			return 0, errors.New("out of range")
		}
		return time.Duration(n) * unit, nil
	}
	d, err := time.ParseDuration(s)
	if err == nil && d < 0 {
		err = errors.New("negative")
	}
	return d, err
}

// Mode holds the permission bits of a file; 0 means that none were given.
type Mode fs.FileMode

func (m *Mode) decode(v value) error {
	bits, err := strconv.ParseUint(strings.TrimPrefix(v.scalar, "0o"), 8, 9)
	if v.kind != text && v.kind != number || err != nil || bits == 0 {
		return fmt.Errorf("want file permissions as octal digits such as \"0600\", got %s", got(v))
	}
	*m = Mode(bits)
	return nil
}

// Secret is a text that prints as "**redacted**" under every verb of fmt and
// in JSON.
type Secret string

// Reveal returns the text itself.
func (s Secret) Reveal() string { return string(s) }

// Format implements fmt.Formatter.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("**redacted**")) }

// MarshalText implements encoding.TextMarshaler.
func (s Secret) MarshalText() ([]byte, error) { return []byte("**redacted**"), nil }

// Settings are the keys that belong to one type of store or seal, as written.
type Settings map[string]Secret

// Get returns the text of a key, empty when it was not set.
func (s Settings) Get(key string) string { return s[key].Reveal() }

// Texts returns all keys with their text.
func (s Settings) Texts() map[string]string {
	all := make(map[string]string, len(s))
	for key, secret := range s {
		all[key] = secret.Reveal()
	}
	return all
}

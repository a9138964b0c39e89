package config

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/novatech/securevault/agent/notify"
)

// scalar is a type that decodes itself from a value that is no block. The
// error completes the sentence "key: …" and names what is wanted.
type scalar interface {
	decode(v value) error
}

// got describes a value whose content is no secret by the type it was meant
// to have.
func got(v value) string {
	switch v.kind {
	case text:
		return strconv.Quote(v.scalar)
	case number, boolean, null:
		return v.scalar
	default:
		return v.kind.String()
	}
}

// Duration is a length of time that is not negative. It is written as a text
// such as "5m", "1h30m" or "7d", or as a number of seconds.
type Duration time.Duration

// ParseDuration reads a duration as it is written in a configuration.
func ParseDuration(s string) (Duration, error) {
	if seconds, err := strconv.ParseInt(s, 10, 64); err == nil {
		return scaled(seconds, time.Second)
	}
	if count, isDays := strings.CutSuffix(s, "d"); isDays {
		days, err := strconv.ParseInt(count, 10, 64)
		if err != nil {
			return 0, errors.New("days come alone and as a whole number, such as \"7d\"")
		}
		return scaled(days, 24*time.Hour)
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0, errors.New("want a duration such as \"5m\" or a number of seconds")
	}
	return scaled(int64(d), 1)
}

func scaled(count int64, unit time.Duration) (Duration, error) {
	switch {
	case count < 0:
		return 0, errors.New("a duration cannot be negative")
	case count > math.MaxInt64/int64(unit):
		return 0, errors.New("the duration is longer than 292 years")
	default:
		return Duration(count) * Duration(unit), nil
	}
}

// String returns the duration as Go writes it.
func (d Duration) String() string { return time.Duration(d).String() }

func (d *Duration) decode(v value) error {
	if v.kind != text && v.kind != number {
		return fmt.Errorf("want a duration such as \"5m\" or a number of seconds, got %s", got(v))
	}
	parsed, err := ParseDuration(v.scalar)
	if err != nil {
		return fmt.Errorf("%w, got %s", err, got(v))
	}
	*d = parsed
	return nil
}

// Mode holds the permission bits of a file as Unix counts them, setuid,
// setgid and sticky included. 0 means that none were given.
type Mode uint32

// ParseMode reads octal digits, with or without a leading zero: "640" and
// "0640" are the same.
func ParseMode(s string) (Mode, error) {
	bits, err := strconv.ParseUint(s, 8, 32)
	switch {
	case err != nil || strings.HasPrefix(s, "+"):
		return 0, errors.New("want file permissions as octal digits such as \"0640\"")
	case bits > 0o7777:
		return 0, errors.New("file permissions end at 07777")
	case bits == 0:
		return 0, errors.New("a file with permissions 0 is of use to nobody")
	default:
		return Mode(bits), nil
	}
}

// FileMode returns the bits as package os wants them.
func (m Mode) FileMode() fs.FileMode {
	mode := fs.FileMode(m & 0o777)
	if m&0o4000 != 0 {
		mode |= fs.ModeSetuid
	}
	if m&0o2000 != 0 {
		mode |= fs.ModeSetgid
	}
	if m&0o1000 != 0 {
		mode |= fs.ModeSticky
	}
	return mode
}

// String returns the bits as octal digits with a leading zero.
func (m Mode) String() string { return fmt.Sprintf("%04o", uint32(m)) }

// decode reads a number by its digits: 640 and 0640 both mean 0640.
func (m *Mode) decode(v value) error {
	if v.kind != text && v.kind != number {
		return fmt.Errorf("want file permissions as octal digits such as \"0640\", got %s", got(v))
	}
	parsed, err := ParseMode(v.scalar)
	if err != nil {
		return fmt.Errorf("%w, got %s", err, got(v))
	}
	*m = parsed
	return nil
}

// Account is a user or a group, by name or by id.
type Account string

func (a *Account) decode(v value) error {
	_, err := strconv.ParseUint(v.scalar, 10, 32)
	if v.kind != text && (v.kind != number || err != nil) || v.scalar == "" {
		return fmt.Errorf("want a name or a numeric id, got %s", got(v))
	}
	*a = Account(v.scalar)
	return nil
}

// Command is a program to run: either Args, run directly, or Line, run by
// `sh -c`. It is written as a list or as a text; a text without spaces is a
// program to run directly.
type Command struct {
	Args []string
	Line string
}

// IsZero reports whether there is nothing to run.
func (c Command) IsZero() bool { return len(c.Args) == 0 && c.Line == "" }

func (c *Command) decode(v value) error {
	want := errors.New("want a command as a text or a list of texts")
	switch v.kind {
	case text:
		words := strings.Fields(v.scalar)
		switch {
		case len(words) == 0:
			return errors.New("the command is empty")
		case len(words) == 1:
			c.Args = words
		default:
			c.Line = v.scalar
		}
		return nil
	case list:
		for _, item := range v.items {
			if item.kind != text {
				return fmt.Errorf("%w, got a list with %s in it", want, item.kind)
			}
			c.Args = append(c.Args, item.scalar)
		}
		if len(c.Args) == 0 || c.Args[0] == "" {
			return errors.New("the command is empty")
		}
		return nil
	default:
		return fmt.Errorf("%w, got %s", want, v.kind)
	}
}

// Wait holds how long a change is held back for others to join it: at least
// Min since the last change and at most Max in all. It is written as
// "min:max", as "min", or as a block; Max is four times Min when not given.
type Wait struct {
	Origin
	Min Duration `hcl:"min,required"`
	Max Duration `hcl:"max"`
}

func (w *Wait) decode(v value) error {
	if v.kind != text {
		return fmt.Errorf("want \"min:max\", such as \"2s:10s\", got %s", got(v))
	}
	least, most, both := strings.Cut(v.scalar, ":")
	var err error
	if w.Min, err = ParseDuration(least); err != nil {
		return fmt.Errorf("%w, got %s", err, got(v))
	}
	if !both {
		return nil
	}
	if w.Max, err = ParseDuration(most); err != nil {
		return fmt.Errorf("%w, got %s", err, got(v))
	}
	return nil
}

// Signal is a signal of the operating system, written as "SIGHUP", "HUP" or
// its number.
type Signal syscall.Signal

func (s *Signal) decode(v value) error {
	if v.kind != text && v.kind != number {
		return fmt.Errorf("want a signal such as \"SIGHUP\", got %s", got(v))
	}
	parsed, err := notify.ParseSignal(v.scalar)
	if err != nil {
		return err
	}
	*s = Signal(parsed)
	return nil
}

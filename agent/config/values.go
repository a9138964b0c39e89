package config

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/novatech/securevault/agent/notify"
)

// scalar is a type that decodes itself from a value, and encodes itself to
// one that decodes to the same. The error completes the sentence "key: …" and
// names what is wanted.
type scalar interface {
	decode(v value) error
	encode() value
}

// doubtful is a scalar that accepts values whose meaning is not certain.
type doubtful interface {
	// doubt tells how such a value is taken, and what to write in its place;
	// "" where there is no doubt. It completes the sentence "key: …".
	doubt(v value) (taken, hint string)
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

func (d *Duration) encode() value { return value{kind: text, scalar: d.short()} }

// short leaves out the units that are zero: "5m" rather than "5m0s".
func (d Duration) short() string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
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

// decode reads a text and a number that begins with zero as octal digits. Of
// any other number nobody can tell for sure: see decimalMode.
func (m *Mode) decode(v value) error {
	if v.kind != text && v.kind != number {
		return fmt.Errorf("want file permissions as octal digits such as \"0640\", got %s", got(v))
	}
	if decimal, ok := decimalMode(v); ok {
		*m = decimal
		return nil
	}
	parsed, err := ParseMode(v.scalar)
	if err != nil {
		return fmt.Errorf("%w, got %s", err, got(v))
	}
	*m = parsed
	return nil
}

func (m *Mode) encode() value { return value{kind: text, scalar: m.String()} }

func (m *Mode) doubt(v value) (taken, hint string) {
	if v.kind != number || strings.HasPrefix(v.scalar, "0") {
		return "", ""
	}
	return fmt.Sprintf("%s is taken to mean %s", v.scalar, m), fmt.Sprintf("write \"%s\"", m)
}

// decimalMode reads a number that makes no sense as octal digits and does in
// decimal, which is all that JSON has: 420 is 0644. A mode makes sense when
// the group may do no more than the owner, and others no more than the group.
func decimalMode(v value) (mode Mode, ok bool) {
	decimal, err := strconv.ParseUint(v.scalar, 10, 12)
	if err != nil || v.kind != number || strings.HasPrefix(v.scalar, "0") {
		return 0, false
	}
	octal, err := ParseMode(v.scalar)
	return Mode(decimal), sensible(Mode(decimal)) && (err != nil || !sensible(octal))
}

func sensible(m Mode) bool {
	owner, group, others := m>>6&7, m>>3&7, m&7
	return m&0o7000 == 0 && group&^owner == 0 && others&^group == 0
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

func (a *Account) encode() value { return value{kind: text, scalar: string(*a)} }

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
	var args []string
	switch {
	case v.kind == text || commandLine(v):
		line := v.scalar
		if v.kind == list {
			line = v.items[0].scalar
		}
		args = strings.Fields(line)
		if len(args) > 1 {
			*c = Command{Line: line}
			return nil
		}
	case v.kind == list:
		for _, item := range v.items {
			if item.kind != text {
				return fmt.Errorf("want a command as a text or a list of texts, got a list with %s in it", item.kind)
			}
			args = append(args, item.scalar)
		}
	default:
		return fmt.Errorf("want a command as a text or a list of texts, got %s", v.kind)
	}
	if len(args) == 0 || args[0] == "" {
		return errors.New("the command is empty")
	}
	*c = Command{Args: args}
	return nil
}

func (c *Command) encode() value {
	if c.Line != "" {
		return value{kind: text, scalar: c.Line}
	}
	return textList(c.Args)
}

func (c *Command) doubt(v value) (taken, hint string) {
	if !commandLine(v) {
		return "", ""
	}
	return "a list of one text with spaces is run by sh -c", "write it without brackets"
}

// commandLine reports whether a list is a line for the shell rather than a
// program of that name: other agents do not tell ["a b"] from "a b".
func commandLine(v value) bool {
	return v.kind == list && len(v.items) == 1 && v.items[0].kind == text && len(strings.Fields(v.items[0].scalar)) > 1
}

func textList(texts []string) value {
	out := value{kind: list}
	for _, item := range texts {
		out.items = append(out.items, value{kind: text, scalar: item})
	}
	return out
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
	var parsed Wait
	var err error
	if parsed.Min, err = ParseDuration(least); err != nil {
		return fmt.Errorf("%w, got %s", err, got(v))
	}
	if both {
		if parsed.Max, err = ParseDuration(most); err != nil {
			return fmt.Errorf("%w, got %s", err, got(v))
		}
	}
	*w = parsed
	return nil
}

func (w *Wait) encode() value {
	return value{kind: text, scalar: w.Min.short() + ":" + w.Max.short()}
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

func (s *Signal) encode() value {
	if name := unix.SignalName(syscall.Signal(*s)); name != "" {
		return value{kind: text, scalar: name}
	}
	return value{kind: text, scalar: strconv.Itoa(int(*s))}
}

// UseToken says whose token goes with a request that the agent passes on.
type UseToken string

// The values of UseToken.
const (
	UseCallers UseToken = ""      // the caller's, which must come with one
	UseOwn     UseToken = "true"  // the agent's, where the caller has none
	ForceOwn   UseToken = "force" // the agent's, whatever the caller has
)

func (u *UseToken) decode(v value) error {
	if v.kind == text && strings.EqualFold(v.scalar, string(ForceOwn)) {
		*u = ForceOwn
		return nil
	}
	own, err := parseBool(v)
	if err != nil {
		return fmt.Errorf("want true, false or \"force\", got %s", got(v))
	}
	*u = UseCallers
	if own {
		*u = UseOwn
	}
	return nil
}

func (u *UseToken) encode() value {
	switch *u {
	case ForceOwn:
		return value{kind: text, scalar: string(ForceOwn)}
	case UseOwn:
		return value{kind: boolean, scalar: "true"}
	default:
		return value{kind: boolean, scalar: "false"}
	}
}

// Pairs are names with a text each.
type Pairs map[string]string

func (p *Pairs) decode(v value) error {
	if v.kind != object {
		return fmt.Errorf("want a block of texts, got %s", v.kind)
	}
	pairs := make(Pairs, len(v.body))
	for _, e := range v.body {
		if e.value.kind != text || len(e.labels) > 0 {
			return fmt.Errorf("want a block of texts, got one with %s in it", e.value.kind)
		}
		pairs[e.key] = e.value.scalar
	}
	*p = pairs
	return nil
}

func (p *Pairs) encode() value {
	out := value{kind: object}
	for _, name := range slices.Sorted(maps.Keys(*p)) {
		out.body = append(out.body, entry{key: name, value: value{kind: text, scalar: (*p)[name]}})
	}
	return out
}

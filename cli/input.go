package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	kvbuilder "github.com/hashicorp/go-secure-stdlib/kv-builder"
	"github.com/hashicorp/go-secure-stdlib/parseutil"
	"golang.org/x/term"
)

// pairs turns arguments into the fields of a request: KEY=VALUE, KEY=@FILE,
// KEY=- for standard input, @FILE or - for a whole JSON object. first is the
// position of the first of them on the command line. Its errors name positions
// and keys only, since values are secrets.
func (s *session) pairs(first int, args []string) (map[string]any, error) {
	builder := &kvbuilder.Builder{Stdin: s.stdio.Stdin}
	for i, arg := range args {
		if err := builder.Add(arg); err != nil {
			return nil, badInput(`write KEY=VALUE, KEY=@FILE, KEY=- for standard input, @FILE.json for a whole object, KEY=\@VALUE for a value that begins with @`,
				"%s: %w", argumentName(first+i, arg), withoutValue(err))
		}
	}
	return builder.Map(), nil
}

// withoutValue strips err of the argument that kvbuilder quotes and of the file
// name that os quotes, which is a secret when it was meant as a value.
func withoutValue(err error) error {
	if file, ok := errors.AsType[*os.PathError](err); ok {
		return fmt.Errorf("%sing its file: %w", file.Op, file.Err)
	}
	return errors.Unwrap(err)
}

// argumentName tells which argument is meant without repeating a value.
func argumentName(position int, arg string) string {
	key, _, found := strings.Cut(arg, "=")
	if found || strings.HasPrefix(arg, "@") || arg == "-" {
		return fmt.Sprintf("argument %d (%q)", position, key)
	}
	return fmt.Sprintf("argument %d", position)
}

// query turns the fields of a request into parameters of its URL.
func query(fields map[string]any) url.Values {
	values := make(url.Values)
	for key, value := range fields {
		if list, ok := value.([]any); ok {
			for _, item := range list {
				values.Add(key, plainText(item))
			}
			continue
		}
		values.Set(key, plainText(value))
	}
	return values
}

// secretArg returns the secret that arg stands for: itself, or standard input
// for a dash, which keeps it out of the list of processes.
func (s *session) secretArg(arg string) (string, error) {
	if arg != "-" {
		return arg, nil
	}
	content, err := io.ReadAll(io.LimitReader(s.stdio.Stdin, maxAnswer))
	if err != nil {
		return "", badInput("", "reading standard input: %w", err)
	}
	return strings.TrimSuffix(string(content), "\n"), nil
}

// prompt asks for a secret on the terminal without echoing it.
func (s *session) prompt(ctx context.Context, what string) (string, error) {
	file, ok := s.stdio.Stdin.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return "", badInput("pass - to read it from standard input", "there is no terminal to ask for the %s", strings.ToLower(what))
	}
	// Raw before the read starts, and restored after it is given up, so that no
	// interrupt can leave the terminal mute.
	before, err := term.MakeRaw(int(file.Fd()))
	if err != nil {
		return "", fmt.Errorf("asking for the %s: %w", strings.ToLower(what), err)
	}
	fmt.Fprintf(s.stdio.Stderr, "%s (will be hidden): ", what)
	secret, err := readHidden(ctx, file)
	err = errors.Join(err, term.Restore(int(file.Fd()), before))
	fmt.Fprintln(s.stdio.Stderr)
	if err != nil {
		return "", fmt.Errorf("asking for the %s: %w", strings.ToLower(what), err)
	}
	return secret, nil
}

// readHidden reads a line from a raw terminal, or ends with ctx; the read
// itself cannot be interrupted and is left to end with the process.
func readHidden(ctx context.Context, file *os.File) (string, error) {
	type result struct {
		line string
		err  error
	}
	silent := term.NewTerminal(struct {
		io.Reader
		io.Writer
	}{file, io.Discard}, "")
	done := make(chan result, 1)
	go func() {
		line, err := silent.ReadPassword("")
		done <- result{line, err}
	}()
	select {
	case r := <-done:
		if errors.Is(r.err, io.EOF) { // how a raw terminal tells of Ctrl-C
			return "", context.Canceled
		}
		return r.line, r.err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// body is the fields of a request as its flags fill them in. A flag that is not
// given adds no field, so that the server's default, or on a change its present
// value, stands.
type body map[string]any

// fieldName is the API's spelling of a flag's name.
func fieldName(flagName string) string {
	return strings.ReplaceAll(flagName, "-", "_")
}

// text adds a flag that fills in a string.
func (b body) text(set *flag.FlagSet, name, usage string) {
	set.Func(name, usage, func(value string) error {
		b[fieldName(name)] = value
		return nil
	})
}

// yes adds a boolean flag that fills in true or false.
func (b body) yes(set *flag.FlagSet, name, key, usage string) {
	set.BoolFunc(name, usage, func(value string) error {
		yes, err := strconv.ParseBool(value)
		b[key] = yes
		return err
	})
}

// count adds a flag that fills in a number, zero or more.
func (b body) count(set *flag.FlagSet, name, key, usage string) {
	set.Func(name, usage, func(value string) error {
		n, err := strconv.ParseUint(value, 10, 31)
		if err != nil {
			return errors.New("write a whole number, zero or more")
		}
		b[key] = n
		return nil
	})
}

// duration adds a flag that fills in a duration in the API's notation, "3600s".
func (b body) duration(set *flag.FlagSet, name, usage string) {
	set.Func(name, usage, func(value string) error {
		d, err := parseDuration(value)
		b[fieldName(name)] = fmt.Sprintf("%ds", int64(d/time.Second))
		return err
	})
}

// seconds adds a flag that fills in a whole number of seconds.
func (b body) seconds(set *flag.FlagSet, name, usage string) {
	set.Func(name, usage, func(value string) error {
		d, err := parseDuration(value)
		b[fieldName(name)] = int64(d / time.Second)
		return err
	})
}

// parseDuration reads 2h, 30m, 1d or a plain number of seconds.
func parseDuration(value string) (time.Duration, error) {
	d, err := parseutil.ParseDurationSecond(value)
	if err != nil || value == "" || d < 0 || d%time.Second != 0 {
		return 0, errors.New("write a duration such as 2h, 30m or 90s, or whole seconds")
	}
	return d, nil
}

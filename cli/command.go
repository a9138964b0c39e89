package cli

import (
	"context"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/agext/levenshtein"
	hashicli "github.com/hashicorp/cli"
)

// command describes one command; leaf runs it.
type command struct {
	// usage follows the command's name in the help: "[options] PATH".
	usage    string
	synopsis string
	about    string
	// examples are command lines without the program's name.
	examples []string
	// minArgs and maxArgs bound the number of arguments; maxArgs -1 is any number.
	minArgs, maxArgs int
	// selectable tells that the answer has fields for -field to choose from.
	selectable bool
	// offline tells that the command talks to no server and prints one line.
	offline bool
	// flags adds the command's own flags; nil adds none.
	flags func(*flag.FlagSet)
	run   func(ctx context.Context, s *session, args []string) error
}

// session is what a running command has at hand.
type session struct {
	stdio      IO
	program    string
	connection connection
	output     output
	// token returns the token to send; "" sends none.
	token func() (string, error)
}

func newSession(program string, stdio IO) *session {
	return &session{
		stdio:      stdio,
		program:    program,
		connection: newConnection(stdio.Getenv),
		output:     newOutput(stdio),
		token:      func() (string, error) { return storedToken(stdio.Getenv) },
	}
}

// leaf is a command in the form hashicorp/cli runs.
type leaf struct {
	command
	ctx     context.Context // the interface's Run takes none
	program string
	name    string
	stdio   IO
}

// Run parses args and executes the command.
func (l *leaf) Run(args []string) int {
	s := newSession(l.program, l.stdio)
	arguments, err := l.parse(s, args)
	if err == nil {
		err = l.run(l.ctx, s, arguments)
	}
	return report(l.stdio.Stderr, err)
}

// parse sets the flags found in args and returns the arguments after them.
func (l *leaf) parse(s *session, args []string) ([]string, error) {
	set := flag.NewFlagSet(l.name, flag.ContinueOnError)
	set.SetOutput(io.Discard)
	for _, options := range l.options(s) {
		options.add(set)
	}
	if err := set.Parse(args); err != nil {
		return nil, badInput(l.flagHint(set, args), "%w", err)
	}
	arguments := set.Args()
	parsed := args[:len(args)-len(arguments)]
	ended := len(parsed) > 0 && parsed[len(parsed)-1] == "--"
	if late := lateFlag(arguments); late >= 0 && !ended {
		name, _, _ := strings.Cut(arguments[late], "=")
		return nil, badInput(
			fmt.Sprintf("flags come before arguments: %s %s %s …; a key that begins with a dash needs -- before the first argument",
				l.program, l.name, name),
			"argument %d of %q looks like the flag %q", late+1, l.name, name)
	}
	if n := len(arguments); n < l.minArgs || (l.maxArgs >= 0 && n > l.maxArgs) {
		return nil, badInput("usage: "+l.usageLine(), "%q takes %s, got %d", l.name, l.arity(), n)
	}
	return arguments, s.output.check()
}

// lateFlag returns the index of the first argument that looks like a flag, or
// -1; a lone dash stands for standard input.
func lateFlag(arguments []string) int {
	return slices.IndexFunc(arguments, func(a string) bool { return len(a) > 1 && a[0] == '-' })
}

// flagHint names the flag that was probably meant by one that does not exist.
func (l *leaf) flagHint(set *flag.FlagSet, args []string) string {
	var known []string
	set.VisitAll(func(f *flag.Flag) { known = append(known, f.Name) })
	for _, arg := range args {
		name, _, _ := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		if !strings.HasPrefix(arg, "-") || slices.Contains(known, name) {
			continue
		}
		if near := closest(name, known); near != "" {
			return fmt.Sprintf("did you mean -%s? See %s %s -help", near, l.program, l.name)
		}
	}
	return fmt.Sprintf("see %s %s -help", l.program, l.name)
}

func (l *leaf) arity() string {
	switch {
	case l.maxArgs < 0:
		return fmt.Sprintf("at least %s", plural(l.minArgs))
	case l.minArgs != l.maxArgs:
		return fmt.Sprintf("%d to %s", l.minArgs, plural(l.maxArgs))
	default:
		return plural(l.minArgs)
	}
}

func plural(n int) string {
	if n == 1 {
		return "1 argument"
	}
	return fmt.Sprintf("%d arguments", n)
}

// options are flags under a heading of the help.
type options struct {
	heading string
	add     func(*flag.FlagSet)
}

func (l *leaf) options(s *session) []options {
	var all []options
	if l.flags != nil {
		all = append(all, options{"Options", l.flags})
	}
	if l.offline {
		return all
	}
	output := func(set *flag.FlagSet) { s.output.flags(set, l.selectable) }
	return append(all, options{"Output options", output}, options{"Connection options", s.connection.flags})
}

func (l *leaf) usageLine() string {
	return strings.TrimSpace(fmt.Sprintf("%s %s %s", l.program, l.name, l.usage))
}

// Synopsis describes the command in one line.
func (l *leaf) Synopsis() string { return l.synopsis }

// Help describes the command, its flags and how it is typed.
func (l *leaf) Help() string {
	var text strings.Builder
	fmt.Fprintf(&text, "Usage: %s\n\n  %s\n", l.usageLine(), strings.ReplaceAll(l.about, "\n", "\n  "))
	text.WriteString("\nExample:\n\n")
	for _, example := range l.examples {
		fmt.Fprintf(&text, "  $ %s %s\n", l.program, example)
	}
	for _, options := range l.options(newSession(l.program, l.stdio)) {
		fmt.Fprintf(&text, "\n%s:\n", options.heading)
		set := flag.NewFlagSet(l.name, flag.ContinueOnError)
		options.add(set)
		set.VisitAll(func(f *flag.Flag) { writeFlagHelp(&text, f) })
	}
	return strings.TrimRight(text.String(), "\n")
}

func writeFlagHelp(w io.Writer, f *flag.Flag) {
	value, usage := flag.UnquoteUsage(f)
	if value != "" {
		value = "=" + value
	}
	fmt.Fprintf(w, "\n  -%s%s\n      %s\n", f.Name, value, strings.ReplaceAll(usage, "\n", "\n      "))
}

// group is a word that only introduces subcommands.
type group struct {
	program  string
	name     string
	synopsis string
	stdio    IO
}

// Run explains that a subcommand is missing or unknown.
func (g *group) Run(args []string) int {
	if len(args) == 0 || strings.HasPrefix(args[0], "-") {
		return hashicli.RunResultHelp
	}
	var known []string
	for name := range commands() {
		if rest, ok := strings.CutPrefix(name, g.name+" "); ok {
			known = append(known, rest)
		}
	}
	return report(g.stdio.Stderr, unknownCommand(g.program, g.name+" ", args[0], known))
}

// Synopsis describes the group in one line.
func (g *group) Synopsis() string { return g.synopsis }

// Help introduces the list of subcommands that hashicorp/cli appends.
func (g *group) Help() string {
	return fmt.Sprintf("Usage: %s %s SUBCOMMAND [options] [arguments]\n\n  %s.", g.program, g.name, g.synopsis)
}

// unknownCommand reports that word is none of known after the words of prefix.
func unknownCommand(program, prefix, word string, known []string) error {
	help := fmt.Sprintf("%s %s-help lists the commands", program, prefix)
	if near := closest(word, known); near != "" {
		help = fmt.Sprintf("did you mean %s %s%s? %s", program, prefix, near, help)
	}
	return badInput(help, "unknown command %q", prefix+word)
}

// closest returns the one of known that word was probably meant to be, or "".
func closest(word string, known []string) string {
	const farthest = 3
	best, distance := "", farthest
	slices.Sort(known)
	for _, candidate := range known {
		if d := levenshtein.Distance(word, candidate, nil); d < distance {
			best, distance = candidate, d
		}
	}
	return best
}

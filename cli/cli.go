// Package cli is the client half of the securevault program: the commands that
// an operator or a script types, each of which makes one call of the server's
// HTTP API and prints what it answered.
//
// It owns flags, environment variables, the token file, the formats of the
// output and the exit codes (see exit.go). It promises that a result goes to
// standard output and everything else to standard error, that no error repeats
// the data being written, and that a wrong command line is refused before the
// server hears of it.
//
// Start reading at commands.go, the table of all commands, then command.go, how
// one of them runs. A command file (data.go, lease.go, …) only says which
// request it makes; connection.go and request.go send it, output.go prints it.
package cli

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	hashicli "github.com/hashicorp/cli"
)

// IO is what commands touch of the process they run in.
type IO struct {
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
	// Getenv looks up an environment variable; an unset one is "".
	Getenv func(name string) string
}

// System returns the streams and the environment of this process.
func System() IO {
	return IO{Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv}
}

// Run executes the command line args, the program's name first as in os.Args,
// and returns the exit code. Help texts show the name under which the program
// was called, so a symlink named vault reads as vault. The commands of extra
// join the table of this package and win over it where names are equal; they
// must end by themselves when ctx does.
func Run(ctx context.Context, args []string, stdio IO, extra map[string]hashicli.CommandFactory) int {
	program := "securevault"
	if len(args) > 0 {
		program, args = filepath.Base(args[0]), args[1:]
	}
	commands := factories(ctx, program, stdio)
	maps.Copy(commands, extra)
	runner := &hashicli.CLI{
		Name:        program,
		Version:     versionLine(),
		Args:        args,
		Commands:    commands,
		HelpFunc:    hashicli.BasicHelpFunc(program),
		HelpWriter:  stdio.Stdout,
		ErrorWriter: stdio.Stderr,
	}
	names := slices.Collect(maps.Keys(commands))
	if word := runner.Subcommand(); word != "" && !introduces(word, names) {
		return report(stdio.Stderr, unknownCommand(program, "", word, names))
	}
	code, err := runner.Run()
	if err != nil {
		return report(stdio.Stderr, fmt.Errorf("starting the command: %w", err))
	}
	if code == noSubcommand {
		return ExitLocal
	}
	return code
}

// introduces tells that words are a command of names or the start of one.
func introduces(words string, names []string) bool {
	return slices.ContainsFunc(names, func(name string) bool {
		return name == words || strings.HasPrefix(name, words+" ")
	})
}

// noSubcommand is what hashicorp/cli returns, after printing the general help,
// when the command line names no command.
const noSubcommand = 127

// factories returns the commands of this package in the form hashicorp/cli
// takes. Only the one that is typed is built.
func factories(ctx context.Context, program string, stdio IO) map[string]hashicli.CommandFactory {
	all := make(map[string]hashicli.CommandFactory)
	for name, synopsis := range groups() {
		all[name] = func() (hashicli.Command, error) {
			return &group{program: program, name: name, synopsis: synopsis, stdio: stdio}, nil
		}
	}
	for name, build := range commands() {
		all[name] = func() (hashicli.Command, error) {
			return &leaf{command: build(), ctx: ctx, program: program, name: name, stdio: stdio}, nil
		}
	}
	return all
}

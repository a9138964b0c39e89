package agent

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/novatech/securevault/agent/config"
)

// Validate is `securevault agent validate`: it says everything that is wrong
// with a configuration, and starts nothing.
type Validate struct {
	Stdout, Stderr io.Writer
}

// Synopsis describes the command in one line.
func (Validate) Synopsis() string {
	return "Check the agent's configuration and its templates"
}

// Help describes the command, its flags and its exit codes.
func (Validate) Help() string {
	return `Usage: securevault agent validate -config=FILE [-config=FILE ...]

  Reads configurations and the templates that they name, and prints every error
  and warning with its file and line. Neither the server nor any destination is
  touched.

Options:
` + describe(new(paths).set("agent validate")) + `
Exit codes:

  0  the agent would start             2  it would not, or the usage was wrong`
}

// Run checks the configuration and returns the exit code.
func (c Validate) Run(args []string) int {
	var configs paths
	if err := configs.parse("agent validate", args); err != nil {
		return complain(c.Stderr, nil, err)
	}
	file, err := config.Load(configs...)
	if err != nil {
		return complain(c.Stderr, warningsOf(file, err), err)
	}
	if _, err := newBuilder(file, Options{Log: nil, Getenv: os.Getenv}).outputs(); err != nil {
		return complain(c.Stderr, file.Warnings, failure{ExitConfig, err})
	}
	complain(c.Stderr, file.Warnings, nil)
	fmt.Fprintf(c.Stdout, "The configuration is valid: %s.\n", strings.Join(contents(file), ", "))
	return ExitOK
}

// contents counts what a configuration holds.
func contents(file *config.File) []string {
	var out []string
	count := func(n int, one string) {
		switch {
		case n == 1:
			out = append(out, "1 "+one)
		case n > 1:
			out = append(out, fmt.Sprintf("%d %ss", n, one))
		}
	}
	if file.AutoAuth != nil {
		out = append(out, fmt.Sprintf("login by %s", file.AutoAuth.Method.Type))
		count(len(file.AutoAuth.Sinks), "token sink")
	}
	count(len(file.Templates), "template")
	count(len(file.Groups), "group")
	count(len(file.EnvFiles), "env file")
	count(len(file.EnvTemplates), "variable")
	count(len(file.Listeners), "listener")
	return out
}

// warningsOf returns the warnings of a configuration, whether it loaded or not.
func warningsOf(file *config.File, err error) []config.Problem {
	if file != nil {
		return file.Warnings
	}
	if problems, ok := errors.AsType[*config.Error](err); ok {
		return problems.Warnings
	}
	return nil
}

// complain prints warnings and an error, line by line, and returns the exit
// code.
func complain(w io.Writer, warnings []config.Problem, err error) int {
	for _, warning := range warnings {
		fmt.Fprintf(w, "Warning: %s\n", warning)
	}
	if err != nil {
		for line := range strings.Lines(err.Error()) {
			fmt.Fprintf(w, "Error: %s\n", strings.TrimRight(line, "\n"))
		}
	}
	return ExitCode(err)
}

// paths are those of the flag -config, which may be given several times.
type paths []string

func (p *paths) set(name string) *flag.FlagSet {
	set := flag.NewFlagSet(name, flag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.Func("config", "`path` of a configuration file, or of a folder of them; may be given several times", func(path string) error {
		*p = append(*p, path)
		return nil
	})
	return set
}

// parse takes paths without the flag too, as operators type them.
func (p *paths) parse(name string, args []string) error {
	set := p.set(name)
	if err := set.Parse(args); err != nil {
		return failure{ExitConfig, fmt.Errorf("%w; see securevault %s -help", err, name)}
	}
	*p = slices.Concat(*p, set.Args())
	if len(*p) == 0 {
		return failure{ExitConfig, errors.New("no configuration is named; give -config=FILE")}
	}
	return nil
}

// describe lists the flags of a set, for a help text.
func describe(set *flag.FlagSet) string {
	var text strings.Builder
	set.VisitAll(func(f *flag.Flag) {
		value, usage := flag.UnquoteUsage(f)
		if value != "" {
			value = "=" + value
		}
		fmt.Fprintf(&text, "\n  -%s%s\n      %s\n", f.Name, value, usage)
	})
	return text.String()
}

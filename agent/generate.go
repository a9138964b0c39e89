package agent

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/novatech/securevault/agent/config"
)

// GenerateConfig is `securevault agent generate-config`: it prints a first
// configuration.
type GenerateConfig struct {
	Stdout, Stderr io.Writer
	Getenv         func(name string) string
}

// Synopsis describes the command in one line.
func (GenerateConfig) Synopsis() string {
	return "Print a first configuration for the agent"
}

// Help describes the command, its flags and its exit codes.
func (GenerateConfig) Help() string {
	return `Usage: securevault agent generate-config [options] [FILE]

  Prints a configuration with comments, to be completed by hand, or writes it
  to a file that does not exist yet. The server is not asked: the fields of a
  secret are an example, unless the path says what it holds.

Example:

  $ securevault agent generate-config -type=env-template \
      -path=database/creds/my-app -exec="./my-app serve" agent.hcl

Options:
` + describe(new(starter).set()) + `
Exit codes:

  0  done                              2  the usage is wrong
                                       7  the file cannot be written, or exists`
}

// starter holds the flags of the command line.
type starter struct {
	config.Starter
	kind, exec string
}

func (s *starter) set() *flag.FlagSet {
	set := flag.NewFlagSet("agent generate-config", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.StringVar(&s.kind, "type", "template", "`kind` of configuration: template for files, env-template for the environment of a program")
	set.Func("path", "`path` of a secret; may be given several times", func(path string) error {
		s.Secrets = append(s.Secrets, path)
		return nil
	})
	set.StringVar(&s.exec, "exec", "", "`command` that the agent starts, with -type=env-template")
	set.StringVar(&s.Address, "address", "", "`address` of the server; that of VAULT_ADDR if not given")
	return set
}

// Run prints or writes the configuration and returns the exit code.
func (c GenerateConfig) Run(args []string) int {
	return complain(c.Stderr, nil, c.run(args))
}

func (c GenerateConfig) run(args []string) error {
	var s starter
	set := s.set()
	if err := set.Parse(args); err != nil {
		return failure{ExitConfig, fmt.Errorf("%w; see securevault agent generate-config -help", err)}
	}
	switch {
	case set.NArg() > 1:
		return failure{ExitConfig, fmt.Errorf("argument %q is not expected; name one file, after all options", set.Arg(1))}
	case s.kind != "template" && s.kind != "env-template":
		return failure{ExitConfig, fmt.Errorf("unknown type %q; use template or env-template", s.kind)}
	case s.kind == "template" && s.exec != "":
		return failure{ExitConfig, errors.New("-exec is for -type=env-template; give both or none")}
	}
	s.Env, s.Command = s.kind == "env-template", strings.Fields(s.exec)
	for _, name := range []string{"VAULT_ADDR", "SECUREVAULT_ADDR"} {
		if address := c.Getenv(name); address != "" && !flagGiven(set, "address") {
			s.Address = address
		}
	}
	if set.NArg() == 0 {
		_, err := c.Stdout.Write(s.HCL())
		return err
	}
	return writeNew(set.Arg(0), s.HCL())
}

func flagGiven(set *flag.FlagSet, name string) (given bool) {
	set.Visit(func(f *flag.Flag) { given = given || f.Name == name })
	return given
}

// writeNew writes a file that must not be there.
func writeNew(path string, content []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return failure{ExitSink, fmt.Errorf("creating the configuration: %w; name a new file, or none to print it", err)}
	}
	if _, err := file.Write(content); err != nil {
		_ = file.Close()
		return failure{ExitSink, fmt.Errorf("writing the configuration: %w", err)}
	}
	if err := file.Close(); err != nil {
		return failure{ExitSink, fmt.Errorf("writing the configuration: %w", err)}
	}
	return nil
}

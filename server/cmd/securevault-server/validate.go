package main

import (
	"errors"
	"flag"
	"fmt"
	"io"

	"github.com/novatech/securevault/server/config"
)

// paths collects a flag that may be repeated.
type paths []string

// String implements flag.Value.
func (p *paths) String() string { return fmt.Sprint([]string(*p)) }

// Set implements flag.Value.
func (p *paths) Set(path string) error {
	*p = append(*p, path)
	return nil
}

const configUsage = "configuration `file` or folder, in YAML, HCL or JSON; may be repeated"

// validate reads a configuration and says everything that is wrong with it; it
// starts nothing.
func validate(args []string, stdout, stderr io.Writer) int {
	var files paths
	flags := flag.NewFlagSet("securevault-server validate", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // errors are reported once, below
	flags.Var(&files, "config", configUsage)
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		flags.SetOutput(stdout)
		fmt.Fprintln(stdout, "Usage: securevault-server validate -config=FILE [-config=FILE]")
		flags.PrintDefaults()
		return exitOK
	case err != nil:
		fmt.Fprintf(stderr, "securevault-server: %v; see securevault-server validate -help\n", err)
		return exitUsage
	}
	files = append(files, flags.Args()...)
	f, err := config.Load(files...)
	if err != nil {
		reportProblems(stderr, err)
		return exitUsage
	}
	for _, warning := range f.Warnings {
		fmt.Fprintf(stderr, "Warning: %s\n", warning)
	}
	if err := f.Unservable(); err != nil {
		fmt.Fprintln(stderr, "Warning: it serves only with -dev, or beside another -config:")
		fmt.Fprintln(stderr, err)
	}
	fmt.Fprintln(stdout, "The configuration is valid.")
	return exitOK
}

// reportProblems prints a configuration's problems, a line for each.
func reportProblems(stderr io.Writer, err error) {
	if invalid, ok := errors.AsType[*config.Error](err); ok {
		for _, warning := range invalid.Warnings {
			fmt.Fprintf(stderr, "Warning: %s\n", warning)
		}
	}
	fmt.Fprintln(stderr, err)
}

// Command securevault-server issues credentials over the Vault HTTP API.
//
// It does one thing in this folder: it reads its flags and its configuration,
// puts a store, a seal, engines, auth methods and listeners around a core, and
// takes them down in order when a signal comes. See options.go for the flags,
// compose.go for the parts and serve.go for the life of a server.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1 // the server could not start, or not end cleanly
	exitUsage  = 2 // the flags or the configuration make no sense
)

// version is set by the linker.
var version = "0.1.0-dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr))
}

// run is main with its surroundings given.
func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	if len(args) > 0 {
		switch args[0] {
		case "validate":
			return validate(args[1:], stdout, stderr)
		case "migrate":
			return migrate(ctx, args[1:], stdout, stderr)
		case "restore":
			return restore(ctx, args[1:], stdout, stderr)
		}
	}
	o, err := parseOptions(args, getenv, stdout)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		fmt.Fprintf(stderr, "securevault-server: %v\n", err)
		return exitUsage
	case o.version:
		fmt.Fprintf(stdout, "securevault-server %s\n", version)
		return exitOK
	}
	f, err := o.configuration()
	if err != nil {
		reportProblems(stderr, err)
		return exitUsage
	}
	if err := serve(ctx, o, f, stdout, stderr); err != nil {
		fmt.Fprintf(stderr, "securevault-server: %v\n", err)
		return exitFailed
	}
	return exitOK
}

// Command securevault-server issues credentials over the Vault HTTP API.
//
// It does one thing in this folder: it reads its flags, puts a store, engines,
// auth methods and a listener around a core, and takes them down in order when
// a signal comes. See options.go for the flags and serve.go for the life of a
// server.
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
	exitUsage  = 2 // the flags make no sense
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
	if err := serveDev(ctx, o, stdout, newLogger(o, stderr)); err != nil {
		fmt.Fprintf(stderr, "securevault-server: %v\n", err)
		return exitFailed
	}
	return exitOK
}

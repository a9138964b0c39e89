// Target is the far side of the journeys through the databases: it starts a
// system, or the stand-in for one, and logs in to it as an app would, with the
// file that the agent has written.
//
//	target serve SYSTEM        print NAME=value for what a script needs to know, then
//	                           "ready", and run until SIGTERM
//	target login SYSTEM FILE   exit 0 if the system lets the account in and do what its
//	                           role allows, 3 if it refuses, 1 if it cannot be told
//
// Each system is a file of this folder, and a line in systems.go. The account that
// the server logs in with is vault_admin with initial-password.
package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

// The account for the server, as in the guide.
const (
	admin         = "vault_admin"
	adminPassword = "initial-password"
)

// loginLimit bounds one login with what the app does then.
const loginLimit = 20 * time.Second

// exitRefused is the exit code of a login that the system refuses.
const exitRefused = 3

// errRefused is wrapped by errors of a login that the system itself refuses, or
// whose account it does not let do what the role allows.
var errRefused = errors.New("refused")

func main() {
	err := run(os.Args[1:])
	switch {
	case errors.Is(err, errRefused):
		fmt.Fprintln(os.Stderr, err)
		os.Exit(exitRefused)
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) < 2 {
		return errors.New("usage: target serve SYSTEM | target login SYSTEM FILE")
	}
	verb, name, files := args[0], args[1], args[2:]
	chosen, ok := systems()[name]
	switch {
	case !ok:
		return fmt.Errorf("unknown system %q: there are %s", name, strings.Join(slices.Sorted(maps.Keys(systems())), ", "))
	case verb == "serve" && len(files) == 0:
		return serve(chosen)
	case verb == "login" && len(files) == 1:
		return login(chosen, files[0])
	}
	return errors.New("usage: target serve SYSTEM | target login SYSTEM FILE")
}

func serve(chosen system) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	started, err := chosen.start(ctx)
	if err != nil {
		return err
	}
	defer started.stop()
	for _, variable := range slices.Sorted(maps.Keys(started.variables)) {
		fmt.Printf("%s=%s\n", variable, started.variables[variable])
	}
	fmt.Println("ready")
	<-ctx.Done()
	return nil
}

func login(chosen system, path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), loginLimit)
	defer cancel()
	return chosen.login(ctx, strings.TrimSpace(string(text)))
}

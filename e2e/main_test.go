package e2e

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// The programs under test.
const (
	program       = "securevault"
	serverProgram = "securevault-server"
)

// targetProgram starts the databases of the journeys and logs in to them; it is a
// tool of the tests, in server/e2e/target.
const targetProgram = "securevault-target"

// journeysAtOnce is how many tests run beside each other. They wait for TTLs
// most of the time, so that it has little to do with the number of cores.
const journeysAtOnce = "6"

func TestMain(m *testing.M) {
	flag.Parse()
	if signal.Ignored(syscall.SIGHUP) { // as under nohup: apps of the journeys would inherit that
		signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	}
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// run puts the binaries first into PATH and runs the tests.
func run(m *testing.M) (int, error) {
	if !isSet("test.parallel") {
		if err := flag.Set("test.parallel", journeysAtOnce); err != nil {
			return 0, err
		}
	}
	folder, ready := os.LookupEnv("SECUREVAULT_BIN_DIR")
	if !ready {
		temporary, err := os.MkdirTemp("", "securevault-e2e-")
		if err != nil {
			return 0, err
		}
		defer func() { _ = os.RemoveAll(temporary) }()
		if err := build(temporary); err != nil {
			return 0, err
		}
		folder = temporary
	}
	folder, err := filepath.Abs(folder)
	if err != nil {
		return 0, err
	}
	for _, name := range []string{program, serverProgram, targetProgram} {
		if _, err := os.Stat(filepath.Join(folder, name)); err != nil {
			return 0, fmt.Errorf("looking for the programs under test: %w; run make build target, or unset SECUREVAULT_BIN_DIR", err)
		}
	}
	if err := os.Setenv("PATH", folder+string(filepath.ListSeparator)+os.Getenv("PATH")); err != nil {
		return 0, err
	}
	return m.Run(), nil
}

func isSet(name string) bool {
	found := false
	flag.Visit(func(f *flag.Flag) { found = found || f.Name == name })
	return found
}

// build builds both programs into a folder.
func build(folder string) error {
	var errs []error
	for _, args := range [][]string{
		{"build", "-C", "..", "-o", filepath.Join(folder, program), "."},
		{"build", "-C", "../server", "-o", filepath.Join(folder, serverProgram), "./cmd/" + serverProgram},
		{"build", "-C", "../server", "-o", filepath.Join(folder, targetProgram), "./e2e/target"},
	} {
		command := exec.Command("go", args...)
		command.Env = append(os.Environ(), "CGO_ENABLED=0")
		if output, err := command.CombinedOutput(); err != nil {
			errs = append(errs, fmt.Errorf("building the programs under test: %w\n%s", err, output))
		}
	}
	return errors.Join(errs...)
}

// stepLimit bounds one step of a test.
const stepLimit = 2 * time.Minute

func stepContext() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), stepLimit)
}

func TestJourneys(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir: "testdata", Setup: setup, Cmds: commands(), RequireUniqueNames: true,
	})
}

// Command demo shows what SecureVault does, on a real PostgreSQL, in half a
// minute: it types the guide's commands, starts the agent beside a small app,
// and watches a credential being issued, renewed, replaced and refused.
//
// It believes nobody. What the summary says was observed, by one of four
// witnesses: the agent's log, the app's counters, PostgreSQL's list of roles,
// and logins of its own. It exits 0 only if everything was seen, 1 with what
// is missing otherwise, and leaves no process and no folder behind.
//
// Start reading at director.go, the play in five acts. stage.go starts and
// stops what plays in it; ledger.go keeps what the witnesses say, summary.go
// judges it. The app has a folder of its own, app/.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/novatech/securevault/examples/demo/app"
)

// Exit codes.
const (
	exitSeen        = 0 // everything was seen
	exitMissing     = 1 // something was not
	exitUsage       = 2
	exitInterrupted = 130
)

// playApp is the argument with which the demo runs itself as the app.
const playApp = "app"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(os.Args) > 1 && os.Args[1] == playApp {
		os.Exit(runApp(ctx, os.Args[2:]))
	}
	// Closing the terminal stops the demo; the app has its own use for SIGHUP.
	ctx, stop = signal.NotifyContext(ctx, syscall.SIGHUP)
	defer stop()
	// A closed pipe (make demo | head) must not keep us from cleaning up: with
	// the signal caught, though by nobody, a write fails instead of killing us.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

func runApp(ctx context.Context, args []string) int {
	if err := app.Run(ctx, args, slog.New(slog.NewJSONHandler(os.Stdout, nil))); err != nil {
		fmt.Fprintf(os.Stderr, "app: %v\n", err)
		return 1
	}
	return 0
}

// run plays the demo and returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	flags.SetOutput(stderr)
	bin := flags.String("bin", "bin", "`folder` with securevault and securevault-server")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return exitSeen
	} else if err != nil {
		return exitUsage
	}
	d, err := newDirector(*bin, newScreen(stdout))
	if err != nil {
		fmt.Fprintf(stderr, "demo: %v\n", err)
		return exitMissing
	}
	err = d.play(ctx)
	cleanUpErr := d.close()
	if ctx.Err() != nil {
		fmt.Fprintln(stderr, "\ndemo: interrupted; everything was stopped and removed")
		return exitInterrupted
	}
	seen := d.judge()
	if err := errors.Join(err, cleanUpErr); err != nil {
		fmt.Fprintf(stderr, "demo: %s\n", strings.ReplaceAll(err.Error(), "\n", "\ndemo: "))
		return exitMissing
	}
	if !seen {
		return exitMissing
	}
	return exitSeen
}

// Package program runs a program that the configuration names, for its
// outcome alone: a hook, a check.
//
// A [Program] is a plain value, and [Program.Run] is one bounded run of it, in
// a process group of its own, of which nothing outlives the timeout. What it
// prints is read for the error only, so a program must not print secrets. It
// does not inherit what is meant for the agent: its token, and its line to
// systemd.
package program

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
)

const (
	// DefaultTimeout bounds a run.
	DefaultTimeout = 30 * time.Second

	maxTail = 4 << 10 // bytes of output kept for an error

	// pipeGrace is how long the output of a program that has ended is read
	// on: a process that it left in the background may hold it open.
	pipeGrace = time.Second
)

// Program is a program to run, or a line of shell if Line is set.
type Program struct {
	Args    []string // program and arguments, run directly
	Line    string   // run by sh -c
	Timeout time.Duration
	Env     []string // added to the environment, each "KEY=value"
}

// String names the program, for logs. Arguments may be secret.
func (p Program) String() string {
	words := p.Args
	if p.Line != "" {
		words = strings.Fields(p.Line)
	}
	if len(words) == 0 {
		return "an empty command"
	}
	return fmt.Sprintf("command %q", words[0])
}

// Run runs the program with env added to its environment, and returns nil if
// it ended with status 0. One that outlives its time, or ctx, is killed, with
// every process that it started in its own process group. The error ends with
// the last 4 KiB of what was printed; it wraps an [exec.ExitError] if the
// program ended by itself.
func (p Program) Run(ctx context.Context, env ...string) error {
	args := p.Args
	if p.Line != "" {
		args = []string{"sh", "-c", p.Line}
	}
	if len(args) == 0 {
		return errors.New("running a command: it is empty; name a program")
	}
	timeout := p.Timeout
	if timeout <= 0 {
		timeout = DefaultTimeout
	}
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("killed after %s; raise its timeout or have it do less", timeout))
	defer cancel()
	output := &tail{}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = slices.Concat(inherited(), p.Env, env)
	cmd.Stdout, cmd.Stderr = output, output
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = pipeGrace
	err := cmd.Run()
	if err == nil || errors.Is(err, exec.ErrWaitDelay) && ctx.Err() == nil {
		return nil
	}
	return p.failure(ctx, err, output)
}

func (p Program) failure(ctx context.Context, err error, output *tail) error {
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	text := ""
	if printed := output.String(); printed != "" {
		text = "; it printed: " + printed
	}
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, os.ErrNotExist) {
		text += "; install it or write its whole path"
	}
	return fmt.Errorf("running %s: %w%s", p, err, text)
}

// inherited returns the agent's own environment without what is meant for the
// agent alone.
func inherited() []string {
	private := []string{"VAULT_TOKEN", "SECUREVAULT_TOKEN", "NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"}
	return slices.DeleteFunc(os.Environ(), func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		return slices.Contains(private, name)
	})
}

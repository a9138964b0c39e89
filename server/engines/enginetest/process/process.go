// Package process runs the real servers that tests need: programs that end with
// the test binary, however that ends, and print to a file. Start and Stop are
// the life of one; Await is for whoever waits until it answers. What they need
// before they start is a port (port.go) and, for those that refuse to run as
// root, another account (account.go).
package process

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// pause is how long Await waits between two attempts.
const pause = 20 * time.Millisecond

// Process is a program that was started.
type Process struct {
	command *exec.Cmd
	log     string // path
	end     syscall.Signal
	ended   chan struct{} // closed when it has ended
}

// Start starts a program that adds what it prints to the file log. The signal
// end has to end it at once: Stop sends it, and the kernel does if we are killed.
// The caller must call Stop.
func Start(command *exec.Cmd, log string, end syscall.Signal) (*Process, error) {
	output, err := os.OpenFile(log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() { _ = output.Close() }()
	command.Stdout, command.Stderr = output, output
	if command.SysProcAttr == nil {
		command.SysProcAttr = &syscall.SysProcAttr{}
	}
	command.SysProcAttr.Pdeathsig = end
	p := &Process{command: command, log: log, end: end, ended: make(chan struct{})}
	started := make(chan error)
	go p.run(started)
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// run keeps its thread as long as the program runs: Pdeathsig fires when the
// thread ends that started the program, not only when we do.
func (p *Process) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(p.ended)
	err := p.command.Start()
	started <- err
	if err == nil {
		_ = p.command.Wait()
	}
}

// Await repeats an attempt until it succeeds, the program has ended or the
// context has; what is for the error, as in "logging in".
func (p *Process) Await(ctx context.Context, what string, attempt func(context.Context) error) error {
	for {
		err := attempt(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.ended:
			return fmt.Errorf("the server ended: %s: %s", p.command.ProcessState, p.Log())
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", what, err)
		case <-time.After(pause):
		}
	}
}

// Stop ends the program, unless it has ended, and waits until it is gone.
func (p *Process) Stop() {
	_ = p.command.Process.Signal(p.end)
	<-p.ended
}

// Signal sends the program a signal that it knows what to do with.
func (p *Process) Signal(signal os.Signal) error { return p.command.Process.Signal(signal) }

// Ended is closed when the program has ended.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// State tells how the program ended; it is for whoever has seen Ended closed.
func (p *Process) State() *os.ProcessState { return p.command.ProcessState }

// ID is what the kernel calls it.
func (p *Process) ID() int { return p.command.Process.Pid }

// Log returns what it has printed, or why that cannot be read.
func (p *Process) Log() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	grace   = 10 * time.Second // that a process may take to end when asked to
	longest = 1 << 20          // bytes of a line
)

// process is a running child.
type process struct {
	name    string
	command *exec.Cmd
	done    chan struct{} // closed when it has ended and its last line was heard
	err     error         // of its end; read it after done
	last    string        // line it printed; read it after done

	dismissed atomic.Bool // it was asked to end
}

// isolate puts a command into a process group of its own, so that Ctrl-C
// reaches the director alone, who ends its children in order; and has the
// kernel end it with us, should we be killed.
func isolate(command *exec.Cmd) {
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	command.Cancel = func() error { return syscall.Kill(-command.Process.Pid, syscall.SIGKILL) }
}

// launch starts a command and hands each line that it prints to hear, in order.
func launch(name string, command *exec.Cmd, hear func(line []byte)) (*process, error) {
	output, input, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	isolate(command)
	command.Stdout, command.Stderr = input, input
	err = command.Start()
	_ = input.Close()
	if err != nil {
		_ = output.Close()
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	p := &process{name: name, command: command, done: make(chan struct{})}
	go p.listen(output, hear)
	return p, nil
}

// listen hears the process out and waits for its end.
func (p *process) listen(output *os.File, hear func(line []byte)) {
	defer close(p.done)
	defer func() { _ = output.Close() }()
	lines := bufio.NewScanner(output)
	lines.Buffer(nil, longest)
	for lines.Scan() {
		p.last = lines.Text()
		hear(lines.Bytes())
	}
	p.err = p.command.Wait()
}

// obituary says how a process ended that should have gone on.
func (p *process) obituary() error {
	return fmt.Errorf("%s ended before its time: %v; its last words: %s", p.name, p.command.ProcessState, p.last)
}

// guard calls lost with the obituary if the process ends before it is asked to.
func (p *process) guard(lost func(error)) {
	if <-p.done; !p.dismissed.Load() {
		lost(p.obituary())
	}
}

// stop asks the process to end and waits until it has. The error says how it
// ended, if not well; one that ended by itself is the guard's business.
func (p *process) stop() error {
	select {
	case <-p.done:
		return nil
	default:
	}
	p.dismissed.Store(true)
	_ = p.command.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(grace):
		_ = p.command.Cancel()
		<-p.done
		return fmt.Errorf("stopping %s: it took longer than %s and was killed", p.name, grace)
	}
	if p.err != nil {
		return fmt.Errorf("stopping %s: %w; its last words: %s", p.name, p.err, p.last)
	}
	return nil
}

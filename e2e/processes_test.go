package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// killAfter is how long a process may take to end when its test is over.
const killAfter = 30 * time.Second

// process is a program that runs in the background.
type process struct {
	command  *exec.Cmd
	out, log string        // paths of what it wrote to standard output and standard error
	ended    chan struct{} // closed when it is gone
}

// startProcess starts a program that writes to NAME.out and NAME.log. It ends
// with the test binary, however that ends.
func startProcess(command *exec.Cmd, name string) (*process, error) {
	p := &process{command: command, out: name + ".out", log: name + ".log", ended: make(chan struct{})}
	out, err := os.Create(p.out)
	if err != nil {
		return nil, err
	}
	defer func() { _ = out.Close() }()
	log, err := os.OpenFile(p.log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()
	command.Stdout, command.Stderr = out, log
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	go p.run(started)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("starting %s: %w", command.Path, err)
	}
	return p, nil
}

// run keeps its thread, since Pdeathsig goes by the thread that started the
// process.
func (p *process) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := p.command.Start()
	started <- err
	if err == nil {
		_ = p.command.Wait()
	}
	close(p.ended)
}

// exitCode returns how the process ended: its code, or -1 if a signal killed
// it. over is false while it runs.
func (p *process) exitCode() (code int, over bool) {
	select {
	case <-p.ended:
		return p.command.ProcessState.ExitCode(), true
	default:
		return 0, false
	}
}

func (p *process) signal(s os.Signal) error { return p.command.Process.Signal(s) }

// stop asks the process to end, and kills it if it does not.
func (p *process) stop() error {
	if err := p.signal(syscall.SIGTERM); errors.Is(err, os.ErrProcessDone) {
		<-p.ended
		return nil
	}
	select {
	case <-p.ended:
		return nil
	case <-time.After(killAfter):
		_ = p.signal(syscall.SIGKILL)
		<-p.ended
		return fmt.Errorf("%s did not end within %s of SIGTERM", p.command.Path, killAfter)
	}
}

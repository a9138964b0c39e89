package exec

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	osexec "os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// outputMode is that of the files that take the program's output, before the
// umask. Programs print secrets.
const outputMode fs.FileMode = 0o600

const (
	groupPause = time.Millisecond // between two looks at what is left of a group
	clearLooks = 1000             // at most, once it is killed
)

// process is one run of the program.
type process struct {
	cmd         *osexec.Cmd
	environment []string
	shared      bool          // signals go to the whole group
	done        chan struct{} // closed when it has ended, and cmd.ProcessState is set
}

// launch starts the program in a process group of its own.
func (c *Child) launch(environment []string) (*process, error) {
	args, err := c.args()
	if err != nil {
		return nil, err
	}
	cmd := osexec.Command(args[0], args[1:]...)
	cmd.Env = append(inherited(), environment...)
	cmd.SysProcAttr = attributes(c.cfg.StopSignal)
	cmd.Stdin = os.Stdin
	stdout, err := output(c.cfg.Stdout, os.Stdout)
	if err != nil {
		return nil, fmt.Errorf("opening child_process_stdout: %w; choose a file that the agent may write to", err)
	}
	defer closeOutput(stdout, os.Stdout)
	stderr, err := output(c.cfg.Stderr, os.Stderr)
	if err != nil {
		return nil, fmt.Errorf("opening child_process_stderr: %w; choose a file that the agent may write to", err)
	}
	defer closeOutput(stderr, os.Stderr)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	p := &process{cmd: cmd, environment: environment, shared: c.cfg.Line != "", done: make(chan struct{})}
	if err := p.start(); err != nil {
		return nil, startFailed(args[0], err)
	}
	return p, nil
}

// start starts the program, and waits for its end in the background. It is
// started on a thread that lasts as long: when its thread ends, the kernel takes
// the agent for dead. See attributes.
func (p *process) start() error {
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			_ = p.cmd.Wait() // all that it can tell is in the state
			close(p.done)
		}
	}()
	return <-started
}

// has reports whether the program was started with that environment.
func (p *process) has(environment []string) bool { return slices.Equal(p.environment, environment) }

// inherited returns the agent's environment without what is between the agent
// and its server, and between the agent and systemd.
func inherited() []string {
	return slices.DeleteFunc(os.Environ(), func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		switch name {
		case "VAULT_TOKEN", "SECUREVAULT_TOKEN", "NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC":
			return true
		default:
			return false
		}
	})
}

// output opens the file for one of the program's streams.
func output(path string, own *os.File) (*os.File, error) {
	if path == "" {
		return own, nil
	}
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, outputMode)
}

func closeOutput(file, own *os.File) {
	if file != own {
		_ = file.Close()
	}
}

// startFailed says what to do about a program that cannot be started. The
// error of package os/exec names it; its arguments may be secret.
func startFailed(name string, err error) error {
	hint := "check the command"
	switch {
	case errors.Is(err, osexec.ErrNotFound), errors.Is(err, fs.ErrNotExist):
		hint = "install it or write its whole path"
	case errors.Is(err, fs.ErrPermission):
		hint = "make it executable for the user of the agent"
	case errors.Is(err, syscall.E2BIG):
		hint = "the environment is too large; write large secrets to files"
	}
	if e, ok := errors.AsType[*osexec.Error](err); ok {
		err = e.Err
	}
	return fmt.Errorf("starting the program %q: %w; %s", name, err, hint)
}

// signal sends a signal to the program, or to its group if a shell runs it.
func (p *process) signal(sig syscall.Signal) error {
	pid := p.cmd.Process.Pid
	if p.shared {
		pid = -pid
	}
	select {
	case <-p.done:
		return fmt.Errorf("signalling the program: %w; it has ended", syscall.ESRCH)
	default:
	}
	if err := syscall.Kill(pid, sig); err != nil {
		return fmt.Errorf("signalling the program: %w; check that the agent may, as its user or with CAP_KILL", err)
	}
	return nil
}

// kill ends what there is of the group at once.
func (p *process) kill() { _ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) }

// gone waits for those of the group that came to us as orphans and have ended,
// and reports whether there are no others.
func (p *process) gone() bool {
	for {
		pid, err := syscall.Wait4(-p.cmd.Process.Pid, nil, syscall.WNOHANG, nil)
		switch {
		case pid > 0, errors.Is(err, syscall.EINTR):
		default:
			return err != nil
		}
	}
}

// clear kills what a program that has ended left of its group, and returns
// when that is gone. What does not go is another user's: it is left alone.
func (p *process) clear() {
	p.kill()
	for range clearLooks {
		if p.gone() {
			return
		}
		time.Sleep(groupPause)
	}
}

// stop asks the program to end, kills it when its time is up, and clears what
// is left of the group. The error says that the time was up.
func (p *process) stop(sig syscall.Signal, timeout time.Duration) (err error) {
	defer p.clear()
	_ = p.signal(sig) // whether it works shows below
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-p.done:
	case <-timer.C:
		p.kill()
		<-p.done
		return overdue(timeout)
	}
	// A shell ends before what it runs, which was asked to end as well.
	for p.shared && !p.gone() {
		select {
		case <-timer.C:
			return overdue(timeout)
		case <-time.After(groupPause):
		}
	}
	return nil
}

func overdue(timeout time.Duration) error {
	return fmt.Errorf("it did not end within %s of the stop signal; raise kill_timeout or choose another signal", timeout)
}

// code returns the exit code of a program that has ended.
func (p *process) code() int {
	if p.cmd.ProcessState == nil {
		return unknownCode
	}
	status := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if status.Signaled() {
		return signalled(status.Signal())
	}
	return status.ExitStatus()
}

// unknownCode stands for an end that somebody else waited for.
const unknownCode = 255

// signalled returns the exit code that stands for a signal, as in a shell.
func signalled(sig syscall.Signal) int { return 128 + int(sig) }

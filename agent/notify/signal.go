package notify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Signal sends a signal to a process: the one with the id PID, the one whose
// id is in PIDFile, every process called Process, or every process of the
// control group CGroup and those in it. Exactly one of the four is set. The
// target is looked up anew for each event.
type Signal struct {
	Signal  syscall.Signal
	PID     int
	PIDFile string
	Process string // what the kernel calls it, or the last part of its argv[0]
	CGroup  string // path of its folder, from /sys/fs/cgroup unless absolute
}

// ParseSignal reads a signal by its name, with or without "SIG", or by its
// number.
func ParseSignal(text string) (syscall.Signal, error) {
	if number, err := strconv.Atoi(text); err == nil && number > 0 && number <= 64 {
		return syscall.Signal(number), nil
	}
	name := strings.ToUpper(text)
	if !strings.HasPrefix(name, "SIG") {
		name = "SIG" + name
	}
	signal := unix.SignalNum(name)
	if signal == 0 {
		return 0, fmt.Errorf("unknown signal %q; write it as \"SIGHUP\", \"HUP\" or 1", text)
	}
	return signal, nil
}

// String describes the signal and its target, for logs.
func (s Signal) String() string {
	return fmt.Sprintf("%s to %s", unix.SignalName(s.Signal), s.target())
}

func (s Signal) target() string {
	switch {
	case s.PIDFile != "":
		return fmt.Sprintf("the process of pidfile %q", s.PIDFile)
	case s.Process != "":
		return fmt.Sprintf("the processes named %q", s.Process)
	case s.CGroup != "":
		return fmt.Sprintf("the processes of cgroup %q", s.CGroup)
	default:
		return fmt.Sprintf("process %d", s.PID)
	}
}

// Notify implements [Notifier]. The error wraps [syscall.ESRCH] if there is
// no such process. The agent itself is never signalled.
func (s Signal) Notify(ctx context.Context, _ Event) error {
	if err := context.Cause(ctx); err != nil {
		return fmt.Errorf("sending %s: %w", s, err)
	}
	pids, err := s.pids()
	if err != nil {
		return fmt.Errorf("sending %s: %w", s, err)
	}
	delivered, failure := 0, error(syscall.ESRCH)
	for _, pid := range pids {
		switch err := syscall.Kill(pid, s.Signal); {
		case err == nil:
			delivered++
		case !errors.Is(err, syscall.ESRCH):
			failure = err
		}
	}
	if delivered > 0 && errors.Is(failure, syscall.ESRCH) {
		return nil
	}
	return fmt.Errorf("sending %s: %w; %s", s, failure, hint(failure))
}

func hint(err error) string {
	if errors.Is(err, syscall.EPERM) {
		return "run the agent as the user of that process, as root, or with CAP_KILL"
	}
	return "check that the app is running"
}

// pids finds the target. It may have ended by the time that it is signalled.
func (s Signal) pids() ([]int, error) {
	switch {
	case s.PIDFile != "":
		pid, err := readPID(s.PIDFile)
		if err != nil {
			return nil, err
		}
		return s.butOurselves(pid)
	case s.Process != "":
		return processes(s.Process)
	case s.CGroup != "":
		return cgroupMembers(s.CGroup)
	case s.PID > 0:
		return s.butOurselves(s.PID)
	default:
		return nil, errors.New("no target; set one of pid, pidfile, process and cgroup")
	}
}

func (s Signal) butOurselves(pid int) ([]int, error) {
	if pid == os.Getpid() {
		return nil, errors.New("that is the agent itself; name the process of the app")
	}
	return []int{pid}, nil
}

// readPID returns the process id at the start of a file. Anything but a
// positive number is refused: to kill(2), 0 and less mean many processes.
func readPID(path string) (int, error) {
	file, err := os.Open(path)
	if err != nil {
		return 0, fmt.Errorf("reading the pidfile: %w; check that the app is running and writes it", err)
	}
	defer func() { _ = file.Close() }()
	content, err := io.ReadAll(io.LimitReader(file, 64))
	if err != nil {
		return 0, fmt.Errorf("reading the pidfile: %w; it must be a file with a process id in it", err)
	}
	line, _, _ := strings.Cut(string(content), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil || pid <= 0 {
		return 0, errors.New("the pidfile holds no process id; its first line must be one")
	}
	return pid, nil
}

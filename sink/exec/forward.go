package exec

import (
	"os"
	"slices"
	"syscall"
)

// lastSignal is the highest that Linux has, SIGRTMAX.
const lastSignal syscall.Signal = 64

// forwarded returns the signals that go on to the program: all but the agent's
// own, those that cannot be caught, those that a fault or the terminal raises
// in the agent itself, and those that the Go runtime lives by.
func (c *Child) forwarded() []os.Signal {
	kept := append([]syscall.Signal{
		syscall.SIGKILL, syscall.SIGSTOP,
		syscall.SIGILL, syscall.SIGTRAP, syscall.SIGABRT, syscall.SIGBUS, syscall.SIGFPE, syscall.SIGSEGV, syscall.SIGSYS,
		syscall.SIGPIPE, syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU,
		syscall.SIGCHLD, syscall.SIGURG, syscall.SIGPROF,
		32, 33, 34, // the C library's
	}, c.cfg.Reserved...)
	var signals []os.Signal
	for sig := syscall.Signal(1); sig <= lastSignal; sig++ {
		if !slices.Contains(kept, sig) {
			signals = append(signals, sig)
		}
	}
	return signals
}

package notify

import (
	"context"
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// Supervisor keeps the child of the agent running.
type Supervisor interface {
	// Signal sends a signal to the child. It returns nil if the child has yet
	// to start, because it will start with all that is new, and an error that
	// wraps [syscall.ESRCH] if it has ended.
	Signal(signal syscall.Signal) error
	// Restart replaces the child by a new one and returns when that runs. It
	// returns nil, and starts nothing, if the child has yet to start for the
	// first time. Restarting twice must do no harm.
	Restart(ctx context.Context) error
}

// Child signals or restarts the child of the agent.
type Child struct {
	Supervisor Supervisor
	Signal     syscall.Signal
	Restart    bool // rather than signal
}

// String describes the message, for logs.
func (c Child) String() string {
	if c.Restart {
		return "restart of the child"
	}
	return unix.SignalName(c.Signal) + " to the child"
}

// Notify implements [Notifier].
func (c Child) Notify(ctx context.Context, _ Event) error {
	if err := context.Cause(ctx); err != nil {
		return fmt.Errorf("telling the child: %w", err)
	}
	if c.Restart {
		if err := c.Supervisor.Restart(ctx); err != nil {
			return fmt.Errorf("restarting the child: %w", err)
		}
		return nil
	}
	if err := c.Supervisor.Signal(c.Signal); err != nil {
		return fmt.Errorf("sending %s: %w; %s", c, err, hint(err))
	}
	return nil
}

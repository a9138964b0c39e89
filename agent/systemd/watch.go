package systemd

import (
	"context"
	"time"
)

// Pulse is where the loop that is watched shows that it lives: it must
// receive from it whenever it waits for something to do.
func (m *Manager) Pulse() <-chan struct{} { return m.pulse }

// Watch feels the pulse twice in the time that the manager allows and passes
// it on, until ctx ends; it returns the cause. A loop that hangs is not spoken
// for: the manager then does what WatchdogSec= is for. Errors of single
// messages go to failed.
func (m *Manager) Watch(ctx context.Context, failed func(error)) error {
	if m.socket == "" || m.watchdog == 0 {
		<-ctx.Done()
		return context.Cause(ctx)
	}
	ticker := time.NewTicker(m.watchdog / 2)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case m.pulse <- struct{}{}:
		}
		if err := m.send("WATCHDOG=1"); err != nil {
			failed(err)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ticker.C:
		}
	}
}

package agent

import (
	"os"
	"os/signal"
	"syscall"
	"testing"
)

// TestMain takes SIGHUP back where it is ignored, as under nohup: the programs that
// the agent starts would inherit that. The agent itself listens to it.
func TestMain(m *testing.M) {
	if signal.Ignored(syscall.SIGHUP) {
		signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	}
	os.Exit(m.Run())
}

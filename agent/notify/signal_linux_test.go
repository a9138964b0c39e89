package notify

import (
	"os"
	"runtime"
	"syscall"
	"testing"
)

// Reference, section 2, row 22.
func TestAProcessOfAnotherUserIsExplained(t *testing.T) {
	pid, _ := start(t, uniqueName(t))
	if os.Geteuid() != 0 {
		pid = 1 // whose it is
	}
	failed := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread is of no more use to others
		const nobody = 65534
		if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, nobody, nobody, nobody); os.Geteuid() == 0 && errno != 0 {
			t.Errorf("dropping privileges: %v", errno)
		}
		failed <- Signal{Signal: syscall.SIGHUP, PID: pid}.Notify(t.Context(), Event{})
	}()
	wantError(t, <-failed, "operation not permitted", "run the agent as the user of that process")
}

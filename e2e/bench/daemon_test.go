package bench

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// program is one of the two that are compared, as a daemon of a scene.
type program struct {
	name    string
	command func(*testing.B, *scene) *exec.Cmd
}

func programs() []program {
	return []program{
		{"securevault", func(b *testing.B, s *scene) *exec.Cmd { return s.agent(b) }},
		{"consul-template", func(b *testing.B, s *scene) *exec.Cmd { return s.peer(b) }},
	}
}

// startLimit bounds how long a daemon may take to render everything.
const startLimit = 2 * time.Minute

// begin starts a daemon and returns once it has rendered everything.
func begin(b *testing.B, s *scene, cmd *exec.Cmd) {
	b.Helper()
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	for deadline := time.Now().Add(startLimit); !s.rendered(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			end(cmd)
			b.Fatalf("%s has not rendered everything within %s", cmd.Path, startLimit)
		}
	}
}

// end stops a daemon, by the signal that both programs obey.
func end(cmd *exec.Cmd) {
	_ = cmd.Process.Signal(syscall.SIGINT)
	kill := time.AfterFunc(10*time.Second, func() { _ = cmd.Process.Kill() })
	defer kill.Stop()
	_ = cmd.Wait()
}

// memory returns the resident set of a process in bytes.
func memory(b *testing.B, pid int) int64 {
	b.Helper()
	_, rest, _ := strings.Cut(procFile(b, pid, "status"), "VmRSS:")
	kilobytes, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	if err != nil {
		b.Fatal(err)
	}
	return kilobytes * 1024
}

// tick is the unit of /proc/PID/stat, the same on every Linux.
const tick = 10 * time.Millisecond

// spent returns how long a process has had a processor, in its own code and
// the kernel's; see proc_pid_stat(5).
func spent(b *testing.B, pid int) time.Duration {
	b.Helper()
	stat := procFile(b, pid, "stat")
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:]) // the third field first
	var ticks time.Duration
	for _, field := range fields[11:13] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			b.Fatal(err)
		}
		ticks += time.Duration(n)
	}
	return ticks * tick
}

func procFile(b *testing.B, pid int, name string) string {
	b.Helper()
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, name))
	if err != nil {
		b.Fatal(err)
	}
	return string(content)
}

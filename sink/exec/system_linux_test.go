package exec

import (
	"errors"
	"fmt"
	"os"
	osexec "os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// again re-executes one test in a process of its own, told by a variable.
func again(t *testing.T, variable, value string) *osexec.Cmd {
	t.Helper()
	name, _, _ := strings.Cut(t.Name(), "/")
	cmd := osexec.Command(os.Args[0], "-test.run=^"+name+"$", "-test.v")
	cmd.Env = append(os.Environ(), variable+"="+value)
	return cmd
}

func TestOrphansAreWaitedFor(t *testing.T) {
	const variable = "EXEC_TEST_INIT"
	switch os.Getenv(variable) {
	case "1":
		// A namespace for mounts of our own came with that for processes.
		if err := syscall.Mount("proc", "/proc", "proc", 0, ""); err != nil {
			t.Fatal(err)
		}
		if os.Getpid() != 1 {
			t.Fatalf("the test is process %d, want 1", os.Getpid())
		}
		orphanIsWaitedFor(t)
		return
	case "subreaper":
		orphanIsWaitedFor(t)
		return
	}
	t.Run("by process 1", func(t *testing.T) {
		cmd := again(t, variable, "1")
		// Unshareflags makes the mounts private before anything is mounted.
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID, Unshareflags: syscall.CLONE_NEWNS}
		if os.Geteuid() != 0 {
			cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
			cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
			cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
		}
		output, err := cmd.CombinedOutput()
		if errors.Is(err, syscall.EPERM) {
			t.Log("namespaces are not permitted: the subreaper, which runs the same code, stands in")
			return
		}
		if err != nil {
			t.Errorf("%v: %s", err, output)
		}
	})
	t.Run("by a subreaper", func(t *testing.T) {
		cmd := again(t, variable, "subreaper")
		if output, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, output)
		}
	})
}

// orphanIsWaitedFor has a program leave orphans outside its group, several at
// once, and checks that no trace of them stays.
func orphanIsWaitedFor(t *testing.T) {
	t.Helper()
	out := newPrinted(t)
	const orphans = 5
	s := run(t, Config{Args: direct(`for i in 1 2 3 4 5; do setsid sh -c 'sh -c "echo \$\$; sleep 0.05" & ' ; done; exec sleep 300`), Stdout: out.path})
	s.apply()
	pids := make([]int, orphans)
	for i := range pids {
		if _, err := fmt.Sscan(out.next(), &pids[i]); err != nil {
			t.Fatal(err)
		}
	}
	deadline := time.After(patience)
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for _, pid := range pids {
		for syscall.Kill(pid, 0) == nil {
			select {
			case <-deadline:
				stat, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
				t.Fatalf("process %d is still there: %s", pid, stat)
			case <-look.C:
			}
		}
	}
}

func TestTheProgramIsToldWhenTheAgentIsKilled(t *testing.T) {
	const variable = "EXEC_TEST_STDOUT"
	if path := os.Getenv(variable); path != "" {
		s := run(t, Config{Args: direct(lasting), Stdout: path})
		s.apply("V=1")
		select {}
	}
	out := newPrinted(t)
	agent := again(t, variable, out.path)
	if err := agent.Start(); err != nil {
		t.Fatal(err)
	}
	out.want("start 1")
	_ = agent.Process.Kill()
	_ = agent.Wait()
	out.want("stop 1")
}

func TestTheProcessIsNoSubreaperAfterwards(t *testing.T) {
	s := run(t, Config{Args: []string{"true"}})
	s.apply()
	s.wantCode(0)
	var is int32
	if err := unix.Prctl(unix.PR_GET_CHILD_SUBREAPER, uintptr(unsafe.Pointer(&is)), 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	if is != 0 {
		t.Error("orphans of this process still come to it")
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add("12 (sh) Z 1 12 12 0 -1 4227084 0 0 0 0 0 0 0 0 20 0 1 0 4711 0 0")
	f.Add("12 (a) b) Z 1 2) S 7")
	f.Add("")
	f.Fuzz(func(t *testing.T, stat string) {
		if parent, state, started := parseStat(stat); (state == "") != (started == "") || state == "" && parent != 0 {
			t.Errorf("%q has the parent %d, the state %q and the start %q", stat, parent, state, started)
		}
	})
}

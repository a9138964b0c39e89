package exec

import (
	"context"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// orphanGrace is how long a dead child may lie before it counts as an orphan.
// One that somebody in this process waits for is gone at once.
const orphanGrace = time.Second

// attributes has the program lead a process group, and gives it the stop signal
// when the agent is killed: the next agent starts a program of its own.
func attributes(stop syscall.Signal) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: stop}
}

// adoptOrphans makes this process the parent of all that its descendants leave
// behind, as process 1 of a container is anyhow, and waits for them when they
// die. The function that it returns ends that.
func adoptOrphans() (end func()) {
	_ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) // never fails since Linux 3.4
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		reapOrphans(ctx)
	}()
	return func() {
		cancel()
		<-done
		_ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
	}
}

// reapOrphans waits for dead orphans until ctx ends. wait4(-1) would do it
// with less ado, and take from package os/exec the children that it waits for.
func reapOrphans(ctx context.Context) {
	died := make(chan os.Signal, 1)
	signal.Notify(died, syscall.SIGCHLD)
	defer signal.Stop(died)
	look := time.NewTimer(orphanGrace)
	defer look.Stop()
	looking := true // there may be some from before
	dead := make(map[deadChild]bool)
	for {
		select {
		case <-ctx.Done():
			return
		case <-died:
			if !looking {
				looking = true
				look.Reset(orphanGrace)
			}
		case <-look.C:
			dead = reap(dead)
			if looking = len(dead) > 0; looking {
				look.Reset(orphanGrace)
			}
		}
	}
}

// deadChild is a child that has ended and that nobody has waited for yet.
type deadChild struct {
	pid     int
	started string // keeps it apart from others that had its id
}

// reap waits for those of the dead that were dead at the last look, and
// returns the others.
func reap(before map[deadChild]bool) map[deadChild]bool {
	dead := make(map[deadChild]bool)
	for _, child := range deadChildren() {
		if !before[child] {
			dead[child] = true
			continue
		}
		_, _ = syscall.Wait4(child.pid, nil, syscall.WNOHANG, nil)
	}
	return dead
}

// deadChildren finds them in /proc, where there is one.
func deadChildren() []deadChild {
	var dead []deadChild
	entries, _ := os.ReadDir("/proc")
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile(filepath.Join("/proc", entry.Name(), "stat"))
		if err != nil {
			continue
		}
		if parent, state, started := parseStat(string(stat)); state == "Z" && parent == os.Getpid() {
			dead = append(dead, deadChild{pid, started})
		}
	}
	return dead
}

// parseStat reads /proc/PID/stat, where the name of the program, in
// parentheses, may hold anything.
func parseStat(stat string) (parent int, state, started string) {
	const startedAt = 19 // fields after the name, see proc(5)
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(fields) <= startedAt {
		return 0, "", ""
	}
	parent, _ = strconv.Atoi(fields[1])
	return parent, fields[0], fields[startedAt]
}

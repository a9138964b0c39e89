package program

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func run(t *testing.T, p Program, env ...string) {
	t.Helper()
	if err := p.Run(t.Context(), env...); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func wantError(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("there was no error, want one with %q", parts)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the error %q lacks %q", err, part)
		}
	}
}

func TestListRunsDirectlyAndLineRunsInAShell(t *testing.T) {
	folder := t.TempDir()
	run(t, Program{Args: []string{"touch", filepath.Join(folder, "a b;$HOME")}})
	read(t, filepath.Join(folder, "a b;$HOME"))
	run(t, Program{Line: "echo one two > '" + folder + "/out' && true"})
	if got := read(t, folder+"/out"); got != "one two\n" {
		t.Errorf("the line printed %q", got)
	}
}

func TestProgramKnowsWhatItIsToldAndNotWhatIsTheAgents(t *testing.T) {
	for _, name := range []string{"VAULT_TOKEN", "SECUREVAULT_TOKEN", "NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"} {
		t.Setenv(name, "private")
	}
	t.Setenv("INHERITED", "yes")
	out := filepath.Join(t.TempDir(), "out")
	run(t, Program{Line: "env > '" + out + "'", Env: []string{"ADDED=too", "TOLD=before"}}, "TOLD=now")
	env := "\n" + read(t, out)
	for _, want := range []string{"INHERITED=yes", "ADDED=too", "TOLD=now"} {
		if !strings.Contains(env, "\n"+want+"\n") {
			t.Errorf("the environment lacks %s", want)
		}
	}
	if strings.Contains(env, "private") {
		t.Error("the environment holds what is meant for the agent alone")
	}
}

func TestStatusIsInTheError(t *testing.T) {
	err := Program{Line: "exit 5"}.Run(t.Context())
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 5 {
		t.Errorf("got %v, want the status 5", err)
	}
}

func TestProgramErrors(t *testing.T) {
	tests := []struct {
		name    string
		program Program
		want    []string
	}{
		{"a status tells the end of what was printed", Program{Line: "echo first; echo broken >&2; exit 3"},
			[]string{`running command "echo"`, "exit status 3", `first\nbroken`}},
		{"of much output the last 4 KiB are kept", Program{Line: "yes x | head -c 100000; echo end; exit 1"},
			[]string{`"…x\n`, `end"`}},
		{"a missing program", Program{Args: []string{"no-such-program"}},
			[]string{`"no-such-program"`, "write its whole path"}},
		{"a missing path", Program{Args: []string{"/no/such/program"}},
			[]string{"no such file", "write its whole path"}},
		{"no program at all", Program{}, []string{"name a program"}},
		{"a signal", Program{Line: "kill -9 $$"}, []string{"signal: killed"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := test.program.Run(t.Context())
			wantError(t, err, test.want...)
			if len(err.Error()) > 3*maxTail {
				t.Errorf("the error is %d bytes long", len(err.Error()))
			}
		})
	}
}

func TestArgumentsAreNoPartOfTheError(t *testing.T) {
	for _, p := range []Program{
		{Args: []string{"false", "hunter2"}},
		{Line: "false hunter2"},
	} {
		err := p.Run(t.Context())
		wantError(t, err, `"false"`)
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error %q repeats an argument", err)
		}
	}
}

func TestProgramThatTakesTooLongIsKilledWithItsChildren(t *testing.T) {
	pidfile := filepath.Join(t.TempDir(), "pid")
	started := time.Now()
	p := Program{Line: "sleep 600 & echo $! > '" + pidfile + "'; echo waiting; wait", Timeout: 2 * time.Second}
	err := p.Run(t.Context())
	wantError(t, err, "killed after 2s", "raise its timeout", "waiting")
	if took := time.Since(started); took > 30*time.Second {
		t.Errorf("it took %s to kill the program", took)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(read(t, pidfile)))
	if err != nil {
		t.Fatal(err)
	}
	for isAlive(pid) {
		if time.Since(started) > 30*time.Second {
			t.Fatal("the child of the program lives on")
		}
		runtime.Gosched()
	}
}

// isAlive reports whether a process runs. One that is dead and not buried
// does not: its burial is init's business, which a container may lack.
func isAlive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

func TestProgramEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("shutting down")
	time.AfterFunc(100*time.Millisecond, func() { cancel(stop) })
	if err := (Program{Args: []string{"sleep", "600"}}).Run(ctx); !errors.Is(err, stop) {
		t.Errorf("got %v, want %v", err, stop)
	}
}

func TestProgramThatLeavesADaemonBehindSucceeds(t *testing.T) {
	pidfile := filepath.Join(t.TempDir(), "pid")
	run(t, Program{Line: "sleep 600 & echo $! > '" + pidfile + "'"})
	pid, err := strconv.Atoi(strings.TrimSpace(read(t, pidfile)))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Errorf("killing what was left in the background: %v", err)
	}
}

func TestNoZombieIsLeftBehind(t *testing.T) {
	pidfile := filepath.Join(t.TempDir(), "pid")
	for _, line := range []string{"echo $$ > '" + pidfile + "'", "echo $$ > '" + pidfile + "'; exit 1", "echo $$ > '" + pidfile + "'; sleep 600"} {
		_ = Program{Line: line, Timeout: 2 * time.Second}.Run(t.Context())
		if _, err := os.Stat("/proc/" + strings.TrimSpace(read(t, pidfile))); err == nil {
			t.Errorf("the process of %q is still there", line)
		}
	}
}

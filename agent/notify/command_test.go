package notify

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func run(t *testing.T, c Command, event Event) {
	t.Helper()
	if err := c.Notify(t.Context(), event); err != nil {
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

func TestListRunsDirectlyAndLineRunsInAShell(t *testing.T) {
	folder := t.TempDir()
	run(t, Command{Args: []string{"touch", filepath.Join(folder, "a b;$HOME")}}, Event{})
	read(t, filepath.Join(folder, "a b;$HOME"))
	run(t, Command{Line: "echo one two > '" + folder + "/out' && true"}, Event{})
	if got := read(t, folder+"/out"); got != "one two\n" {
		t.Errorf("the line printed %q", got)
	}
}

func TestCommandKnowsWhatChangedAndNotTheToken(t *testing.T) {
	t.Setenv("VAULT_TOKEN", "hvs.agent")
	t.Setenv("SECUREVAULT_TOKEN", "hvs.agent")
	t.Setenv("INHERITED", "yes")
	out := filepath.Join(t.TempDir(), "out")
	run(t, Command{Line: "env > '" + out + "'", Env: []string{"ADDED=too"}},
		Event{Generation: 7, Changed: []string{"/etc/a", "/etc/b"}})
	env := "\n" + read(t, out)
	for _, want := range []string{"SECUREVAULT_GENERATION=7", "SECUREVAULT_CHANGED=/etc/a,/etc/b", "INHERITED=yes", "ADDED=too"} {
		if !strings.Contains(env, "\n"+want+"\n") {
			t.Errorf("the environment lacks %s", want)
		}
	}
	if strings.Contains(env, "hvs.agent") {
		t.Error("the environment holds the token of the agent")
	}
}

func TestLongListOfChangesStillRuns(t *testing.T) {
	var changed []string
	for i := range 20_000 {
		changed = append(changed, fmt.Sprintf("/etc/app/secrets/%d", i))
	}
	run(t, Command{Line: `case "$SECUREVAULT_CHANGED" in /etc/app/secrets/0,*,…) ;; *) exit 1 ;; esac`}, Event{Changed: changed})
}

func TestCommandErrors(t *testing.T) {
	tests := []struct {
		name    string
		command Command
		want    []string
	}{
		{"a status tells the end of what was printed", Command{Line: "echo first; echo broken >&2; exit 3"},
			[]string{`running command "echo"`, "exit status 3", `first\nbroken`}},
		{"of much output the last 4 KiB are kept", Command{Line: "yes x | head -c 100000; echo end; exit 1"},
			[]string{`"…x\n`, `end"`}},
		{"a missing program", Command{Args: []string{"no-such-program"}},
			[]string{`"no-such-program"`, "write its whole path"}},
		{"a missing path", Command{Args: []string{"/no/such/program"}},
			[]string{"no such file", "write its whole path"}},
		{"no program at all", Command{}, []string{"name a program"}},
		{"a signal", Command{Line: "kill -9 $$"}, []string{"signal: killed"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := test.command.Notify(t.Context(), Event{})
			wantError(t, err, test.want...)
			if len(err.Error()) > 3*maxTail {
				t.Errorf("the error is %d bytes long", len(err.Error()))
			}
		})
	}
}

func TestArgumentsAreNoPartOfTheError(t *testing.T) {
	for _, c := range []Command{
		{Args: []string{"false", "hunter2"}},
		{Line: "false hunter2"},
	} {
		err := c.Notify(t.Context(), Event{})
		wantError(t, err, `"false"`)
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error %q repeats an argument", err)
		}
	}
}

func TestCommandThatTakesTooLongIsKilledWithItsChildren(t *testing.T) {
	pidfile := filepath.Join(t.TempDir(), "pid")
	started := time.Now()
	c := Command{Line: "sleep 600 & echo $! > '" + pidfile + "'; echo waiting; wait", Timeout: 300 * time.Millisecond}
	err := c.Notify(t.Context(), Event{})
	wantError(t, err, "killed after 300ms", "raise its timeout", "waiting")
	if took := time.Since(started); took > 30*time.Second {
		t.Errorf("it took %s to kill the command", took)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(read(t, pidfile)))
	if err != nil {
		t.Fatal(err)
	}
	for isAlive(pid) {
		if time.Since(started) > 30*time.Second {
			t.Fatal("the child of the command lives on")
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

func TestCommandEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("shutting down")
	time.AfterFunc(100*time.Millisecond, func() { cancel(stop) })
	if err := (Command{Args: []string{"sleep", "600"}}).Notify(ctx, Event{}); !errors.Is(err, stop) {
		t.Errorf("got %v, want %v", err, stop)
	}
}

func TestCommandThatLeavesADaemonBehindSucceeds(t *testing.T) {
	pidfile := filepath.Join(t.TempDir(), "pid")
	run(t, Command{Line: "sleep 600 & echo $! > '" + pidfile + "'"}, Event{})
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
		_ = Command{Line: line, Timeout: 300 * time.Millisecond}.Notify(t.Context(), Event{})
		if _, err := os.Stat("/proc/" + strings.TrimSpace(read(t, pidfile))); err == nil {
			t.Errorf("the process of %q is still there", line)
		}
	}
}

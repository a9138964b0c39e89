package notify

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// TestMain turns the binary into the app that is to be told, when asked to.
func TestMain(m *testing.M) {
	if os.Getenv("NOTIFY_TEST_APP") != "" {
		app()
		return
	}
	os.Exit(m.Run())
}

// app prints the signals that it gets, and ends with its standard input.
func app() {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGUSR1)
	fmt.Println("ready")
	go func() {
		for s := range signals {
			fmt.Println(s)
		}
	}()
	_, _ = bufio.NewReader(os.Stdin).ReadByte()
}

// start runs the app under a name and returns its id and what it prints.
func start(t *testing.T, name string) (pid int, lines *bufio.Scanner) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Args[0] = name
	cmd.Env = append(os.Environ(), "NOTIFY_TEST_APP=1", "GORACE=atexit_sleep_ms=0")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stdin.Close()
		_ = cmd.Wait()
	})
	lines = bufio.NewScanner(stdout)
	wantLine(t, lines, "ready")
	return cmd.Process.Pid, lines
}

func wantLine(t *testing.T, lines *bufio.Scanner, want string) {
	t.Helper()
	if !lines.Scan() || lines.Text() != want {
		t.Fatalf("the app printed %q, want %q", lines.Text(), want)
	}
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

func send(t *testing.T, s Signal) {
	t.Helper()
	if err := s.Notify(t.Context(), Event{Generation: 1}); err != nil {
		t.Fatal(err)
	}
}

// uniqueName returns a name that no process has.
func uniqueName(t *testing.T) string {
	return fmt.Sprintf("notify-%d-%s", os.Getpid(), strings.ToLower(t.Name()))
}

func TestSignalReachesAProcessByItsID(t *testing.T) {
	pid, lines := start(t, uniqueName(t))
	send(t, Signal{Signal: syscall.SIGUSR1, PID: pid})
	wantLine(t, lines, "user defined signal 1")
}

func TestPIDFileIsReadForEachSignal(t *testing.T) {
	pidfile := filepath.Join(t.TempDir(), "app.pid")
	s := Signal{Signal: syscall.SIGHUP, PIDFile: pidfile}
	for range 2 {
		pid, lines := start(t, uniqueName(t))
		if err := os.WriteFile(pidfile, []byte(strconv.Itoa(pid)+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		send(t, s)
		wantLine(t, lines, "hangup")
	}
}

func TestSignalReachesEveryProcessOfAName(t *testing.T) {
	name := uniqueName(t)
	_, first := start(t, name)
	_, second := start(t, "/some/where/"+name)
	_, other := start(t, name+"-too")
	send(t, Signal{Signal: syscall.SIGHUP, Process: name})
	wantLine(t, first, "hangup")
	wantLine(t, second, "hangup")
	send(t, Signal{Signal: syscall.SIGUSR1, Process: name + "-too"})
	wantLine(t, other, "user defined signal 1")
}

func TestProcessIsFoundByTheNameThatTheKernelKeeps(t *testing.T) {
	pid, _ := start(t, uniqueName(t))
	comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil {
		t.Fatal(err)
	}
	pids, err := processes(strings.TrimSpace(string(comm)))
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, candidate := range pids {
		found = found || candidate == pid
		if candidate == os.Getpid() {
			t.Error("our own process was among those to signal")
		}
	}
	if !found {
		t.Errorf("process %d was not among %v", pid, pids)
	}
}

func TestDeadProcessThatNobodyWaitedForIsNoTarget(t *testing.T) {
	name := uniqueName(t)
	cmd := exec.Command("true")
	cmd.Args[0] = name
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := stdout.Read(make([]byte, 1)); err == nil {
		t.Fatal("the process printed something, want it to have ended")
	}
	wantError(t, Signal{Signal: syscall.SIGHUP, Process: name}.Notify(t.Context(), Event{}), "no such process")
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
}

func TestSignalErrors(t *testing.T) {
	folder := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	ended := exec.Command("true")
	if err := ended.Run(); err != nil {
		t.Fatal(err)
	}
	pid := ended.Process.Pid
	tests := []struct {
		name   string
		signal Signal
		want   []string
	}{
		{"a process that has ended", Signal{Signal: syscall.SIGHUP, PID: pid}, []string{"SIGHUP to process", "no such process", "check that the app is running"}},
		{"a name that no process has", Signal{Signal: syscall.SIGHUP, Process: "no-such-app"}, []string{`"no-such-app"`, "no such process", "check that the app is running"}},
		{"no pidfile", Signal{Signal: syscall.SIGHUP, PIDFile: folder + "/none"}, []string{"/none", "no such file", "check that the app is running"}},
		{"a folder as pidfile", Signal{Signal: syscall.SIGHUP, PIDFile: folder}, []string{"must be a file"}},
		{"an empty pidfile", Signal{Signal: syscall.SIGHUP, PIDFile: file("empty", "")}, []string{"no process id"}},
		{"a pidfile with words", Signal{Signal: syscall.SIGHUP, PIDFile: file("words", "hunter2")}, []string{"no process id"}},
		{"a pidfile that means every process", Signal{Signal: syscall.SIGHUP, PIDFile: file("all", "-1\n")}, []string{"no process id"}},
		{"a pidfile that means the own group", Signal{Signal: syscall.SIGHUP, PIDFile: file("group", "0\n")}, []string{"no process id"}},
		{"a pidfile of the agent", Signal{Signal: syscall.SIGHUP, PIDFile: file("self", strconv.Itoa(os.Getpid()))}, []string{"the agent itself"}},
		{"the agent", Signal{Signal: syscall.SIGHUP, PID: os.Getpid()}, []string{"the agent itself"}},
		{"no cgroup", Signal{Signal: syscall.SIGHUP, CGroup: folder + "/none"}, []string{"/none", "no such file", "system.slice/app.service"}},
		{"a cgroup that is none", Signal{Signal: syscall.SIGHUP, CGroup: filepath.Dir(file("group.d/cgroup.procs", "words"))}, []string{"group.d", "no list of process ids"}},
		{"a cgroup without processes", Signal{Signal: syscall.SIGHUP, CGroup: filepath.Dir(file("empty.d/cgroup.procs", ""))}, []string{"empty.d", "no such process"}},
		{"no target", Signal{Signal: syscall.SIGHUP}, []string{"no target"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := test.signal.Notify(t.Context(), Event{})
			wantError(t, err, append(test.want, "sending SIGHUP")...)
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error %q repeats what the pidfile holds", err)
			}
		})
	}
}

func TestSignalIsNotSentAfterCancellation(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("shutting down")
	cancel(stop)
	if err := (Signal{Signal: syscall.SIGKILL, Process: "no-such-app"}).Notify(ctx, Event{}); !errors.Is(err, stop) {
		t.Errorf("got %v, want %v", err, stop)
	}
}

func TestParseSignal(t *testing.T) {
	tests := map[string]syscall.Signal{
		"SIGHUP": syscall.SIGHUP, "HUP": syscall.SIGHUP, "hup": syscall.SIGHUP, "1": syscall.SIGHUP,
		"sigusr2": syscall.SIGUSR2, "TERM": syscall.SIGTERM, "64": syscall.Signal(64),
		"": 0, "0": 0, "65": 0, "-1": 0, "SIG": 0, "SIGSIGHUP": 0, "reload": 0,
	}
	for text, want := range tests {
		got, err := ParseSignal(text)
		if got != want || (err == nil) != (want != 0) {
			t.Errorf("%q: got %d and %v, want %d", text, got, err, want)
		}
	}
}

package exec

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	osexec "os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// patience bounds what a test waits for. It is never waited for in full.
const patience = 30 * time.Second

// printed are the lines that a program prints.
type printed struct {
	t    *testing.T
	path string
	file *os.File
	in   *bufio.Reader
}

// newPrinted returns a pipe with a name, for Config.Stdout.
func newPrinted(t *testing.T) *printed {
	t.Helper()
	path := filepath.Join(t.TempDir(), "stdout")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	return readPrinted(t, path)
}

func readPrinted(t *testing.T, path string) *printed {
	t.Helper()
	file, err := os.OpenFile(path, os.O_RDWR|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	return &printed{t, path, file, bufio.NewReader(file)}
}

func (p *printed) next() string {
	p.t.Helper()
	_ = p.file.SetReadDeadline(time.Now().Add(patience))
	line, err := p.in.ReadString('\n')
	if err != nil {
		p.t.Fatalf("waiting for the program to print a line: %v", err)
	}
	return strings.TrimSuffix(line, "\n")
}

func (p *printed) want(lines ...string) {
	p.t.Helper()
	for _, line := range lines {
		if got := p.next(); got != line {
			p.t.Fatalf("the program printed %q, want %q", got, line)
		}
	}
}

// supervised is a child with its Run.
type supervised struct {
	*Child
	t     *testing.T
	stop  context.CancelFunc
	ended chan error
}

// run runs a child until it ends, or at the latest until the test does.
func run(t *testing.T, cfg Config) *supervised {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	s := &supervised{New(cfg), t, stop, make(chan error, 1)}
	go func() { s.ended <- s.Run(ctx) }()
	t.Cleanup(func() { stop(); <-s.over })
	return s
}

// result returns what Run returned.
func (s *supervised) result() error {
	s.t.Helper()
	select {
	case err := <-s.ended:
		return err
	case <-time.After(patience):
		s.t.Fatal("the child is still supervised")
		return nil
	}
}

// apply brings an environment and expects it to be in use.
func (s *supervised) apply(environment ...string) {
	s.t.Helper()
	inUse, err := s.Apply(s.t.Context(), environment)
	if err != nil {
		s.t.Fatal(err)
	}
	if !inUse {
		s.t.Fatalf("the program does not run with %q", environment)
	}
}

func (s *supervised) wantCode(want int) {
	s.t.Helper()
	err := s.result()
	if e, ok := errors.AsType[*ExitError](err); !ok || e.Code != want {
		s.t.Errorf("the child ended with %v, want exit code %d", err, want)
	}
}

// lasting is a program that says that it starts and stops.
const lasting = `trap 'echo stop $V; exit 0' TERM; trap 'echo hup $V' HUP; trap 'echo usr1 $V' USR1; echo start $V; while :; do sleep 0.01; done`

// direct runs a script without being taken for a shell line.
func direct(script string) []string { return []string{"/bin/sh", "-c", script} }

func TestNothingStartsBeforeTheFirstEnvironment(t *testing.T) {
	mark := filepath.Join(t.TempDir(), "mark")
	s := run(t, Config{Args: []string{"touch", mark}})
	if err := s.Restart(t.Context()); err != nil {
		t.Error(err)
	}
	if err := s.Signal(syscall.SIGHUP); err != nil {
		t.Error(err)
	}
	s.stop()
	if err := s.result(); !errors.Is(err, context.Canceled) {
		t.Errorf("the run ended with %v", err)
	}
	if _, err := os.Stat(mark); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the program was started: %v", err)
	}
}

func TestTheEnvironmentIsTheAgentsWithoutItsTokens(t *testing.T) {
	for _, name := range []string{"VAULT_TOKEN", "SECUREVAULT_TOKEN", "NOTIFY_SOCKET", "WATCHDOG_USEC"} {
		t.Setenv(name, "hidden")
	}
	t.Setenv("INHERITED", "yes")
	t.Setenv("DB_USER", "inherited")
	out := newPrinted(t)
	s := run(t, Config{Args: direct(`env | grep -E "hidden|INHERITED|DB_" | sort`), Stdout: out.path})
	s.apply("DB_USER=v-app", "DB_PASSWORD=s3cr$t")
	out.want("DB_PASSWORD=s3cr$t", "DB_USER=v-app", "INHERITED=yes")
	s.wantCode(0)
}

func TestTheExitCodeIsPassedOn(t *testing.T) {
	tests := []struct {
		name, script string
		want         int
	}{
		{"success", "exit 0", 0},
		{"failure", "exit 3", 3},
		{"the highest", "exit 255", 255},
		{"killed", "kill -KILL $$", 128 + 9},
		{"ended by a signal", "kill -TERM $$", 128 + 15},
	}
	for _, test := range tests {
		for kind, cfg := range map[string]Config{"directly": {Args: direct(test.script)}, "by a shell": {Line: test.script}} {
			t.Run(test.name+", run "+kind, func(t *testing.T) {
				s := run(t, cfg)
				s.apply()
				s.wantCode(test.want)
				if err := s.Signal(syscall.SIGHUP); !errors.Is(err, syscall.ESRCH) {
					t.Errorf("signalling what has ended: %v", err)
				}
				if err := s.Restart(t.Context()); !errors.Is(err, syscall.ESRCH) {
					t.Errorf("restarting what has ended: %v", err)
				}
				if _, err := s.Apply(t.Context(), nil); !errors.Is(err, syscall.ESRCH) {
					t.Errorf("applying to what has ended: %v", err)
				}
			})
		}
	}
}

func TestANewEnvironmentRestartsTheProgram(t *testing.T) {
	out := newPrinted(t)
	s := run(t, Config{Args: direct(lasting), RestartOnChange: true, Stdout: out.path})
	s.apply("V=1")
	out.want("start 1")
	s.apply("V=1") // the same: nothing happens
	s.apply("V=2")
	out.want("stop 1", "start 2")
	s.stop()
	if err := s.result(); !errors.Is(err, context.Canceled) {
		t.Errorf("the run ended with %v", err)
	}
	out.want("stop 2")
}

func TestANewEnvironmentWaitsWhereRestartsAreNotWanted(t *testing.T) {
	out := newPrinted(t)
	s := run(t, Config{Args: direct(lasting), Stdout: out.path})
	s.apply("V=1")
	out.want("start 1")
	for range 2 {
		if inUse, err := s.Apply(t.Context(), []string{"V=2"}); inUse || err != nil {
			t.Errorf("the new environment is in use: %t, %v", inUse, err)
		}
	}
	s.apply("V=1")
	if _, err := s.Apply(t.Context(), []string{"V=3"}); err != nil {
		t.Error(err)
	}
	if err := s.Restart(t.Context()); err != nil {
		t.Error(err)
	}
	out.want("stop 1", "start 3")
	s.apply("V=3")
}

func TestAReloadIsASignal(t *testing.T) {
	for kind, cfg := range map[string]Config{"directly": {Args: direct(lasting)}, "by a shell": {Line: direct(lasting)[2]}} {
		t.Run("run "+kind, func(t *testing.T) {
			out := newPrinted(t)
			cfg.Stdout = out.path
			s := run(t, cfg)
			s.apply("V=1")
			out.want("start 1")
			if err := s.Signal(syscall.SIGHUP); err != nil {
				t.Fatal(err)
			}
			out.want("hup 1")
		})
	}
}

func TestAProgramBelowAShellHasTheTimeToStop(t *testing.T) {
	out := newPrinted(t)
	script := filepath.Join(t.TempDir(), "program")
	slow := strings.Replace(lasting, "echo stop", "sleep 0.2; echo stop", 1)
	if err := os.WriteFile(script, []byte("#!/bin/sh\n"+slow+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	s := run(t, Config{Line: script + "; true", Stdout: out.path, RestartOnChange: true})
	s.apply("V=1")
	out.want("start 1")
	s.apply("V=2")
	out.want("stop 1", "start 2")
	s.stop()
	if err := s.result(); !errors.Is(err, context.Canceled) {
		t.Errorf("the run ended with %v", err)
	}
	out.want("stop 2")
}

func TestSignalsOfTheAgentAreForwardedButItsOwn(t *testing.T) {
	own := make(chan os.Signal, 1)
	signal.Notify(own, syscall.SIGHUP)
	defer signal.Stop(own)
	out := newPrinted(t)
	s := run(t, Config{Args: direct(lasting), Stdout: out.path, Reserved: []syscall.Signal{syscall.SIGHUP}})
	s.apply("V=1")
	out.want("start 1")
	for _, sig := range []syscall.Signal{syscall.SIGHUP, syscall.SIGUSR1} {
		if err := syscall.Kill(os.Getpid(), sig); err != nil {
			t.Fatal(err)
		}
	}
	<-own
	out.want("usr1 1")
}

func TestSignalsThatAreForwarded(t *testing.T) {
	forwarded := New(Config{Reserved: []syscall.Signal{syscall.SIGINT, syscall.SIGTERM}}).forwarded()
	for _, sig := range []syscall.Signal{syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGWINCH, syscall.SIGCONT, 64} {
		if !slices.Contains(forwarded, os.Signal(sig)) {
			t.Errorf("%s is not forwarded", sig)
		}
	}
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGKILL, syscall.SIGCHLD, syscall.SIGURG, syscall.SIGSEGV, syscall.SIGPIPE} {
		if slices.Contains(forwarded, os.Signal(sig)) {
			t.Errorf("%s is forwarded", sig)
		}
	}
}

func TestAProgramThatDoesNotStopIsKilled(t *testing.T) {
	log, logged := observer.New(zap.WarnLevel)
	out := newPrinted(t)
	s := run(t, Config{
		Args: direct(`trap "" TERM; echo start; while :; do sleep 0.01; done`), Stdout: out.path,
		KillTimeout: 50 * time.Millisecond, Log: zap.New(log),
	})
	s.apply()
	out.want("start")
	s.stop()
	s.wantCode(128 + 9)
	if entries := logged.All(); len(entries) != 1 || !strings.Contains(fmt.Sprint(entries[0].ContextMap()), "raise kill_timeout") {
		t.Errorf("the log has %v", entries)
	}
}

func TestTheCodeOfAStoppedProgramIsPassedOnIfItTellsOfAFailure(t *testing.T) {
	tests := []struct {
		name, trap string
		stop       syscall.Signal
		want       int // 0 for none
	}{
		{"ended by the signal itself", "", 0, 0},
		{"ended with 0", "exit 0", 0, 0},
		{"ended with the code of the signal", "exit 143", 0, 0},
		{"ended with a failure", "exit 5", 0, 5},
		{"ended by another stop signal", "", syscall.SIGINT, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			script := "echo start; exec sleep 300"
			if test.trap != "" {
				script = "trap '" + test.trap + "' TERM; echo start; while :; do sleep 0.01; done"
			}
			out := newPrinted(t)
			s := run(t, Config{Args: direct(script), Stdout: out.path, StopSignal: test.stop})
			s.apply()
			out.want("start")
			s.stop()
			if test.want != 0 {
				s.wantCode(test.want)
			} else if err := s.result(); !errors.Is(err, context.Canceled) {
				t.Errorf("the run ended with %v", err)
			}
		})
	}
}

func TestTheRestOfTheGroupEndsWithTheProgram(t *testing.T) {
	for name, end := range map[string]string{"ends by itself": "exit 0", "is stopped": "wait"} {
		t.Run("a program that "+name, func(t *testing.T) {
			out := newPrinted(t)
			s := run(t, Config{Args: direct(`sleep 300 & echo $!; ` + end), Stdout: out.path})
			s.apply()
			var rest int
			if _, err := fmt.Sscan(out.next(), &rest); err != nil {
				t.Fatal(err)
			}
			if end == "wait" {
				s.stop()
			}
			_ = s.result()
			if err := syscall.Kill(rest, 0); !errors.Is(err, syscall.ESRCH) {
				t.Errorf("process %d of the group is still there: %v", rest, err)
			}
		})
	}
}

func TestOutputToFilesIsAppendedAndPrivate(t *testing.T) {
	folder := t.TempDir()
	cfg := Config{Args: direct("echo out; echo err >&2"), Stdout: folder + "/out", Stderr: folder + "/err"}
	for range 2 {
		s := run(t, cfg)
		s.apply()
		s.wantCode(0)
	}
	for name, want := range map[string]string{"out": "out\nout\n", "err": "err\nerr\n"} {
		content, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil || string(content) != want {
			t.Errorf("%s holds %q, %v", name, content, err)
		}
		if info, err := os.Stat(filepath.Join(folder, name)); err == nil && info.Mode().Perm() != outputMode {
			t.Errorf("%s has mode %s", name, info.Mode())
		}
	}
}

func TestAProgramThatCannotStartIsExplained(t *testing.T) {
	folder := t.TempDir()
	if err := os.WriteFile(folder+"/plain", []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name      string
		cfg       Config
		variable  string
		checkable bool
		want      string
	}{
		{"no command", Config{}, "", true, "name a program"},
		{"a program that is not installed", Config{Args: []string{"no-such-program", "s3cr3t"}}, "", true, `"no-such-program": executable file not found in $PATH; install it`},
		{"a path that does not exist", Config{Args: []string{folder + "/nothing"}}, "", true, "install it or write its whole path"},
		{"a file that is no program", Config{Args: []string{folder + "/plain"}}, "", true, "make it executable"},
		{"a variable that is too large", Config{Args: []string{"true"}}, "V=" + strings.Repeat("x", 1<<20), false, "write large secrets to files"},
		{"an output that cannot be written", Config{Args: []string{"true"}, Stdout: folder}, "", false, "child_process_stdout"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := run(t, test.cfg)
			if err := s.Check(); (err != nil) != test.checkable {
				t.Errorf("checking it says %v", err)
			}
			_, applied := s.Apply(t.Context(), []string{test.variable})
			for _, err := range []error{applied, s.result()} {
				if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "s3cr3t") {
					t.Errorf("the error is %v, want one with %q and no argument", err, test.want)
				}
			}
		})
	}
}

func TestHooksKeepTheirExitCodesWhileOrphansAreWaitedFor(t *testing.T) {
	s := run(t, Config{Args: direct("exec sleep 300")})
	s.apply()
	for range 50 {
		err := osexec.Command("sh", "-c", "exit 7").Run()
		if e, ok := errors.AsType[*osexec.ExitError](err); !ok || e.ExitCode() != 7 {
			t.Fatalf("the hook ended with %v", err)
		}
	}
}

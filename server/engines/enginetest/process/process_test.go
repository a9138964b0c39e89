package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	// asStarter makes the test binary start a program, and end when it does.
	asStarter = "PROCESS_TEST_AS_STARTER"
	// patience is how long a program may take for what takes an instant.
	patience = 30 * time.Second
)

func TestMain(m *testing.M) {
	if log := os.Getenv(asStarter); log != "" {
		fmt.Fprintln(os.Stderr, startHolder(log))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// startHolder starts a program that says it is there on a pipe of ours, and then
// holds on to that.
func startHolder(log string) error {
	command := exec.Command("sh", "-c", "echo there >&3; exec sleep 3600")
	command.ExtraFiles = []*os.File{os.NewFile(3, "pipe")}
	p, err := Start(command, log, syscall.SIGKILL)
	if err != nil {
		return err
	}
	<-p.Ended()
	return errors.New(p.Log())
}

func TestAProgramEndsWithTheOneThatStartedIt(t *testing.T) {
	ours, theirs, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ours.Close() }()
	starter := exec.Command(os.Args[0])
	starter.Env = append(os.Environ(), asStarter+"="+filepath.Join(t.TempDir(), "log"))
	starter.ExtraFiles = []*os.File{theirs}
	starter.Stderr = os.Stderr
	err = starter.Start()
	_ = theirs.Close()
	if err != nil {
		t.Fatal(err)
	}
	if err := ours.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	said := make([]byte, len("there\n"))
	_, err = io.ReadFull(ours, said)
	_ = starter.Process.Kill()
	_ = starter.Wait()
	if err != nil {
		t.Fatalf("reading what the program says: %v", err)
	}
	if _, err := ours.Read(said); err != io.EOF {
		t.Errorf("somebody still holds the pipe: %v", err)
	}
}

func start(t *testing.T, end syscall.Signal, script string) *Process {
	t.Helper()
	p, err := Start(exec.Command("sh", "-c", script), filepath.Join(t.TempDir(), "log"), end)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	return p
}

// awaitPrinted returns once the program has printed a text.
func (p *Process) awaitPrinted(t *testing.T, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	err := p.Await(ctx, "printing", func(context.Context) error {
		if log := p.Log(); !strings.Contains(log, text) {
			return fmt.Errorf("it has printed %q, not %q", log, text)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestAProgramIsStoppedByItsSignal(t *testing.T) {
	p := start(t, syscall.SIGQUIT, `trap 'echo told; exit' QUIT; echo ready; while :; do sleep 0.01; done`)
	p.awaitPrinted(t, "ready")
	p.Stop()
	if log := p.Log(); !strings.HasSuffix(log, "told\n") {
		t.Errorf("it has printed %q", log)
	}
	if err := syscall.Kill(p.ID(), 0); err != syscall.ESRCH {
		t.Errorf("looking for it: %v, want %v", err, syscall.ESRCH)
	}
	p.Stop() // a second time is no harm
}

func TestAProgramThatASignalEndedTellsItsCode(t *testing.T) {
	p := start(t, syscall.SIGKILL, `trap 'exit 7' USR1; echo ready; while :; do sleep 0.01; done`)
	p.awaitPrinted(t, "ready")
	if err := p.Signal(syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	<-p.Ended()
	if code := p.State().ExitCode(); code != 7 {
		t.Errorf("it ended with %d, want 7", code)
	}
}

func TestAProgramThatEndsSaysHowAndWhatItPrinted(t *testing.T) {
	for script, want := range map[string]string{
		"echo no luck >&2; exit 3": "the server ended: exit status 3: no luck\n",
		"echo goodbye":             "the server ended: exit status 0: goodbye\n",
		"kill -TERM $$":            "the server ended: signal: terminated: ",
	} {
		p := start(t, syscall.SIGKILL, script)
		<-p.Ended()
		err := p.Await(t.Context(), "logging in", func(context.Context) error { return errors.New("refused") })
		if err == nil || err.Error() != want {
			t.Errorf("%s: error %v, want %q", script, err, want)
		}
	}
}

func TestAProgramThatIsNotThereIsNotStarted(t *testing.T) {
	if _, err := Start(exec.Command("/no/such/program"), filepath.Join(t.TempDir(), "log"), syscall.SIGKILL); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v, want %v", err, fs.ErrNotExist)
	}
}

func TestTheNextLifeAddsToTheLog(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	for _, want := range []string{"life\n", "life\nlife\n"} {
		p, err := Start(exec.Command("echo", "life"), log, syscall.SIGKILL)
		if err != nil {
			t.Fatal(err)
		}
		<-p.Ended()
		if p.Log() != want {
			t.Errorf("it has printed %q, want %q", p.Log(), want)
		}
	}
}

func TestAttemptsAreRepeated(t *testing.T) {
	p := start(t, syscall.SIGKILL, "exec sleep 3600")
	attempts := 0
	err := p.Await(t.Context(), "logging in", func(context.Context) error {
		if attempts++; attempts < 3 {
			return errors.New("not yet")
		}
		return nil
	})
	if err != nil || attempts != 3 {
		t.Errorf("%d attempts, error %v, want 3 and none", attempts, err)
	}
}

func TestAttemptsEndWithTheirTime(t *testing.T) {
	p := start(t, syscall.SIGKILL, "exec sleep 3600")
	refused := errors.New("refused")
	ctx, cancel := context.WithCancel(t.Context())
	err := p.Await(ctx, "logging in", func(context.Context) error {
		cancel()
		return refused
	})
	if !errors.Is(err, refused) || !strings.HasPrefix(err.Error(), "logging in: ") {
		t.Errorf("error %v, want what was refused last", err)
	}
}

func TestFreePortsAreFreeAndDiffer(t *testing.T) {
	ports, err := FreePorts(8)
	if err != nil {
		t.Fatal(err)
	}
	one, err := FreePort()
	if err != nil {
		t.Fatal(err)
	}
	for _, port := range append(ports, one) {
		if port >= 32768 {
			t.Errorf("Linux may give port %d to any connection", port)
		}
		listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			t.Error(err)
			continue
		}
		_ = listener.Close()
	}
	slices.Sort(ports)
	if len(slices.Compact(ports)) != 8 {
		t.Errorf("ports %v, want 8 that differ", ports)
	}
}

func TestAFolderGoesToTheAccountThatTheProgramRunsAs(t *testing.T) {
	folder := t.TempDir()
	inner := filepath.Join(folder, "inner")
	file := filepath.Join(inner, "file")
	if err := errors.Join(os.Mkdir(inner, 0o700), os.WriteFile(file, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	account, err := Unprivileged(folder, "nobody", "")
	if err != nil {
		t.Fatal(err)
	}
	if root := os.Geteuid() == 0; root != (account != nil) {
		t.Fatalf("we are root: %t; it is to run as %v", root, account)
	}
	command := exec.Command("id", "-u")
	command.SysProcAttr = &syscall.SysProcAttr{Credential: account}
	p, err := Start(command, filepath.Join(t.TempDir(), "log"), syscall.SIGKILL)
	if err != nil {
		t.Fatal(err)
	}
	<-p.Ended()
	for _, path := range []string{folder, inner, file} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if owner := fmt.Sprintln(info.Sys().(*syscall.Stat_t).Uid); owner != p.Log() {
			t.Errorf("%s belongs to %q, the program runs as %q", path, owner, p.Log())
		}
	}
}

func TestAnAccountThatIsMissingComesWithAHint(t *testing.T) {
	account, err := Unprivileged(t.TempDir(), "no-such-account", "apt-get install it")
	if os.Geteuid() != 0 { // nobody is looked up
		if account != nil || err != nil {
			t.Errorf("got %v, error %v, want to run as we are", account, err)
		}
		return
	}
	if err == nil || !strings.Contains(err.Error(), "no-such-account") || !strings.HasSuffix(err.Error(), "apt-get install it") {
		t.Errorf("error %v, want the account and the hint", err)
	}
}

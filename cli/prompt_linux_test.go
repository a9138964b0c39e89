package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// openTerminal returns both ends of a new pseudo-terminal: the user's keyboard
// and screen, and the file a program reads.
func openTerminal(t *testing.T) (user, program *os.File) {
	t.Helper()
	user, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = user.Close() })
	if err := unix.IoctlSetPointerInt(int(user.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(user.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = program.Close() })
	return user, program
}

// typist types a line once it is asked for one.
type typist struct {
	keyboard io.Writer
	line     string
	screen   bytes.Buffer
}

func (p *typist) Write(text []byte) (int, error) {
	if strings.HasSuffix(string(text), "(will be hidden): ") {
		if _, err := io.WriteString(p.keyboard, p.line); err != nil {
			return 0, err
		}
	}
	return p.screen.Write(text)
}

func TestASecretIsTypedOnATerminalUnseen(t *testing.T) {
	server := newFakeServer(t, map[string]reply{"PUT /v1/auth/userpass/login/alice": {body: loginAnswer}})
	user, program := openTerminal(t)
	asked := &typist{keyboard: user, line: "pass word\r"}
	env := map[string]string{"VAULT_ADDR": server.URL}
	var stdout bytes.Buffer
	stdio := IO{Stdin: program, Stdout: &stdout, Stderr: asked, Getenv: func(name string) string { return env[name] }}
	code := Run(t.Context(), []string{"securevault", "login", "-no-store", "-method=userpass", "username=alice"}, stdio, nil)
	if code != ExitOK || stdout.String() != loginTable {
		t.Errorf("exit code %d, standard output %s", code, stdout.String())
	}
	if got := asked.screen.String(); got != "Password (will be hidden): \n" {
		t.Errorf("the screen shows %q", got)
	}
	if echoed := echo(t, user); echoed != "" {
		t.Errorf("the terminal echoed %q", echoed)
	}
	if got := server.received()[0].body; got != `{"password":"pass word"}` {
		t.Errorf("sent %s", got)
	}
}

// echo returns what the terminal has shown so far by itself.
func echo(t *testing.T, user *os.File) string {
	t.Helper()
	waiting, err := unix.IoctlGetInt(int(user.Fd()), unix.TIOCINQ)
	if err != nil {
		t.Fatal(err)
	}
	text := make([]byte, waiting)
	if _, err := io.ReadFull(user, text); err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestControlCAtThePromptIsAnInterrupt(t *testing.T) {
	user, program := openTerminal(t)
	asked := &typist{keyboard: user, line: "half a\x03"}
	stdio := IO{Stdin: program, Stdout: io.Discard, Stderr: asked, Getenv: func(string) string { return "" }}
	if code := Run(t.Context(), []string{"securevault", "login"}, stdio, nil); code != ExitInterrupted {
		t.Errorf("exit code %d, want %d", code, ExitInterrupted)
	}
}

func TestAnInterruptedPromptLeavesTheTerminalEchoing(t *testing.T) {
	_, program := openTerminal(t)
	before, err := term.GetState(int(program.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var stderr bytes.Buffer
	stdio := IO{Stdin: program, Stdout: io.Discard, Stderr: &stderr, Getenv: func(string) string { return "" }}
	if code := Run(ctx, []string{"securevault", "login"}, stdio, nil); code != ExitInterrupted {
		t.Errorf("exit code %d, want %d", code, ExitInterrupted)
	}
	after, err := term.GetState(int(program.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	if *before != *after {
		t.Error("the terminal does not echo as before")
	}
}

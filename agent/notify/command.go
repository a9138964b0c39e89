package notify

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
)

const (
	// DefaultTimeout bounds the run of a command.
	DefaultTimeout = 30 * time.Second

	maxTail    = 4 << 10  // bytes of output kept for an error
	maxChanged = 64 << 10 // bytes of SECUREVAULT_CHANGED; the kernel refuses 128 KiB

	// pipeGrace is how long the output of a command that has ended is read
	// on: a process that it left in the background may hold it open.
	pipeGrace = time.Second
)

// Command runs a program, or a line of shell if Line is set. It finds the
// number of the generation in SECUREVAULT_GENERATION and the destinations that
// changed in SECUREVAULT_CHANGED, separated by commas (a list of more than
// 64 KiB ends with ",…"). It does not inherit the agent's token.
type Command struct {
	Args    []string // program and arguments, run directly
	Line    string   // run by sh -c
	Timeout time.Duration
	Env     []string // added to the environment, each "KEY=value"
}

// String names the program, for logs. Arguments may be secret.
func (c Command) String() string {
	words := c.Args
	if c.Line != "" {
		words = strings.Fields(c.Line)
	}
	if len(words) == 0 {
		return "an empty command"
	}
	return fmt.Sprintf("command %q", words[0])
}

// Notify implements [Notifier]. A command that outlives its time is killed,
// with every process that it started in its own process group. The error ends
// with the last 4 KiB of what the command printed.
func (c Command) Notify(ctx context.Context, event Event) error {
	args := c.Args
	if c.Line != "" {
		args = []string{"sh", "-c", c.Line}
	}
	if len(args) == 0 {
		return errors.New("running a command: it is empty; name a program")
	}
	timeout := c.Timeout
	if timeout <= 0 {
		timeout = DefaultTimeout
	}
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("killed after %s; raise its timeout or have it do less", timeout))
	defer cancel()
	output := &tail{}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = c.environment(event)
	cmd.Stdout, cmd.Stderr = output, output
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = pipeGrace
	err := cmd.Run()
	if err == nil || errors.Is(err, exec.ErrWaitDelay) && ctx.Err() == nil {
		return nil
	}
	return c.failure(ctx, err, output)
}

func (c Command) failure(ctx context.Context, err error, output *tail) error {
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	text := ""
	if printed := output.String(); printed != "" {
		text = "; it printed: " + printed
	}
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, os.ErrNotExist) {
		text += "; install it or write its whole path"
	}
	return fmt.Errorf("running %s: %w%s", c, err, text)
}

// environment returns the agent's own without its tokens, and what the
// command is told.
func (c Command) environment(event Event) []string {
	env := slices.DeleteFunc(os.Environ(), func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		return name == "VAULT_TOKEN" || name == "SECUREVAULT_TOKEN"
	})
	env = append(env, c.Env...)
	return append(env,
		fmt.Sprintf("SECUREVAULT_GENERATION=%d", event.Generation),
		"SECUREVAULT_CHANGED="+joinBounded(event.Changed))
}

func joinBounded(names []string) string {
	length := 0
	for i, name := range names {
		if length += len(name) + 1; length > maxChanged {
			return strings.Join(append(slices.Clone(names[:i]), "…"), ",")
		}
	}
	return strings.Join(names, ",")
}

// tail keeps the last bytes written to it.
type tail struct {
	kept []byte
	cut  bool
}

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	t.kept = append(t.kept, p...)
	if excess := len(t.kept) - maxTail; excess > 0 {
		t.kept = slices.Delete(t.kept, 0, excess)
		t.cut = true
	}
	return len(p), nil
}

// String returns what was kept on one line, with control characters escaped.
func (t *tail) String() string {
	text := strings.TrimSpace(strings.ToValidUTF8(string(t.kept), "?"))
	if text == "" {
		return ""
	}
	if t.cut {
		text = "…" + text
	}
	return fmt.Sprintf("%q", text)
}

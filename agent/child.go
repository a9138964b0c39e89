package agent

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"go.uber.org/zap"

	"github.com/novatech/securevault/agent/config"
	"github.com/novatech/securevault/agent/notify"
	"github.com/novatech/securevault/sink"
	"github.com/novatech/securevault/sink/exec"
)

// child is the app as a program of the agent's own: it is started when
// everything is rendered and told, and replaced when its environment changes.
// It is told as hooks are: being told means to run with the newest environment.
type child struct {
	*exec.Child

	err error // how it ended; to be read when Run has returned

	mu          sync.Mutex
	environment []string // the newest that was published
	behind      bool     // the program runs with an older one
	started     bool     // the program was, at least once
}

// newChild returns the program of an exec stanza, nil without one.
func newChild(c *config.Child, log *zap.Logger) *child {
	if c == nil {
		return nil
	}
	return &child{Child: exec.New(exec.Config{
		Args: c.Command.Args, Line: c.Command.Line,
		RestartOnChange: c.Restart == "always",
		StopSignal:      syscall.Signal(c.StopSignal),
		KillTimeout:     time.Duration(c.KillTimeout),
		Stdout:          c.Stdout, Stderr: c.Stderr,
		Reserved: []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP},
		Log:      log,
	})}
}

// String describes what the hook does, for logs.
func (*child) String() string { return "start of the child with its new environment" }

// Notify implements [notify.Notifier].
func (c *child) Notify(ctx context.Context, _ notify.Event) error {
	c.mu.Lock()
	newest := c.environment
	c.mu.Unlock()
	inUse, err := c.Apply(ctx, newest)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.behind = err == nil && !inUse
	c.started = c.started || err == nil
	return err
}

// Run supervises the program. See [exec.Child.Run].
func (c *child) Run(ctx context.Context) error {
	c.err = c.Child.Run(ctx)
	return c.err
}

// launch announces that everything is rendered and told, for the child to start.
func (a *Agent) launch() announcement {
	what := announcement{final: true}
	what.add([]hook{{Notifier: a.child}}, notify.Event{})
	return what
}

// feeds reports whether the output is the environment of a child.
func (o *output) feeds(c *child) bool {
	return slices.ContainsFunc(o.hooks, func(h hook) bool { return h.starts(c) })
}

// starts reports whether being told is for a child to run with what is newest.
func (h hook) starts(c *child) bool { return h.Notifier == notify.Notifier(c) }

// lags reports whether the program still uses what was replaced.
func (c *child) lags() bool {
	if c == nil {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.behind
}

// hasStarted reports whether the program was started, at least once.
func (c *child) hasStarted() bool {
	if c == nil {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.started
}

// toApp is a signal to a process that may be the child, or have come of it.
// Before the child was started there may be none, which is no failure: the child
// starts with all that is new, and only then writes its pidfile.
type toApp struct {
	notify.Signal
	child *child // nil for a run that does not start it
}

// Notify implements [notify.Notifier].
func (s toApp) Notify(ctx context.Context, event notify.Event) error {
	err := s.Signal.Notify(ctx, event)
	if reachedNobody(err) && !s.child.hasStarted() {
		return nil
	}
	return err
}

// take has the program use an environment from the next notification on.
func (c *child) take(content []byte) {
	var environment []string
	if len(content) > 0 {
		environment = strings.Split(string(content), "\x00")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.environment = environment
}

// environ encodes variables as the kernel does: zero bytes between them.
func environ(variables []sink.Variable) ([]byte, error) {
	all, err := sink.Environ(variables)
	return []byte(strings.Join(all, "\x00")), err
}

// ended returns how the program ended, if that is what err tells.
func ended(err error) (code int, ok bool) {
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		return 0, false
	}
	return exit.Code, true
}

// environment returns the output for the environment of the child.
func (b builder) environment() (*output, error) {
	c := b.file.Child
	env, fatal, err := newEnvironment(c.At.String()+": exec", b.file.EnvTemplates, environ)
	if err != nil {
		return nil, err
	}
	everywhere := slices.DeleteFunc(slices.Clone(b.file.Notify), func(n config.Notify) bool { return n.Type == "child" })
	hooks, err := b.hooks(config.Reaction{}, everywhere)
	if err != nil {
		return nil, err
	}
	return &output{
		template: env,
		place:    &memory{name: "environment of the child", fits: func([]byte) error { return nil }, use: b.child.take, to: b.child},
		hooks:    append(hooks, b.patient(hook{Notifier: b.child, retries: commandRetries}, c.Splay, c.Budget)),
		policy:   b.policy(config.Template{}),
		fatal:    fatal,
		maxStale: time.Duration(b.file.Lease.MaxStale),
	}, nil
}

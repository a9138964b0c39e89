package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"syscall"
	"time"

	"github.com/novatech/securevault/agent/check"
	"github.com/novatech/securevault/agent/config"
	"github.com/novatech/securevault/agent/notify"
	"github.com/novatech/securevault/agent/window"
)

// hook is whom to tell of a change, and with how much patience.
type hook struct {
	notify.Notifier
	retries int           // quick ones after a failure, before the hook counts as failing
	splay   time.Duration // that this instance waits, so that a fleet is not told at once
	budget  window.Budget
}

// commandRetries is how often the command of a template is tried again
// quickly; a notify stanza says it for itself.
const commandRetries = 3

// String describes the hook, for logs.
func (h hook) String() string { return fmt.Sprint(h.Notifier) }

// absent reports whether a hook failed because there is no process to signal.
func (h hook) absent(err error) bool {
	_, ok := h.Notifier.(notify.Signal)
	return ok && reachedNobody(err)
}

// reachedNobody reports whether a signal failed because there is no process, or
// no file yet that names it.
func reachedNobody(err error) bool {
	return errors.Is(err, syscall.ESRCH) || errors.Is(err, fs.ErrNotExist)
}

// hooks returns whom a change of a file is told to, in order: its own command,
// its notifications, then those of every file.
func (b builder) hooks(r config.Reaction, everywhere []config.Notify) ([]hook, error) {
	var hooks []hook
	if !r.Command.IsZero() {
		command := notify.Command{Args: r.Command.Args, Line: r.Command.Line, Timeout: time.Duration(r.CommandTimeout)}
		hooks = append(hooks, hook{Notifier: command, retries: commandRetries})
	}
	for _, n := range slices.Concat(r.Notify, everywhere) {
		notifier, err := b.notifier(n)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", n.At, err)
		}
		if notifier != nil {
			hooks = append(hooks, b.patient(hook{Notifier: notifier, retries: n.Retries}, n.Splay, n.Budget))
		}
	}
	return hooks, nil
}

// patient returns the hook with what the configuration says of its pace.
func (b builder) patient(h hook, splay config.Duration, budget config.Budget) hook {
	h.splay = b.instance.Splay(time.Duration(splay))
	h.budget = window.Budget{Count: budget.Count, Per: time.Duration(budget.Per)}
	return h
}

// notifier returns what a notify stanza describes, nil for a child that this
// run does not start.
func (b builder) notifier(n config.Notify) (notify.Notifier, error) {
	timeout := time.Duration(n.Timeout)
	switch n.Type {
	case "child":
		if b.child == nil {
			return nil, nil
		}
		return notify.Child{Supervisor: b.child.Child, Signal: syscall.Signal(n.Signal), Restart: n.Restart}, nil
	case "command":
		return notify.Command{Args: n.Command.Args, Line: n.Command.Line, Timeout: timeout}, nil
	case "systemd":
		action := notify.Reload
		if n.Restart {
			action = notify.Restart
		}
		hook := notify.Systemd{Unit: n.Unit, Action: action, Timeout: timeout}
		return hook, hook.Validate()
	case "webhook":
		hook := notify.Webhook{URL: n.URL, Socket: n.Socket, Method: n.Method, Headers: n.Headers, Timeout: timeout, CACert: n.CACert}
		return hook, hook.Validate()
	default:
		signal := notify.Signal{Signal: syscall.Signal(n.Signal), PID: n.PID, PIDFile: n.PIDFile, Process: n.Process, CGroup: n.CGroup}
		if b.file.Child == nil {
			return signal, nil
		}
		return toApp{signal, b.child}, nil
	}
}

// hooked returns the reaction of a template, its command written either way.
func hooked(t config.Template) config.Reaction {
	r := t.Reaction
	r.Command, r.CommandTimeout = t.Hook()
	return r
}

// newChecks returns what new content of a file must pass before it is
// published.
func newChecks(r config.Reaction) []check.Check {
	if r.Check.IsZero() {
		return nil
	}
	return []check.Check{{Args: r.Check.Args, Line: r.Check.Line, Timeout: time.Duration(r.CheckTimeout)}}
}

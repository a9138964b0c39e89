package agent

import (
	"fmt"
	"slices"
	"syscall"
	"time"

	"github.com/novatech/securevault/agent/check"
	"github.com/novatech/securevault/agent/config"
	"github.com/novatech/securevault/agent/notify"
)

// newHooks returns whom a change of a file is told to, in order: its own
// command, its notifications, then those of every file.
func newHooks(r config.Reaction, everywhere []config.Notify) ([]notify.Notifier, error) {
	var hooks []notify.Notifier
	if !r.Command.IsZero() {
		hooks = append(hooks, notify.Command{Args: r.Command.Args, Line: r.Command.Line, Timeout: time.Duration(r.CommandTimeout)})
	}
	for _, n := range slices.Concat(r.Notify, everywhere) {
		hook, err := newHook(n)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", n.At, err)
		}
		hooks = append(hooks, hook)
	}
	return hooks, nil
}

func newHook(n config.Notify) (notify.Notifier, error) {
	timeout := time.Duration(n.Timeout)
	switch n.Type {
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
		return notify.Signal{Signal: syscall.Signal(n.Signal), PID: n.PID, PIDFile: n.PIDFile, Process: n.Process, CGroup: n.CGroup}, nil
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

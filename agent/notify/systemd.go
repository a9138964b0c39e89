package notify

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"time"

	"github.com/novatech/securevault/agent/program"
)

// Action is what systemd is asked to do with a unit.
type Action string

// The actions, each as systemctl names it.
const (
	Reload          Action = "reload"
	Restart         Action = "restart"           // starts a unit that is stopped
	ReloadOrRestart Action = "reload-or-restart" // restarts what cannot reload; starts a unit that is stopped
	TryRestart      Action = "try-restart"       // leaves a unit that is stopped alone
)

// Systemd has systemd reload or restart a unit, and waits until that is done,
// but for an early event: the unit may be ordered after the agent, and then
// starts when the agent is ready.
// It runs systemctl, which must be installed wherever units are.
type Systemd struct {
	Unit    string
	Action  Action // [Reload] when empty
	Timeout time.Duration
}

// String describes the action, for logs.
func (s Systemd) String() string { return fmt.Sprintf("systemctl %s %q", s.action(), s.Unit) }

func (s Systemd) action() Action {
	if s.Action == "" {
		return Reload
	}
	return s.Action
}

// Validate reports what would keep any event from being told.
func (s Systemd) Validate() error {
	actions := []Action{Reload, Restart, ReloadOrRestart, TryRestart}
	switch {
	case s.Unit == "":
		return errors.New("no unit is named; write it as \"app.service\"")
	case !slices.Contains(actions, s.action()):
		return fmt.Errorf("unknown action %q; use one of %q", s.Action, actions)
	default:
		return nil
	}
}

// Notify implements [Notifier]. The error says what systemctl said.
func (s Systemd) Notify(ctx context.Context, event Event) error {
	if err := s.Validate(); err != nil {
		return fmt.Errorf("asking systemd: %w", err)
	}
	args := []string{"systemctl", "--no-ask-password", "--no-pager"}
	if event.Early {
		args = append(args, "--no-block")
	}
	systemctl := program.Program{
		Args:    append(args, string(s.action()), "--", s.Unit),
		Timeout: s.Timeout,
		Env:     []string{"LC_ALL=C"},
	}
	if err := systemctl.Run(ctx); err != nil {
		return fmt.Errorf("asking systemd to %s unit %q: %w%s", s.action(), s.Unit, err, s.hint(err))
	}
	return nil
}

// hint says what to do about a status of systemctl; these are the statuses
// that the LSB gives to init scripts.
func (s Systemd) hint(err error) string {
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		return ""
	}
	switch exit.ExitCode() {
	case 3:
		return "; give the unit an ExecReload= or have it restarted instead"
	case 4:
		return "; run the agent as root, or allow its user org.freedesktop.systemd1.manage-units in a polkit rule"
	case 5:
		return "; check the name of the unit"
	default:
		return fmt.Sprintf("; see systemctl status %q", s.Unit)
	}
}

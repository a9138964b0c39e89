package notify

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"testing"
)

// supervisor records what it was asked for.
type supervisor struct {
	asked []string
	err   error
}

func (s *supervisor) Signal(signal syscall.Signal) error {
	s.asked = append(s.asked, signal.String())
	return s.err
}

func (s *supervisor) Restart(context.Context) error {
	s.asked = append(s.asked, "restart")
	return s.err
}

func TestChildIsSignalledOrRestarted(t *testing.T) {
	s := &supervisor{}
	for _, c := range []Child{{Supervisor: s, Signal: syscall.SIGHUP}, {Supervisor: s, Signal: syscall.SIGHUP, Restart: true}} {
		if err := c.Notify(t.Context(), Event{}); err != nil {
			t.Fatal(err)
		}
	}
	if want := []string{"hangup", "restart"}; !slices.Equal(s.asked, want) {
		t.Errorf("the supervisor was asked for %q, want %q", s.asked, want)
	}
}

func TestChildErrors(t *testing.T) {
	crash := errors.New("it crashed")
	tests := []struct {
		name  string
		child Child
		want  []string
	}{
		{"a child that has ended", Child{Supervisor: &supervisor{err: fmt.Errorf("signalling: %w", syscall.ESRCH)}, Signal: syscall.SIGUSR1},
			[]string{"sending SIGUSR1 to the child", "no such process", "check that the app is running"}},
		{"a child that does not start again", Child{Supervisor: &supervisor{err: crash}, Restart: true},
			[]string{"restarting the child", "it crashed"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			wantError(t, test.child.Notify(t.Context(), Event{}), test.want...)
		})
	}
}

func TestChildIsNotToldAfterCancellation(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("shutting down")
	cancel(stop)
	s := &supervisor{}
	if err := (Child{Supervisor: s, Restart: true}).Notify(ctx, Event{}); !errors.Is(err, stop) || s.asked != nil {
		t.Errorf("got %v after %q, want %v after nothing", err, s.asked, stop)
	}
}

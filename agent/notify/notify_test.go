package notify

import (
	"context"
	"reflect"
	"syscall"
	"testing"
)

// named is a notifier that is neither a signal nor a command.
type named string

func (named) Notify(context.Context, Event) error { return nil }

func TestCoalesce(t *testing.T) {
	hup := Signal{Signal: syscall.SIGHUP, PIDFile: "/run/app.pid"}
	usr1 := Signal{Signal: syscall.SIGUSR1, PIDFile: "/run/app.pid"}
	reload := Command{Args: []string{"systemctl", "reload", "app"}}
	webhook := func(token string) Webhook {
		return Webhook{URL: "https://app", Headers: map[string]string{"Accept": "*/*", "Authorization": token, "X-One": "1"}}
	}
	child := &supervisor{}
	tests := []struct {
		name  string
		calls []Call
		want  []Call
	}{
		{"nothing to do stays nothing to do", nil, nil},
		{
			"the same notifier is told once of all that changed",
			[]Call{{hup, Event{1, []string{"/a"}}}, {hup, Event{2, []string{"/b", "/a"}}}},
			[]Call{{hup, Event{2, []string{"/a", "/b"}}}},
		},
		{
			"different notifiers keep the order in which they were first asked for",
			[]Call{{reload, Event{1, []string{"/a"}}}, {usr1, Event{1, []string{"/a"}}}, {hup, Event{1, []string{"/a"}}}, {usr1, Event{1, []string{"/b"}}}},
			[]Call{{reload, Event{1, []string{"/a"}}}, {usr1, Event{1, []string{"/a", "/b"}}}, {hup, Event{1, []string{"/a"}}}},
		},
		{
			"commands are the same by what they run, not by where their arguments are",
			[]Call{{reload, Event{1, []string{"/a"}}}, {Command{Args: []string{"systemctl", "reload", "app"}}, Event{1, []string{"/b"}}}},
			[]Call{{reload, Event{1, []string{"/a", "/b"}}}},
		},
		{
			"a list and a line that read alike are different commands",
			[]Call{{Command{Args: []string{"true"}}, Event{1, nil}}, {Command{Line: "true"}, Event{1, nil}}},
			[]Call{{Command{Args: []string{"true"}}, Event{1, nil}}, {Command{Line: "true"}, Event{1, nil}}},
		},
		{
			"webhooks are the same by what they send where",
			[]Call{{webhook("a"), Event{1, []string{"/a"}}}, {webhook("b"), Event{1, []string{"/a"}}}, {webhook("a"), Event{1, []string{"/b"}}}},
			[]Call{{webhook("a"), Event{1, []string{"/a", "/b"}}}, {webhook("b"), Event{1, []string{"/a"}}}},
		},
		{
			"the child is told once of each kind",
			[]Call{{Child{Supervisor: child, Restart: true}, Event{1, nil}}, {Child{Supervisor: child}, Event{1, nil}}, {Child{Supervisor: child, Restart: true}, Event{2, nil}}},
			[]Call{{Child{Supervisor: child, Restart: true}, Event{2, nil}}, {Child{Supervisor: child}, Event{1, nil}}},
		},
		{
			"the type counts",
			[]Call{{named("x"), Event{1, nil}}, {Command{Line: "x"}, Event{1, nil}}, {named("x"), Event{1, nil}}},
			[]Call{{named("x"), Event{1, nil}}, {Command{Line: "x"}, Event{1, nil}}},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := Coalesce(test.calls); !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func TestCoalesceLeavesItsInputAlone(t *testing.T) {
	changed := make([]string, 1, 4)
	changed[0] = "/a"
	calls := []Call{{named("x"), Event{1, changed}}, {named("x"), Event{1, []string{"/b"}}}}
	Coalesce(calls)
	if got := changed[:2][1]; got != "" {
		t.Errorf("%q was written into the list of the caller", got)
	}
}

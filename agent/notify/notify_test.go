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
			[]Call{{hup, Event{Generation: 1, Changed: []string{"/a"}}}, {hup, Event{Generation: 2, Changed: []string{"/b", "/a"}}}},
			[]Call{{hup, Event{Generation: 2, Changed: []string{"/a", "/b"}}}},
		},
		{
			"what is early is so no more beside what is not",
			[]Call{{hup, Event{Generation: 1, Early: true}}, {usr1, Event{Generation: 1, Early: true}}, {hup, Event{Generation: 2}}},
			[]Call{{hup, Event{Generation: 2}}, {usr1, Event{Generation: 1, Early: true}}},
		},
		{
			"different notifiers keep the order in which they were first asked for",
			[]Call{{reload, Event{Generation: 1, Changed: []string{"/a"}}}, {usr1, Event{Generation: 1, Changed: []string{"/a"}}}, {hup, Event{Generation: 1, Changed: []string{"/a"}}}, {usr1, Event{Generation: 1, Changed: []string{"/b"}}}},
			[]Call{{reload, Event{Generation: 1, Changed: []string{"/a"}}}, {usr1, Event{Generation: 1, Changed: []string{"/a", "/b"}}}, {hup, Event{Generation: 1, Changed: []string{"/a"}}}},
		},
		{
			"commands are the same by what they run, not by where their arguments are",
			[]Call{{reload, Event{Generation: 1, Changed: []string{"/a"}}}, {Command{Args: []string{"systemctl", "reload", "app"}}, Event{Generation: 1, Changed: []string{"/b"}}}},
			[]Call{{reload, Event{Generation: 1, Changed: []string{"/a", "/b"}}}},
		},
		{
			"a list and a line that read alike are different commands",
			[]Call{{Command{Args: []string{"true"}}, Event{Generation: 1}}, {Command{Line: "true"}, Event{Generation: 1}}},
			[]Call{{Command{Args: []string{"true"}}, Event{Generation: 1}}, {Command{Line: "true"}, Event{Generation: 1}}},
		},
		{
			"webhooks are the same by what they send where",
			[]Call{{webhook("a"), Event{Generation: 1, Changed: []string{"/a"}}}, {webhook("b"), Event{Generation: 1, Changed: []string{"/a"}}}, {webhook("a"), Event{Generation: 1, Changed: []string{"/b"}}}},
			[]Call{{webhook("a"), Event{Generation: 1, Changed: []string{"/a", "/b"}}}, {webhook("b"), Event{Generation: 1, Changed: []string{"/a"}}}},
		},
		{
			"the child is told once of each kind",
			[]Call{{Child{Supervisor: child, Restart: true}, Event{Generation: 1}}, {Child{Supervisor: child}, Event{Generation: 1}}, {Child{Supervisor: child, Restart: true}, Event{Generation: 2}}},
			[]Call{{Child{Supervisor: child, Restart: true}, Event{Generation: 2}}, {Child{Supervisor: child}, Event{Generation: 1}}},
		},
		{
			"the type counts",
			[]Call{{named("x"), Event{Generation: 1}}, {Command{Line: "x"}, Event{Generation: 1}}, {named("x"), Event{Generation: 1}}},
			[]Call{{named("x"), Event{Generation: 1}}, {Command{Line: "x"}, Event{Generation: 1}}},
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
	calls := []Call{{named("x"), Event{Generation: 1, Changed: changed}}, {named("x"), Event{Generation: 1, Changed: []string{"/b"}}}}
	Coalesce(calls)
	if got := changed[:2][1]; got != "" {
		t.Errorf("%q was written into the list of the caller", got)
	}
}

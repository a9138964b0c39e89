package notify

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// Event is a change of the published files.
type Event struct {
	Generation uint64   // counts the changes, from 1
	Changed    []string // the destinations whose content is new
	// At is when they were published, the first of several; zero to be told of
	// without patience.
	At time.Time
	// Early is set while nothing has been told yet: whoever is to be told may be
	// waiting for the agent to be ready, and then finds everything.
	Early bool
}

// Notifier tells somebody of an event. A nil error means that the message was
// delivered, not that it was understood. Any error leaves open whether it was;
// calling again with the same event must do no harm.
//
// Two notifiers are the same if they are of one type and hold the same values.
type Notifier interface {
	Notify(ctx context.Context, event Event) error
}

// Call is a notifier with the event that it is to be told of.
type Call struct {
	Notifier Notifier
	Event    Event
}

// Coalesce merges the calls to the same notifier into the first of them, which
// then carries all their destinations, the highest generation and the earliest
// time, and is early if all of them are.
func Coalesce(calls []Call) []Call {
	var merged []Call
	seen := make(map[string]int) // notifier, spelled out → index in merged
	for _, call := range calls {
		key := Key(call.Notifier)
		i, known := seen[key]
		if !known {
			i = len(merged)
			seen[key] = i
			merged = append(merged, Call{Notifier: call.Notifier, Event: Event{At: call.Event.At, Early: call.Event.Early}})
		}
		event := &merged[i].Event
		event.Generation = max(event.Generation, call.Event.Generation)
		event.Changed = append(event.Changed, call.Event.Changed...)
		event.Early = event.Early && call.Event.Early
		if call.Event.At.Before(event.At) {
			event.At = call.Event.At
		}
	}
	for i := range merged {
		merged[i].Event.Changed = unique(merged[i].Event.Changed)
	}
	return merged
}

// Key spells a notifier out: those that are the same are spelled the same. It is
// not for people, since it may hold what a configuration keeps to itself.
func Key(n Notifier) string { return fmt.Sprintf("%#v", n) }

// unique returns the names in their order, each where it came first.
func unique(names []string) []string {
	seen := make(map[string]bool, len(names))
	return slices.DeleteFunc(names, func(name string) bool {
		known := seen[name]
		seen[name] = true
		return known
	})
}

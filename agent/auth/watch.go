package auth

import (
	"time"

	"github.com/novatech/securevault/agent/watch"
)

// lookPeriod is how long to wait between two looks at a method's files when
// the method does not say.
const lookPeriod = 5 * time.Second

// watched are the files of a method, and how often to look at them.
type watched struct {
	*watch.Files
	every time.Duration
}

// newWatched returns the files of a method, none for one that has none. They
// are looked at no more often than once in floor.
func newWatched(method Method, floor time.Duration) watched {
	watcher, ok := method.(Watcher)
	if !ok {
		return watched{Files: watch.New()}
	}
	paths, every := watcher.Watched()
	if every <= 0 {
		every = lookPeriod
	}
	return watched{Files: watch.New(paths...), every: max(every, floor)}
}

// ticker says when to look: never without files. Stop it when done.
func (w watched) ticker() (look <-chan time.Time, stop func()) {
	if w.Empty() {
		return nil, func() {}
	}
	ticker := time.NewTicker(w.every)
	return ticker.C, ticker.Stop
}

package database

import (
	"context"
	"sync"

	"github.com/novatech/securevault/server/engines/database/fault"
)

// turns lets one at a time work on what has a name. The zero value is ready.
type turns struct {
	mu     sync.Mutex
	byName map[string]*turn // those that somebody has or waits for
}

type turn struct {
	taken  chan struct{} // capacity 1; full while somebody has it
	wanted int           // by how many, who has it included
}

// take waits for the turn as long as ctx lasts. The caller must call done.
func (t *turns) take(ctx context.Context, name string) (done func(), err error) {
	mine := t.join(name)
	select {
	case mine.taken <- struct{}{}:
		return func() {
			<-mine.taken
			t.leave(name)
		}, nil
	case <-ctx.Done():
		t.leave(name)
		return nil, fault.New(fault.Later, "waiting for another request about %q: %s: try again", name, context.Cause(ctx))
	}
}

func (t *turns) join(name string) *turn {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byName == nil {
		t.byName = map[string]*turn{}
	}
	if t.byName[name] == nil {
		t.byName[name] = &turn{taken: make(chan struct{}, 1)}
	}
	t.byName[name].wanted++
	return t.byName[name]
}

// leave forgets a turn that nobody wants: clients choose the names.
func (t *turns) leave(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byName[name].wanted--; t.byName[name].wanted == 0 {
		delete(t.byName, name)
	}
}

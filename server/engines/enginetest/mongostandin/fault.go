package mongostandin

import (
	"context"
	"sync"
)

// faults are what a test wants to go wrong.
type faults struct {
	mu     sync.Mutex
	writes map[string]int   // command → how many of the next are not confirmed
	holds  map[string]*hold // command → what holds the next of them
}

// hold keeps an operation from taking effect.
type hold struct {
	lifted chan struct{}
	held   sync.WaitGroup // the operation, once it has come
}

// FailWriteConcern makes the next command of that name answer that no other member has
// confirmed it, whatever its effect.
func (s *Server) FailWriteConcern(command string) {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	if s.faults.writes == nil {
		s.faults.writes = map[string]int{}
	}
	s.faults.writes[command]++
}

// Hold makes the next command of that name wait until release is called, or
// until it is killed. Release returns when it has ended, if it has come.
func (s *Server) Hold(command string) (release func()) {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	if s.faults.holds == nil {
		s.faults.holds = map[string]*hold{}
	}
	next := &hold{lifted: make(chan struct{})}
	s.faults.holds[command] = next
	return sync.OnceFunc(func() {
		close(next.lifted)
		next.held.Wait()
	})
}

func (f *faults) unconfirmed(command string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.writes[command] == 0 {
		return false
	}
	f.writes[command]--
	return true
}

// wait holds an operation if a test wants that. The caller calls ended when it
// has answered.
func (f *faults) wait(ctx context.Context, o *operation) (ended func()) {
	f.mu.Lock()
	next := f.holds[o.name]
	delete(f.holds, o.name)
	if next != nil {
		next.held.Add(1)
	}
	f.mu.Unlock()
	if next == nil {
		return func() {}
	}
	select {
	case <-next.lifted:
	case <-o.killed:
	case <-ctx.Done():
	}
	return next.held.Done
}

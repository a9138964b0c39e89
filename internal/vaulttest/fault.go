package vaulttest

import (
	"context"
	"slices"
	"time"
)

// Fault is something that goes wrong with the requests it matches. Without a
// Status, Hang, Drop or DropAfter the request is only slowed down by Latency.
type Fault struct {
	Op   Op     // "" for any
	Path string // path or pattern; the lease id for a renewal or a revocation; "" for any
	// Match decides instead of Op and Path, when set.
	Match func(op Op, path string) bool

	Latency   time.Duration // before anything else
	Hang      bool          // no answer until the client gives up
	Drop      bool          // the connection ends before the request is looked at
	DropAfter bool          // the request is carried out, then the answer is lost
	Status    int           // of the answer, instead of carrying out the request
	Messages  []string      // of that answer

	Times int           // requests to spoil; 0 for every one
	For   time.Duration // how long, from when it is added; 0 until it is removed

	until time.Time // zero without For
}

// Inject adds a fault and returns what removes it. Of the faults that match a
// request, the one added last wins.
func (s *Server) Inject(f Fault) (remove func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.For > 0 {
		f.until = time.Now().Add(f.For)
	}
	s.faults = append(s.faults, &f)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.removeFault(&f)
	}
}

func (s *Server) removeFault(f *Fault) {
	s.faults = slices.DeleteFunc(s.faults, func(other *Fault) bool { return other == f })
}

// takeFault returns the fault of a request, nil for none, and counts it.
func (s *Server) takeFault(r request) *Fault {
	for _, f := range slices.Backward(s.faults) {
		if !f.matches(r) || (!f.until.IsZero() && !time.Now().Before(f.until)) {
			continue
		}
		taken := *f
		if f.Times == 1 {
			s.removeFault(f)
		} else if f.Times > 1 {
			f.Times--
		}
		return &taken
	}
	return nil
}

func (f *Fault) matches(r request) bool {
	if f.Match != nil {
		return f.Match(r.op, r.target)
	}
	return (f.Op == "" || f.Op == r.op) && (f.Path == "" || matches(f.Path, r.target))
}

// hold waits as long as the fault says, and reports whether the connection
// is still there afterwards.
func (f *Fault) hold(ctx context.Context) bool {
	if f.Latency > 0 {
		timer := time.NewTimer(f.Latency)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return false
		}
	}
	if f.Hang {
		<-ctx.Done()
		return false
	}
	return !f.Drop
}

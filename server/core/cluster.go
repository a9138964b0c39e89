package core

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/novatech/securevault/server/core/seal"
	"github.com/novatech/securevault/server/store"
)

const (
	// electionPause is between two attempts to be elected that fail.
	electionPause = time.Second
	// stepDownPause is for how long a server that stepped down lets others go
	// first.
	stepDownPause = 10 * time.Second
	// initPatience is how long initializing waits for the others to let it.
	initPatience = 10 * time.Second
	// leaderAge is for how long it is taken for granted who is active.
	leaderAge = 500 * time.Millisecond
	// partingTime is how long the requests of a server that is not active any
	// more may take to notice.
	partingTime = 15 * time.Second
)

// Cluster says how a server stands among others that share its store.
type Cluster struct {
	Elector     store.Elector // nil: it is alone
	APIAddr     string        // URL at which clients and other nodes reach it
	ClusterAddr string        // shown to clients, not used
}

// cluster is the part of a Server that knows of others.
type cluster struct {
	Cluster
	resting time.Time // guarded by Server.turning; not a candidate before

	mu     sync.Mutex
	leader store.Node // guarded by mu; as of asked
	asked  time.Time  // guarded by mu
}

// node is what this server tells others of itself.
func (s *Server) node() store.Node {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return store.Node{APIAddr: s.cluster.APIAddr, ClusterAddr: s.cluster.ClusterAddr, Hostname: host, Version: s.config.Version}
}

// Standby reports whether the server is unsealed and another one is active, or
// none yet. It answers nothing then but what it is.
func (s *Server) Standby() bool { return s.waiting.Load() }

// Leader returns the active server, or nothing while there is none.
func (s *Server) Leader(ctx context.Context) (store.Node, error) {
	if s.cluster.Elector == nil {
		return store.Node{}, nil
	}
	s.cluster.mu.Lock()
	defer s.cluster.mu.Unlock()
	if time.Since(s.cluster.asked) < leaderAge {
		return s.cluster.leader, nil
	}
	nodes, err := s.cluster.Elector.Nodes(ctx)
	if err != nil {
		return store.Node{}, err
	}
	s.cluster.leader, s.cluster.asked = store.Node{}, time.Now()
	if len(nodes) > 0 && nodes[0].Active {
		s.cluster.leader = nodes[0]
	}
	return s.cluster.leader, nil
}

// Nodes implements system.Cluster.
func (s *Server) Nodes(ctx context.Context) ([]store.Node, error) {
	if s.cluster.Elector != nil {
		return s.cluster.Elector.Nodes(ctx)
	}
	self := s.node()
	self.Active, self.Seen = true, time.Now()
	return []store.Node{self}, nil
}

// StepDown implements system.Cluster: it lets another server be active. It
// returns at once; Run lets the requests under way end first.
func (s *Server) StepDown() error {
	if s.cluster.Elector == nil {
		return fmt.Errorf("%w: this server is alone, nobody could take over", seal.ErrInvalid)
	}
	return s.leave(true)
}

// campaign waits until this server is active and opens a core then. What goes
// wrong is logged and tried again by the caller.
func (s *Server) campaign(ctx context.Context) {
	s.turning.Lock()
	pause := time.Until(s.cluster.resting)
	s.turning.Unlock()
	if !sleep(ctx, pause) {
		return
	}
	term, err := s.cluster.Elector.Elect(ctx, s.node())
	if err == nil {
		err = s.takeOver(ctx, term)
	}
	if err != nil && ctx.Err() == nil {
		s.logger.Error("becoming active; it will be tried again", "retry_in", electionPause, "error", err)
		sleep(ctx, electionPause)
	}
}

// sleep returns false if ctx ends before the time is over.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// takeOver opens a core for a new term.
func (s *Server) takeOver(ctx context.Context, term store.Term) error {
	s.turning.Lock()
	defer s.turning.Unlock()
	err := s.seal.Reopen(ctx)
	if errors.Is(err, seal.ErrDamaged) || errors.Is(err, seal.ErrSealed) {
		s.waiting.Store(false) // it is sealed now
		s.config.Metrics.SetGauges(nil)
	}
	if err == nil {
		err = s.activate(ctx, term)
	}
	if err != nil {
		return resign(ctx, term, err)
	}
	return nil
}

// electNow makes this server active in order to initialize the store; nil if it
// is alone, or if that has been done.
func (s *Server) electNow(ctx context.Context) (store.Term, error) {
	if s.cluster.Elector == nil {
		return nil, nil
	}
	if status, err := s.seal.Status(ctx); err != nil || status.Initialized {
		return nil, err
	}
	patient, cancel := context.WithTimeout(ctx, initPatience)
	defer cancel()
	term, err := s.cluster.Elector.Elect(patient, s.node())
	if err != nil && patient.Err() != nil && ctx.Err() == nil { // a slow store has deadlines of its own
		return nil, fmt.Errorf("%w: another server is active on this storage: unseal this one with its keys", seal.ErrInvalid)
	}
	return term, err
}

// depose ends a service whose server is not active any more. Nothing it still
// does has an effect. It returns false if the service had been dismissed.
func (s *Server) depose(current *service) bool {
	s.turning.Lock()
	dismissed := s.closing == current
	if !dismissed {
		s.active.CompareAndSwap(current, nil)
		s.waiting.Store(true)
	}
	s.turning.Unlock()
	drained := make(chan struct{})
	go func() {
		current.drain()
		close(drained)
	}()
	select {
	case <-drained:
	case <-time.After(partingTime):
		s.logger.Warn("requests are still under way; what they write is refused")
	}
	return !dismissed
}

package core

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/logical"
	"golang.org/x/sync/errgroup"

	"github.com/novatech/securevault/server/core/seal"
	"github.com/novatech/securevault/server/store"
)

const (
	// checkpointPeriod is how much of the ledger a crash may lose.
	checkpointPeriod = time.Minute
	// unsealRetry is how long to wait before a seal that unseals by itself is
	// tried again.
	unsealRetry = 5 * time.Second
)

// Server is a Core behind its seal: it has one from unsealing to sealing, and
// nothing of what the store holds is in memory before or after. Among several
// servers on one store (cluster.go) it has one from its election to the end of
// its term; unsealed, but not elected, it stands by.
//
// A Server is made by NewServer, unsealed in Open, or Init, if its seal does that
// by itself, else by Unseal; Run works in time and carries out Seal, and
// Close shuts it. Its methods are safe for concurrent use.
type Server struct {
	config Config
	logger hclog.Logger
	seal   *seal.Seal
	turned chan struct{} // level-triggered: active or waiting has changed

	active  atomic.Pointer[service] // nil while sealed or standing by
	waiting atomic.Bool             // standing by: unsealed, and to be elected by Run
	byHand  atomic.Bool             // sealed by somebody: it stays so until somebody unseals it

	cluster cluster

	turning sync.Mutex // held by those who open or close a service
	closing *service   // guarded by turning; on its way out, for Run to end it
}

// service is one core, from unsealing or election to sealing or defeat.
type service struct {
	core   *Core
	since  time.Time
	tenure *tenure // nil: the server is alone

	leaving  chan struct{}                   // closed when the core has to go
	standsBy bool                            // written before leaving is closed; the seal stays open
	last     func(ctx context.Context) error // the same; to do when the seal is closed, nil for nothing
	done     chan error                      // takes what last returned

	requests sync.RWMutex // read-held by requests, written to drain them
	closed   bool         // guarded by requests
}

// NewServer wires a server whose store is guarded by s; it reads and starts
// nothing. The Store of config is not used.
func NewServer(config Config, s *seal.Seal) *Server {
	server := &Server{config: config, logger: config.Logger.Named("seal"), seal: s, turned: make(chan struct{}, 1)}
	server.config.Store, server.config.Seal, server.config.Nodes = s.Barrier(), server, server
	server.cluster.Cluster = config.Cluster
	return server
}

// Open unseals the server if its seal does that by itself. A seal that cannot
// be reached is tried again by Run.
func (s *Server) Open(ctx context.Context) error {
	err := s.unsealBySelf(ctx)
	switch {
	case errors.Is(err, seal.ErrNotInitialized):
		s.logger.Info("the server is not initialized; run operator init")
	case errors.Is(err, seal.ErrInvalid), errors.Is(err, seal.ErrDamaged):
		return err
	case err != nil:
		s.logger.Error("the seal will be tried again", "retry_in", unsealRetry, "error", err)
	}
	return nil
}

// unsealBySelf opens the server if its seal needs no shares.
func (s *Server) unsealBySelf(ctx context.Context) error {
	s.turning.Lock()
	defer s.turning.Unlock()
	if s.closing != nil {
		return nil
	}
	status, err := s.seal.Status(ctx)
	if err != nil || !status.Recovery {
		return err
	}
	if err := s.seal.AutoUnseal(ctx); err != nil {
		return err
	}
	return s.start(ctx)
}

// start begins to serve the unsealed store, or to stand by where there are
// several servers. The caller holds s.turning.
func (s *Server) start(ctx context.Context) error {
	if s.active.Load() != nil || s.waiting.Load() {
		return nil
	}
	if s.cluster.Elector != nil {
		s.byHand.Store(false)
		s.waiting.Store(true)
		s.turn()
		s.logger.Info("unsealed, standing by")
		return nil
	}
	if err := s.activate(ctx, nil); err != nil {
		s.seal.Seal()
		return err
	}
	return nil
}

// activate opens a core on the unsealed store, for a term if there are several
// servers. The caller holds s.turning.
func (s *Server) activate(ctx context.Context, term store.Term) error {
	current, err := s.newService(ctx, term)
	if err != nil {
		return err
	}
	s.publish(current)
	return nil
}

// newService opens a core that no request reaches yet.
func (s *Server) newService(ctx context.Context, term store.Term) (*service, error) {
	ctx = context.WithoutCancel(ctx) // whoever gave the last share may hang up
	current := &service{since: time.Now(), leaving: make(chan struct{}), done: make(chan error, 1)}
	config := s.config
	if term != nil {
		current.tenure = &tenure{store: s.seal.Barrier(), term: term}
		config.Store, config.tenure = current.tenure, current.tenure
	}
	current.core = New(config)
	if err := current.core.Open(ctx); err != nil {
		current.core.Close(ctx)
		return nil, fmt.Errorf("opening the core: %w", err)
	}
	return current, nil
}

// publish lets requests reach a service. The caller holds s.turning.
func (s *Server) publish(current *service) {
	s.byHand.Store(false)
	s.active.Store(current)
	s.waiting.Store(false)
	s.turn()
	s.logger.Info("unsealed and active")
}

func (s *Server) turn() {
	select {
	case s.turned <- struct{}{}:
	default:
	}
}

// Initial is what opens a new store. None of it is kept.
type Initial struct {
	Shares    [][]byte // of the unseal key, or of the recovery key
	RootToken string
}

// Init makes the keys of a new store and a root token, whose id is root, or made
// up if that is empty. A server whose seal opens by itself is unsealed then; any
// other is sealed, until the shares have been handed in.
func (s *Server) Init(ctx context.Context, split seal.Split, root string) (Initial, error) {
	s.turning.Lock()
	defer s.turning.Unlock()
	term, err := s.electNow(ctx)
	if err != nil {
		return Initial{}, err
	}
	shares, err := s.seal.Init(ctx, split)
	if err != nil {
		return Initial{}, resign(ctx, term, err)
	}
	current, err := s.newService(ctx, term)
	if err != nil {
		s.seal.Seal()
		return Initial{}, resign(ctx, term, err)
	}
	ctx = context.WithoutCancel(ctx) // the keys are made: they are worth nothing without the rest
	token, err := current.core.CreateRootToken(ctx, root)
	if err != nil {
		s.forget(ctx, current, false)
		return Initial{}, fmt.Errorf("creating the root token: %w", err)
	}
	if status, err := s.seal.Status(ctx); err == nil && status.Recovery {
		s.publish(current)
	} else {
		s.forget(ctx, current, false)
		s.logger.Info("initialized, and sealed")
	}
	return Initial{Shares: shares, RootToken: token}, nil
}

// resign ends a term, if there is one, that came to nothing because of err.
func resign(ctx context.Context, term store.Term, err error) error {
	if term == nil {
		return err
	}
	return errors.Join(err, term.Resign(context.WithoutCancel(ctx)))
}

// Unseal takes one share of the unseal key; with the last one needed the
// server starts, or stands by.
func (s *Server) Unseal(ctx context.Context, share []byte) error {
	s.turning.Lock()
	defer s.turning.Unlock()
	if s.closing != nil {
		return fmt.Errorf("%w: it is still finishing requests; try again in a moment", seal.ErrSealed)
	}
	opened, err := s.seal.Unseal(ctx, share)
	if err != nil || !opened {
		return err
	}
	return s.start(ctx)
}

// Seal refuses requests from now on and returns; Run lets those under way end,
// closes the core and forgets the keys.
func (s *Server) Seal() error { return s.leave(false) }

// leave ends the service, to stand by or to be sealed.
func (s *Server) leave(standBy bool) error {
	s.turning.Lock()
	defer s.turning.Unlock()
	_, err := s.dismiss(standBy, nil)
	return err
}

// dismiss tells Run to end the service, and what to do last. The caller holds
// s.turning.
func (s *Server) dismiss(standBy bool, last func(context.Context) error) (*service, error) {
	current := s.active.Swap(nil)
	switch {
	case current == nil && s.waiting.Load():
		return nil, store.ErrNotActive
	case current == nil:
		return nil, seal.ErrSealed
	}
	current.standsBy, current.last = standBy, last
	s.waiting.Store(standBy)
	s.byHand.Store(!standBy)
	s.closing = current
	close(current.leaving)
	s.turn()
	return current, nil
}

// Keys returns what the holders of key shares decide on.
func (s *Server) Keys() *seal.Seal { return s.seal }

// Rotate implements system.Seal.
func (s *Server) Rotate(ctx context.Context) error { return s.seal.Rotate(ctx) }

// KeyStatus implements system.Seal.
func (s *Server) KeyStatus() (seal.KeyStatus, error) { return s.seal.KeyStatus() }

// NewRootToken makes a root token.
func (s *Server) NewRootToken(ctx context.Context) (string, error) {
	c, err := s.Core()
	if err != nil {
		return "", err
	}
	return c.CreateRootToken(ctx, "")
}

// Core returns the core of an unsealed server.
func (s *Server) Core() (*Core, error) {
	current := s.active.Load()
	switch {
	case current != nil:
		return current.core, nil
	case s.waiting.Load():
		return nil, store.ErrNotActive
	}
	return nil, seal.ErrSealed
}

// Handle answers one request, as Core.Handle does, while the server is
// unsealed.
func (s *Server) Handle(ctx context.Context, req *logical.Request) (*logical.Response, error) {
	current := s.active.Load()
	if current == nil {
		return nil, s.idleError()
	}
	current.requests.RLock()
	defer current.requests.RUnlock()
	if current.closed || !current.tenure.holds() {
		return nil, s.idleError()
	}
	return current.core.Handle(ctx, req)
}

// idleError tells why there is no core to answer.
func (s *Server) idleError() error {
	if s.cluster.Elector != nil && (s.waiting.Load() || s.active.Load() != nil) {
		return fmt.Errorf("%w; try again in a moment", store.ErrNotActive)
	}
	return sealedError()
}

// sealedError is what every request to a sealed server is answered with.
func sealedError() error {
	return logical.CodedError(http.StatusServiceUnavailable, "the server is sealed; run operator unseal, or operator init if it is new")
}

// AllowOrigin answers as Core.AllowOrigin does; a sealed server allows none.
func (s *Server) AllowOrigin(origin string) (headers []string, ok bool) {
	c, err := s.Core()
	if err != nil {
		return nil, false
	}
	return c.AllowOrigin(origin)
}

// Status describes the server to everybody.
func (s *Server) Status() Status {
	status := Status{Version: s.config.Version, ClusterName: s.config.Name, StoreType: s.config.StoreType}
	if c, err := s.Core(); err == nil {
		status = c.Status()
	}
	guard, err := s.seal.Status(context.Background())
	if err != nil {
		s.logger.Error("reading the seal's status", "error", err)
		guard.Initialized = true // nothing may be initialized over what cannot be read
	}
	current, standby := s.active.Load(), s.waiting.Load()
	status.Seal, status.Initialized, status.Sealed = guard, guard.Initialized, current == nil && !standby
	status.Standby, status.Shared = standby, s.cluster.Elector != nil
	if current != nil {
		status.ActiveSince = current.since
	}
	return status
}

// Run keeps time while the server is unsealed, and seals it when told to, until
// ctx ends.
func (s *Server) Run(ctx context.Context) error {
	retry := time.NewTicker(unsealRetry)
	defer retry.Stop()
	for {
		if current := s.current(); current != nil {
			if err := s.serve(ctx, current); err != nil {
				return err
			}
		}
		if s.waiting.Load() && ctx.Err() == nil {
			s.config.Metrics.SetGauges(standbyGauges)
			s.campaign(ctx)
			continue
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.turned:
		case <-retry.C:
			s.retryUnseal(ctx)
		}
	}
}

// current returns the service there is, even if it is on its way out.
func (s *Server) current() *service {
	s.turning.Lock()
	defer s.turning.Unlock()
	if s.closing != nil {
		return s.closing
	}
	return s.active.Load()
}

// retryUnseal tries a seal that unseals by itself again, unless somebody has
// sealed the server.
func (s *Server) retryUnseal(ctx context.Context) {
	if s.byHand.Load() {
		return
	}
	if err := s.unsealBySelf(ctx); err != nil && !errors.Is(err, seal.ErrNotInitialized) {
		s.logger.Error("the seal will be tried again", "retry_in", unsealRetry, "error", err)
	}
}

// serve runs a service until it is dismissed or its term ends; it returns an
// error if anything else ends it.
func (s *Server) serve(ctx context.Context, current *service) error {
	running, stop := context.WithCancel(ctx)
	defer stop()
	group, running := errgroup.WithContext(running)
	group.Go(func() error { return current.core.Run(running) })
	group.Go(func() error { return s.keepLedger(running) })
	deposed := false
	select {
	case <-current.leaving:
		current.drain()
	case <-current.lost():
		deposed = s.depose(current)
	case <-running.Done():
		if current.tenure == nil || ctx.Err() != nil {
			return group.Wait()
		}
		deposed = s.depose(current) // another server may do better
	}
	stop()
	if err := group.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		s.logger.Error("stopping the core", "error", err)
	}
	s.part(context.WithoutCancel(ctx), current, deposed)
	return nil
}

// lost is closed when the term ends; a server that is alone has none.
func (v *service) lost() <-chan struct{} {
	if v.tenure == nil {
		return nil
	}
	return v.tenure.term.Lost()
}

// drain waits for the requests under way; those that come later are refused.
func (v *service) drain() {
	v.requests.Lock()
	defer v.requests.Unlock()
	v.closed = true
}

// part closes a service that serves no more, and makes way for the next.
func (s *Server) part(ctx context.Context, current *service, deposed bool) {
	s.forget(ctx, current, current.standsBy || deposed)
	s.turning.Lock()
	defer s.turning.Unlock()
	if s.closing == current {
		s.closing = nil
	}
	switch {
	case deposed:
		s.logger.Warn("not active any more, standing by: another server is, or the storage could not be reached")
	case current.standsBy:
		s.cluster.resting = time.Now().Add(stepDownPause)
		s.logger.Info("stepped down, standing by")
	default:
		s.logger.Info("sealed")
	}
}

// forget closes the core, drops the keys unless they are still needed, and ends
// the term.
func (s *Server) forget(ctx context.Context, current *service, keepKeys bool) {
	current.core.Close(ctx)
	if current.tenure.holds() {
		if err := s.seal.Barrier().Checkpoint(ctx); err != nil {
			s.logger.Error("keeping the ledger", "error", err)
		}
	}
	if !keepKeys {
		s.seal.Seal()
	}
	if current.last != nil {
		current.done <- current.last(ctx)
	}
	if current.tenure == nil {
		return
	}
	current.tenure.end()
	if err := current.tenure.term.Resign(ctx); err != nil {
		s.logger.Warn("ending the term; it will run out", "error", err)
	}
}

// keepLedger makes the checkpoints of the store's ledger until ctx ends.
func (s *Server) keepLedger(ctx context.Context) error {
	ticker := time.NewTicker(checkpointPeriod)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
		barrier := s.seal.Barrier()
		err := barrier.Survey(ctx, func(damage error) { s.logger.Error("surveying the store", "error", damage) })
		if err == nil {
			err = barrier.Checkpoint(ctx)
		}
		if err != nil && ctx.Err() == nil {
			s.logger.Error("keeping the ledger; it will be tried again", "error", err)
		}
	}
}

// Close releases what the engines hold and forgets the keys. Run must have
// ended.
func (s *Server) Close(ctx context.Context) {
	s.turning.Lock()
	defer s.turning.Unlock()
	current := s.active.Swap(nil)
	if s.closing != nil {
		current = s.closing
	}
	if current != nil {
		current.drain()
		s.forget(ctx, current, false)
	}
}

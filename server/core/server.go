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
)

const (
	// checkpointPeriod is how much of the ledger a crash may lose.
	checkpointPeriod = time.Minute
	// unsealRetry is how long to wait before a seal that unseals by itself is
	// tried again.
	unsealRetry = 5 * time.Second
)

// Server is a Core behind its seal: it has one from unsealing to sealing, and
// nothing of what the store holds is in memory before or after.
//
// A Server is made by NewServer, unsealed in Open if its seal does that by
// itself, else by Init or Unseal; Run works in time and carries out Seal, and
// Close shuts it. Its methods are safe for concurrent use.
type Server struct {
	config Config
	logger hclog.Logger
	seal   *seal.Seal
	turned chan struct{} // level-triggered: active has changed

	active atomic.Pointer[service] // nil while sealed
	byHand atomic.Bool             // sealed by somebody: it stays so until somebody unseals it

	turning sync.Mutex // held by those who open or close a service
	closing *service   // guarded by turning; on its way out, for Run to end it
}

// service is one core, from unsealing to sealing.
type service struct {
	core   *Core
	sealed chan struct{} // closed when the core has to go

	requests sync.RWMutex // read-held by requests, written to drain them
	closed   bool         // guarded by requests
}

// NewServer wires a server whose store is guarded by s; it reads and starts
// nothing. The Store of config is not used.
func NewServer(config Config, s *seal.Seal) *Server {
	server := &Server{config: config, logger: config.Logger.Named("seal"), seal: s, turned: make(chan struct{}, 1)}
	server.config.Store, server.config.Seal = s.Barrier(), server
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

// start opens a core on the unsealed store. The caller holds s.turning.
func (s *Server) start(ctx context.Context) error {
	if s.active.Load() != nil {
		return nil
	}
	ctx = context.WithoutCancel(ctx) // whoever gave the last share may hang up
	c := New(s.config)
	if err := c.Open(ctx); err != nil {
		c.Close(ctx)
		s.seal.Seal()
		return fmt.Errorf("opening the core: %w", err)
	}
	s.byHand.Store(false)
	s.active.Store(&service{core: c, sealed: make(chan struct{})})
	s.turn()
	s.logger.Info("unsealed")
	return nil
}

func (s *Server) turn() {
	select {
	case s.turned <- struct{}{}:
	default:
	}
}

// Init makes the keys of a new store and unseals the server. It returns the
// shares of the unseal key, or of the recovery key; they are not kept.
func (s *Server) Init(ctx context.Context, split seal.Split) ([][]byte, error) {
	s.turning.Lock()
	defer s.turning.Unlock()
	shares, err := s.seal.Init(ctx, split)
	if err != nil {
		return nil, err
	}
	return shares, s.start(ctx)
}

// Unseal takes one share of the unseal key; with the last one needed the
// server starts.
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
func (s *Server) Seal() error {
	s.turning.Lock()
	defer s.turning.Unlock()
	current := s.active.Swap(nil)
	if current == nil {
		return seal.ErrSealed
	}
	s.byHand.Store(true)
	s.closing = current
	close(current.sealed)
	s.turn()
	return nil
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
	if current == nil {
		return nil, seal.ErrSealed
	}
	return current.core, nil
}

// Handle answers one request, as Core.Handle does, while the server is
// unsealed.
func (s *Server) Handle(ctx context.Context, req *logical.Request) (*logical.Response, error) {
	current := s.active.Load()
	if current == nil {
		return nil, sealedError()
	}
	current.requests.RLock()
	defer current.requests.RUnlock()
	if current.closed {
		return nil, sealedError()
	}
	return current.core.Handle(ctx, req)
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
	status := Status{Version: s.config.Version, StoreType: s.config.StoreType}
	if c, err := s.Core(); err == nil {
		status = c.Status()
	}
	guard, err := s.seal.Status(context.Background())
	if err != nil {
		s.logger.Error("reading the seal's status", "error", err)
		guard.Initialized = true // nothing may be initialized over what cannot be read
	}
	status.Seal, status.Initialized, status.Sealed = guard, guard.Initialized, s.active.Load() == nil
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

// serve runs a service until it is sealed; it returns an error if anything else
// ends it.
func (s *Server) serve(ctx context.Context, current *service) error {
	running, stop := context.WithCancel(ctx)
	defer stop()
	group, running := errgroup.WithContext(running)
	group.Go(func() error { return current.core.Run(running) })
	group.Go(func() error { return s.keepLedger(running) })
	select {
	case <-running.Done():
		return group.Wait()
	case <-current.sealed:
	}
	current.drain()
	stop()
	if err := group.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		s.logger.Error("stopping the core", "error", err)
	}
	s.forget(context.WithoutCancel(ctx), current)
	s.turning.Lock()
	defer s.turning.Unlock()
	s.closing = nil
	s.logger.Info("sealed")
	return nil
}

// drain waits for the requests under way; those that come later are refused.
func (v *service) drain() {
	v.requests.Lock()
	defer v.requests.Unlock()
	v.closed = true
}

// forget closes the core and drops the keys.
func (s *Server) forget(ctx context.Context, current *service) {
	current.core.Close(ctx)
	if err := s.seal.Barrier().Checkpoint(ctx); err != nil {
		s.logger.Error("keeping the ledger", "error", err)
	}
	s.seal.Seal()
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
		s.forget(ctx, current)
	}
}

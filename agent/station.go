package agent

import (
	"context"
	"errors"

	"go.uber.org/zap"

	"github.com/novatech/securevault/agent/auth"
	"github.com/novatech/securevault/agent/config"
	"github.com/novatech/securevault/agent/lease"
	"github.com/novatech/securevault/agent/state"
)

// station is the part of the agent that depends on the server and on the way
// to log in. A reload that changes these replaces it whole, see [Agent.move].
type station struct {
	clients clients
	origin  string // what its leases belong to, see [origin]
	keeper  *auth.Keeper
	leases  *lease.Manager // nil until the station is in use

	endKeeper, endLeases func()
}

// newStation returns a station without leases. Its keeper adopts the token of
// the journal, if there is one.
func newStation(file *config.File, opts Options, journal auth.Journal, after uint64) (*station, error) {
	clients, err := newClients(file, opts)
	if err != nil {
		return nil, failure{ExitConfig, err}
	}
	s := &station{clients: clients, origin: origin(file, clientConfig(file, opts))}
	s.keeper, err = newKeeper(file.AutoAuth, clients.auth, opts, journal, after)
	return s, err
}

// lease gives the station its leases: those of the journal, and those that are
// handed on to it.
func (s *station) lease(file *config.File, opts Options, held []state.Record) (err error) {
	cfg := lease.Config{
		Server: s.clients.templates, Log: opts.Log, Connections: file.TemplateConfig.MaxConnectionsPerHost,
		Held: held, Suspect: s.keeper.Suspect,
	}
	if opts.State != nil {
		cfg.Journal = opts.State
	}
	if !shares(file) {
		cfg.Released = s.keeper.Release
	}
	if s.leases, err = lease.New(cfg); err != nil {
		return failure{ExitInternal, err}
	}
	return nil
}

// revoke ends every lease and token of the station.
func (s *station) revoke(ctx context.Context) error {
	var err error
	if s.leases != nil {
		err = s.leases.Revoke(ctx)
	}
	if err != nil && s.keeper.Ended(ctx) {
		err = nil
	}
	return errors.Join(err, s.keeper.Revoke(ctx))
}

// errReplaced is why a stage is ended that another takes the place of.
var errReplaced = errors.New("the configuration was replaced")

// begin runs a stage until it fails, which ends the agent, or is ended by the
// function returned, which waits for that.
func (a *Agent) begin(ctx context.Context, run func(context.Context) error) (end func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	over := make(chan struct{})
	a.stages.Go(func() error {
		defer close(over)
		defer cancel(nil)
		err := run(ctx)
		if errors.Is(context.Cause(ctx), errReplaced) {
			return nil
		}
		return err
	})
	return func() {
		cancel(errReplaced)
		<-over
	}
}

// logIn has the keeper of a station get a token.
func (a *Agent) logIn(ctx context.Context, s *station) {
	s.endKeeper = a.begin(ctx, func(ctx context.Context) error { return authenticate(ctx, s.keeper) })
}

// abandonStation ends a station that was never in use, and its token unless
// that is the one in use.
func (a *Agent) abandonStation(s *station) {
	s.endKeeper()
	if token := s.keeper.Token(); token.Epoch > 0 && token.Value != a.keeper.Token().Value {
		a.end(s)
	}
}

// move puts a station that has a token in the place of the one in use. What
// that holds is handed on if it is of use to the new one, and else ended as
// soon as everything is rendered anew.
func (a *Agent) move(ctx context.Context, file *config.File, next *station) {
	before := a.station
	before.endLeases()
	before.endKeeper()
	waiting, cancel := context.WithTimeout(ctx, shutdownBound)
	defer cancel()
	held := before.leases.Held(waiting)
	switch {
	case next.origin != before.origin:
		held = nil
		a.former = append(a.former, before)
	case !config.Same(a.file.AutoAuth, file.AutoAuth):
		next.keeper.Inherit(before.keeper)
	}
	if a.opts.State != nil && next.origin != before.origin {
		a.reopenState(file)
	}
	err := next.lease(file, a.opts, held)
	if err != nil {
		a.log.Error("handing on the leases through the state failed; the agent goes on without it", zap.Error(err))
		a.opts.State = nil
		_ = next.lease(file, a.opts, held) // what fails is the state
	}
	if a.opts.State != nil {
		next.keeper.Keep(a.opts.State)
	}
	a.use(ctx, next)
	a.log.Info("the server or the way to log in was replaced", zap.Int("handed on", len(held)))
}

// reopenState has the state belong to the server of a configuration; what was
// held of another is set aside.
func (a *Agent) reopenState(file *config.File) {
	_ = a.opts.State.Close()
	opened, err := openState(file, clientConfig(file, a.opts), a.opts.Getenv, a.log)
	if err != nil {
		a.log.Error("opening the state failed; the agent goes on without it", zap.Error(err))
	}
	a.opts.State = opened
}

// Close ends the use of the state.
func (a *Agent) Close() {
	if a.opts.State != nil {
		_ = a.opts.State.Close()
	}
}

// use makes a station the one in use, and starts its leases.
func (a *Agent) use(ctx context.Context, s *station) {
	a.station = s
	a.holder.Store(s.keeper)
	a.leases.SetToken(a.keeper.Token())
	s.endLeases = a.begin(ctx, s.leases.Run)
	a.wanted, a.unordered = nil, true // nothing is asked of the new manager yet
}

// letGo ends what stations hold that are no longer in use.
func (a *Agent) letGo() {
	for _, s := range a.former {
		a.end(s)
	}
	a.former = nil
}

// end revokes what a station holds, in the background and in bounded time.
func (a *Agent) end(s *station) {
	a.stages.Go(func() error {
		ctx, cancel := context.WithTimeout(context.Background(), shutdownBound)
		defer cancel()
		if err := s.revoke(ctx); err != nil {
			a.log.Error("revoking what the old configuration has issued failed", zap.Error(err))
		}
		return nil
	})
}

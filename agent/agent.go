package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/novatech/securevault/agent/admin"
	"github.com/novatech/securevault/agent/auth"
	"github.com/novatech/securevault/agent/config"
	"github.com/novatech/securevault/agent/systemd"
	"github.com/novatech/securevault/internal/vault"
	"github.com/novatech/securevault/sink"
)

// shutdownBound is how long the agent takes at most to revoke what it holds.
const shutdownBound = 15 * time.Second

// Agent is a composed agent. Make one with [New]; it does nothing until
// [Agent.Run].
type Agent struct {
	*station // in use
	opts     Options
	log      *zap.Logger
	holder   atomic.Pointer[auth.Keeper] // that of the station, for other goroutines than the supply loop
	stages   *errgroup.Group
	former   []*station // that hold something until everything is rendered anew
	next     *successor // a configuration that waits for its token; nil for none

	outputs   []*output
	tokens    *tokens // the sinks of the token
	announcer *announcer
	redactor  *redactor        // of what hooks and checks print
	service   *systemd.Manager // the one that started the agent, or nobody
	*front
	started   time.Time
	endTokens func() // ends the stage of tokens
	pidFile   string
	file      *config.File      // the configuration in force
	reloads   chan *config.File // capacity one: the configuration to come

	child          *child // the app as a program of the agent's own; nil for none
	endChild       func()
	credentials    *sink.Credentials // nil for none
	endCredentials func()
	checks         chan *switching // groups whose checks are over
	checking       int             // groups whose checks are under way

	once         bool          // stop when everything is rendered and told
	deadline     time.Duration // of a run that is to end by itself; 0 for none
	revokeOnExit bool
	retries      int // failed requests for one secret before a daemon gives up; -1 for no end
	wanted       wantSet
	unordered    bool   // wanted may be out of date
	ready        bool   // everything that this configuration asks for is rendered and told
	settled      bool   // that was the case at least once
	launched     bool   // the child was told to start
	settle       func() // called when ready becomes true
}

// errDone ends a run that is to end by itself.
var errDone = errors.New("everything is rendered")

// Run runs the stages until ctx ends, or until everything is rendered in a
// run that is to end by itself, or until a stage fails for good. Then it
// revokes what it holds, unless it was told to keep it or has handed it on.
func (a *Agent) Run(ctx context.Context) error {
	if err := a.prepare(); err != nil {
		return err
	}
	defer a.removePIDFile()
	if err := a.listen(); err != nil {
		return err
	}
	alive, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	if a.deadline > 0 {
		timer := time.AfterFunc(a.deadline, func() { stop(errOverdue) })
		defer timer.Stop()
	}
	var running context.Context
	a.stages, running = errgroup.WithContext(alive)
	a.logIn(running, a.station)
	a.use(running, a.station)
	a.endTokens = a.begin(running, a.tokens.Run)
	a.answer(running, a.front)
	a.beginApp(running)
	a.begin(running, a.announcer.Run)
	a.begin(running, a.supply)
	a.begin(running, func(ctx context.Context) error { return a.service.Watch(ctx, a.untold) })
	err := a.verdict(ctx, a.stages.Wait())
	a.untold(a.service.Stopping())
	if a.keeps(ctx, err) {
		return err
	}
	return errors.Join(err, a.revoke(ctx))
}

// errOverdue is the cause when a run that is to end by itself did not.
var errOverdue = errors.New("the time is up")

// verdict turns the error that ended the stages into that of the run.
func (a *Agent) verdict(ctx context.Context, err error) error {
	if a.child != nil {
		if code, ok := ended(a.child.err); ok && code != 0 {
			return failure{code, a.child.err}
		} else if ok {
			return nil
		}
	}
	switch {
	case ctx.Err() != nil, errors.Is(err, errDone), errors.Is(err, admin.ErrQuit):
		return nil //nolint:nilerr // it ended as asked
	case errors.Is(err, errOverdue):
		return fmt.Errorf("%w after %s: %w", errOverdue, a.deadline, a.obstacle())
	default:
		return err
	}
}

// keeps reports whether the leases and the token outlive the run: those of a
// daemon if its next start takes over, whatever ended it, such as an app that
// crashed; those of a one-shot run that succeeded belong to the app now.
func (a *Agent) keeps(ctx context.Context, err error) bool {
	if a.once {
		return err == nil && (!a.revokeOnExit || ctx.Err() == nil)
	}
	return !a.revokeOnExit
}

// revoke ends every lease and token that the agent holds, in bounded time.
func (a *Agent) revoke(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), shutdownBound, errors.New("the time for shutdown is up"))
	defer cancel()
	var errs []error
	for _, s := range append(a.former, a.station) {
		errs = append(errs, s.revoke(ctx))
	}
	if a.next != nil {
		errs = append(errs, a.next.station.keeper.Revoke(ctx))
	}
	if err := errors.Join(errs...); err != nil {
		return failure{ExitLeftover, err}
	}
	a.log.Info("stopped", zap.Int("revoked", a.leases.Stats().Revoked))
	return nil
}

// prepare finds what would keep the agent from doing its work before anything
// is issued, and clears away what a killed run left.
func (a *Agent) prepare() error {
	files := a.files()
	if err := checkDestinations(a.tokens.files(), a.outputs); err != nil {
		return failure{ExitSink, err}
	}
	if err := checkApp(a.file, a.child, a.credentials); err != nil {
		return err
	}
	sink.Sweep(time.Now(), files...)
	return a.writePIDFile()
}

func (a *Agent) writePIDFile() error {
	if a.pidFile == "" {
		return nil
	}
	if _, err := (sink.File{Path: a.pidFile}).Write([]byte(strconv.Itoa(os.Getpid()) + "\n")); err != nil {
		return failure{ExitSink, fmt.Errorf("writing the pid file: %w", err)}
	}
	return nil
}

// checkDestinations returns what would keep any of the files from being
// written.
func checkDestinations(tokens []sink.File, outputs []*output) error {
	var errs []error
	for _, file := range tokens {
		errs = append(errs, file.Check())
	}
	for _, o := range outputs {
		errs = append(errs, o.place.Check())
	}
	return errors.Join(errs...)
}

func (a *Agent) files() []sink.File {
	files := a.tokens.files()
	for _, o := range a.outputs {
		if file, ok := o.place.(single); ok {
			files = append(files, file.file)
		}
	}
	return files
}

func (a *Agent) removePIDFile() {
	if a.pidFile != "" {
		_ = os.Remove(a.pidFile)
	}
}

// authenticate keeps the token; a login that fails for good ends the run.
func authenticate(ctx context.Context, keeper *auth.Keeper) error {
	err := keeper.Run(ctx)
	if ctx.Err() != nil {
		return err
	}
	return classed(ExitAuth, err)
}

// supply moves what is new from stage to stage, until ctx ends.
func (a *Agent) supply(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	defer a.abandon()
	for {
		retryAt := a.pass(ctx, time.Now())
		if err := a.progress(); err != nil {
			return err
		}
		timer.Reset(untilRetry(retryAt))
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-a.keeper.Changed():
			a.leases.SetToken(a.keeper.Token())
			a.tokens.Set(a.keeper.Token())
		case <-a.tokens.Changed():
		case file := <-a.reload():
			a.reconfigure(ctx, file)
		case <-a.nextChanged():
			a.advance(ctx)
		case s := <-a.checks:
			a.conclude(s, time.Now())
		case <-a.service.Pulse():
		case <-a.leases.Changed():
		case done := <-a.announcer.Told():
			a.learn(done, time.Now())
		case question := <-a.view.asked():
			question()
		case <-timer.C:
		}
	}
}

// reload returns the configuration to come, but not while new content is being
// checked for what it may replace.
func (a *Agent) reload() <-chan *config.File {
	if a.checking > 0 {
		return nil
	}
	return a.reloads
}

// untilRetry returns how long to wait for the next retry; zero means none.
func untilRetry(at time.Time) time.Duration {
	if at.IsZero() {
		return time.Hour
	}
	return max(time.Until(at), 0)
}

// progress decides whether the run goes on: nil, errDone, or the failure that
// ends it.
func (a *Agent) progress() error {
	if err := a.hopeless(); err != nil {
		return err
	}
	if a.ready || !a.complete() {
		return nil
	}
	if a.child != nil && !a.launched {
		a.launched = true
		a.announcer.Tell(a.launch())
		return nil
	}
	a.ready, a.settled = true, true
	a.leases.Settle()
	a.letGo()
	a.log.Info("everything is rendered", zap.Int("templates", len(a.outputs)))
	a.untold(a.service.Ready(fmt.Sprintf("%d secrets in %d files", len(a.wanted), len(a.outputs))))
	if a.once {
		return errDone
	}
	a.settle()
	return nil
}

// untold logs that the service manager could not be told something.
func (a *Agent) untold(err error) {
	if err != nil {
		a.log.Warn("telling the service manager failed", zap.Error(err))
	}
}

// complete reports whether all outputs are published and told of.
func (a *Agent) complete() bool {
	if a.keeper.Token().Epoch == 0 || !a.tokens.Written() {
		return false
	}
	for _, o := range a.outputs {
		if !o.published {
			return false
		}
	}
	return a.announcer.Idle()
}

// hopeless returns what ends the run: in a run that is to end by itself
// anything that waiting does not mend, in a daemon only what the
// configuration says.
func (a *Agent) hopeless() error {
	if err := a.keeper.Err(); a.once && err != nil && a.keeper.Token().Epoch == 0 && !passing(err) {
		return failure{ExitAuth, err}
	}
	if err := a.tokens.Err(); a.once && err != nil && !passing(err) {
		return classed(ExitSink, err)
	}
	snapshot := a.leases.Snapshot()
	for _, o := range a.outputs {
		if o.err != nil && (a.once || o.fatal) {
			return o.err
		}
		if !a.once && a.retries < 0 {
			continue // nothing that a secret does ends this run
		}
		for _, w := range o.wants {
			item := snapshot.Item(w)
			final := a.once && item.Secret == nil && !passing(item.Err)
			exhausted := a.retries >= 0 && item.Failures > a.retries
			if item.Err != nil && (final || exhausted) {
				return classed(ExitSecret, fmt.Errorf("%s: %w", o.template.Name(), item.Err))
			}
		}
	}
	return nil
}

// passing reports whether an error of the server may go away by itself.
func passing(err error) bool {
	e, ok := errors.AsType[*vault.Error](err)
	return ok && (e.Kind == vault.Later || e.Kind == vault.Login)
}

// obstacle returns what a run that ran out of time was waiting for.
func (a *Agent) obstacle() error {
	if err := a.keeper.Err(); err != nil {
		return classed(ExitAuth, err)
	}
	if err := a.tokens.Err(); err != nil {
		return classed(ExitSink, err)
	}
	snapshot := a.leases.Snapshot()
	for _, o := range a.outputs {
		if o.err != nil {
			return o.err
		}
		for _, w := range o.wants {
			if err := snapshot.Item(w).Err; err != nil {
				return classed(ExitSecret, err)
			}
		}
	}
	if err := a.announcer.Err(); err != nil {
		return failure{ExitNotify, err}
	}
	return failure{ExitServer, errors.New("the server has not answered yet")}
}

package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/novatech/securevault/agent/admin"
	"github.com/novatech/securevault/agent/auth"
	"github.com/novatech/securevault/agent/config"
	"github.com/novatech/securevault/agent/lease"
	"github.com/novatech/securevault/agent/systemd"
	"github.com/novatech/securevault/internal/vault"
	"github.com/novatech/securevault/sink"
)

// shutdownBound is how long the agent takes at most to revoke what it holds.
const shutdownBound = 15 * time.Second

// Agent is a composed agent. Make one with [New]; it does nothing until
// [Agent.Run].
type Agent struct {
	log       *zap.Logger
	keeper    *auth.Keeper
	leases    *lease.Manager
	outputs   []*output
	tokens    []sink.File // that the token is written to
	announcer *announcer
	service   *systemd.Manager // the one that started the agent, or nobody
	admin     *admin.Server    // nil for nobody to answer to
	view      *view            // what admin sees; nil without it
	pidFile   string
	file      *config.File      // the configuration in force
	reloads   chan *config.File // capacity one: the configuration to come

	once          bool          // stop when everything is rendered and told
	deadline      time.Duration // of a run that is to end by itself; 0 for none
	revokeOnExit  bool
	retries       int // failed requests for one secret before a daemon gives up; -1 for no end
	wanted        wantSet
	tokensWritten uint64    // epoch of the token that the token sinks hold
	tokensRetryAt time.Time // when to write them again after a failure
	ready         bool      // everything was rendered and told at least once
	settle        func()    // called when ready becomes true
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
	stages, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	if a.deadline > 0 {
		timer := time.AfterFunc(a.deadline, func() { stop(errOverdue) })
		defer timer.Stop()
	}
	group, running := errgroup.WithContext(stages)
	group.Go(func() error { return a.authenticate(running) })
	group.Go(func() error { return a.leases.Run(running) })
	group.Go(func() error { return a.announcer.Run(running) })
	group.Go(func() error { return a.supply(running) })
	group.Go(func() error { return a.answer(running) })
	group.Go(func() error { return a.service.Watch(running, a.untold) })
	err := a.verdict(ctx, group.Wait())
	a.untold(a.service.Stopping())
	if err == nil && a.keeps(ctx) {
		return nil
	}
	return errors.Join(err, a.revoke(ctx))
}

// errOverdue is the cause when a run that is to end by itself did not.
var errOverdue = errors.New("the time is up")

// verdict turns the error that ended the stages into that of the run.
func (a *Agent) verdict(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil, errors.Is(err, errDone), errors.Is(err, admin.ErrQuit):
		return nil //nolint:nilerr // it ended as asked
	case errors.Is(err, errOverdue):
		return fmt.Errorf("%w after %s: %w", errOverdue, a.deadline, a.obstacle())
	default:
		return err
	}
}

// keeps reports whether the leases and the token outlive a run without error:
// those of a finished one-shot run belong to the app now.
func (a *Agent) keeps(ctx context.Context) bool {
	return !a.revokeOnExit || a.once && ctx.Err() == nil
}

// revoke ends every lease and token that the agent holds, in bounded time.
func (a *Agent) revoke(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), shutdownBound, errors.New("the time for shutdown is up"))
	defer cancel()
	if err := errors.Join(a.leases.Revoke(ctx), a.keeper.Revoke(ctx)); err != nil {
		return failure{ExitLeftover, err}
	}
	a.log.Info("stopped", zap.Int("revoked", a.leases.Stats().Revoked))
	return nil
}

// prepare finds what would keep the agent from doing its work before anything
// is issued, and clears away what a killed run left.
func (a *Agent) prepare() error {
	files := a.files()
	if err := checkDestinations(a.tokens, a.outputs); err != nil {
		return failure{ExitSink, err}
	}
	sink.Sweep(time.Now(), files...)
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
		if o.folder != nil {
			errs = append(errs, o.folder.Check())
			continue
		}
		errs = append(errs, o.file.Check())
	}
	return errors.Join(errs...)
}

func (a *Agent) files() []sink.File {
	files := append([]sink.File(nil), a.tokens...)
	for _, o := range a.outputs {
		if o.folder == nil {
			files = append(files, o.file)
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
func (a *Agent) authenticate(ctx context.Context) error {
	err := a.keeper.Run(ctx)
	if ctx.Err() != nil {
		return err
	}
	return classed(ExitAuth, err)
}

// supply moves what is new from stage to stage, until ctx ends.
func (a *Agent) supply(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
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
		case file := <-a.reloads:
			a.reconfigure(file)
		case <-a.service.Pulse():
		case <-a.leases.Changed():
		case versions := <-a.announcer.Told():
			a.leases.Published(versions)
		case question := <-a.view.asked():
			question()
		case <-timer.C:
		}
	}
}

// untilRetry returns how long to wait for the next retry; zero means none.
func untilRetry(at time.Time) time.Duration {
	if at.IsZero() {
		return time.Hour
	}
	return max(time.Until(at), 0)
}

// writeTokens puts the current token into the token sinks, if they do not
// hold it yet.
func (a *Agent) writeTokens(now time.Time) {
	token := a.keeper.Token()
	if token.Epoch == a.tokensWritten || now.Before(a.tokensRetryAt) {
		return
	}
	for _, file := range a.tokens {
		if _, err := file.Write([]byte(token.Delivery().Reveal())); err != nil {
			a.tokensRetryAt = now.Add(retryDelay)
			a.log.Error("writing the token failed", zap.Duration("retry", retryDelay), zap.Error(err))
			return
		}
	}
	a.tokensWritten, a.tokensRetryAt = token.Epoch, time.Time{}
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
	a.ready = true
	a.leases.Settle()
	a.log.Info("everything is rendered", zap.Int("templates", len(a.outputs)))
	a.settle()
	a.untold(a.service.Ready(fmt.Sprintf("%d secrets in %d files", len(a.wanted), len(a.outputs))))
	if a.once {
		return errDone
	}
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
	if a.keeper.Token().Epoch == 0 || a.tokensWritten == 0 && len(a.tokens) > 0 {
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

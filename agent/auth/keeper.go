package auth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/novatech/securevault/agent/schedule"
	"github.com/novatech/securevault/agent/state"
	"github.com/novatech/securevault/internal/vault"
)

// Tokens is what the keeper asks of the server, besides logins.
type Tokens interface {
	Server
	RenewSelf(ctx context.Context, token vault.Sensitive) (*vault.Secret, error)
	RevokeSelf(ctx context.Context, token vault.Sensitive) error
}

// Config says how a keeper works.
type Config struct {
	Method Method
	Server Tokens
	Log    *zap.Logger
	// Journal takes the token over from an earlier run; nil for none.
	Journal Journal
	Policy  schedule.Policy // Floor and Ceiling are the method's min_backoff and max_backoff
	// After is the epoch after which this keeper counts its own: that of the
	// token which its first login replaces.
	After uint64
	// ExitOnErr ends Run with the first failed login, instead of trying again.
	ExitOnErr bool
	// Reauth logs in again when the files of a method hold new credentials,
	// even while the token is alive. Without it they are taken up by the next
	// login; see [Watcher].
	Reauth bool
}

// Keeper owns the token's life. Make one with [New]; it does nothing until
// [Keeper.Run].
type Keeper struct {
	cfg     Config
	changed chan struct{} // capacity one: the token has changed
	suspect chan uint64   // capacity one: the epoch of a token that was refused
	release chan struct{} // capacity one: tokens were released
	keep    chan Journal  // capacity one: where to keep the token from now on

	epoch   uint64          // of the last token; used by Run alone
	adopted vault.Sensitive // the token of an earlier run; used by Run alone

	mu       sync.Mutex
	token    vault.Token
	err      error              // of the last request; nil if it succeeded
	known    Status             // what the token's schedule was last; see [Keeper.Status]
	kept     state.Record       // the token, for a journal
	policies []string           // of the token
	earlier  map[uint64]retired // epoch → a token that was replaced and may be alive
	needed   uint64             // oldest epoch of a token that something depends on; see [Keeper.Release]
}

// New returns a keeper that has no token yet.
func New(cfg Config) *Keeper {
	cfg.Policy = cfg.Policy.WithDefaults()
	return &Keeper{
		cfg:     cfg,
		changed: make(chan struct{}, 1),
		suspect: make(chan uint64, 1),
		release: make(chan struct{}, 1),
		keep:    make(chan Journal, 1),
		epoch:   cfg.After,
		earlier: make(map[uint64]retired),
	}
}

// Changed fires when [Keeper.Token] or [Keeper.Err] has changed. It is a
// level, not a queue.
func (k *Keeper) Changed() <-chan struct{} { return k.changed }

// Token returns the token in use; its epoch is 0 while there is none.
func (k *Keeper) Token() vault.Token {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.token
}

// Err returns the error of the last login or renewal, nil if it succeeded.
func (k *Keeper) Err() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.err
}

// Suspect says that the server refused a request made with a token. The
// keeper looks whether the token is still known, and logs in if it is not.
// It does not block.
func (k *Keeper) Suspect(token vault.Token) {
	select {
	case k.suspect <- token.Epoch:
	default:
	}
}

// held is what the keeper knows of its token, between two turns of its loop.
type held struct {
	facts    schedule.Facts
	policies []string
	batch    bool
	looked   time.Time // when the token was last looked up on suspicion

	files   watched // of the method
	relogin relogin
}

// relogin is a login that new credentials ask for while the token is alive.
type relogin struct {
	pending  bool
	failures int
	at       time.Time // not before
}

// Run logs in and keeps the token alive until ctx ends. With ExitOnErr a
// failed login ends it.
func (k *Keeper) Run(ctx context.Context) error {
	h := held{files: newWatched(k.cfg.Method, k.cfg.Policy.Floor)}
	if k.adopt(ctx, &h); h.facts.Held {
		h.files.Note() // the earlier run has read them
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	look, stop := h.files.ticker()
	defer stop()
	for {
		action, at := k.next(h.facts)
		timer.Reset(until(action, at))
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case epoch := <-k.suspect:
			k.verify(ctx, &h, epoch)
			continue
		case <-k.release:
			k.revokeReleased(ctx)
			continue
		case j := <-k.keep:
			k.cfg.Journal = j
			k.record(&h)
			k.recordRetired()
			continue
		case <-look:
			if err := k.reauthenticate(ctx, &h, action); err != nil && k.cfg.ExitOnErr {
				return err
			}
			continue
		case <-timer.C:
		}
		switch action {
		case schedule.Issue, schedule.Rotate:
			if err := k.login(ctx, &h, action); err != nil && k.cfg.ExitOnErr {
				return err
			}
		case schedule.Renew:
			k.renew(ctx, &h)
		}
	}
}

// next is the schedule of a lease, but for a token that does not end.
func (k *Keeper) next(f schedule.Facts) (schedule.Action, time.Time) {
	if f.Held && !f.Leased && !f.Gone {
		return schedule.None, time.Time{}
	}
	return k.cfg.Policy.Next(f)
}

// until returns how long to wait for an action.
func until(action schedule.Action, at time.Time) time.Duration {
	if action == schedule.None {
		return time.Hour // nothing is due: only a suspicion changes anything
	}
	return max(time.Until(at), 0)
}

func (k *Keeper) login(ctx context.Context, h *held, action schedule.Action) error {
	asked := time.Now()
	auth, err := k.obtain(ctx, h, asked)
	if err != nil {
		k.fail(h, action, fmt.Errorf("authenticating: %w", err))
		return err
	}
	k.use(h, auth, asked)
	return nil
}

// obtain logs in by the method.
func (k *Keeper) obtain(ctx context.Context, h *held, asked time.Time) (*vault.Auth, error) {
	h.files.Note() // before they are read: what is written from now on is news
	auth, err := k.cfg.Method.Login(ctx, k.cfg.Server)
	if err != nil || !h.facts.Held || auth.Wrap != nil || auth.Token != k.Token().Value {
		return auth, err
	}
	if h.facts.Gone {
		return nil, errors.New("logging in: the method gives the same token again, which the server does not know")
	}
	if !asked.Add(auth.TTL).After(h.facts.Ends().Add(time.Second)) {
		return nil, errors.New("logging in: the method gives the same token again, which is about to end")
	}
	return auth, nil
}

// use makes the token of a login the current one.
func (k *Keeper) use(h *held, auth *vault.Auth, asked time.Time) {
	previous := h.final()
	h.take(auth, asked)
	h.relogin = relogin{}
	k.publish(h, auth, previous)
	if auth.Wrap == nil {
		k.record(h)
		k.recordRetired()
	}
	k.cfg.Log.Info("authenticated", zap.String("accessor", k.Token().Accessor),
		zap.Duration("ttl", auth.TTL), zap.Strings("policies", auth.Policies))
}

// reauthenticate logs in when the method's files hold new credentials: always
// if a login has failed with the old ones and action is waiting to be tried
// again, and while a token is alive only if the configuration says so. Its
// failure leaves a living token and its renewals as they are.
func (k *Keeper) reauthenticate(ctx context.Context, h *held, action schedule.Action) error {
	waiting := h.facts.Failures > 0 && h.facts.Failed == action && action != schedule.Renew
	switch {
	case !waiting && !k.cfg.Reauth:
		return nil
	case h.files.Fresh() && waiting:
		return k.login(ctx, h, action)
	case h.files.Fresh():
		h.relogin = relogin{pending: true}
	}
	now := time.Now()
	if waiting || !h.relogin.pending || now.Before(h.relogin.at) {
		return nil
	}
	auth, err := k.obtain(ctx, h, now)
	if err == nil {
		k.use(h, auth, now)
		return nil
	}
	h.relogin.failures++
	retry := k.cfg.Policy.Backoff(vault.Classify(err), h.relogin.failures, h.facts.Seed)
	h.relogin.at = now.Add(retry)
	k.cfg.Log.Warn("logging in with new credentials failed; the token in use stays",
		zap.Int("failures", h.relogin.failures), zap.Duration("retry", retry.Round(time.Millisecond)), zap.Error(err))
	return err
}

// endless is how long a token without an end counts as alive once replaced.
const endless = 365 * 24 * time.Hour

// final returns when the token that is held ends if nobody renews it any
// more, zero if it has ended.
func (h *held) final() time.Time {
	switch {
	case !h.facts.Held || h.facts.Gone:
		return time.Time{}
	case !h.facts.Leased:
		return time.Now().Add(endless)
	default:
		return h.facts.Ends()
	}
}

func (k *Keeper) renew(ctx context.Context, h *held) {
	asked := time.Now()
	secret, err := k.cfg.Server.RenewSelf(ctx, k.Token().Value)
	if err == nil && (secret == nil || secret.Auth == nil) {
		err = errors.New("renewing the token: the answer carries no token")
	}
	if err != nil {
		k.fail(h, schedule.Renew, err)
		k.verifyAfter(ctx, h, err)
		return
	}
	h.facts.Granted, h.facts.TTL, h.facts.Renewable = asked, secret.Auth.TTL, secret.Auth.Renewable
	k.succeed(h)
	k.record(h)
	k.cfg.Log.Info("token renewed", zap.Duration("ttl", h.facts.TTL))
}

// verifyAfter looks the token up when a refused renewal may mean its end.
func (k *Keeper) verifyAfter(ctx context.Context, h *held, err error) {
	switch vault.Classify(err) {
	case vault.Login, vault.Refused:
		h.facts.Renewable = false
		k.verify(ctx, h, k.Token().Epoch)
	}
}

// verify asks the server whether it still knows the token of an epoch. A
// server answers "permission denied" to a dead token and to one that may not:
// only a token whose policies allow looking itself up can tell the two apart.
func (k *Keeper) verify(ctx context.Context, h *held, epoch uint64) {
	token := k.Token()
	if token.Epoch != epoch || token.Wrapped != "" || h.facts.Gone || time.Since(h.looked) < k.cfg.Policy.Floor {
		return
	}
	h.looked = time.Now()
	if err := k.lookUp(ctx, token.Value); err != nil {
		h.facts.Gone = true
		k.cfg.Log.Warn("the server does not know the token any more; logging in again", zap.Error(err))
	}
}

// lookUp returns why the server certainly does not know the token in use, nil
// if it may.
func (k *Keeper) lookUp(ctx context.Context, token vault.Sensitive) error {
	_, err := k.cfg.Server.LookupSelf(ctx, token)
	k.mu.Lock()
	defer k.mu.Unlock()
	mayLook := slices.Contains(k.policies, "default") || slices.Contains(k.policies, "root")
	switch class := vault.Classify(err); {
	case class == vault.Login, class == vault.Refused && mayLook:
		return err
	default:
		return nil
	}
}

// Ended reports whether the server no longer knows the token, which somebody
// else has revoked: all that it has issued has ended with it.
func (k *Keeper) Ended(ctx context.Context) bool {
	token := k.Token()
	return token.Value != "" && token.Wrapped == "" && k.lookUp(ctx, token.Value) != nil
}

// fail records a failed request, and logs the first of its kind.
func (k *Keeper) fail(h *held, action schedule.Action, err error) {
	class := vault.Classify(err)
	if h.facts.Failed != action || h.facts.Class != class {
		h.facts.Failures = 0
	}
	h.facts.Failed, h.facts.Class, h.facts.FailedAt = action, class, time.Now()
	h.facts.Failures++
	k.mu.Lock()
	k.err = err
	k.observe(h)
	k.mu.Unlock()
	_, at := k.next(h.facts)
	k.cfg.Log.Warn("authentication failed", zap.Stringer("action", action), zap.Stringer("class", class),
		zap.Int("failures", h.facts.Failures), zap.Duration("retry", max(time.Until(at), 0).Round(time.Millisecond)), zap.Error(err))
	k.signal()
}

func (k *Keeper) succeed(h *held) {
	h.facts.Failed, h.facts.Class, h.facts.Failures = schedule.None, vault.None, 0
	k.mu.Lock()
	defer k.mu.Unlock()
	k.err = nil
	k.token.Ends = k.finalEnd(h)
	k.observe(h)
	k.signal()
}

// publish makes a token from a login the current one. The one before, if it
// is another, ends at previous.
func (k *Keeper) publish(h *held, auth *vault.Auth, previous time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.err = nil
	if auth.Wrap != nil || auth.Token != k.token.Value {
		k.retire(previous)
		if auth.Wrap != nil || auth.Token != k.adopted {
			k.epoch++
		}
		k.token = vault.Token{Value: auth.Token, Accessor: auth.Accessor, Epoch: k.epoch, PreviousEnds: previous}
	}
	if auth.Wrap != nil {
		k.token.Accessor, k.token.Wrapped = auth.Wrap.WrappedAccessor, auth.Wrap.Delivery()
	}
	k.token.Ends, k.policies = k.finalEnd(h), h.policies
	k.observe(h)
	k.signal()
}

// finalEnd returns when the token ends whatever is renewed, zero while
// renewal still brings it on.
func (k *Keeper) finalEnd(h *held) time.Time {
	if action, _ := k.next(h.facts); action == schedule.Rotate {
		return h.facts.Ends()
	}
	return time.Time{}
}

func (k *Keeper) signal() {
	select {
	case k.changed <- struct{}{}:
	default:
	}
}

// revokeTries is how often the revocation of a token at shutdown is sent.
const revokeTries = 4

// Revoke ends the tokens that the method made, and with them every lease that
// they issued. It is called once Run has returned; ctx bounds it.
func (k *Keeper) Revoke(ctx context.Context) error {
	if !k.cfg.Method.Owns() {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	tokens := []vault.Sensitive{k.token.Value}
	for _, r := range k.earlier {
		tokens = append(tokens, r.Token)
	}
	var errs []error
	for _, token := range tokens {
		if token == "" {
			continue
		}
		err := vault.Insist(ctx, revokeTries, func(ctx context.Context) error {
			return k.cfg.Server.RevokeSelf(ctx, token)
		})
		if class := vault.Classify(err); class == vault.Later {
			errs = append(errs, err)
		}
	}
	if k.cfg.Journal != nil && len(errs) == 0 {
		errs = append(errs, k.cfg.Journal.Append(state.Record{Key: tokenKey}, state.Record{Key: retiredKey}))
	}
	return errors.Join(errs...)
}

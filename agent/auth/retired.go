package auth

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"time"

	"go.uber.org/zap"

	"github.com/novatech/securevault/agent/state"
	"github.com/novatech/securevault/internal/vault"
)

// releaseBound is how long the revocation of replaced tokens may keep the
// current one waiting.
const releaseBound = 10 * time.Second

// retiredKey names the tokens that were replaced in the journal.
const retiredKey = "retired-tokens"

// retired is a token that was replaced, as the journal holds it too.
type retired struct {
	Token vault.Sensitive
	Ends  time.Time
}

// MarshalJSON implements [json.Marshaler]: the token in clear, since the
// journal is sealed.
func (r retired) MarshalJSON() ([]byte, error) {
	return json.Marshal(map[string]any{"Token": r.Token.Reveal(), "Ends": r.Ends})
}

// Release says that nothing depends any more on the tokens of the epochs
// before one. Those that the method made are revoked, instead of living on
// until their TTL. It does not block.
func (k *Keeper) Release(before uint64) {
	k.mu.Lock()
	k.needed = max(k.needed, before)
	k.mu.Unlock()
	select {
	case k.release <- struct{}{}:
	default:
	}
}

// revokeReleased revokes the tokens that were released. One that cannot be
// revoked now is tried again with the next one, and at shutdown.
func (k *Keeper) revokeReleased(ctx context.Context) {
	released := k.released(time.Now())
	if len(released) == 0 || !k.cfg.Method.Owns() {
		return
	}
	ctx, cancel := context.WithTimeoutCause(ctx, releaseBound, errors.New("the time to revoke replaced tokens is up"))
	defer cancel()
	for epoch, r := range released {
		err := vault.Insist(ctx, revokeTries, func(ctx context.Context) error {
			return k.cfg.Server.RevokeSelf(ctx, r.Token)
		})
		fields := []zap.Field{zap.Uint64("epoch", epoch), zap.Time("ends", r.Ends), zap.Error(err)}
		switch vault.Classify(err) {
		case vault.None:
			k.cfg.Log.Info("replaced token revoked", fields...)
		case vault.Later:
			k.cfg.Log.Warn("revoking a replaced token failed", fields...)
			continue
		default:
			k.cfg.Log.Info("a replaced token has ended, or cannot be revoked", fields...)
		}
		k.mu.Lock()
		delete(k.earlier, epoch)
		k.mu.Unlock()
	}
	k.recordRetired()
}

// released returns the replaced tokens that are alive and not needed.
func (k *Keeper) released(now time.Time) map[uint64]retired {
	k.mu.Lock()
	defer k.mu.Unlock()
	out := maps.Clone(k.earlier)
	maps.DeleteFunc(out, func(epoch uint64, r retired) bool { return epoch >= k.needed || !r.Ends.After(now) })
	return out
}

// retire keeps the token in mind that is being replaced, and forgets those
// that have ended since. The lock is held.
func (k *Keeper) retire(ends time.Time) {
	now := time.Now()
	maps.DeleteFunc(k.earlier, func(_ uint64, r retired) bool { return !r.Ends.After(now) })
	if k.token.Value != "" && ends.After(now) {
		k.earlier[k.token.Epoch] = retired{k.token.Value, ends}
	}
}

// recordRetired has the journal hold the replaced tokens as they are now. A
// failure leaves them to their TTL after the next start, and nothing else.
func (k *Keeper) recordRetired() {
	if k.cfg.Journal == nil {
		return
	}
	record := state.Record{Key: retiredKey}
	k.mu.Lock()
	earlier := maps.Clone(k.earlier)
	k.mu.Unlock()
	var err error
	if len(earlier) > 0 {
		record.Value, err = json.Marshal(earlier)
	}
	if err == nil {
		err = k.cfg.Journal.Append(record)
	}
	if err != nil {
		k.cfg.Log.Error("saving the replaced tokens in the state failed", zap.Error(err))
	}
}

// adoptRetired takes over the replaced tokens of an earlier run.
func (k *Keeper) adoptRetired() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, r := range k.cfg.Journal.Records() {
		if r.Key == retiredKey && json.Unmarshal(r.Value, &k.earlier) != nil {
			k.cfg.Log.Warn("the replaced tokens of the earlier run cannot be read from the state; they live until their TTL")
		}
	}
}

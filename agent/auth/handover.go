package auth

import (
	"time"

	"github.com/novatech/securevault/agent/state"
)

// Held returns the token as a journal for another keeper of the same login to
// adopt; none while there is no token that can be handed on.
func (k *Keeper) Held() state.Fixed {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.kept.Value == nil {
		return nil
	}
	return state.Fixed{k.kept}
}

// Keep has the journal hold the token from now on, and those that it replaced.
// It may be called once, before Run has returned.
func (k *Keeper) Keep(j Journal) { k.keep <- j }

// Inherit takes over the tokens of a keeper whose Run has returned: they are
// revoked when nothing depends on them, see [Keeper.Release]. Those that its
// method does not own are left alone.
func (k *Keeper) Inherit(from *Keeper) {
	if !from.cfg.Method.Owns() {
		return
	}
	from.mu.Lock()
	token, earlier := from.token, from.earlier
	from.mu.Unlock()
	k.mu.Lock()
	defer k.mu.Unlock()
	for epoch, r := range earlier {
		k.earlier[epoch] = r
	}
	if token.Value != "" && token.Value != k.token.Value {
		ends := token.Ends
		if ends.IsZero() {
			ends = time.Now().Add(endless)
		}
		k.earlier[token.Epoch] = retired{token.Value, ends}
	}
}

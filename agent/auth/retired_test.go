package auth

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/novatech/securevault/internal/vault"
	"github.com/novatech/securevault/internal/vaulttest"
)

var hourly = vaulttest.Method{Token: vaulttest.Token{TTL: time.Hour}}

// replace logs the keeper in again, with another JWT, and returns the token
// that was in use before.
func (r *rig) replace() vault.Token {
	r.Helper()
	before := r.keeper.Token()
	put(r.T, r.dir, "jwt", "after-"+before.Accessor)
	r.at(time.Since(r.start) + 11*time.Second)
	if r.keeper.Token().Epoch == before.Epoch {
		r.Fatalf("the token was not replaced: %v", r.keeper.Err())
	}
	return before
}

// known reports whether the server knows a token.
func (r *rig) known(token vault.Token) bool {
	_, err := r.server.Client(r.T).LookupSelf(r.Context(), token.Value)
	return err == nil
}

func (r *rig) release(before uint64) {
	r.keeper.Release(before)
	synctest.Wait()
}

func TestAReplacedTokenIsRevokedOnceItIsReleased(t *testing.T) {
	run(t, vaulttest.AppRole{}, byJWT(true, hourly), func(r *rig) {
		first := r.replace()
		second := r.replace()
		r.release(1)
		r.expect("revocations before the release", r.server.Count(vaulttest.RevokeSelf), 0)
		r.release(2)
		r.expect("the first token is known", r.known(first), false)
		r.expect("the second token is known", r.known(second), true)
		r.release(3)
		r.expect("the second token is known", r.known(second), false)
		r.expect("the current token is known", r.alive(), true)
		r.release(3)
		r.expect("revocations", r.server.Count(vaulttest.RevokeSelf), 2)
	})
}

func TestATokenThatCannotBeRevokedNowIsTriedAgain(t *testing.T) {
	run(t, vaulttest.AppRole{}, byJWT(true, hourly), func(r *rig) {
		first := r.replace()
		remove := r.server.Inject(vaulttest.Fault{Op: vaulttest.RevokeSelf, Hang: true})
		r.keeper.Release(2)
		r.at(time.Minute)
		r.expect("the first token is known", r.known(first), true)
		remove()
		r.release(2)
		r.expect("the first token is known", r.known(first), false)
	})
}

func TestATokenThatMayNotRevokeItselfIsLeftToItsEnd(t *testing.T) {
	run(t, vaulttest.AppRole{}, byJWT(true, hourly), func(r *rig) {
		r.server.Inject(vaulttest.Fault{Op: vaulttest.RevokeSelf, Status: 403, Messages: []string{"permission denied"}})
		r.replace()
		for range 3 {
			r.release(2)
		}
		r.expect("revocations", r.server.Count(vaulttest.RevokeSelf), 1)
	})
}

func TestAReleasedTokenOfSomebodyElseIsLeftAlone(t *testing.T) {
	given := func(cfg *Config, r *rig) {
		put(r.T, r.dir, "token", r.server.Token(vaulttest.Token{TTL: time.Hour}))
		cfg.Method, cfg.Reauth = NewTokenFile(r.path("token")), true
	}
	run(t, vaulttest.AppRole{}, given, func(r *rig) {
		put(r.T, r.dir, "token", r.server.Token(vaulttest.Token{TTL: time.Hour}))
		r.at(7 * time.Second)
		r.expect("epoch", r.keeper.Token().Epoch, uint64(2))
		r.release(2)
		r.expect("revocations", r.server.Count(vaulttest.RevokeSelf), 0)
	})
}

func TestAReplacedTokenIsNotForgottenByARestart(t *testing.T) {
	var again Config
	journaled := func(cfg *Config, r *rig) {
		byJWT(true, hourly)(cfg, r)
		cfg.Journal = memory{}
		again = *cfg
	}
	run(t, vaulttest.AppRole{}, journaled, func(r *rig) {
		first := r.replace()
		ends := r.keeper.Token().PreviousEnds
		next := New(again)
		ctx, stop := context.WithCancel(r.Context())
		defer stop()
		done := make(chan error, 1)
		go func() { done <- next.Run(ctx) }()
		synctest.Wait()
		r.expect("epoch", next.Token().Epoch, uint64(2))
		r.expect("end of the token before", next.Token().PreviousEnds.Equal(ends), true)
		next.Release(2)
		synctest.Wait()
		r.expect("the first token is known", r.known(first), false)
		r.expect("the current token is known", r.alive(), true)
		stop()
		<-done
		third := New(again)
		third.adoptRetired()
		r.expect("replaced tokens in the journal", len(third.earlier), 0)
	})
}

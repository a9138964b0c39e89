package auth

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/novatech/securevault/agent/state"
	"github.com/novatech/securevault/internal/vaulttest"
)

const loginPath = "auth/jwt/login"

// byJWT makes a keeper log in with a JWT from a file; the server takes every
// JWT but "bad".
func byJWT(reauth bool, method vaulttest.Method) func(*Config, *rig) {
	return func(cfg *Config, r *rig) {
		method.Check = func(body map[string]any) error {
			if body["jwt"] == "bad" {
				return errors.New("error validating token")
			}
			return nil
		}
		r.server.Method(loginPath, method)
		put(r.T, r.dir, "jwt", "first")
		cfg.Method = NewJWT(JWTConfig{Mount: "auth/jwt", Path: r.path("jwt"), Period: 10 * time.Second})
		cfg.Reauth = reauth
	}
}

func TestNewCredentialsLeadToANewTokenWhileTheOldOneLives(t *testing.T) {
	run(t, vaulttest.AppRole{}, byJWT(true, vaulttest.Method{Token: vaulttest.Token{TTL: 100 * time.Second}}), func(r *rig) {
		first := r.keeper.Token()
		r.at(20*time.Second + time.Millisecond)
		r.expect("logins while the file stays as it is", len(r.server.Logins()), 1)
		put(r.T, r.dir, "jwt", "second")
		r.at(29 * time.Second)
		r.expect("epoch before the next look", r.keeper.Token().Epoch, uint64(1))
		r.at(31 * time.Second)
		r.expect("epoch", r.keeper.Token().Epoch, uint64(2))
		r.expect("JWT", r.server.Logins()[1].Body["jwt"], any("second"))
		r.expect("end of the token before", r.keeper.Token().PreviousEnds, r.start.Add(100*time.Second))
		if _, err := r.server.Client(r.T).LookupSelf(r.Context(), first.Value); err != nil {
			t.Errorf("the old token does not live beside the new one: %v", err)
		}
		r.at(10 * time.Minute)
		r.expect("logins of ten minutes", len(r.server.Logins()), 2)
	})
}

func TestRevokeEndsTheTokensThatWereReplacedAndStillLive(t *testing.T) {
	run(t, vaulttest.AppRole{}, byJWT(true, vaulttest.Method{Token: vaulttest.Token{TTL: 100 * time.Second}}), func(r *rig) {
		for i, jwt := range []string{"second", "third"} { // the first token has ended when the third comes
			r.at(time.Duration(2*i+1) * time.Minute)
			put(r.T, r.dir, "jwt", jwt)
			r.at(time.Duration(2*i+1)*time.Minute + 11*time.Second)
		}
		r.expect("epoch", r.keeper.Token().Epoch, uint64(3))
		if err := r.keeper.Revoke(r.Context()); err != nil {
			t.Fatal(err)
		}
		r.expect("tokens revoked", r.server.Count(vaulttest.RevokeSelf), 2)
		r.expect("token alive", r.alive(), false)
	})
}

func TestWithoutReauthNewCredentialsWaitForTheNextLogin(t *testing.T) {
	run(t, vaulttest.AppRole{}, byJWT(false, vaulttest.Method{Token: vaulttest.Token{TTL: 100 * time.Second, NonRenewable: true}}), func(r *rig) {
		put(r.T, r.dir, "jwt", "second")
		r.at(70 * time.Second)
		r.expect("logins", len(r.server.Logins()), 1)
		r.at(90 * time.Second)
		r.expect("JWT", r.server.Logins()[1].Body["jwt"], any("second"))
	})
}

func TestBadNewCredentialsLeaveTheTokenAndItsRenewalsAlone(t *testing.T) {
	run(t, vaulttest.AppRole{}, byJWT(true, vaulttest.Method{Token: vaulttest.Token{TTL: 100 * time.Second}}), func(r *rig) {
		put(r.T, r.dir, "jwt", "bad")
		r.at(30 * time.Minute)
		r.expect("epoch", r.keeper.Token().Epoch, uint64(1))
		r.expect("token alive", r.alive(), true)
		if n := len(r.server.Logins()); n < 3 || n > 40 {
			t.Errorf("logins in half an hour with refused credentials = %d, want a few, further and further apart", n)
		}
		put(r.T, r.dir, "jwt", "good")
		r.at(30*time.Minute + 11*time.Second)
		r.expect("epoch", r.keeper.Token().Epoch, uint64(2))
	})
}

func TestCredentialsThatComeLateAreUsedAtOnce(t *testing.T) {
	late := func(cfg *Config, r *rig) {
		byJWT(false, vaulttest.Method{Token: vaulttest.Token{TTL: time.Hour}})(cfg, r)
		cfg.Policy.Ceiling = 5 * time.Minute
		if err := os.Remove(r.path("jwt")); err != nil {
			r.Fatal(err)
		}
	}
	run(t, vaulttest.AppRole{}, late, func(r *rig) {
		r.at(20*time.Minute + time.Second)
		r.expect("epoch without a file", r.keeper.Token().Epoch, uint64(0))
		put(r.T, r.dir, "jwt", "at-last")
		r.at(20*time.Minute + 12*time.Second)
		r.expect("epoch", r.keeper.Token().Epoch, uint64(1))
	})
}

func TestAGivenTokenThatIsReplacedIsTakenUp(t *testing.T) {
	given := func(cfg *Config, r *rig) {
		put(r.T, r.dir, "token", vaulttest.RootToken)
		cfg.Method, cfg.Reauth = NewTokenFile(r.path("token")), true
	}
	run(t, vaulttest.AppRole{}, given, func(r *rig) {
		put(r.T, r.dir, "token", vaulttest.RootToken) // the same, written anew
		r.at(7 * time.Second)
		r.expect("epoch with the same token", r.keeper.Token().Epoch, uint64(1))
		put(r.T, r.dir, "token", r.server.Token(vaulttest.Token{TTL: time.Hour}))
		r.at(14 * time.Second)
		r.expect("epoch", r.keeper.Token().Epoch, uint64(2))
		if left := time.Until(r.keeper.Token().PreviousEnds); left < time.Hour {
			t.Errorf("the token without an end is said to end in %s", left)
		}
	})
}

// memory is a journal that lasts as long as the test.
type memory map[string]state.Record

func (m memory) Records() []state.Record { return slices.Collect(maps.Values(m)) }

func (m memory) Append(records ...state.Record) error {
	for _, r := range records {
		m[r.Key] = r
	}
	return nil
}

func TestAnAdoptedTokenIsNotReplacedForFilesThatWereReadBefore(t *testing.T) {
	journal := memory{}
	restarted := func(cfg *Config, r *rig) {
		byJWT(true, vaulttest.Method{Token: vaulttest.Token{TTL: 100 * time.Second}})(cfg, r)
		cfg.Journal = journal
		id := r.server.Token(vaulttest.Token{TTL: 100 * time.Second})
		record := fmt.Sprintf(`{"token":%q,"epoch":4,"renewable":true}`, id)
		if err := journal.Append(state.Record{Key: tokenKey, Value: []byte(record)}); err != nil {
			r.Fatal(err)
		}
	}
	run(t, vaulttest.AppRole{}, restarted, func(r *rig) {
		r.at(10 * time.Minute)
		r.expect("logins", len(r.server.Logins()), 0)
		r.expect("epoch", r.keeper.Token().Epoch, uint64(4))
		put(r.T, r.dir, "jwt", "second")
		r.at(10*time.Minute + 11*time.Second)
		r.expect("epoch after new credentials", r.keeper.Token().Epoch, uint64(5))
	})
}

func TestTheSwapOfALinkIsNoticedAsKubernetesDoesIt(t *testing.T) {
	dir := t.TempDir()
	for _, version := range []string{"v1", "v2"} {
		if err := os.Mkdir(dir+"/"+version, 0o700); err != nil {
			t.Fatal(err)
		}
		put(t, dir+"/"+version, "token", "token-"+version)
	}
	link := func(version string) {
		if err := errors.Join(os.Symlink(version, dir+"/new"), os.Rename(dir+"/new", dir+"/..data")); err != nil {
			t.Fatal(err)
		}
	}
	link("v1")
	if err := os.Symlink("..data/token", dir+"/token"); err != nil {
		t.Fatal(err)
	}
	w := newWatched(NewTokenFile(dir+"/token"), time.Second)
	w.Note()
	if w.Fresh() {
		t.Error("news of an unchanged file")
	}
	link("v2")
	if !w.Fresh() {
		t.Error("no news of a swapped link")
	}
	w.Note()
	if w.Fresh() {
		t.Error("the same news twice")
	}
}

func TestABatchTokenIsReplacedAndNeverRenewed(t *testing.T) {
	batch := byJWT(false, vaulttest.Method{Token: vaulttest.Token{TTL: 100 * time.Second}, Batch: true})
	run(t, vaulttest.AppRole{}, batch, func(r *rig) {
		r.expect("known end", r.keeper.Token().Ends, r.start.Add(100*time.Second))
		r.at(78 * time.Second)
		r.expect("epoch", r.keeper.Token().Epoch, uint64(2))
		r.expect("renewals", r.server.Count(vaulttest.RenewSelf), 0)
		r.expect("end of the token before", r.keeper.Token().PreviousEnds, r.start.Add(100*time.Second))
	})
}

func TestAWrappedTokenIsDeliveredAndNotUsed(t *testing.T) {
	wrapping := func(cfg *Config, r *rig) {
		byJWT(true, vaulttest.Method{Token: vaulttest.Token{TTL: 100 * time.Second}})(cfg, r)
		cfg.Server = r.server.Client(r.T).WithWrapping(5 * time.Minute)
	}
	run(t, vaulttest.AppRole{}, wrapping, func(r *rig) {
		token := r.keeper.Token()
		r.expect("token in clear", token.Value.Reveal(), "")
		var delivery struct {
			Token        string
			TTL          int
			CreationPath string `json:"creation_path"`
		}
		if err := json.Unmarshal([]byte(token.Delivery().Reveal()), &delivery); err != nil {
			t.Fatal(err)
		}
		r.expect("path", delivery.CreationPath, loginPath)
		r.expect("ttl", delivery.TTL, 300)
		secret, err := r.server.Client(t).Write(r.Context(), token.Value, "sys/wrapping/unwrap", map[string]any{"token": delivery.Token})
		if err != nil || secret.Auth == nil || secret.Auth.TTL != 100*time.Second {
			t.Fatalf("unwrapping what the sink got: %v, %v", secret, err)
		}
		requests := r.server.Requests()
		r.at(time.Hour)
		r.expect("requests in an hour", r.server.Requests()-requests, 0)
		put(r.T, r.dir, "jwt", "second")
		r.at(time.Hour + 11*time.Second)
		r.expect("epoch after new credentials", r.keeper.Token().Epoch, uint64(2))
		if err := r.keeper.Revoke(r.Context()); err != nil {
			t.Errorf("revoking what the agent may not see: %v", err)
		}
	})
}

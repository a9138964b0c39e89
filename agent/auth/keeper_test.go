package auth

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/novatech/securevault/agent/schedule"
	"github.com/novatech/securevault/internal/vaulttest"
)

// rig is a keeper at work on a fake server, inside a synctest bubble. Its
// delays have no jitter.
type rig struct {
	*testing.T
	server *vaulttest.Server
	keeper *Keeper
	dir    string
	start  time.Time
	done   chan error
}

// run starts a keeper with AppRole, whose tokens are as the role says, and
// calls test beside it.
func run(t *testing.T, role vaulttest.AppRole, change func(*Config, *rig), test func(r *rig)) {
	synctest.Test(t, func(t *testing.T) {
		r := &rig{T: t, server: vaulttest.New(), dir: t.TempDir(), start: time.Now(), done: make(chan error, 1)}
		role.RoleID, role.SecretID = "the-role", "the-secret"
		r.server.AppRole(role)
		r.write("role-id", "the-role\n")
		r.write("secret-id", "the-secret\n")
		cfg := Config{
			Method: r.appRole(false),
			Server: r.server.Client(t), Log: zap.NewNop(), Policy: schedule.Policy{Jitter: -1},
		}
		if change != nil {
			change(&cfg, r)
		}
		r.keeper = New(cfg)
		ctx, cancel := context.WithCancel(t.Context())
		defer func() {
			cancel()
			synctest.Wait()
		}()
		go func() { r.done <- r.keeper.Run(ctx) }()
		synctest.Wait()
		test(r)
	})
}

func (r *rig) appRole(remove bool) *AppRole {
	return NewAppRole(AppRoleConfig{
		Mount: "auth/approle/", RoleIDPath: r.path("role-id"), SecretIDPath: r.path("secret-id"), Remove: remove,
	})
}

func (r *rig) path(name string) string { return filepath.Join(r.dir, name) }

func (r *rig) write(name, content string) {
	r.Helper()
	if err := os.WriteFile(r.path(name), []byte(content), 0o600); err != nil {
		r.Fatal(err)
	}
}

func (r *rig) at(offset time.Duration) {
	time.Sleep(time.Until(r.start.Add(offset)))
	synctest.Wait()
}

func (r *rig) expect(what string, got, want any) {
	r.Helper()
	if got != want {
		r.Errorf("at +%s: %s = %v, want %v", time.Since(r.start), what, got, want)
	}
}

// alive reports whether the server knows the keeper's token.
func (r *rig) alive() bool {
	_, err := r.server.Client(r.T).LookupSelf(r.Context(), r.keeper.Token().Value)
	return err == nil
}

func TestLogsInAndRenewsAtHalfOfTheTTL(t *testing.T) {
	run(t, vaulttest.AppRole{TokenTTL: 100 * time.Second}, nil, func(r *rig) {
		r.expect("epoch", r.keeper.Token().Epoch, uint64(1))
		r.at(49 * time.Second)
		r.expect("renewals", r.server.Count(vaulttest.RenewSelf), 0)
		r.at(time.Hour)
		r.expect("renewals", r.server.Count(vaulttest.RenewSelf), 72)
		r.expect("logins", r.server.Count(vaulttest.Login), 1)
		r.expect("token alive", r.alive(), true)
	})
}

func TestATokenNearItsEndSaysSoAndIsReplacedWhileItLives(t *testing.T) {
	run(t, vaulttest.AppRole{TokenTTL: 100 * time.Second, TokenMaxTTL: 150 * time.Second}, nil, func(r *rig) {
		first := r.keeper.Token()
		r.expect("end is known", first.Ends.IsZero(), true)
		r.at(101 * time.Second) // the renewal at 100 s reached 150 s only
		r.expect("known end", r.keeper.Token().Ends, r.start.Add(150*time.Second))
		r.at(128 * time.Second)
		r.expect("epoch", r.keeper.Token().Epoch, uint64(2))
		if r.keeper.Token().Value == first.Value {
			t.Error("the new epoch has the old token")
		}
	})
}

func TestATokenThatCannotBeRenewedIsReplacedBeforeItsEnd(t *testing.T) {
	run(t, vaulttest.AppRole{TokenTTL: 100 * time.Second, NonRenewable: true}, nil, func(r *rig) {
		r.expect("known end", r.keeper.Token().Ends, r.start.Add(100*time.Second))
		r.at(78 * time.Second)
		r.expect("epoch", r.keeper.Token().Epoch, uint64(2))
		r.expect("renewals", r.server.Count(vaulttest.RenewSelf), 0)
	})
}

// Reference, section 2, row 2.
func TestARefusedRenewalOfALivingTokenIsNotRepeated(t *testing.T) {
	run(t, vaulttest.AppRole{TokenTTL: 100 * time.Second}, nil, func(r *rig) {
		r.server.Inject(vaulttest.Fault{Op: vaulttest.RenewSelf, Status: 403, Messages: []string{"permission denied"}})
		r.at(77 * time.Second)
		r.expect("renewals", r.server.Count(vaulttest.RenewSelf), 1)
		r.expect("logins before the end draws near", r.server.Count(vaulttest.Login), 1)
		r.at(79 * time.Second)
		r.expect("logins", r.server.Count(vaulttest.Login), 2)
	})
}

func TestASuspectedTokenIsLookedUpBeforeLoggingInAgain(t *testing.T) {
	run(t, vaulttest.AppRole{TokenTTL: time.Hour}, nil, func(r *rig) {
		r.at(10 * time.Second)
		r.keeper.Suspect(r.keeper.Token())
		synctest.Wait()
		r.expect("logins after a false alarm", r.server.Count(vaulttest.Login), 1)

		r.server.EndToken(r.keeper.Token().Value.Reveal())
		r.at(20 * time.Second)
		r.keeper.Suspect(r.keeper.Token())
		synctest.Wait()
		r.expect("logins after the token's death", r.server.Count(vaulttest.Login), 2)
		r.expect("epoch", r.keeper.Token().Epoch, uint64(2))
		r.expect("token alive", r.alive(), true)
	})
}

// Reference, section 2, row 2.
func TestManySuspicionsCauseFewRequests(t *testing.T) {
	run(t, vaulttest.AppRole{TokenTTL: time.Hour}, nil, func(r *rig) {
		before := r.server.Requests()
		for i := range time.Duration(1000) {
			r.at(i * 10 * time.Millisecond)
			r.keeper.Suspect(r.keeper.Token())
		}
		if n := r.server.Requests() - before; n > 11 {
			t.Errorf("a thousand suspicions in 10 s caused %d requests, want at most one a second", n)
		}
	})
}

func TestAServerThatIsDownIsAskedWithBackoffAndUsedAgain(t *testing.T) {
	down := func(_ *Config, r *rig) { r.server.Inject(vaulttest.Fault{Drop: true, For: 10 * time.Minute}) }
	run(t, vaulttest.AppRole{TokenTTL: time.Hour}, down, func(r *rig) {
		r.at(9 * time.Minute)
		if n := r.server.Requests(); n < 9 || n > 20 {
			t.Errorf("logins in nine minutes of outage = %d, want about one a minute", n)
		}
		if r.keeper.Err() == nil || r.keeper.Token().Epoch != 0 {
			t.Errorf("error = %v, epoch = %d", r.keeper.Err(), r.keeper.Token().Epoch)
		}
		r.at(12 * time.Minute)
		r.expect("epoch", r.keeper.Token().Epoch, uint64(1))
		r.expect("error", r.keeper.Err(), nil)
	})
}

func TestExitOnErrEndsWithTheFirstFailure(t *testing.T) {
	exit := func(cfg *Config, r *rig) {
		cfg.ExitOnErr = true
		r.write("secret-id", "wrong")
	}
	run(t, vaulttest.AppRole{}, exit, func(r *rig) {
		if err := <-r.done; err == nil || strings.Contains(err.Error(), "wrong") {
			t.Errorf("Run ended with %v, want the server's refusal without the secret id", err)
		}
		r.expect("logins", r.server.Count(vaulttest.Login), 1)
	})
}

func TestTheSecretIDIsRemovedAfterReadingAndKeptForLater(t *testing.T) {
	remove := func(cfg *Config, r *rig) {
		cfg.Method = r.appRole(true)
	}
	run(t, vaulttest.AppRole{TokenTTL: 100 * time.Second, TokenMaxTTL: 100 * time.Second}, remove, func(r *rig) {
		if _, err := os.Stat(r.path("secret-id")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the file of the secret id: %v, want it gone", err)
		}
		r.at(10 * time.Minute)
		if n := r.server.Count(vaulttest.Login); n < 6 {
			t.Errorf("logins in ten minutes = %d, want one for each token", n)
		}
	})
}

func TestRevokeEndsOwnTokensOnly(t *testing.T) {
	run(t, vaulttest.AppRole{TokenTTL: time.Hour}, nil, func(r *rig) {
		if err := r.keeper.Revoke(r.Context()); err != nil {
			t.Fatal(err)
		}
		r.expect("token alive", r.alive(), false)
	})
	given := func(cfg *Config, r *rig) {
		r.write("token", vaulttest.RootToken+"\n")
		cfg.Method = NewTokenFile(r.path("token"))
	}
	run(t, vaulttest.AppRole{}, given, func(r *rig) {
		if err := r.keeper.Revoke(r.Context()); err != nil {
			t.Fatal(err)
		}
		r.expect("given token alive", r.alive(), true)
	})
}

func TestANewerTokenInTheFileIsTakenUpWhenTheOlderOneEnds(t *testing.T) {
	given := func(cfg *Config, r *rig) {
		r.write("token", r.server.Token(vaulttest.Token{TTL: 100 * time.Second, NonRenewable: true}))
		cfg.Method = NewTokenFile(r.path("token"))
	}
	run(t, vaulttest.AppRole{}, given, func(r *rig) {
		r.at(80 * time.Second)
		r.expect("epoch while the file holds the same token", r.keeper.Token().Epoch, uint64(1))
		if r.keeper.Err() == nil {
			t.Error("nothing is said of a token that nears its end with no other in sight")
		}
		r.write("token", r.server.Token(vaulttest.Token{TTL: time.Hour}))
		r.at(99 * time.Second)
		r.expect("epoch", r.keeper.Token().Epoch, uint64(2))
		r.expect("error", r.keeper.Err(), nil)
	})
}

func TestCredentialFilesThatAreOfNoUse(t *testing.T) {
	tests := []struct{ name, content, says string }{
		{"empty", "\n", "is empty"},
		{"two words", "one two", "bare value"},
		{"control characters", "a\x00b", "bare value"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "token")
			if err := os.WriteFile(path, []byte(test.content), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := readCredential("token", path)
			if err == nil || !strings.Contains(err.Error(), test.says) || !strings.Contains(err.Error(), path) {
				t.Errorf("error %v does not say %q and %q", err, test.says, path)
			}
		})
	}
}

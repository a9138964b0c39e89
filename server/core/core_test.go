package core_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/core/coretest"
	"github.com/novatech/securevault/server/core/lease"
)

const (
	read   = logical.ReadOperation
	update = logical.UpdateOperation
	list   = logical.ListOperation
	del    = logical.DeleteOperation
)

// issue gets a credential and returns its secret.
func issue(t testing.TB, s *coretest.Server, token string, data map[string]any) *logical.Secret {
	t.Helper()
	return s.Must(t, token, read, "fake/creds/app", data).Secret
}

// newToken makes a token with policies over the fake engine.
func newToken(t testing.TB, s *coretest.Server, parent string, data map[string]any) string {
	t.Helper()
	return s.Must(t, parent, update, "auth/token/create", data).Auth.ClientToken
}

func renew(t testing.TB, s *coretest.Server, id, increment string) (*logical.Response, error) {
	t.Helper()
	return s.Do(t, coretest.Root, update, "sys/leases/renew", map[string]any{"lease_id": id, "increment": increment})
}

func TestACredentialComesWithALeaseWithinTheLimits(t *testing.T) {
	s := coretest.Start(t, nil)
	s.Must(t, coretest.Root, update, "sys/mounts/fake/tune", map[string]any{"max_lease_ttl": "2h", "default_lease_ttl": "30m"})
	cases := []struct {
		name    string
		ask     map[string]any
		ttl     time.Duration
		warning bool
	}{
		{"the mount's default when the engine asks for nothing", nil, 30 * time.Minute, false},
		{"what the engine asks for", map[string]any{"ttl": "1h"}, time.Hour, false},
		{"the engine's maximum", map[string]any{"ttl": "1h", "max_ttl": "10m"}, 10 * time.Minute, true},
		{"the mount's maximum", map[string]any{"ttl": "5h"}, 2 * time.Hour, true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			resp := s.Must(t, coretest.Root, read, "fake/creds/app", c.ask)
			if resp.Secret.TTL != c.ttl || (len(resp.Warnings) > 0) != c.warning {
				t.Errorf("ttl %v, warnings %q; want %v, warned: %v", resp.Secret.TTL, resp.Warnings, c.ttl, c.warning)
			}
			if !strings.HasPrefix(resp.Secret.LeaseID, "fake/creds/app/") || resp.MountType != "fake" {
				t.Errorf("lease id %q, mount type %q", resp.Secret.LeaseID, resp.MountType)
			}
		})
	}
}

func TestALeaseIsRevokedToTheSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := coretest.Start(t, nil)
		id := issue(t, s, coretest.Root, map[string]any{"ttl": "60s"}).LeaseID
		time.Sleep(60*time.Second - time.Millisecond)
		synctest.Wait()
		if s.Engine.Live() != 1 {
			t.Fatal("revoked before its time")
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if s.Engine.Live() != 0 || s.Engine.Revoked() != 1 {
			t.Fatalf("live %d, revoked %d; want 0, 1", s.Engine.Live(), s.Engine.Revoked())
		}
		if _, err := renew(t, s, id, "60s"); !errors.Is(err, lease.ErrNotFound) {
			t.Fatalf("renewing it: %v; want %v", err, lease.ErrNotFound)
		}
	})
}

func TestRenewalGrantsWhatTheMaximumLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := coretest.Start(t, nil)
		id := issue(t, s, coretest.Root, map[string]any{"ttl": "60s", "max_ttl": "150s"}).LeaseID
		steps := []struct {
			after     time.Duration
			increment string
			want      time.Duration
		}{
			{30 * time.Second, "", 60 * time.Second},    // until 90 s
			{30 * time.Second, "20s", 20 * time.Second}, // until 80 s
			{15 * time.Second, "1h", 75 * time.Second},  // the rest, until 150 s
			{74 * time.Second, "1h", time.Second},
			{900 * time.Millisecond, "1h", 100 * time.Millisecond}, // what remains of it, no error
		}
		for _, step := range steps {
			time.Sleep(step.after)
			resp, err := renew(t, s, id, step.increment)
			if err != nil {
				t.Fatal(err)
			}
			if resp.Secret.TTL != step.want || resp.Secret.LeaseID != id || resp.Data != nil {
				t.Fatalf("granted %v, id %q, data %v; want %v", resp.Secret.TTL, resp.Secret.LeaseID, resp.Data, step.want)
			}
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if s.Engine.Live() != 0 {
			t.Fatal("lives beyond its maximum")
		}
	})
}

func TestALeaseThatIsNotRenewableIsRefused(t *testing.T) {
	s := coretest.Start(t, nil)
	id := issue(t, s, coretest.Root, map[string]any{"ttl": "1h", "fixed": true}).LeaseID
	if _, err := renew(t, s, id, "1h"); !errors.Is(err, lease.ErrNotRenewable) {
		t.Fatalf("error %v; want %v", err, lease.ErrNotRenewable)
	}
	if s.Engine.Live() != 1 {
		t.Fatal("the refusal ended the credential")
	}
}

func TestRevocationIsTriedAgainUntilTheEngineSucceeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := coretest.Start(t, nil)
		var down atomic.Bool
		var tries atomic.Int64
		s.Engine.OnRevoke = func(string) error {
			tries.Add(1)
			if down.Load() {
				return errors.New("connection refused")
			}
			return nil
		}
		down.Store(true)
		id := issue(t, s, coretest.Root, map[string]any{"ttl": "1h"}).LeaseID
		_, err := s.Do(t, coretest.Root, update, "sys/leases/revoke", map[string]any{"lease_id": id})
		if err == nil || !strings.Contains(err.Error(), "tried again") {
			t.Fatalf("revoking: %v; want the engine's error and a hint", err)
		}
		if _, err := renew(t, s, id, "1h"); !errors.Is(err, lease.ErrNotFound) {
			t.Fatalf("renewing a lease under revocation: %v", err)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if n := tries.Load(); n < 10 || n > 30 || s.Engine.Live() != 1 {
			t.Fatalf("%d tries in an hour, live %d", n, s.Engine.Live())
		}
		down.Store(false)
		time.Sleep(6 * time.Minute)
		synctest.Wait()
		if s.Engine.Live() != 0 {
			t.Fatal("not revoked after the engine came back")
		}
		s.Must(t, coretest.Root, update, "sys/leases/revoke", map[string]any{"lease_id": id}) // gone is gone
	})
}

func TestRevokePrefixWorksInParallelAndStopsAtSegments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := coretest.Start(t, nil)
		s.Engine.OnRevoke = func(string) error { time.Sleep(100 * time.Millisecond); return nil }
		for range 2000 {
			issue(t, s, coretest.Root, nil)
		}
		s.Must(t, coretest.Root, read, "fake/creds/app-two", nil)
		start := time.Now()
		s.Must(t, coretest.Root, update, "sys/leases/revoke-prefix/fake/creds/app", nil)
		if took := time.Since(start); took > 5*time.Second || s.Engine.Live() != 1 {
			t.Fatalf("took %v, live %d; want less than 5s (200s in a row) and 1", took, s.Engine.Live())
		}
	})
}

func TestForceForgetsWhatCannotBeRevoked(t *testing.T) {
	s := coretest.Start(t, nil)
	s.Engine.OnRevoke = func(string) error { return errors.New("gone for ever") }
	issue(t, s, coretest.Root, nil)
	if _, err := s.Do(t, coretest.Root, update, "sys/leases/revoke-prefix/fake", nil); err == nil {
		t.Fatal("revoke-prefix hides the engine's error")
	}
	s.Must(t, coretest.Root, update, "sys/leases/revoke-force/fake", nil)
	if resp := s.Must(t, coretest.Root, list, "sys/leases/lookup/fake/creds/app/", nil); len(resp.Data) != 0 {
		t.Fatalf("leases left: %v", resp.Data)
	}
}

func TestATokenTakesItsChildrenAndLeasesWithIt(t *testing.T) {
	s := coretest.Start(t, nil)
	parent := newToken(t, s, coretest.Root, map[string]any{"ttl": "1h", "policies": "root"})
	child := newToken(t, s, parent, map[string]any{"ttl": "1h"})
	orphan := s.Must(t, parent, update, "auth/token/create-orphan", map[string]any{"ttl": "1h"}).Auth.ClientToken
	issue(t, s, parent, nil)
	issue(t, s, child, nil)
	issue(t, s, orphan, nil)
	s.Must(t, coretest.Root, update, "auth/token/revoke", map[string]any{"token": parent})
	if s.Engine.Live() != 1 {
		t.Fatalf("%d credentials live; want the orphan's alone", s.Engine.Live())
	}
	for token, valid := range map[string]bool{parent: false, child: false, orphan: true} {
		if _, err := s.Do(t, token, read, "auth/token/lookup-self", nil); (err == nil) != valid {
			t.Errorf("valid %v: %v", valid, err)
		}
	}
}

func TestATokenEndsAtItsTTLWithItsLeases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := coretest.Start(t, nil)
		token := newToken(t, s, coretest.Root, map[string]any{"ttl": "10m", "explicit_max_ttl": "25m", "policies": "root"})
		issue(t, s, token, map[string]any{"ttl": "10h"})
		time.Sleep(9 * time.Minute)
		s.Must(t, token, update, "auth/token/renew-self", map[string]any{"increment": "10m"}) // until 19 min
		time.Sleep(9 * time.Minute)
		resp := s.Must(t, token, update, "auth/token/renew-self", map[string]any{"increment": "10m"}) // until 25 min
		if resp.Auth.TTL != 7*time.Minute || len(resp.Warnings) != 1 {
			t.Fatalf("granted %v, warnings %q; want 7m and one", resp.Auth.TTL, resp.Warnings)
		}
		time.Sleep(7 * time.Minute)
		synctest.Wait()
		if _, err := s.Do(t, token, read, "auth/token/lookup-self", nil); !errors.Is(err, logical.ErrPermissionDenied) {
			t.Fatalf("after its end: %v", err)
		}
		if s.Engine.Live() != 0 {
			t.Fatal("its credential lives on")
		}
	})
}

func TestAPeriodicTokenLivesAsLongAsItIsRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := coretest.Start(t, nil)
		token := newToken(t, s, coretest.Root, map[string]any{"period": "24h"})
		for range 60 { // well beyond the 32 days of the server's maximum
			time.Sleep(23 * time.Hour)
			if ttl := s.Must(t, token, update, "auth/token/renew-self", nil).Auth.TTL; ttl != 24*time.Hour {
				t.Fatalf("granted %v", ttl)
			}
		}
	})
}

func TestATokenIsGoodForItsUses(t *testing.T) {
	s := coretest.Start(t, nil)
	token := newToken(t, s, coretest.Root, map[string]any{"num_uses": 2, "policies": "root"})
	for i := range 3 {
		_, err := s.Do(t, token, read, "auth/token/lookup-self", nil)
		if (err == nil) != (i < 2) {
			t.Fatalf("use %d: %v", i+1, err)
		}
	}
	last := newToken(t, s, coretest.Root, map[string]any{"num_uses": 1, "policies": "root"})
	if _, err := s.Do(t, last, read, "fake/creds/app", nil); err == nil {
		t.Fatal("the last use gave a credential that ends with it")
	}
	waitUntil(t, func() bool { return s.Engine.Revoked() == 1 && s.Engine.Live() == 0 })
}

func TestATokenIsNotUsedUpFromWhereItIsNotGood(t *testing.T) {
	s := coretest.Start(t, nil)
	s.Must(t, coretest.Root, update, "auth/token/roles/near", map[string]any{"token_bound_cidrs": "127.0.0.1/32", "token_num_uses": 1})
	token := s.Must(t, coretest.Root, update, "auth/token/create/near", nil).Auth.ClientToken
	_, err := s.Handle(t.Context(), &logical.Request{
		Operation: read, Path: "auth/token/lookup-self", ClientToken: token, Connection: &logical.Connection{RemoteAddr: "192.0.2.1"},
	})
	if !errors.Is(err, logical.ErrPermissionDenied) {
		t.Fatalf("from elsewhere: %v", err)
	}
	if _, err := s.Do(t, token, read, "auth/token/lookup-self", nil); err != nil {
		t.Errorf("its one use is gone: %v", err)
	}
	if _, err := s.Do(t, token, read, "auth/token/lookup-self", nil); !errors.Is(err, logical.ErrPermissionDenied) {
		t.Errorf("used twice: %v", err)
	}
}

// A child was good from anywhere: who had stolen its parent made one, where the
// parent is good, and took it along.
func TestATokenIsBoundToTheAddressesOfItsParent(t *testing.T) {
	s := coretest.Start(t, nil)
	s.Must(t, coretest.Root, update, "auth/token/roles/near", map[string]any{"token_bound_cidrs": "127.0.0.0/8"})
	s.Must(t, coretest.Root, update, "auth/token/roles/far", map[string]any{"token_bound_cidrs": "192.0.2.0/24"})
	s.Must(t, coretest.Root, update, "auth/token/roles/any", map[string]any{"token_period": "1h"})
	parent := s.Must(t, coretest.Root, update, "auth/token/create/near", nil).Auth.ClientToken
	for name, c := range map[string]struct {
		path string
		ask  map[string]any
		far  bool // it is good from 192.0.2.1, else it is good from 127.0.0.1
	}{
		"a child":                          {"create", nil, false},
		"an orphan":                        {"create-orphan", nil, false},
		"a batch token":                    {"create", map[string]any{"type": "batch", "policies": "default", "ttl": "1h"}, false},
		"of a role that binds to no place": {"create/any", nil, false},
		"of a role that binds elsewhere":   {"create/far", nil, true},
	} {
		token := s.Must(t, parent, update, "auth/token/"+c.path, c.ask).Auth.ClientToken
		for address, good := range map[string]bool{"127.0.0.1": !c.far, "192.0.2.1": c.far} {
			_, err := s.Handle(t.Context(), &logical.Request{
				Operation: read, Path: "auth/token/lookup-self", ClientToken: token, Connection: &logical.Connection{RemoteAddr: address},
			})
			if good != (err == nil) {
				t.Errorf("%s, from %s: %v", name, address, err)
			}
		}
	}
}

func TestAUsedUpTokenIsClearedAwayAlthoughItsRequestTookTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := coretest.Start(t, nil)
		before := s.Must(t, coretest.Root, list, "auth/token/accessors/", nil).Data["keys"].([]string)
		token := newToken(t, s, coretest.Root, map[string]any{"num_uses": 1, "policies": "root"})
		s.Engine.OnIssue = func() { time.Sleep(time.Minute) }
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := s.Handle(ctx, &logical.Request{Operation: read, Path: "fake/creds/app", ClientToken: token}); err == nil {
			t.Error("a credential came after the request's time")
		}
		s.Stop()
		again := coretest.Restart(t, s.Engine, s.Store, nil)
		if left := again.Must(t, coretest.Root, list, "auth/token/accessors/", nil).Data["keys"].([]string); !slices.Equal(left, before) {
			t.Errorf("%d tokens are left; want the %d before", len(left), len(before))
		}
		again.Stop()
	})
}

func TestNoCredentialIsLeftWhenItsLeaseCannotBeWritten(t *testing.T) {
	s := coretest.Start(t, nil)
	s.Store.Fail("core/lease/")
	if _, err := s.Do(t, coretest.Root, read, "fake/creds/app", nil); !errors.Is(err, coretest.ErrStore) {
		t.Fatalf("error %v; want %v", err, coretest.ErrStore)
	}
	waitUntil(t, func() bool { return s.Engine.Live() == 0 })
}

func TestNoCredentialIsLeftWhenItsTokenEndsMeanwhile(t *testing.T) {
	s := coretest.Start(t, nil)
	token := newToken(t, s, coretest.Root, map[string]any{"policies": "root", "ttl": "1h"})
	s.Engine.OnIssue = func() {
		s.Must(t, coretest.Root, update, "auth/token/revoke", map[string]any{"token": token})
	}
	if _, err := s.Do(t, token, read, "fake/creds/app", nil); !errors.Is(err, logical.ErrPermissionDenied) {
		t.Fatalf("error %v", err)
	}
	waitUntil(t, func() bool { return s.Engine.Live() == 0 })
}

func TestNoCredentialIsLeftWhenTheClientHasGone(t *testing.T) {
	s := coretest.Start(t, nil)
	ctx, hangUp := context.WithCancel(t.Context())
	s.Engine.OnIssue = hangUp
	_, err := s.Handle(ctx, &logical.Request{Operation: read, Path: "fake/creds/app", ClientToken: coretest.Root})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v", err)
	}
	waitUntil(t, func() bool { return s.Engine.Live() == 0 })
}

func TestDisablingAMountEndsWhatItGaveOutFirst(t *testing.T) {
	s := coretest.Start(t, nil)
	var down atomic.Bool
	s.Engine.OnRevoke = func(string) error {
		if down.Load() {
			return errors.New("connection refused")
		}
		return nil
	}
	issue(t, s, coretest.Root, nil)
	down.Store(true)
	if _, err := s.Do(t, coretest.Root, del, "sys/mounts/fake", nil); err == nil || !strings.Contains(err.Error(), "-force -prefix fake/") {
		t.Fatalf("error %v; want one with a way out", err)
	}
	issue(t, s, coretest.Root, nil) // still in service
	down.Store(false)
	s.Must(t, coretest.Root, del, "sys/mounts/fake", nil)
	if s.Engine.Live() != 0 {
		t.Fatalf("%d credentials left behind", s.Engine.Live())
	}
	if _, err := s.Do(t, coretest.Root, read, "fake/creds/app", nil); err == nil {
		t.Fatal("the mount still answers")
	}
}

func TestPoliciesGuardEveryRequest(t *testing.T) {
	s := coretest.Start(t, nil)
	s.Must(t, coretest.Root, update, "sys/policies/acl/writer", map[string]any{"policy": `
path "fake/notes/*" { capabilities = ["update", "list"] }
path "fake/notes/new*" { capabilities = ["create"] }
path "fake/guarded" { capabilities = ["read"] }
`})
	s.Must(t, coretest.Root, update, "sys/policies/acl/admin", map[string]any{"policy": `path "fake/guarded" { capabilities = ["read", "sudo"] }`})
	s.Must(t, coretest.Root, update, "fake/notes/old", map[string]any{"note": "x"})
	writer := newToken(t, s, coretest.Root, map[string]any{"policies": "writer"})
	admin := newToken(t, s, coretest.Root, map[string]any{"policies": "writer,admin"})
	cases := []struct {
		name, token string
		op          logical.Operation
		path        string
		allowed     bool
	}{
		{"an update of what exists needs update", writer, update, "fake/notes/old", true},
		{"an update of what does not exist needs create", writer, update, "fake/notes/other", false},
		{"a creation may be granted", writer, update, "fake/notes/new", true},
		{"the same is then an update, which is not", writer, update, "fake/notes/new", false},
		{"reading needs read", writer, read, "fake/notes/old", false},
		{"a folder can be listed", writer, list, "fake/notes/", true},
		{"a guarded path needs sudo", writer, read, "fake/guarded", false},
		{"and takes it", admin, read, "fake/guarded", true},
		{"an open path takes no token", "", read, "fake/open", true},
		{"no token, no answer", "", read, "fake/guarded", false},
		{"an unknown token is refused", "hvs.nobody", read, "auth/token/lookup-self", false},
		{"a path without mount does not tell", writer, read, "elsewhere/x", false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := s.Do(t, c.token, c.op, c.path, map[string]any{})
			if c.allowed && err != nil || !c.allowed && !errors.Is(err, logical.ErrPermissionDenied) {
				t.Fatalf("allowed %v: %v", c.allowed, err)
			}
		})
	}
}

func TestEnginesDoNotSeeTheClientsToken(t *testing.T) {
	s := coretest.Start(t, nil)
	seen := s.Must(t, coretest.Root, read, "fake/guarded", nil).Data["token_seen"].(string)
	if seen == "" || strings.Contains(seen, coretest.Root) {
		t.Fatalf("the engine saw %q", seen)
	}
	if seen := s.Must(t, coretest.Root, read, "fake/open", nil).Data["token_seen"]; seen != "" {
		t.Fatalf("an open path saw %q", seen)
	}
}

func TestAChildHasNoMoreThanItsParent(t *testing.T) {
	s := coretest.Start(t, nil)
	s.Must(t, coretest.Root, update, "sys/policies/acl/maker", map[string]any{"policy": `path "auth/token/create" { capabilities = ["update"] }`})
	maker := newToken(t, s, coretest.Root, map[string]any{"policies": "maker"})
	for _, ask := range []map[string]any{
		{"policies": "root"}, {"policies": "other"}, {"id": "mine"}, {"no_parent": true}, {"period": "1h"}, {"type": "magic"}, {"type": "batch", "policies": "maker", "num_uses": 2},
	} {
		if resp, err := s.Do(t, maker, update, "auth/token/create", ask); err != nil || !resp.IsError() {
			t.Errorf("%v: %+v, %v; want a refusal", ask, resp, err)
		}
	}
	got := s.Must(t, maker, update, "auth/token/create", map[string]any{"display_name": "my app", "ttl": nil, "lease": "1h"}).Auth
	if got.TTL != time.Hour || strings.Join(got.Policies, ",") != "default,maker" || got.DisplayName != "token-my-app" || got.Orphan {
		t.Fatalf("ttl %v, policies %q, name %q, orphan %v", got.TTL, got.Policies, got.DisplayName, got.Orphan)
	}
}

func TestStateSurvivesARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := coretest.Start(t, nil)
		token := newToken(t, s, coretest.Root, map[string]any{"policies": "root", "ttl": "1h"})
		s.Must(t, coretest.Root, update, "sys/auth/token/tune", map[string]any{"max_lease_ttl": "90m"})
		kept := issue(t, s, token, map[string]any{"ttl": "40m"}).LeaseID
		issue(t, s, token, map[string]any{"ttl": "10m"}) // ends while the server is down
		s.Stop()
		time.Sleep(20 * time.Minute)

		s = coretest.Restart(t, s.Engine, s.Store, nil)
		synctest.Wait()
		if s.Engine.Live() != 1 {
			t.Fatalf("%d credentials live after the restart; want 1", s.Engine.Live())
		}
		if tuned := s.Must(t, coretest.Root, read, "sys/auth/token/tune", nil).Data["max_lease_ttl"]; tuned != int64(5400) {
			t.Fatalf("auth/token is tuned to %v", tuned)
		}
		if resp := s.Must(t, token, update, "sys/leases/renew", map[string]any{"lease_id": kept}); resp.Secret.TTL != 40*time.Minute {
			t.Fatalf("renewed for %v", resp.Secret.TTL)
		}
		time.Sleep(41 * time.Minute)
		synctest.Wait()
		if s.Engine.Live() != 0 {
			t.Fatal("the token's end did not end its lease")
		}
	})
}

func TestPeriodicWorkRunsEveryMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := coretest.Start(t, nil)
		time.Sleep(5*time.Minute + time.Second)
		synctest.Wait()
		if s.Engine.Ticks() != 5 {
			t.Fatalf("%d times in five minutes", s.Engine.Ticks())
		}
	})
}

func TestIssuingRenewingAndRevokingAtOnceLosesNothing(t *testing.T) {
	s := coretest.Start(t, nil)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			token := newToken(t, s, coretest.Root, map[string]any{"policies": "root", "ttl": "1h"})
			for i := range 50 {
				id := issue(t, s, token, map[string]any{"ttl": "1h"}).LeaseID
				both := sync.WaitGroup{}
				both.Go(func() { _, _ = renew(t, s, id, "1h") }) // may come too late
				if i%2 == 0 {
					both.Go(func() {
						s.Must(t, token, update, "sys/leases/revoke", map[string]any{"lease_id": id})
					})
				}
				both.Wait()
			}
			s.Must(t, token, update, "auth/token/revoke-self", nil)
		})
	}
	all.Wait()
	if s.Engine.Live() != 0 || s.Engine.Revoked() != 400 {
		t.Fatalf("live %d, revoked %d; want 0 and 400, each once", s.Engine.Live(), s.Engine.Revoked())
	}
	if left, err := s.RevokeEverything(t.Context()); left != 0 || err != nil {
		t.Fatalf("%d leases left, %v", left, err)
	}
}

// waitUntil waits for what goes on in the background.
func waitUntil(t *testing.T, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !done() {
		if time.Now().After(deadline) {
			t.Fatal("it did not come to pass within 10s")
		}
		time.Sleep(time.Millisecond)
	}
}

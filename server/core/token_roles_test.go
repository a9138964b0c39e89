package core_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/novatech/securevault/server/core/coretest"
)

// maker returns a token that may create tokens of roles, and nothing else.
func maker(t *testing.T, s *coretest.Server) string {
	t.Helper()
	s.Must(t, coretest.Root, update, "sys/policies/acl/maker", map[string]any{
		"policy": `path "auth/token/create/*" { capabilities = ["update"] }`,
	})
	return newToken(t, s, coretest.Root, map[string]any{"policies": "maker"})
}

func TestATokenRoleDecidesOnPolicies(t *testing.T) {
	s := coretest.Start(t, nil)
	token := maker(t, s)
	for name, role := range map[string]map[string]any{
		"listed":   {"allowed_policies": "app,web"},
		"globbed":  {"allowed_policies_glob": "Team-*", "disallowed_policies": "team-Admin"},
		"withheld": {"disallowed_policies_glob": "Admin*,default"},
		"bare":     {"allowed_policies": "app", "token_no_default_policy": true},
		"open":     {},
	} {
		s.Must(t, coretest.Root, update, "auth/token/roles/"+name, role)
	}
	cases := []struct{ name, role, asked, want, says string }{
		{"all that is allowed when nothing is asked for", "listed", "", "app,default,web", ""},
		{"a part of it", "listed", "web", "default,web", ""},
		{"what is not allowed", "listed", "admin", "", `does not allow policy "admin"`},
		{"what matches", "globbed", "team-blue", "default,team-blue", ""},
		{"what matches and is disallowed", "globbed", "team-admin", "", `disallows policy "team-admin"`},
		{"the parent's, when a pattern names none", "globbed", "", "default", ""},
		{"anything but what is disallowed", "withheld", "other", "other", ""},
		{"what is disallowed by a pattern", "withheld", "admin-two", "", `disallows policy "admin-two"`},
		{"root", "withheld", "root", "", "only a root token"},
		{"without the default policy", "bare", "", "app", ""},
		{"the parent's where the role says nothing", "open", "", "default,maker", ""},
		{"not beyond the parent's where the role says nothing", "open", "other", "", "child policies must be subset of parent"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			ask := map[string]any{}
			if c.asked != "" {
				ask["policies"] = c.asked
			}
			resp, err := s.Do(t, token, update, "auth/token/create/"+c.role, ask)
			if err == nil {
				err = resp.Error()
			}
			switch {
			case c.says == "" && err != nil, c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)):
				t.Fatalf("error %v; want %q", err, c.says)
			case err == nil && strings.Join(resp.Auth.Policies, ",") != c.want:
				t.Fatalf("policies %q; want %s", resp.Auth.Policies, c.want)
			}
		})
	}
}

func TestATokenRoleShapesItsTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := coretest.Start(t, nil)
		token := maker(t, s)
		s.Must(t, coretest.Root, update, "auth/token/roles/job", map[string]any{
			"allowed_policies": "app", "orphan": true, "period": "10m", "path_suffix": "nightly", "bound_cidrs": "127.0.0.0/8",
		})
		made := s.Must(t, token, update, "auth/token/create/job", map[string]any{"ttl": "5h"}).Auth
		if !made.Orphan || made.TTL != 10*time.Minute || made.Period != 10*time.Minute {
			t.Fatalf("orphan %v, ttl %v, period %v", made.Orphan, made.TTL, made.Period)
		}
		data := s.Must(t, made.ClientToken, read, "auth/token/lookup-self", nil).Data
		if data["path"] != "auth/token/create/job/nightly" || data["role"] != "job" || data["bound_cidrs"] == nil {
			t.Fatalf("lookup %v", data)
		}
		s.Must(t, coretest.Root, update, "auth/token/roles/job", map[string]any{"token_explicit_max_ttl": "15m", "token_num_uses": 3, "renewable": false})
		second := s.Must(t, token, update, "auth/token/create/job", map[string]any{"explicit_max_ttl": "20m", "num_uses": 2}).Auth
		if second.ExplicitMaxTTL != 15*time.Minute || second.NumUses != 2 || second.Renewable || second.Period != 10*time.Minute {
			t.Fatalf("after a partial write: %+v", second)
		}
		if _, err := s.Do(t, made.ClientToken, update, "auth/token/renew-self", nil); err != nil {
			t.Fatal(err)
		}
		s.Must(t, coretest.Root, del, "auth/token/roles/job", nil)
		resp, err := s.Do(t, made.ClientToken, update, "auth/token/renew-self", nil)
		if err != nil || !resp.IsError() {
			t.Fatalf("renewed without its role: %v, %v", resp, err)
		}
		s.Must(t, coretest.Root, update, "sys/leases/revoke-prefix/auth/token/create/job/nightly", nil)
		if _, err := s.Do(t, made.ClientToken, read, "auth/token/lookup-self", nil); err == nil {
			t.Fatal("revoke-prefix did not reach the path suffix")
		}
	})
}

func TestOnlyThePathNamesTheRole(t *testing.T) {
	s := coretest.Start(t, nil)
	s.Must(t, coretest.Root, update, "auth/token/roles/strong", map[string]any{"allowed_policies": "admin"})
	s.Must(t, coretest.Root, update, "sys/policies/acl/weak", map[string]any{"policy": `path "auth/token/create" { capabilities = ["update"] }`})
	weak := newToken(t, s, coretest.Root, map[string]any{"policies": "weak"})
	made := s.Must(t, weak, update, "auth/token/create", map[string]any{"role_name": "strong"}).Auth
	if slices.Contains(made.Policies, "admin") {
		t.Fatalf("the role of the body was taken: %q", made.Policies)
	}
}

func TestAMistakenTokenRoleIsRefused(t *testing.T) {
	s := coretest.Start(t, nil)
	for says, role := range map[string]map[string]any{
		`token_type "magic" is unknown`:       {"token_type": "magic"},
		"batch tokens have neither period":    {"token_type": "batch", "period": "1h"},
		"token_num_uses must not be negative": {"token_num_uses": -1},
		`path_suffix must not contain ".."`:   {"path_suffix": "../x"},
		"bound_cidrs:":                        {"bound_cidrs": "nowhere"},
	} {
		resp, err := s.Do(t, coretest.Root, update, "auth/token/roles/r", role)
		if err != nil || !resp.IsError() || !strings.Contains(resp.Error().Error(), says) {
			t.Errorf("%v: %v, %v; want %q", role, resp, err, says)
		}
	}
}

func TestABatchTokensLeasesEndWithIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := coretest.Start(t, nil)
		s.Must(t, coretest.Root, update, "sys/policies/acl/app", map[string]any{
			"policy": `path "fake/creds/*" { capabilities = ["read"] } path "auth/token/create" { capabilities = ["update"] }`,
		})
		parent := newToken(t, s, coretest.Root, map[string]any{"policies": "root", "ttl": "2h"})
		batch := newToken(t, s, parent, map[string]any{"policies": "app", "type": "batch", "ttl": "10m"})
		orphan := newToken(t, s, coretest.Root, map[string]any{"policies": "app", "type": "batch", "ttl": "10m", "no_parent": true})
		id := issue(t, s, batch, map[string]any{"ttl": "1h"}).LeaseID
		if ttl := issue(t, s, orphan, map[string]any{"ttl": "1h"}).TTL; ttl > 10*time.Minute {
			t.Fatalf("a lease of %v outlives its batch token", ttl)
		}
		if resp, err := renew(t, s, id, "1h"); err != nil || resp.Secret.TTL > 10*time.Minute {
			t.Fatalf("renewed beyond the batch token: %v, %v", resp, err)
		}
		for path, op := range map[string]string{"auth/token/create": "create", "auth/token/renew-self": "renew", "auth/token/revoke-self": "revoke"} {
			resp, err := s.Do(t, batch, update, path, map[string]any{"policies": "app"})
			if err == nil && !resp.IsError() {
				t.Errorf("a batch token could %s", op)
			}
		}
		s.Must(t, coretest.Root, update, "auth/token/revoke", map[string]any{"token": parent})
		if s.Engine.Live() != 1 {
			t.Fatalf("%d credentials live after the parent's end; want the orphan's alone", s.Engine.Live())
		}
		time.Sleep(10*time.Minute + time.Second)
		synctest.Wait()
		if s.Engine.Live() != 0 {
			t.Fatal("the orphan's credential outlives it")
		}
	})
}

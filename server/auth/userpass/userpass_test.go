package userpass_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"golang.org/x/crypto/bcrypt"

	"github.com/novatech/securevault/server/auth/userpass"
	"github.com/novatech/securevault/server/core/coretest"
)

const (
	read   = logical.ReadOperation
	update = logical.UpdateOperation
	list   = logical.ListOperation
	del    = logical.DeleteOperation

	alice = "auth/userpass/users/alice"
)

// start runs a server with the user alice, whose password is "wonderland".
func start(t *testing.T, more map[string]any) *coretest.Server {
	t.Helper()
	s := coretest.Start(t, map[string]logical.Factory{"userpass": userpass.Factory})
	hash, err := bcrypt.GenerateFromPassword([]byte("wonderland"), bcrypt.MinCost) // quick
	if err != nil {
		t.Fatal(err)
	}
	s.Must(t, coretest.Root, update, alice, map[string]any{"password_hash": string(hash)})
	s.Must(t, coretest.Root, update, alice, more)
	return s
}

// login returns the token's description, or the refusal.
func login(t *testing.T, s *coretest.Server, user, password string) (*logical.Auth, string) {
	t.Helper()
	resp, err := s.Do(t, "", update, "auth/userpass/login/"+user, map[string]any{"password": password})
	switch {
	case resp.IsError():
		return nil, resp.Error().Error()
	case err != nil:
		return nil, err.Error()
	}
	return resp.Auth, ""
}

func TestAPasswordGivesAToken(t *testing.T) {
	s := start(t, map[string]any{
		"token_policies": "app", "token_ttl": "20m", "token_max_ttl": "1h", "token_num_uses": 9,
		"token_bound_cidrs": "127.0.0.0/8", "token_no_default_policy": true,
	})
	got, refusal := login(t, s, "Alice", "wonderland")
	if refusal != "" {
		t.Fatal(refusal)
	}
	if strings.Join(got.Policies, ",") != "app" || got.TTL != 20*time.Minute || got.NumUses != 9 || len(got.BoundCIDRs) != 1 {
		t.Errorf("token %+v", got)
	}
	if got.DisplayName != "userpass-alice" || got.Metadata["username"] != "alice" {
		t.Errorf("name %q, metadata %v", got.DisplayName, got.Metadata)
	}
}

func TestEveryWrongLoginIsRefusedAlike(t *testing.T) {
	s := start(t, nil)
	for name, who := range map[string][2]string{
		"a wrong password":     {"alice", "looking-glass"},
		"no password":          {"alice", ""},
		"a user who is nobody": {"bob", "wonderland"},
	} {
		if _, refusal := login(t, s, who[0], who[1]); refusal != "invalid username or password" {
			t.Errorf("%s: %q", name, refusal)
		}
	}
}

// The right password was refused in other words than a wrong one, and not
// counted: it could be guessed from anywhere, to be used from near by.
func TestFromElsewhereTheRightPasswordIsRefusedLikeAWrongOne(t *testing.T) {
	s := start(t, map[string]any{"token_bound_cidrs": "192.0.2.0/24"})
	for _, password := range []string{"wonderland", "looking-glass", "wonderland", "looking-glass", "wonderland"} {
		if got, refusal := login(t, s, "alice", password); got != nil || refusal != "invalid username or password" {
			t.Fatalf("%s: token %v, refusal %q", password, got, refusal)
		}
	}
	if _, refusal := login(t, s, "alice", "wonderland"); refusal != "permission denied" {
		t.Errorf("after five of them: %q", refusal)
	}
}

func TestUsersAreListedReadChangedAndDeleted(t *testing.T) {
	s := start(t, map[string]any{"token_ttl": "5m"})
	s.Must(t, coretest.Root, update, alice+"/policies", map[string]any{"token_policies": "db", "password": "ignored"})
	data := s.Must(t, coretest.Root, read, alice, nil).Data
	if policies := data["token_policies"].([]string); len(policies) != 1 || policies[0] != "db" || data["token_ttl"] != int64(300) {
		t.Errorf("user %v", data)
	}
	for field := range data {
		if strings.Contains(field, "password") {
			t.Errorf("a read shows %q", field)
		}
	}
	s.Must(t, coretest.Root, update, alice+"/password", map[string]any{"password": "looking-glass", "token_policies": "root"})
	if got, refusal := login(t, s, "alice", "looking-glass"); refusal != "" || got.Policies[0] != "db" {
		t.Errorf("with the new password: %v, %q", got, refusal)
	}
	if _, refusal := login(t, s, "alice", "wonderland"); refusal == "" {
		t.Error("the old password still works")
	}
	if keys := s.Must(t, coretest.Root, list, "auth/userpass/users/", nil).Data["keys"].([]string); len(keys) != 1 || keys[0] != "alice" {
		t.Errorf("listed %q", keys)
	}
	s.Must(t, coretest.Root, del, alice, nil)
	if _, refusal := login(t, s, "alice", "looking-glass"); refusal == "" {
		t.Error("a deleted user logs in")
	}
}

func TestUsersThatMakeNoSense(t *testing.T) {
	s := start(t, nil)
	for name, c := range map[string]struct {
		path string
		user map[string]any
		want string
	}{
		"no password":                  {"users/bob", map[string]any{"token_ttl": "1h"}, "missing password"},
		"a password bcrypt would cut":  {"users/bob", map[string]any{"password": strings.Repeat("x", 73)}, "72 bytes"},
		"a hash that is none":          {"users/bob", map[string]any{"password_hash": "md5"}, "no bcrypt hash"},
		"a hash that takes days":       {"users/bob", map[string]any{"password_hash": "$2b$31$" + strings.Repeat("x", 53)}, "cost 31"},
		"two passwords":                {"users/bob", map[string]any{"password": "a", "password_hash": "b"}, "exclude each other"},
		"ttl above max":                {"users/bob", map[string]any{"password": "a", "token_ttl": "2h", "token_max_ttl": "1h"}, "token_ttl"},
		"the password of nobody":       {"users/bob/password", map[string]any{"password": "a"}, "write it first"},
		"a token type that is unknown": {"users/bob", map[string]any{"password": "a", "token_type": "x"}, "token_type"},
	} {
		resp, err := s.Do(t, coretest.Root, update, "auth/userpass/"+c.path, c.user)
		if err == nil {
			err = resp.Error()
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; want %q", name, err, c.want)
		}
	}
	if resp, _ := s.Do(t, coretest.Root, read, "auth/userpass/users/bob", nil); resp != nil {
		t.Errorf("a refused user was kept: %v", resp.Data)
	}
}

func TestATokenIsRenewedAfterItsUser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, map[string]any{"token_policies": "app", "token_ttl": "20m"})
		got, _ := login(t, s, "alice", "wonderland")
		renew := func() (*logical.Response, error) {
			return s.Do(t, coretest.Root, update, "auth/token/renew", map[string]any{"token": got.ClientToken})
		}
		s.Must(t, coretest.Root, update, alice, map[string]any{"token_ttl": "30m"})
		if resp, err := renew(); err != nil || resp.Auth.TTL != 30*time.Minute {
			t.Fatalf("renewed to %v, %v; want the new 30m", resp, err)
		}
		s.Must(t, coretest.Root, update, alice+"/policies", map[string]any{"token_policies": "other"})
		if _, err := renew(); err == nil || !strings.Contains(err.Error(), "log in again") {
			t.Fatalf("renewed although the policies have changed: %v", err)
		}
		s.Must(t, coretest.Root, del, alice, nil)
		if _, err := renew(); err == nil || !strings.Contains(err.Error(), "does not exist any more") {
			t.Fatalf("renewed although the user is gone: %v", err)
		}
	})
}

func TestGuessingLocksAUserOut(t *testing.T) {
	s := start(t, nil)
	s.Must(t, coretest.Root, update, "sys/auth/userpass/tune", map[string]any{
		"user_lockout_config": map[string]any{"lockout_threshold": "2", "lockout_duration": "1h"},
	})
	if tuned := s.Must(t, coretest.Root, read, "sys/auth/userpass/tune", nil).Data; tuned["user_lockout_threshold"] != 2 || tuned["user_lockout_duration"] != int64(3600) {
		t.Errorf("tuned to %v", tuned)
	}
	for range 2 {
		login(t, s, "alice", "guess")
		login(t, s, "nobody", "guess")
	}
	for user, password := range map[string]string{"alice": "wonderland", "nobody": "guess"} {
		if got, refusal := login(t, s, user, password); got != nil || refusal != "permission denied" {
			t.Fatalf("%s after two guesses: %v, %q", user, got, refusal)
		}
	}
	locked := s.Must(t, coretest.Root, read, "sys/locked-users", nil).Data
	mount := locked["by_namespace"].([]map[string]any)[0]["mount_accessors"].([]map[string]any)[0]
	if names := mount["alias_identifiers"].([]string); locked["total"] != 2 || strings.Join(names, " ") != "alice nobody" {
		t.Fatalf("locked %v", locked)
	}
	s.Must(t, coretest.Root, update, "sys/locked-users/"+mount["mount_accessor"].(string)+"/unlock/alice", nil)
	if _, refusal := login(t, s, "alice", "wonderland"); refusal != "" {
		t.Fatalf("after the unlock: %q", refusal)
	}
	s.Must(t, coretest.Root, update, "sys/auth/userpass/tune", map[string]any{"user_lockout_config": map[string]any{"lockout_disable": true}})
	if _, refusal := login(t, s, "nobody", "guess"); refusal != "invalid username or password" {
		t.Fatalf("with the lockout disabled: %q", refusal)
	}
}

package approle_test

import (
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/auth/approle"
	"github.com/novatech/securevault/server/core/coretest"
)

const (
	read   = logical.ReadOperation
	update = logical.UpdateOperation
	list   = logical.ListOperation
)

// web is a server with the role "web" and its role id.
type web struct {
	*coretest.Server
	roleID string
}

func start(t *testing.T, role map[string]any) web {
	t.Helper()
	s := coretest.Start(t, map[string]logical.Factory{"approle": approle.Factory})
	s.Must(t, coretest.Root, update, "sys/policy/all", map[string]any{
		"policy": `path "*" { capabilities = ["create", "read", "update", "delete", "list"] }`,
	})
	s.Must(t, coretest.Root, update, "auth/approle/role/Web", role)
	id := s.Must(t, coretest.Root, read, "auth/approle/role/web/role-id", nil).Data["role_id"].(string)
	return web{s, id}
}

func (w web) secretID(t *testing.T, ask map[string]any) map[string]any {
	t.Helper()
	return w.Must(t, coretest.Root, update, "auth/approle/role/web/secret-id", ask).Data
}

// login returns the token's description, or the refusal.
func (w web) login(t *testing.T, roleID, secretID any) (*logical.Auth, string) {
	t.Helper()
	resp, err := w.Do(t, "", update, "auth/approle/login", map[string]any{"role_id": roleID, "secret_id": secretID})
	switch {
	case resp.IsError():
		return nil, resp.Error().Error()
	case err != nil:
		return nil, err.Error()
	}
	return resp.Auth, ""
}

func TestARoleIDAndASecretIDGiveAToken(t *testing.T) {
	w := start(t, map[string]any{
		"token_policies": "app", "token_ttl": "20m", "token_max_ttl": "1h", "token_num_uses": 7, "policies": "ignored",
	})
	secret := w.secretID(t, map[string]any{"metadata": `{"team":"payments"}`})
	got, refusal := w.login(t, w.roleID, secret["secret_id"])
	if refusal != "" {
		t.Fatal(refusal)
	}
	if strings.Join(got.Policies, ",") != "app,default" || got.TTL != 20*time.Minute || got.NumUses != 7 || !got.Renewable || !got.Orphan {
		t.Errorf("token %+v", got)
	}
	if got.Metadata["team"] != "payments" || got.Metadata["role_name"] != "web" || got.DisplayName != "approle" {
		t.Errorf("metadata %v, name %q", got.Metadata, got.DisplayName)
	}
	if !strings.HasPrefix(got.ClientToken, "hvs.") {
		t.Errorf("token %q", got.ClientToken)
	}
}

func TestEveryWrongLoginIsRefusedAlike(t *testing.T) {
	w := start(t, map[string]any{"policies": "app"})
	other := "auth/approle/role/other"
	w.Must(t, coretest.Root, update, other, map[string]any{"policies": "app"})
	foreign := w.Must(t, coretest.Root, update, other+"/secret-id", nil).Data["secret_id"]
	secret := w.secretID(t, nil)["secret_id"]
	bound := w.secretID(t, map[string]any{"cidr_list": "10.0.0.0/8"})["secret_id"]
	for name, login := range map[string][2]any{
		"wrong role id":                  {"nobody", secret},
		"wrong secret id":                {w.roleID, "wrong"},
		"no secret id":                   {w.roleID, ""},
		"a secret id of another role":    {w.roleID, foreign},
		"from outside the secret's CIDR": {w.roleID, bound},
	} {
		if _, refusal := w.login(t, login[0], login[1]); refusal != "invalid role or secret ID" {
			t.Errorf("%s: %q", name, refusal)
		}
	}
}

func TestASecretIDIsGoodForItsUsesEvenAtOnce(t *testing.T) {
	w := start(t, map[string]any{"secret_id_num_uses": 5})
	secret := w.secretID(t, nil)
	var granted atomic.Int64
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if _, refusal := w.login(t, w.roleID, secret["secret_id"]); refusal == "" {
				granted.Add(1)
			}
		})
	}
	all.Wait()
	if granted.Load() != 5 {
		t.Fatalf("%d logins with a secret id good for 5", granted.Load())
	}
	if left := w.Must(t, coretest.Root, list, "auth/approle/role/web/secret-id/", nil); len(left.Data) != 0 {
		t.Fatalf("accessors left: %v", left.Data)
	}
}

func TestASecretIDEndsAtItsTTLAndIsTidiedAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, map[string]any{"secret_id_ttl": "10m"})
		secret := w.secretID(t, nil)["secret_id"]
		w.secretID(t, map[string]any{"ttl": "5m"})
		time.Sleep(9 * time.Minute)
		if _, refusal := w.login(t, w.roleID, secret); refusal != "" {
			t.Fatal(refusal)
		}
		time.Sleep(time.Minute)
		if _, refusal := w.login(t, w.roleID, secret); refusal != "invalid role or secret ID" {
			t.Fatalf("after its TTL: %q", refusal)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if left := w.Must(t, coretest.Root, list, "auth/approle/role/web/secret-id/", nil); len(left.Data) != 0 {
			t.Fatalf("accessors left: %v", left.Data)
		}
	})
}

func TestATokenIsRenewedAfterItsRole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, map[string]any{"token_ttl": "20m", "token_max_ttl": "50m", "policies": "all"})
		got, _ := w.login(t, w.roleID, w.secretID(t, nil)["secret_id"])
		for _, want := range []time.Duration{20 * time.Minute, 20 * time.Minute, 5 * time.Minute} {
			time.Sleep(15 * time.Minute)
			if resp := w.Must(t, got.ClientToken, update, "auth/token/renew-self", nil); resp.Auth.TTL != want {
				t.Fatalf("renewed for %v; want %v", resp.Auth.TTL, want)
			}
		}
		w.Must(t, coretest.Root, logical.DeleteOperation, "auth/approle/role/web", nil)
		resp, err := w.Do(t, got.ClientToken, update, "auth/token/renew-self", nil)
		if err == nil && !resp.IsError() {
			t.Fatal("a token of a deleted role was renewed")
		}
	})
}

func TestTokensAreBoundToAddresses(t *testing.T) {
	w := start(t, map[string]any{"token_bound_cidrs": "127.0.0.0/8", "policies": "all"})
	got, refusal := w.login(t, w.roleID, w.secretID(t, nil)["secret_id"])
	if refusal != "" {
		t.Fatal(refusal)
	}
	w.Must(t, got.ClientToken, read, "auth/token/lookup-self", nil)
	_, err := w.Handle(t.Context(), &logical.Request{
		Operation: read, Path: "auth/token/lookup-self", ClientToken: got.ClientToken,
		Connection: &logical.Connection{RemoteAddr: "192.0.2.1"},
	})
	if err == nil {
		t.Fatal("the token works from elsewhere")
	}
}

func TestFromElsewhereARightSecretIDIsRefusedLikeAWrongOne(t *testing.T) {
	w := start(t, map[string]any{"token_bound_cidrs": "192.0.2.0/24"})
	for _, secret := range []any{w.secretID(t, nil)["secret_id"], "guess"} {
		if got, refusal := w.login(t, w.roleID, secret); got != nil || refusal != "invalid role or secret ID" {
			t.Errorf("login: %+v, %q", got, refusal)
		}
	}
}

func TestALoginNeverGivesARootToken(t *testing.T) {
	w := start(t, map[string]any{"token_policies": "root"})
	if got, refusal := w.login(t, w.roleID, w.secretID(t, nil)["secret_id"]); got != nil || !strings.Contains(refusal, "cannot create root tokens") {
		t.Fatalf("login: %+v, %q", got, refusal)
	}
}

func TestRolesThatMakeNoSense(t *testing.T) {
	w := start(t, nil)
	for name, role := range map[string]map[string]any{
		"no proof at all":        {"bind_secret_id": false},
		"a CIDR that is none":    {"secret_id_bound_cidrs": "here"},
		"ttl above max":          {"token_ttl": "2h", "token_max_ttl": "1h"},
		"a token of no type":     {"token_type": "strange"},
		"another role's role id": {"role_id": w.roleID},
	} {
		resp, err := w.Do(t, coretest.Root, update, "auth/approle/role/new", role)
		if err == nil && !resp.IsError() {
			t.Errorf("%s: accepted", name)
		}
	}
	if resp, err := w.Do(t, coretest.Root, read, "auth/approle/role/new", nil); resp != nil || err != nil {
		t.Errorf("a refused role was kept: %v, %v", resp, err)
	}
}

func TestSecretIDsCanBeLookedUpAndDestroyed(t *testing.T) {
	w := start(t, map[string]any{"secret_id_num_uses": 3})
	base := "auth/approle/role/web/"
	w.Must(t, coretest.Root, update, base+"custom-secret-id", map[string]any{"secret_id": "mine"})
	looked := w.Must(t, coretest.Root, update, base+"secret-id/lookup", map[string]any{"secret_id": "mine"}).Data
	if looked["secret_id_num_uses"] != 3 {
		t.Fatalf("looked up %v", looked)
	}
	accessor := map[string]any{"secret_id_accessor": looked["secret_id_accessor"]}
	if again := w.Must(t, coretest.Root, update, base+"secret-id-accessor/lookup", accessor).Data; again["creation_time"] != looked["creation_time"] {
		t.Fatalf("by accessor %v", again)
	}
	w.Must(t, coretest.Root, update, base+"secret-id-accessor/destroy", accessor)
	if _, refusal := w.login(t, w.roleID, "mine"); refusal == "" {
		t.Fatal("a destroyed secret id logs in")
	}
	w.secretID(t, nil)
	w.Must(t, coretest.Root, update, base+"custom-secret-id", map[string]any{"secret_id": "two"})
	w.Must(t, coretest.Root, update, base+"secret-id/destroy", map[string]any{"secret_id": "two"})
	if keys := w.Must(t, coretest.Root, list, base+"secret-id/", nil).Data["keys"].([]string); len(keys) != 1 {
		t.Fatalf("accessors %q; want one", keys)
	}
}

func TestDisablingTheMethodEndsItsTokens(t *testing.T) {
	w := start(t, map[string]any{"policies": "all"})
	got, _ := w.login(t, w.roleID, w.secretID(t, nil)["secret_id"])
	w.Must(t, got.ClientToken, read, "fake/creds/app", nil)
	w.Must(t, coretest.Root, logical.DeleteOperation, "sys/auth/approle", nil)
	if _, err := w.Do(t, got.ClientToken, read, "auth/token/lookup-self", nil); err == nil || w.Engine.Live() != 0 {
		t.Fatalf("the token lives on: %v, %d credentials", err, w.Engine.Live())
	}
}

func TestAFieldOfARoleIsReadChangedAndResetByItself(t *testing.T) {
	w := start(t, map[string]any{"token_policies": "app", "secret_id_num_uses": 3, "local_secret_ids": true})
	base := "auth/approle/role/web/"
	for _, c := range []struct {
		property, field string
		send, want      any
		reset           any
	}{
		{"policies", "policies", "db,app", []string{"db", "app"}, []string{}},
		{"token-ttl", "token_ttl", "5m", int64(300), int64(0)},
		{"period", "period", 90, int64(90), int64(0)},
		{"secret-id-num-uses", "secret_id_num_uses", 7, 7, 0},
		{"secret-id-ttl", "secret_id_ttl", "1h", int64(3600), int64(0)},
		{"secret-id-bound-cidrs", "secret_id_bound_cidrs", "127.0.0.0/8", []string{"127.0.0.0/8"}, []string{}},
		{"bind-secret-id", "bind_secret_id", "true", true, true},
	} {
		w.Must(t, coretest.Root, update, base+c.property, map[string]any{c.field: c.send, "role_id": "smuggled"})
		if got := w.Must(t, coretest.Root, read, base+c.property, nil).Data[c.field]; !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %#v; want %#v", c.property, got, c.want)
		}
		w.Must(t, coretest.Root, logical.DeleteOperation, base+c.property, nil)
		if got := w.Must(t, coretest.Root, read, base+c.property, nil).Data[c.field]; !reflect.DeepEqual(got, c.reset) {
			t.Errorf("%s after its reset: %#v; want %#v", c.property, got, c.reset)
		}
	}
	if id := w.Must(t, coretest.Root, read, base+"role-id", nil).Data["role_id"]; id != w.roleID {
		t.Errorf("another field was changed along: role id %q", id)
	}
}

func TestGuessingLocksARoleOutForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, nil)
		secret := w.secretID(t, nil)["secret_id"]
		for range 5 {
			w.login(t, w.roleID, "guess")
		}
		if _, refusal := w.login(t, w.roleID, secret); refusal != "permission denied" {
			t.Fatalf("after five guesses: %q", refusal)
		}
		time.Sleep(15 * time.Minute)
		if _, refusal := w.login(t, w.roleID, secret); refusal != "" {
			t.Fatalf("after the lock: %q", refusal)
		}
	})
}

func TestTidyingRemovesTheExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, map[string]any{"secret_id_ttl": "10s"})
		w.secretID(t, nil)
		time.Sleep(10 * time.Second)
		w.Must(t, coretest.Root, update, "auth/approle/tidy/secret-id", nil)
		if left := w.Must(t, coretest.Root, list, "auth/approle/role/web/secret-id/", nil); len(left.Data) != 0 {
			t.Fatalf("accessors left: %v", left.Data)
		}
	})
}

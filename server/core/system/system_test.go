package system_test

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/core/coretest"
)

const (
	read   = logical.ReadOperation
	update = logical.UpdateOperation
	list   = logical.ListOperation
	del    = logical.DeleteOperation
)

func TestPasswordPoliciesAreKeptAndFollowed(t *testing.T) {
	s := coretest.Start(t, nil)
	const path = "sys/policies/password/db"
	s.Must(t, coretest.Root, update, path, map[string]any{"policy": `length = 30
rule "charset" { charset = "ab" }`})
	made := s.Must(t, coretest.Root, read, path+"/generate", nil).Data["password"].(string)
	if len(made) != 30 || strings.Trim(made, "ab") != "" {
		t.Fatalf("password %q", made)
	}
	if keys := s.Must(t, coretest.Root, list, "sys/policies/password/", nil).Data["keys"].([]string); len(keys) != 1 || keys[0] != "db" {
		t.Fatalf("listed %q", keys)
	}
	if resp, err := s.Do(t, coretest.Root, update, path, map[string]any{"policy": "length = 1"}); err != nil || !resp.IsError() {
		t.Fatalf("a bad policy: %v, %v", resp, err)
	}
	s.Must(t, coretest.Root, del, path, nil)
	if _, err := s.Do(t, coretest.Root, read, path+"/generate", nil); err == nil || !strings.Contains(err.Error(), "write it to sys/policies/password/db") {
		t.Fatalf("after its deletion: %v", err)
	}
}

func TestTuningChangesOnlyWhatIsSent(t *testing.T) {
	s := coretest.Start(t, nil)
	const path = "sys/mounts/fake/tune"
	s.Must(t, coretest.Root, update, path, map[string]any{"default_lease_ttl": "1h", "description": "for tests", "options": map[string]any{"a": "1"}})
	s.Must(t, coretest.Root, update, path, map[string]any{"max_lease_ttl": 7200, "default_lease_ttl": nil, "options": map[string]any{"b": "2"}})
	got := s.Must(t, coretest.Root, read, path, nil).Data
	options := got["options"].(map[string]string)
	if got["default_lease_ttl"] != int64(3600) || got["max_lease_ttl"] != int64(7200) || got["description"] != "for tests" || len(options) != 2 {
		t.Fatalf("tuned to %v", got)
	}
	s.Must(t, coretest.Root, update, path, map[string]any{"default_lease_ttl": "system", "max_lease_ttl": ""})
	if got := s.Must(t, coretest.Root, read, path, nil).Data; got["max_lease_ttl"] != int64(768*3600) {
		t.Fatalf("back to the server's: %v", got)
	}
}

func TestOnlyUsableMountsAreSeen(t *testing.T) {
	s := coretest.Start(t, nil)
	s.Must(t, coretest.Root, update, "sys/mounts/other", map[string]any{"type": "fake"})
	s.Must(t, coretest.Root, update, "sys/policy/app", map[string]any{"policy": `path "fake/creds/*" { capabilities = ["read"] }`})
	token := s.Must(t, coretest.Root, update, "auth/token/create", map[string]any{"policies": "app", "no_default_policy": true}).Auth.ClientToken
	seen := s.Must(t, token, read, "sys/internal/ui/mounts", nil).Data["secret"].(map[string]any)
	if _, ok := seen["fake/"]; !ok || len(seen) != 1 {
		t.Fatalf("seen: %v", seen)
	}
	if path := s.Must(t, token, read, "sys/internal/ui/mounts/fake/creds/app", nil).Data["path"]; path != "fake/" {
		t.Fatalf("path %v", path)
	}
	if _, err := s.Do(t, token, read, "sys/internal/ui/mounts/other/creds/app", nil); err != logical.ErrPermissionDenied {
		t.Fatalf("a mount without a grant: %v", err)
	}
}

func TestPartsOfTheServerStayMounted(t *testing.T) {
	s := coretest.Start(t, nil)
	for _, path := range []string{"sys/mounts/sys", "sys/auth/token", "sys/mounts/nowhere"} {
		if _, err := s.Do(t, coretest.Root, del, path, nil); err == nil {
			t.Errorf("%s was disabled", path)
		}
	}
}

// An auth method could be enabled and disabled as if it were a secrets engine,
// without the sudo that sys/auth asks for.
func TestAuthMethodsAreNotReachedAmongSecretsEngines(t *testing.T) {
	s := coretest.Start(t, map[string]logical.Factory{"fake": coretest.NewEngine().Factory})
	for _, x := range []struct {
		op   logical.Operation
		path string
	}{
		{update, "sys/mounts/auth/more"}, {update, "sys/mounts//auth/more/"}, {read, "sys/mounts/auth/fake"}, {del, "sys/mounts/auth/fake"},
	} {
		_, err := s.Do(t, coretest.Root, x.op, x.path, map[string]any{"type": "fake", "description": "taken over"})
		if err == nil || !strings.Contains(err.Error(), "use sys/auth/") {
			t.Errorf("%s %s: %v", x.op, x.path, err)
		}
	}
	if methods := s.Must(t, coretest.Root, read, "sys/auth", nil).Data; len(methods) != 2 || methods["fake/"] == nil {
		t.Errorf("auth methods are %v", methods)
	}
	const tune = "sys/mounts/auth/fake/tune" // where clients do it
	s.Must(t, coretest.Root, update, tune, map[string]any{"description": "tuned"})
	if tuned := s.Must(t, coretest.Root, read, tune, nil).Data; tuned["description"] != "tuned" {
		t.Errorf("tuned to %v", tuned)
	}
}

func TestLeasesThatCannotBeRevokedAreListedAndCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := coretest.Start(t, nil)
		var down atomic.Bool
		down.Store(true)
		s.Engine.OnRevoke = func(string) error {
			if down.Load() {
				return errors.New("connection refused")
			}
			return nil
		}
		for range 3 {
			s.Must(t, coretest.Root, read, "fake/creds/app", map[string]any{"ttl": "1m"})
		}
		s.Must(t, coretest.Root, read, "fake/creds/app", map[string]any{"ttl": "24h"})
		time.Sleep(30 * time.Minute)
		synctest.Wait()
		stuck := map[string]any{"type": "irrevocable"}
		counted := s.Must(t, coretest.Root, read, "sys/leases/count", stuck).Data
		if counted["lease_count"] != 3 || counted["counts"].(map[string]int)["fake/"] != 3 {
			t.Errorf("counted %v", counted)
		}
		listed := func(ask map[string]any) ([]map[string]any, []string) {
			resp := s.Must(t, coretest.Root, read, "sys/leases", ask)
			return resp.Data["leases"].([]map[string]any), resp.Warnings
		}
		leases, warnings := listed(stuck)
		if len(leases) != 3 || leases[0]["error"] != "connection refused" || len(warnings) != 0 {
			t.Fatalf("listed %v, %q", leases, warnings)
		}
		if some, warnings := listed(map[string]any{"type": "irrevocable", "limit": "2"}); len(some) != 2 || len(warnings) != 1 || !strings.Contains(warnings[0], "1 more") {
			t.Errorf("at most two: %v, %q", some, warnings)
		}
		for _, bad := range []map[string]any{nil, {"type": "all"}, {"type": "irrevocable", "limit": "0"}, {"type": "irrevocable", "limit": "many"}} {
			if resp, err := s.Do(t, coretest.Root, read, "sys/leases", bad); err != nil || !resp.IsError() {
				t.Errorf("%v: %v, %v", bad, resp, err)
			}
		}
		down.Store(false)
		s.Must(t, coretest.Root, update, "sys/leases/revoke", map[string]any{"lease_id": leases[0]["lease_id"]}) // by hand
		if left, _ := listed(stuck); len(left) != 2 {
			t.Errorf("%d are left; want 2", len(left))
		}
	})
}

func TestDangerousPathsNeedSudo(t *testing.T) {
	s := coretest.Start(t, nil)
	s.Must(t, coretest.Root, update, "sys/policy/all", map[string]any{"policy": `path "*" { capabilities = ["create", "read", "update", "delete", "list"] }`})
	token := s.Must(t, coretest.Root, update, "auth/token/create", map[string]any{"policies": "all"}).Auth.ClientToken
	for path, op := range map[string]logical.Operation{
		"sys/audit":                     read,
		"sys/audit/file":                update,
		"sys/auth/more":                 update,
		"sys/auth/token/tune":           update,
		"sys/config/cors":               update,
		"sys/leases":                    read,
		"sys/leases/tidy":               update,
		"sys/leases/lookup/":            list,
		"sys/leases/revoke-prefix/fake": update,
		"sys/revoke-prefix/fake":        update,
		"sys/leases/revoke-force/fake":  update,
		"sys/revoke-force/fake":         update,
		"sys/remount":                   update,
		"sys/rotate":                    update,
		"sys/seal":                      update,
		"sys/step-down":                 update,
		"sys/storage/backup":            read,
		"sys/storage/restore":           update,
		"auth/token/accessors/":         list,
		"auth/token/revoke-orphan":      update,
		"auth/token/tidy":               update,
	} {
		if _, err := s.Do(t, token, op, path, nil); err != logical.ErrPermissionDenied {
			t.Errorf("%s %s: %v", op, path, err)
		}
	}
}

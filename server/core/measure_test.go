package core_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/core/coretest"
)

// counted returns the lines of Prometheus's text that begin so.
func counted(t *testing.T, s *coretest.Server, prefix string) string {
	t.Helper()
	resp := s.Must(t, coretest.Root, logical.ReadOperation, "sys/metrics", map[string]any{"format": "prometheus"})
	var lines []string
	for line := range strings.Lines(string(resp.Data[logical.HTTPRawBody].([]byte))) {
		if strings.HasPrefix(line, prefix) {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// settles waits until a metric is as wanted.
func settles(t *testing.T, s *coretest.Server, prefix, want string) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	for {
		got := counted(t, s, prefix)
		if got == want {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("got %q, want %q", got, want)
		case <-time.After(time.Millisecond):
		}
	}
}

func TestWhatBecomesOfLeasesIsCounted(t *testing.T) {
	s := coretest.Start(t, nil)
	creds := func(data map[string]any) string {
		return s.Must(t, coretest.Root, logical.ReadOperation, "fake/creds/app", data).Secret.LeaseID
	}
	labels := func(role string) string { return fmt.Sprintf(`{engine="fake",mount="fake/",role=%q}`, role) }
	id := creds(nil)
	creds(map[string]any{"ttl": 1})
	settles(t, s, "secret_dynamic_create", "secret_dynamic_create"+labels("app")+" 2")
	s.Must(t, coretest.Root, logical.UpdateOperation, "sys/leases/renew", map[string]any{"lease_id": id})
	settles(t, s, "secret_lease_renew{", "secret_lease_renew"+labels("app")+" 1")
	for _, unknown := range []string{"fake/creds/made-up/1", "fake/creds/other/2"} {
		if _, err := s.Do(t, coretest.Root, logical.UpdateOperation, "sys/leases/renew", map[string]any{"lease_id": unknown}); err == nil {
			t.Fatal("an unknown lease is renewed")
		}
	}
	settles(t, s, "secret_lease_renew_failure", "secret_lease_renew_failure"+labels("")+" 2")
	settles(t, s, "secret_lease_expire", "secret_lease_expire"+labels("app")+" 1")
	settles(t, s, "secret_lease_count", `secret_lease_count{engine="fake",mount="fake/"} 1`)
	s.Must(t, coretest.Root, logical.UpdateOperation, "sys/leases/revoke", map[string]any{"lease_id": id})
	settles(t, s, "secret_lease_revoke{", "secret_lease_revoke"+labels("app")+" 1")
	settles(t, s, "secret_lease_count", `secret_lease_count{engine="fake",mount="fake/"} 0`)
	if got := counted(t, s, `core_request_duration_seconds_count{mount="fake/"`); got != `core_request_duration_seconds_count{mount="fake/",operation="read"} 2` {
		t.Error(got)
	}
	if got := counted(t, s, "database_creds_created"); got != "" {
		t.Errorf("the engine is no database: %s", got)
	}
}

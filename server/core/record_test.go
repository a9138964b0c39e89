package core_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/auth"
	"github.com/novatech/securevault/server/core/coretest"
)

// audited starts a server with a file device and returns how to read it.
func audited(t *testing.T) (*coretest.Server, func() string) {
	t.Helper()
	s := coretest.Start(t, auth.All())
	path := filepath.Join(t.TempDir(), "audit.log")
	s.Must(t, coretest.Root, logical.UpdateOperation, "sys/audit/file", map[string]any{
		"type": "file", "options": "file_path=" + path, // as the command line sends it
	})
	return s, func() string {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
}

func TestEveryRequestIsRecordedWithoutItsSecrets(t *testing.T) {
	s, log := audited(t)
	made := s.Must(t, coretest.Root, logical.UpdateOperation, "auth/token/create", map[string]any{"policies": "default"})
	token := made.Auth.ClientToken
	creds := s.Must(t, coretest.Root, logical.ReadOperation, "fake/creds/app", nil)
	s.Must(t, coretest.Root, logical.UpdateOperation, "fake/notes/one", map[string]any{"note": "my-pa55word"})
	if _, err := s.Do(t, token, logical.ReadOperation, "fake/creds/app", nil); err == nil {
		t.Fatal("the token may too much")
	}
	if _, err := s.Do(t, "hvs.unknown", logical.ReadOperation, "fake/creds/app", nil); err == nil {
		t.Fatal("an unknown token is let in")
	}
	text := log()
	for what, secret := range map[string]string{
		"the root token": coretest.Root, "a new token": token, "its accessor": made.Auth.Accessor,
		"a user": creds.Data["username"].(string), "a password": creds.Data["password"].(string),
		"what was sent": "my-pa55word", "an unknown token": "hvs.unknown",
	} {
		if strings.Contains(text, secret) {
			t.Errorf("%s is readable:\n%s", what, text)
		}
	}
	hash := s.Must(t, coretest.Root, logical.UpdateOperation, "sys/audit-hash/file", map[string]any{"input": creds.Data["password"]})
	if !strings.Contains(text, hash.Data["hash"].(string)) {
		t.Error("the password cannot be looked for")
	}

	var seen []string
	for line := range strings.Lines(text) {
		var e struct {
			Type    string
			Error   string
			Request struct{ Operation, Path string }
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err, line)
		}
		seen = append(seen, strings.TrimSpace(strings.Join([]string{e.Type, e.Request.Operation, e.Request.Path, e.Error}, " ")))
	}
	want := []string{
		"response update sys/audit/file",
		"request update auth/token/create", "response update auth/token/create",
		"request read fake/creds/app", "response read fake/creds/app",
		"request create fake/notes/one", "response create fake/notes/one",
		"request read fake/creds/app permission denied", "response read fake/creds/app permission denied",
		"request read fake/creds/app permission denied", "response read fake/creds/app permission denied",
	}
	if got := strings.Join(seen, "\n"); got != strings.Join(want, "\n") {
		t.Errorf("recorded:\n%s\nwant:\n%s", got, strings.Join(want, "\n"))
	}
}

func TestWhatAQuotaRefusesIsRecordedIfThatIsAskedFor(t *testing.T) {
	s, log := audited(t)
	s.Must(t, coretest.Root, logical.UpdateOperation, "sys/quotas/rate-limit/creds", map[string]any{"path": "fake/creds/app", "rate": 1, "interval": "1h"})
	s.Must(t, coretest.Root, logical.ReadOperation, "fake/creds/app", nil)
	refused := func(recorded bool) {
		t.Helper()
		before := strings.Count(log(), "request path quota exceeded")
		if _, err := s.Do(t, coretest.Root, logical.ReadOperation, "fake/creds/app", nil); err == nil || !strings.Contains(err.Error(), "request path quota exceeded") {
			t.Errorf("answered %v", err)
		}
		if after := strings.Count(log(), "request path quota exceeded"); (after > before) != recorded {
			t.Errorf("recorded %d times, then %d:\n%s", before, after, log())
		}
	}
	refused(false)
	s.Must(t, coretest.Root, logical.UpdateOperation, "sys/quotas/config", map[string]any{"enable_rate_limit_audit_logging": true})
	refused(true)
	s.Must(t, coretest.Root, logical.UpdateOperation, "sys/quotas/config", map[string]any{"rate_limit_exempt_paths": "fake/creds/*"})
	s.Must(t, coretest.Root, logical.ReadOperation, "fake/creds/app", nil)
}

func TestWithoutARecordNothingIsDoneAndNothingLeaves(t *testing.T) {
	s := coretest.Start(t, nil)
	collector := newCollector(t)
	s.Must(t, coretest.Root, logical.UpdateOperation, "sys/audit/socket", map[string]any{
		"type": "socket", "options": map[string]any{"address": collector.address(), "socket_type": "unix", "write_timeout": "1s"},
	})
	s.Must(t, coretest.Root, logical.ReadOperation, "fake/creds/app", nil)
	issued := 0
	s.Engine.OnIssue = func() { // between the record of the request and that of the answer
		issued++
		collector.stop()
	}
	unrecorded := func() {
		t.Helper()
		resp, err := s.Do(t, coretest.Root, logical.ReadOperation, "fake/creds/app", nil)
		coded, ok := err.(logical.HTTPCodedError)
		if !ok || coded.Code() != http.StatusInternalServerError || resp != nil {
			t.Errorf("%v, %v", resp, err)
		}
	}
	unrecorded()
	deadline := time.After(10 * time.Second)
	for s.Engine.Live() > 1 {
		select {
		case <-deadline:
			t.Fatal("the credential that nobody got is still alive")
		case <-time.After(time.Millisecond):
		}
	}
	unrecorded()
	if issued != 1 {
		t.Errorf("the engine was asked %d times", issued)
	}
}

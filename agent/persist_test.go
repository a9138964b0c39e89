package agent

import (
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	logged "go.uber.org/zap/zaptest/observer"

	"github.com/novatech/securevault/agent/state"
	"github.com/novatech/securevault/internal/vault"
	"github.com/novatech/securevault/internal/vaulttest"
)

// persist is how other agents hand on what an init container has issued.
const persist = `
cache {
  persist "kubernetes" {
    path        = "DIR/cache"
    exit_on_err = EXIT
  }
}
`

// opened opens the state of a configuration that persists its cache.
func (r *rig) opened(exit string) (log *state.Log, warnings string, revokes bool, err error) {
	file := r.load(strings.Replace(persist, "EXIT", exit, 1) + approle + pair("db"))
	core, logs := logged.New(zap.InfoLevel)
	log, err = openState(file, vault.Config{}, func(string) string { return "" }, zap.New(core))
	r.logs = logs
	return log, r.logged(), file.RevokeOnExit, err
}

// Reference, section 2, row 5.
func TestAPersistentCacheHandsOnWhatTheInitContainerHasIssued(t *testing.T) {
	r := &rig{T: t, dir: t.TempDir(), server: vaulttest.New()}
	r.server.Role(creds, vaulttest.Role{TTL: time.Hour})
	r.server.AppRole(vaulttest.AppRole{RoleID: "the-role", SecretID: "the-secret", TokenTTL: time.Hour})
	address := "http://" + r.server.Listen(t)
	r.write("role-id", "the-role")
	r.write("secret-id", "the-secret")
	r.load(strings.Replace(persist, "EXIT", "true", 1) + approle + pair("db"))
	for range 2 {
		var stderr strings.Builder
		command := Command{Ctx: t.Context(), Stderr: &stderr, Getenv: func(string) string { return "" }}
		if code := command.Run([]string{"-exit-after-auth", "-address", address, "-config", r.path("agent.hcl")}); code != ExitOK {
			t.Fatalf("exit code %d\n%s", code, &stderr)
		}
		if !strings.Contains(stderr.String(), "a key beside it") {
			t.Errorf("the log does not warn of the key: %s", &stderr)
		}
	}
	if issued, logins := r.server.Issued(creds), r.server.Count(vaulttest.Login); issued != 1 || logins != 1 {
		t.Errorf("two runs took %d credentials and %d logins, want 1 and 1", issued, logins)
	}
	for _, name := range []string{"cache/securevault-agent.state", "cache/securevault-agent.state.key"} {
		if info, err := os.Stat(r.path(name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
}

func TestAStateThatCannotBeOpenedEndsTheAgentUnlessItMayDoWithout(t *testing.T) {
	within(t, func(r *rig) {
		r.write("cache", "a file where the folder should be")
		if _, _, _, err := r.opened("true"); ExitCode(err) != ExitConfig || !strings.Contains(err.Error(), "agent.hcl:3: ") {
			t.Errorf("exit_on_err = true leads to %v", err)
		}
		log, warnings, revokes, err := r.opened("false")
		if log != nil || err != nil || !strings.Contains(warnings, "starts without a state") {
			t.Errorf("exit_on_err = false leads to %v and the log\n%s", err, warnings)
		}
		r.expect("revoke_on_exit without the state", revokes, true)
	})
}

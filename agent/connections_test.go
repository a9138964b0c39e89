package agent

import (
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/novatech/securevault/agent/config"
	"github.com/novatech/securevault/internal/vault"
	"github.com/novatech/securevault/internal/vaulttest"
)

// chained is a template that asks for a second secret when it has the first.
const chained = `
template {
  contents    = "{{ with secret \"database/creds/app\" }}{{ with secret (printf \"database/creds/of-%s\" .Data.username) }}{{ .Data.password }}{{ end }}{{ end }}"
  destination = "DIR/chained"
}
`

func TestAPartUsesAConnectionOnceIfItIsListed(t *testing.T) {
	// A run sends a login and two reads, one after the other.
	for _, test := range []struct {
		name, config string
		environment  map[string]string
		connections  int64
	}{
		{name: "none is listed", connections: 1},
		{name: "templates without idle connections", config: `disable_idle_connections = ["templating"]`, connections: 3},
		{name: "templates without keep-alive", config: `disable_keep_alives = ["templating"]`, connections: 3},
		{name: "logins", config: `disable_keep_alives = ["auto-auth"]`, connections: 2},
		{name: "what nobody uses here", config: `disable_keep_alives = ["proxying", "caching"]`, connections: 1},
		{name: "the environment goes before the file", config: `disable_keep_alives = ["templating"]`,
			environment: map[string]string{"VAULT_AGENT_DISABLE_KEEP_ALIVES": "proxying, auto-auth"}, connections: 2},
		{name: "our own variable goes before the other", connections: 3,
			environment: map[string]string{"VAULT_AGENT_DISABLE_IDLE_CONNECTIONS": "auto-auth", "SECUREVAULT_AGENT_DISABLE_IDLE_CONNECTIONS": "templating"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			fake := vaulttest.New()
			fake.Role("database/creds/*", vaulttest.Role{TTL: time.Hour})
			fake.AppRole(vaulttest.AppRole{RoleID: "the-role", SecretID: "the-secret", TokenTTL: time.Hour})
			var opened atomic.Int64
			server := httptest.NewUnstartedServer(fake)
			server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
				if state == http.StateNew {
					opened.Add(1)
				}
			}
			server.Start()
			t.Cleanup(server.Close)
			r := &rig{T: t, dir: t.TempDir(), server: fake}
			r.write("role-id", "the-role")
			r.write("secret-id", "the-secret")
			a, err := New(r.load(test.config+approle+chained), Options{
				Log: zap.NewNop(), Getenv: func(name string) string { return test.environment[name] }, Once: true, Deadline: time.Minute, Server: vault.Config{Address: server.URL},
			})
			if err != nil {
				t.Fatal(err)
			}
			if err := a.Run(t.Context()); err != nil {
				t.Fatal(err)
			}
			if n := fake.Requests(); n != 3 {
				t.Errorf("requests = %d, want 3", n)
			}
			if n := opened.Load(); n != test.connections {
				t.Errorf("connections = %d, want %d", n, test.connections)
			}
		})
	}
}

func TestCachingAndProxyingAreOnePart(t *testing.T) {
	for _, name := range []string{config.PartCaching, config.PartProxying} {
		c, err := newClients(&config.File{DisableKeepAlives: []string{name}}, Options{Getenv: func(string) string { return "" }})
		if err != nil {
			t.Fatal(err)
		}
		if c.auth != c.templates || c.proxy == c.auth {
			t.Errorf("with %q listed: logins and templates share a client: %t, the proxy has its own: %t", name, c.auth == c.templates, c.proxy != c.auth)
		}
	}
}

func TestAnUnknownPartInTheEnvironmentIsAnError(t *testing.T) {
	getenv := func(name string) string {
		return map[string]string{"VAULT_AGENT_DISABLE_KEEP_ALIVES": "templates"}[name]
	}
	_, err := New(&config.File{}, Options{Log: zap.NewNop(), Getenv: getenv})
	if want := `reading VAULT_AGENT_DISABLE_KEEP_ALIVES: unknown value "templates"; did you mean "templating"?`; err == nil || err.Error() != want || ExitCode(err) != ExitConfig {
		t.Errorf("the error is %v, want %s", err, want)
	}
}

func TestTheCommandLineGoesBeforeEnvironmentAndFile(t *testing.T) {
	var f flags
	err := f.set().Parse([]string{
		"-config=x", "-ca-cert=flag.pem", "-namespace=flag", "-tls-skip-verify",
		"-log-rotate-bytes=100", "-log-rotate-max-files=3", "-log-rotate-duration=2h",
	})
	if err != nil {
		t.Fatal(err)
	}
	file := &config.File{Vault: config.Vault{CACert: "file.pem", Namespace: "file", TLSServerName: "file"}}
	environment := map[string]string{"VAULT_CACERT": "environment.pem", "VAULT_TLS_SERVER_NAME": "environment"}
	got := clientConfig(file, Options{Server: f.server, Getenv: func(name string) string { return environment[name] }})
	if got.CACert != "flag.pem" || got.Namespace != "flag" || got.TLSServerName != "environment" || !got.TLSSkipVerify {
		t.Errorf("the client is %+v", got)
	}
	for _, set := range f.rotation {
		set(file)
	}
	if file.LogRotateBytes != 100 || file.LogRotateMaxFiles != 3 || time.Duration(file.LogRotateDuration) != 2*time.Hour {
		t.Errorf("the log rotates by %d bytes, %d files, %s", file.LogRotateBytes, file.LogRotateMaxFiles, time.Duration(file.LogRotateDuration))
	}
	if err := f.set().Parse([]string{"-log-rotate-bytes=much"}); err == nil {
		t.Error("a size that is no number is accepted")
	}
}

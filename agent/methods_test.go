package agent

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/novatech/securevault/internal/vaulttest"
)

// by is a configuration that logs in by a method and writes the token.
func by(method, config string) string {
	return fmt.Sprintf(`
auto_auth {
  enable_reauth_on_new_credentials = true
  method %q {
    %s
  }
  sink "file" {
    config = { path = "DIR/token" }
  }
}
lease { jitter = 0 }
`, method, config)
}

func TestEveryMethodLogsInWhereItIsMounted(t *testing.T) {
	tests := []struct {
		method, config, path string
		body                 map[string]string
	}{
		{"kubernetes", `config = {
			role = "app"
			token_path = "DIR/secret"
		}`, "auth/kubernetes/login", map[string]string{"role": "app", "jwt": "hunter2"}},
		{"jwt", `mount_path = "auth/oidc"
		config = {
			role = "app"
			path = "DIR/secret"
		}`, "auth/oidc/login", map[string]string{"role": "app", "jwt": "hunter2"}},
		{"cert", `config = { name = "web" }`, "auth/cert/login", map[string]string{"name": "web"}},
		{"userpass", `config = {
			username = "app"
			password_file_path = "DIR/secret"
		}`, "auth/userpass/login/app", map[string]string{"password": "hunter2"}},
		{"ldap", `config = {
			username = "app"
			password_file_path = "DIR/secret"
		}`, "auth/ldap/login/app", map[string]string{"password": "hunter2"}},
		{"aws", `config = {
			type = "iam"
			role = "app"
			access_key = "AK"
			secret_key = "hunter2"
		}`, "auth/aws/login", map[string]string{"role": "app", "iam_http_request_method": "POST"}},
		{"approle", `namespace = "team"
		config = {
			role_id_file_path = "DIR/role-id"
			secret_id_file_path = "DIR/secret-id"
		}`, "auth/approle/login", map[string]string{"role_id": "the-role", "secret_id": "the-secret"}},
	}
	for _, test := range tests {
		t.Run(test.method, func(t *testing.T) {
			within(t, func(r *rig) {
				r.write("secret", "hunter2\n")
				if test.method != "approle" {
					r.server.Method(test.path, vaulttest.Method{Token: vaulttest.Token{TTL: time.Hour}})
				}
				r.launch(by(test.method, test.config), Options{Once: true, Deadline: time.Minute})
				r.expect("end", <-r.done, nil)
				login := r.server.Logins()[0]
				r.expect("path", login.Path, test.path)
				for key, value := range test.body {
					r.expect(key, login.Body[key], any(value))
				}
				r.expect("a token in the sink", strings.HasPrefix(r.read("token"), "hvs.token-"), true)
				if namespace := map[bool]string{true: "team"}[test.method == "approle"]; login.Namespace != namespace {
					t.Errorf("namespace = %q, want %q", login.Namespace, namespace)
				}
				for _, entry := range r.logs.All() {
					if strings.Contains(fmt.Sprint(entry.Message, entry.ContextMap()), "hunter2") {
						t.Errorf("the log tells the secret: %v", entry)
					}
				}
			})
		})
	}
}

func TestMethodsOfCloudsAreKnown(t *testing.T) {
	configs := map[string]string{
		"azure": `config = {
			role = "app"
			resource = "https://management.azure.com/"
		}`,
		"gcp": `config = {
			type = "gce"
			role = "app"
		}`,
	}
	for method, config := range configs {
		t.Run(method, func(t *testing.T) {
			within(t, func(r *rig) {
				r.expect("a method", newMethod(r.load(by(method, config)).AutoAuth.Method, nil) != nil, true)
			})
		})
	}
}

func TestAWrappedTokenReachesTheSinkAndNobodyElse(t *testing.T) {
	within(t, func(r *rig) {
		r.write("jwt", "x")
		r.server.Method("auth/jwt/login", vaulttest.Method{Token: vaulttest.Token{TTL: time.Hour}})
		r.launch(by("jwt", `wrap_ttl = "5m"
		config = {
			role = "app"
			path = "DIR/jwt"
		}`), Options{})
		var delivery struct{ Token string }
		if err := json.Unmarshal([]byte(r.read("token")), &delivery); err != nil {
			t.Fatalf("the sink holds %q: %v", r.read("token"), err)
		}
		secret, err := r.server.Client(r.T).Write(r.Context(), "", "sys/wrapping/unwrap", map[string]any{"token": delivery.Token})
		if err != nil || secret.Auth == nil {
			t.Fatalf("unwrapping what the sink holds: %v", err)
		}
		r.at(10 * time.Minute)
		r.expect("requests: a login and ours", r.server.Requests(), 2)
		if err := r.end(); err != nil {
			t.Errorf("a stopped agent ended with %v", err)
		}
	})
}

// Pain 1 of other agents: a login anew issues every dynamic secret again, at
// once, and the old ones die under the app.
//
// Reference, section 2, row 1.
func TestNewCredentialsMoveTheLeasesOneByOneWhileTheOldTokenLives(t *testing.T) {
	within(t, func(r *rig) {
		const secrets = 30
		r.server.Role("database/creds/*", vaulttest.Role{TTL: 20 * time.Minute, MaxTTL: 24 * time.Hour})
		r.server.Method("auth/jwt/login", vaulttest.Method{Token: vaulttest.Token{TTL: time.Hour}})
		text := by("jwt", `config = {
			role = "app"
			path = "DIR/jwt"
			remove_jwt_after_reading = false
			jwt_read_period = "10s"
		}`)
		for i := range secrets {
			text += strings.ReplaceAll(pair(fmt.Sprintf("db-%d", i)), "database/creds/app", fmt.Sprintf("database/creds/app-%d", i))
		}
		r.write("jwt", "first")
		r.launch(text, Options{})
		r.expect("credentials", r.server.Issued(""), secrets)
		r.at(time.Minute)
		r.write("jwt", "another")
		r.at(85 * time.Second) // half of the 30 s over which they are spread
		if n := r.server.Issued("") - secrets; n < 3 || n > secrets-3 {
			t.Errorf("credentials replaced 15 s after the login = %d, want some of %d", n, secrets)
		}
		r.at(110 * time.Second)
		r.expect("credentials after the spread", r.server.Issued(""), 2*secrets)
		r.expect("logins", len(r.server.Logins()), 2)
		r.expect("tokens that were revoked", r.server.Count(vaulttest.RevokeSelf), 0)
		r.at(10 * time.Minute)
		live := r.server.Live()
		r.expect("live leases after the overlap", len(live), secrets)
		second := r.read("token")
		r.expect("leases of the old token", slices.ContainsFunc(live, func(l vaulttest.Lease) bool { return l.Token != second }), false)
		if err := r.end(); err != nil {
			t.Errorf("a stopped agent ended with %v", err)
		}
		r.expect("tokens revoked at the end", r.server.Count(vaulttest.RevokeSelf), 2)
	})
}

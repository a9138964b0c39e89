package api_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
)

// wrapped sends a request whose answer shall be wrapped, and returns the token.
func (c client) wrapped(t *testing.T, method, path, body string) string {
	t.Helper()
	got := c.send(t, method, path, body, "X-Vault-Wrap-TTL", "60s")
	token, _ := field(t, got.body, "wrap_info", "token").(string)
	if got.status != 200 || token == "" {
		t.Fatalf("wrapping: %d %s", got.status, got.body)
	}
	return token
}

// refused checks that a wrapping token takes nothing any more.
func (c client) refused(t *testing.T, token string) {
	t.Helper()
	got := c.send(t, "PUT", "/v1/sys/wrapping/unwrap", "", "X-Vault-Token", token)
	if got.status != 400 || got.body != `{"errors":["wrapping token is not valid or does not exist"]}` {
		t.Errorf("unwrapping: %d %s", got.status, got.body)
	}
}

func TestAWrappedAnswerIsTakenOnceAndWhole(t *testing.T) {
	c := start(t)
	c.send(t, "PUT", "/v1/fake/notes/one", `{"note":"text"}`)
	for name, unwrap := range map[string]func(token string) answer{
		"by the token itself": func(token string) answer {
			return c.send(t, "POST", "/v1/sys/wrapping/unwrap", "", "X-Vault-Token", token)
		},
		"by another token": func(token string) answer {
			return c.send(t, "PUT", "/v1/sys/wrapping/unwrap", fmt.Sprintf(`{"token":%q}`, token))
		},
		"by no token": func(token string) answer {
			return c.send(t, "PUT", "/v1/sys/wrapping/unwrap", fmt.Sprintf(`{"token":%q}`, token), "X-Vault-Token", "")
		},
	} {
		t.Run(name, func(t *testing.T) {
			token := c.wrapped(t, "GET", "/v1/fake/notes/one", "")
			got := unwrap(token)
			if want := envelope("fake", `{"note":"text"}`); got.status != 200 || masked(got.body) != want {
				t.Errorf("%d %s\nwant %s", got.status, masked(got.body), want)
			}
			c.refused(t, token)
		})
	}
}

func TestAWrappedCredentialAndLoginWork(t *testing.T) {
	c := start(t)
	body := c.send(t, "PUT", "/v1/sys/wrapping/unwrap", "", "X-Vault-Token", c.wrapped(t, "GET", "/v1/fake/creds/app?ttl=90s", "")).body
	id, _ := field(t, body, "lease_id").(string)
	if got := c.send(t, "PUT", "/v1/sys/leases/lookup", fmt.Sprintf(`{"lease_id":%q}`, id)); got.status != 200 {
		t.Errorf("the credential's lease: %d %s", got.status, got.body)
	}

	c.send(t, "POST", "/v1/auth/approle/role/app", `{"token_policies":"default"}`)
	roleID := field(t, c.send(t, "GET", "/v1/auth/approle/role/app/role-id", "").body, "data", "role_id")
	secret := c.send(t, "PUT", "/v1/sys/wrapping/unwrap", "", "X-Vault-Token", c.wrapped(t, "PUT", "/v1/auth/approle/role/app/secret-id", ""))
	login := fmt.Sprintf(`{"role_id":%q,"secret_id":%q}`, roleID, field(t, secret.body, "data", "secret_id"))
	answer := c.send(t, "POST", "/v1/auth/approle/login", login, "X-Vault-Token", "", "X-Vault-Wrap-TTL", "5m")
	wrapping, _ := field(t, answer.body, "wrap_info", "token").(string)
	if field(t, answer.body, "auth") != nil || field(t, answer.body, "wrap_info", "creation_path") != "auth/approle/login" {
		t.Fatalf("login: %s", answer.body)
	}
	inside := c.send(t, "PUT", "/v1/sys/wrapping/unwrap", "", "X-Vault-Token", wrapping).body
	if field(t, inside, "auth", "accessor") != field(t, answer.body, "wrap_info", "wrapped_accessor") {
		t.Errorf("wrapped_accessor is not that of the token inside: %s", answer.body)
	}
	token, _ := field(t, inside, "auth", "client_token").(string)
	if got := c.send(t, "GET", "/v1/auth/token/lookup-self", "", "X-Vault-Token", token); got.status != 200 {
		t.Errorf("the token inside: %d %s", got.status, got.body)
	}
}

func TestAWrappedAnswerCanBeLookedAtAndWrappedAgain(t *testing.T) {
	c := start(t)
	first := c.wrapped(t, "POST", "/v1/sys/wrapping/wrap", `{"a":"b"}`)
	for _, method := range []string{"GET", "POST"} {
		got := c.send(t, method, "/v1/sys/wrapping/lookup", "", "X-Vault-Token", first)
		if want := envelope("system", `{"creation_path":"sys/wrapping/wrap","creation_time":"TIME","creation_ttl":60}`); masked(got.body) != want {
			t.Errorf("%s lookup: %s", method, got.body)
		}
	}
	again := c.send(t, "PUT", "/v1/sys/wrapping/rewrap", fmt.Sprintf(`{"token":%q}`, first))
	c.refused(t, first)
	second, _ := field(t, again.body, "wrap_info", "token").(string)
	if field(t, again.body, "wrap_info", "creation_path") != "sys/wrapping/wrap" || field(t, again.body, "wrap_info", "ttl") != 60.0 {
		t.Errorf("rewrap: %s", again.body)
	}
	if got := c.send(t, "PUT", "/v1/sys/wrapping/unwrap", "", "X-Vault-Token", second).body; field(t, got, "data", "a") != "b" {
		t.Errorf("unwrapped after that: %s", got)
	}
}

func TestAWrappingTokenIsGoodForNothingElse(t *testing.T) {
	c := start(t)
	token := c.wrapped(t, "GET", "/v1/fake/creds/app", "")
	if got := c.send(t, "GET", "/v1/auth/token/lookup-self", "", "X-Vault-Token", token); got.status != 403 {
		t.Errorf("lookup-self: %d %s", got.status, got.body)
	}
	c.refused(t, token) // whoever tried has been noticed
	ordinary := field(t, c.send(t, "POST", "/v1/auth/token/create", `{"num_uses":1}`).body, "auth", "client_token").(string)
	c.refused(t, ordinary)
	if got := c.send(t, "GET", "/v1/auth/token/lookup-self", "", "X-Vault-Token", ordinary); got.status != 200 {
		t.Errorf("an ordinary token lost its use: %d %s", got.status, got.body)
	}
}

func TestOfManyWhoUnwrapOneSucceeds(t *testing.T) {
	c := start(t)
	token := c.wrapped(t, "GET", "/v1/fake/creds/app", "")
	var taken atomic.Int64
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			if c.send(t, "PUT", "/v1/sys/wrapping/unwrap", "", "X-Vault-Token", token).status == 200 {
				taken.Add(1)
			}
		})
	}
	all.Wait()
	if taken.Load() != 1 {
		t.Fatalf("%d took it", taken.Load())
	}
}

func TestPoliciesDecideOnParametersAndWrapping(t *testing.T) {
	c := start(t)
	c.send(t, "PUT", "/v1/sys/policies/acl/narrow", `{"policy":"path \"fake/notes/*\" { capabilities = [\"create\", \"update\"] allowed_parameters = { note = [\"ok*\"] } } path \"fake/creds/*\" { capabilities = [\"read\"] min_wrapping_ttl = \"30s\" }"}`)
	token := field(t, c.send(t, "POST", "/v1/auth/token/create", `{"policies":["narrow"]}`).body, "auth", "client_token").(string)
	as := func(more ...string) []string { return append([]string{"X-Vault-Token", token}, more...) }
	const denied = `{"errors":["permission denied"]}`
	for _, x := range []struct {
		name, method, path, body string
		headers                  []string
		status                   int
	}{
		{"an allowed value", "PUT", "/v1/fake/notes/a", `{"note":"okay"}`, as(), 204},
		{"another value", "PUT", "/v1/fake/notes/a", `{"note":"bad"}`, as(), 403},
		{"another parameter", "PUT", "/v1/fake/notes/a", `{"note":"ok","more":1}`, as(), 403},
		{"wrapped", "GET", "/v1/fake/creds/app", "", as("X-Vault-Wrap-TTL", "60s"), 200},
		{"wrapped too short", "GET", "/v1/fake/creds/app", "", as("X-Vault-Wrap-TTL", "10s"), 403},
		{"in the clear", "GET", "/v1/fake/creds/app", "", as(), 403},
	} {
		got := c.send(t, x.method, x.path, x.body, x.headers...)
		if got.status != x.status || x.status == 403 && got.body != denied {
			t.Errorf("%s: %d %s; want %d", x.name, got.status, got.body, x.status)
		}
	}
}

package vaulttest

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/novatech/securevault/internal/vault"
)

const credsPath = "database/creds/app"

var root = vault.Token{Value: RootToken, Epoch: 1}

// fetch reads a path with a token and fails the test if it cannot.
func fetch(t *testing.T, client *vault.Client, token vault.Token, path string) *vault.Secret {
	t.Helper()
	secret, err := client.Fetch(t.Context(), token, want(t, path))
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

func want(t *testing.T, path string) vault.Want {
	t.Helper()
	w, err := vault.ReadWant(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestLeaseIsRenewedUpToItsMaxTTLAndThenGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New()
		s.Role(credsPath, Role{TTL: 10 * time.Second, MaxTTL: 25 * time.Second})
		client := s.Client(t)
		secret := fetch(t, client, root, credsPath)
		if secret.TTL != 10*time.Second || !secret.Renewable || secret.Data["username"] != "v-app-1" {
			t.Fatalf("issued %v with username %v", secret, secret.Data["username"])
		}
		steps := []struct{ wait, increment, granted time.Duration }{
			{8 * time.Second, 0, 10 * time.Second},
			{8 * time.Second, 5 * time.Second, 5 * time.Second},
			{4 * time.Second, time.Hour, 5 * time.Second},
		}
		for _, step := range steps {
			time.Sleep(step.wait)
			renewed, err := client.Renew(t.Context(), root, secret.LeaseID, step.increment)
			if err != nil {
				t.Fatal(err)
			}
			if renewed.TTL != step.granted || renewed.LeaseID != secret.LeaseID {
				t.Errorf("renewing for %s granted %v, want %s", step.increment, renewed, step.granted)
			}
		}
		time.Sleep(5 * time.Second)
		if _, err := client.Renew(t.Context(), root, secret.LeaseID, 0); vault.Classify(err) != vault.Gone {
			t.Errorf("renewing an expired lease: %v, want gone", err)
		}
		if live := s.Live(); len(live) != 0 {
			t.Errorf("still live: %v", live)
		}
	})
}

func TestLeasesDieWithTheirTokenByPrefixAndOneByOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New()
		s.Role("database/creds/*", Role{TTL: time.Hour})
		client := s.Client(t)
		short := vault.Token{Value: vault.Sensitive(s.Token(Token{TTL: time.Minute}))}
		fetch(t, client, short, "database/creds/a")
		b := fetch(t, client, root, "database/creds/b")
		fetch(t, client, root, "database/creds/c")
		if n := len(s.Live()); n != 3 || s.Issued("database/creds/b") != 1 {
			t.Fatalf("%d live, %d of b; want 3 and 1", n, s.Issued("database/creds/b"))
		}
		time.Sleep(time.Minute)
		if live := s.Live(); len(live) != 2 || live[0].Path != "database/creds/b" {
			t.Errorf("after the end of the token: %v live", live)
		}
		if err := client.Revoke(t.Context(), root, b.LeaseID); err != nil {
			t.Error(err)
		}
		if err := client.Revoke(t.Context(), root, b.LeaseID); err != nil {
			t.Errorf("revoking twice: %v", err)
		}
		if live := s.Live(); len(live) != 1 || live[0].Path != "database/creds/c" {
			t.Errorf("after revoking b: %v live", live)
		}
		if _, err := client.Write(t.Context(), RootToken, "sys/leases/revoke-prefix/database", nil); err != nil {
			t.Error(err)
		}
		if live := s.Live(); len(live) != 0 || len(s.Leases()) != 3 {
			t.Errorf("after revoking the prefix: %v live of %d", live, len(s.Leases()))
		}
	})
}

func TestAppRoleTokenIsRenewedUpToItsMaxTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New()
		s.AppRole(AppRole{RoleID: "r", SecretID: "s", SecretIDUses: 1, TokenTTL: 10 * time.Second, TokenMaxTTL: 15 * time.Second})
		client := s.Client(t)
		login := func() (*vault.Secret, error) {
			return client.Write(t.Context(), "", "auth/approle/login", map[string]any{"role_id": "r", "secret_id": "s"})
		}
		secret, err := login()
		if err != nil {
			t.Fatal(err)
		}
		if secret.Auth.TTL != 10*time.Second || !secret.Auth.Renewable || secret.Auth.Accessor == "" {
			t.Errorf("granted %+v", secret.Auth)
		}
		if _, err := login(); err == nil || !strings.Contains(err.Error(), "invalid role or secret ID") {
			t.Errorf("second login with a secret id for one: %v", err)
		}
		time.Sleep(9 * time.Second)
		renewed, err := client.RenewSelf(t.Context(), secret.Auth.Token)
		if err != nil || renewed.Auth.TTL != 6*time.Second {
			t.Errorf("renewing the token: %v, %v", renewed, err)
		}
		self, err := client.LookupSelf(t.Context(), secret.Auth.Token)
		if err != nil || self.Data["ttl"] != json.Number("6") || self.Data["renewable"] != true {
			t.Errorf("looking up the token: %v, %v", self, err)
		}
		if err := client.RevokeSelf(t.Context(), secret.Auth.Token); err != nil {
			t.Error(err)
		}
		if _, err := client.LookupSelf(t.Context(), secret.Auth.Token); vault.Status(err) != http.StatusForbidden {
			t.Errorf("looking up a revoked token: %v", err)
		}
	})
}

// TestFaults gives each kind of fault to a read, then removes it.
func TestFaults(t *testing.T) {
	tests := map[string]struct {
		fault  Fault
		status int
		took   time.Duration
		issued int
	}{
		"a status":            {Fault{Status: 503, Messages: []string{"sealed"}}, 503, 0, 0},
		"latency":             {Fault{Latency: 3 * time.Second}, 0, 3 * time.Second, 1},
		"hanging":             {Fault{Hang: true}, 0, 5 * time.Second, 0},
		"a lost connection":   {Fault{Drop: true}, 0, 0, 0},
		"a lost answer":       {Fault{DropAfter: true}, 0, 0, 1},
		"another path":        {Fault{Path: "database/creds/other", Status: 500}, 0, 0, 1},
		"its path as pattern": {Fault{Op: Read, Path: "database/*/app", Status: 500}, 500, 0, 0},
		"matched by function": {Fault{Match: func(op Op, _ string) bool { return op == Read }, Status: 429}, 429, 0, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := New()
				s.Role(credsPath, Role{TTL: time.Hour})
				client := s.Client(t)
				remove := s.Inject(test.fault)
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				defer cancel()
				start := time.Now()
				_, err := client.Fetch(ctx, root, want(t, credsPath))
				failed := test.status != 0 || test.fault.Hang || test.fault.Drop || test.fault.DropAfter
				if (err != nil) != failed || vault.Status(err) != test.status {
					t.Errorf("error %v, want status %d", err, test.status)
				}
				if test.fault.Hang && !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("error %v, want the deadline", err)
				}
				if took := time.Since(start); took != test.took {
					t.Errorf("took %s, want %s", took, test.took)
				}
				if s.Issued(credsPath) != test.issued {
					t.Errorf("issued %d, want %d", s.Issued(credsPath), test.issued)
				}
				remove()
				fetch(t, client, root, credsPath)
			})
		})
	}
}

func TestFaultsEndAfterSoManyTimesOrSoLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New()
		s.Role(credsPath, Role{TTL: time.Hour})
		client := s.Client(t)
		s.Inject(Fault{Status: 500, For: time.Minute})
		s.Inject(Fault{Status: 400, Times: 2})
		var got []int
		for range 4 {
			_, err := client.Fetch(t.Context(), root, want(t, credsPath))
			got = append(got, vault.Status(err))
			if len(got) == 3 {
				time.Sleep(time.Minute)
			}
		}
		if want := [4]int{400, 400, 500, 0}; [4]int(got) != want {
			t.Errorf("statuses %v, want %v", got, want)
		}
		if s.Count(Read) != 4 || s.Requests() != 4 {
			t.Errorf("counted %d reads of %d requests, want 4", s.Count(Read), s.Requests())
		}
		last := s.History()[3]
		if last.Status != 200 || last.Lease != "database/creds/app/lease-1" || last.Token != RootToken {
			t.Errorf("last event %+v", last)
		}
	})
}

func TestPeakCountsRequestsInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New()
		s.Role(credsPath, Role{TTL: time.Hour})
		s.Inject(Fault{Latency: time.Second})
		client := s.Client(t)
		var group sync.WaitGroup
		for range 3 {
			group.Go(func() { fetch(t, client, root, credsPath) })
		}
		group.Wait()
		if s.Peak() != 3 || s.Issued("") != 3 {
			t.Errorf("peak %d, issued %d; want 3 and 3", s.Peak(), s.Issued(""))
		}
	})
}

// TestWire pins what goes over a real connection.
func TestWire(t *testing.T) {
	s := New()
	s.NameInvalidTokens()
	s.KV("kv", 1)
	s.Role(credsPath, Role{TTL: time.Hour, NonRenewable: true})
	s.Static("secret/data/app", map[string]any{"k": "v"})
	s.Static("kv/app", map[string]any{"k": "v"})
	s.Allow(func(_ string, _ Op, path string) bool { return path != "secret/data/forbidden" })
	addr := s.Listen(t)
	tests := []struct {
		name, method, path, body string
		status                   int
		holds                    string
	}{
		{"a lease", "GET", credsPath, "", 200, `"lease_duration":3600,"lease_id":"database/creds/app/lease-1","mount_type":"database","renewable":false`},
		{"a lease that cannot be renewed", "PUT", "sys/leases/renew", `{"lease_id":"database/creds/app/lease-1"}`, 400, `{"errors":["lease is not renewable"]}`},
		{"a lease looked up", "PUT", "sys/leases/lookup", `{"lease_id":"database/creds/app/lease-1"}`, 200, `"ttl":3600`},
		{"a lease nobody knows", "PUT", "sys/leases/renew", `{"lease_id":"x"}`, 400, `{"errors":["lease not found"]}`},
		{"revocation", "PUT", "sys/leases/revoke", `{"lease_id":"x"}`, 204, ""},
		{"a path nobody knows", "GET", "database/creds/none", "", 404, `{"errors":[]}`},
		{"a forbidden path", "GET", "secret/data/forbidden", "", 403, `{"errors":["permission denied"]}`},
		{"key-value version 2", "GET", "secret/data/app", "", 200, `"data":{"data":{"k":"v"},"metadata":{`},
		{"key-value version 2 without data/", "GET", "secret/app", "", 404, `Invalid path for a versioned K/V secrets engine`},
		{"key-value version 2 listed", "GET", "secret/metadata?list=true", "", 200, `"keys":["app"]`},
		{"key-value version 1", "GET", "kv/app", "", 200, `"data":{"k":"v"},"lease_duration":2764800`},
		{"key-value version 1 written", "PUT", "kv/new", `{"a":1}`, 204, ""},
		{"key-value version 1 listed", "LIST", "kv", "", 200, `"keys":["app","new"]`},
		{"probe of a versioned mount", "GET", "sys/internal/ui/mounts/secret/app", "", 200, `"options":{"version":"2"},"path":"secret/","seal_wrap":false,"type":"kv"`},
		{"probe of another mount", "GET", "sys/internal/ui/mounts/" + credsPath, "", 200, `"path":"database/"`},
		{"text that is no JSON", "PUT", "kv/new", `{`, 400, `failed to parse JSON input`},
		{"a token nobody knows", "GET", "auth/token/lookup-self", "", 403, `{"errors":["2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n"]}`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), test.method, "http://"+addr+"/v1/"+test.path, strings.NewReader(test.body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("X-Vault-Token", RootToken)
			if test.name == "a token nobody knows" {
				req.Header.Set("X-Vault-Token", "other")
			}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = resp.Body.Close() }()
			body, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			if resp.StatusCode != test.status || !strings.Contains(string(body), test.holds) {
				t.Errorf("got %d %s\nwant %d with %s", resp.StatusCode, body, test.status, test.holds)
			}
			if test.status == http.StatusNoContent && len(body) > 0 {
				t.Errorf("a 204 with the body %q", body)
			}
		})
	}
}

package elasticsearch_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/novatech/securevault/server/engines/database"
	"github.com/novatech/securevault/server/engines/enginetest"
	"github.com/novatech/securevault/server/engines/enginetest/certtest"
	"github.com/novatech/securevault/server/engines/enginetest/elasticstandin"
)

// TestWhatAUserMadeToLiveOnEndsWithIt opens with how a deleted user stays inside:
// an API key and a bearer token of its own.
func TestWhatAUserMadeToLiveOnEndsWithIt(t *testing.T) {
	a := newStandIn(t, elasticstandin.Settings{Paid: true})
	mount := a.mount(t, userRole(`{"elasticsearch_role_definition": {"cluster": ["manage_own_api_key"], "indices": [{"names": ["orders"], "privileges": ["read"]}]}}`))
	lease := mount.MustIssue(t, "creds/app")
	user := app{a.url, func(r *http.Request) {
		r.SetBasicAuth(lease.Data["username"].(string), lease.Data["password"].(string))
	}}
	key := a.session(t, user, "POST", "/_security/api_key", `{"name": "spare"}`, "encoded", "ApiKey ")
	token := a.session(t, user, "POST", "/_security/oauth2/token", `{"grant_type": "client_credentials"}`, "access_token", "Bearer ")
	for name, session := range map[string]app{"key": key, "token": token} {
		if err := session.Allowed(t.Context()); err != nil {
			t.Fatalf("the user's own %s: %v", name, err)
		}
	}
	if err := mount.Revoke(t.Context(), lease); err != nil {
		t.Fatal(err)
	}
	for name, session := range map[string]app{"key": key, "token": token} {
		if session.Allowed(t.Context()) == nil {
			t.Errorf("the user's own %s outlived it", name)
		}
	}
}

// session makes something to log in with, and logs in with it.
func (a target) session(t *testing.T, as app, method, path, body, field, scheme string) app {
	t.Helper()
	text, err := as.send(t.Context(), method, path, body)
	if err != nil {
		t.Fatal(err)
	}
	var answer map[string]any
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		t.Fatal(err)
	}
	return app{a.url, func(r *http.Request) { r.Header.Set("Authorization", scheme+answer[field].(string)) }}
}

// behind returns the target as it is reached through something that may interfere:
// answer is the server's own.
func (a target) behind(t *testing.T, interfere func(w http.ResponseWriter, r *http.Request, answer http.Handler)) target {
	t.Helper()
	address, err := url.Parse(a.url)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(address)
	between := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { interfere(w, r, proxy) }))
	t.Cleanup(between.Close)
	a.url = between.URL
	return a
}

func TestAnAPIKeyIsAnsweredAsTheServerMadeIt(t *testing.T) {
	a := newTarget(t)
	lease := a.mount(t, keyRole()).MustIssue(t, "creds/app")
	for _, field := range []string{"username", "id", "api_key", "encoded"} {
		if text, _ := lease.Data[field].(string); text == "" {
			t.Errorf("the answer has no %s: %v", field, lease.Data)
		}
	}
	if _, has := lease.Data["password"]; has {
		t.Error("the answer has a password, which a key has not")
	}
}

func TestAUserMayHaveRolesThatExist(t *testing.T) {
	a := newTarget(t)
	a.must(t, "PUT", "/_security/role/readers", `{"indices": [{"names": ["ord*"], "privileges": ["read"]}]}`)
	mount := a.mount(t, userRole(`{"elasticsearch_roles": ["readers"]}`))
	lease := mount.MustIssue(t, "creds/app")
	if _, err := a.byPassword(t.Context(), lease.Data); err != nil {
		t.Error(err)
	}
	if err := mount.Revoke(t.Context(), lease); err != nil {
		t.Fatal(err)
	}
	if err := mount.Revoke(t.Context(), mount.MustIssue(t, "creds/app")); err != nil {
		t.Errorf("the role of all users ended with the first: %v", err)
	}
}

func TestStatementsThatCannotWorkAreRefusedWithWhatToDo(t *testing.T) {
	a := newTarget(t)
	cases := map[string]struct {
		statement any
		kind      string
		says      string
	}{
		"nothing granted":         {`{}`, "password", "give no role"},
		"two statements":          {[]string{reader, reader}, "password", "one JSON object, not 2"},
		"no JSON":                 {`CREATE USER`, "password", "no JSON object"},
		"a misspelt field":        {`{"elasticsearch_role": ["a"]}`, "password", `did you mean "elasticsearch_roles"`},
		"a role that is a number": {`{"elasticsearch_roles": 5}`, "password", "wrong shape"},
		"an unknown placeholder":  {`{"elasticsearch_roles": ["{{password}}"]}`, "password", "unknown placeholder {{password}}"},
		"descriptors for a user":  {readingKey, "password", "credential_type=api_key"},
		"roles for a key":         {`{"elasticsearch_roles": ["a"]}`, "api_key", "an API key has no roles"},
		"an almighty key":         {`{"role_descriptors": {}}`, "api_key", "all that the admin can"},
		"an unknown privilege":    {`{"role_descriptors": {"a": {"cluster": ["everything"]}}}`, "api_key", "unknown cluster privilege"},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			role := userRole("")
			role["creation_statements"], role["credential_type"] = test.statement, test.kind
			_, err := a.mount(t, role).Issue(t.Context(), "creds/app")
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("got %v, want %q", err, test.says)
			}
		})
	}
}

// TestARoleLeftByAFailureIsRemoved fails after the user's own role is made: the
// server refuses the user's password.
func TestARoleLeftByAFailureIsRemoved(t *testing.T) {
	a := newStandIn(t, elasticstandin.Settings{})
	mount := a.mount(t, userRole(reader))
	mount.System.SetPasswordPolicy("short", func() (string, error) { return "abcd1", nil })
	mount.MustWrite(t, "config/shop", map[string]any{"password_policy": "short"})
	if _, err := mount.Issue(t.Context(), "creds/app"); err == nil || !strings.Contains(err.Error(), "status 400") {
		t.Fatalf("got %v", err)
	}
	if roles := a.standIn.Roles(); len(roles) != 1 {
		t.Errorf("roles %v, want the superuser's alone", roles)
	}
}

func TestOpenSearchHasNoAPIKeys(t *testing.T) {
	for name, settings := range map[string]elasticstandin.Settings{
		"OpenSearch":                           {OpenSearch: true},
		"OpenSearch that acts as its ancestor": {OpenSearch: true, Compatible: true},
	} {
		t.Run(name, func(t *testing.T) {
			a := newStandIn(t, settings)
			if _, err := a.mount(t, keyRole()).Issue(t.Context(), "creds/app"); err == nil || !strings.Contains(err.Error(), "OpenSearch has no API keys") {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestAnybodyLogsIn opens with an account that may not even ask the server what it
// is, as Elasticsearch's manage_security alone does not allow it.
func TestAnybodyLogsIn(t *testing.T) {
	cases := map[string]struct {
		settings       elasticstandin.Settings
		path, describe string
		says           string // of what such an account may not do
	}{
		"Elasticsearch": {elasticstandin.Settings{}, "/_security/user/humble", `{"password": "Humble-Password-1", "roles": []}`, "give the config's username the privilege"},
		"OpenSearch":    {elasticstandin.Settings{OpenSearch: true}, "/_plugins/_security/api/internalusers/humble", `{"password": "Humble-Password-1"}`, "No permission to access REST API"},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			a := newStandIn(t, test.settings)
			a.must(t, "PUT", test.path, test.describe)
			mount := enginetest.NewMount(t, database.Factory)
			humble := a.config(map[string]any{"username": "humble", "password": "Humble-Password-1"})
			mount.MustWrite(t, "config/shop", humble)
			humble["password"] = "Another-Password-1"
			if _, err := mount.Write(t.Context(), "config/other", humble); err == nil || !strings.Contains(err.Error(), "status 401") {
				t.Errorf("with a wrong password: %v", err)
			}
			mount.MustWrite(t, "roles/app", userRole(reader))
			if _, err := mount.Issue(t.Context(), "creds/app"); err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("issuing: %v", err)
			}
		})
	}
}

func TestUsersWithOddAndLongDisplayNamesLogIn(t *testing.T) {
	for name, settings := range map[string]elasticstandin.Settings{"Elasticsearch": {}, "OpenSearch": {OpenSearch: true}} {
		t.Run(name, func(t *testing.T) {
			a, statement := newStandIn(t, settings), reader
			if settings.OpenSearch {
				statement = openReader
			}
			mount := a.mount(t, userRole(statement))
			for _, display := range []string{"jwt-a:b", "kubernetes-" + strings.Repeat("service-account-", 10)} {
				for range 2 { // of the same display name: both have a name of their own
					lease, err := mount.IssueAs(t.Context(), "creds/app", display)
					if err != nil {
						t.Fatalf("%s: %v", display, err)
					}
					if _, err := a.byPassword(t.Context(), lease.Data); err != nil {
						t.Errorf("%s: %v", display, err)
					}
				}
			}
		})
	}
}

// TestARotationOfUnknownOutcomeIsDecided loses the answer to a change of a password
// that the server has made, and then has the server refuse the change.
func TestARotationOfUnknownOutcomeIsDecided(t *testing.T) {
	a := newStandIn(t, elasticstandin.Settings{})
	a.must(t, "PUT", "/_security/user/reporting", `{"password": "First-Password-1", "roles": []}`)
	var lose, refuse atomic.Bool
	through := a.behind(t, func(w http.ResponseWriter, r *http.Request, answer http.Handler) {
		changes := strings.HasSuffix(r.URL.Path, "/_password")
		switch {
		case changes && lose.Load():
			answer.ServeHTTP(httptest.NewRecorder(), r)
			w.WriteHeader(http.StatusServiceUnavailable)
		case changes && refuse.Load():
			w.WriteHeader(http.StatusBadRequest)
		default:
			answer.ServeHTTP(w, r)
		}
	})
	mount := through.mount(t, userRole(reader))
	mount.MustWrite(t, "static-roles/reporting", map[string]any{"db_name": "shop", "username": "reporting", "rotation_period": "24h"})
	lose.Store(true)
	if _, err := mount.Write(t.Context(), "rotate-role/reporting", nil); err == nil {
		t.Fatal("the lost answer was not missed")
	}
	lose.Store(false)
	refuse.Store(true)
	if _, err := mount.Write(t.Context(), "rotate-role/reporting", nil); err != nil {
		t.Fatalf("the password that the server has taken was not found out: %v", err)
	}
	told, err := mount.Read(t.Context(), "static-creds/reporting")
	if err != nil {
		t.Fatal(err)
	}
	asUser := app{a.url, func(r *http.Request) { r.SetBasicAuth("reporting", told["password"].(string)) }}
	if _, err := asUser.send(t.Context(), "GET", "/_security/_authenticate", ""); err != nil {
		t.Errorf("the password that is told: %v", err)
	}
}

func TestATokenThatCannotBeInvalidatedKeepsTheLease(t *testing.T) {
	a := newStandIn(t, elasticstandin.Settings{Paid: true})
	through := a.behind(t, func(w http.ResponseWriter, r *http.Request, answer http.Handler) {
		if r.URL.Path == "/_security/oauth2/token" {
			_, _ = io.WriteString(w, `{"invalidated_tokens": 0, "previously_invalidated_tokens": 0, "error_count": 1}`)
			return
		}
		answer.ServeHTTP(w, r)
	})
	mount := through.mount(t, userRole(reader))
	if err := mount.Revoke(t.Context(), mount.MustIssue(t, "creds/app")); err == nil || !strings.Contains(err.Error(), "invalidating the user's tokens") {
		t.Errorf("got %v", err)
	}
}

// TestAKeyOfAnOldServerIsComplete has a server that does not say how the header
// takes the key, as before 7.16.
func TestAKeyOfAnOldServerIsComplete(t *testing.T) {
	a := newStandIn(t, elasticstandin.Settings{})
	through := a.behind(t, func(w http.ResponseWriter, r *http.Request, answer http.Handler) {
		said := httptest.NewRecorder()
		answer.ServeHTTP(said, r)
		var fields map[string]any
		if r.URL.Path == "/_security/api_key" && json.Unmarshal(said.Body.Bytes(), &fields) == nil {
			delete(fields, "encoded")
			said.Body.Reset()
			_ = json.NewEncoder(said.Body).Encode(fields)
		}
		w.WriteHeader(said.Code)
		_, _ = said.Body.WriteTo(w)
	})
	lease := through.mount(t, keyRole()).MustIssue(t, "creds/app")
	if _, err := a.byKey(t.Context(), lease.Data); err != nil {
		t.Error(err)
	}
}

func TestTheAdminsPasswordIsRotated(t *testing.T) {
	for name, settings := range map[string]elasticstandin.Settings{"Elasticsearch": {}, "OpenSearch": {OpenSearch: true}} {
		t.Run(name, func(t *testing.T) {
			a := newStandIn(t, settings)
			statement := reader
			if settings.OpenSearch {
				statement = openReader
			}
			mount := a.mount(t, userRole(statement))
			mount.MustWrite(t, "rotate-root/shop", nil)
			old := app{a.url, func(r *http.Request) { r.SetBasicAuth(a.username, a.password) }}
			if old.Allowed(t.Context()) == nil {
				t.Error("the first password still works")
			}
			mount.MustIssue(t, "creds/app")
		})
	}
}

func TestAStaticUsersPasswordIsRotated(t *testing.T) {
	cases := map[string]struct {
		settings          elasticstandin.Settings
		path, description string
	}{
		"Elasticsearch": {elasticstandin.Settings{}, "/_security/user/reporting", `{"password": "First-Password-1", "roles": ["superuser"]}`},
		"OpenSearch": {elasticstandin.Settings{OpenSearch: true}, "/_plugins/_security/api/internalusers/reporting",
			`{"password": "First-Password-1", "opendistro_security_roles": ["superuser"]}`},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			a := newStandIn(t, test.settings)
			a.must(t, "PUT", test.path, test.description)
			mount := a.mount(t, userRole(reader))
			mount.MustWrite(t, "static-roles/reporting", map[string]any{"db_name": "shop", "username": "reporting", "rotation_period": "24h"})
			last := "First-Password-1"
			for range 2 {
				if _, err := a.byPassword(t.Context(), map[string]any{"username": "reporting", "password": last}); err == nil {
					t.Error("the old password still logs in")
				}
				told, err := mount.Read(t.Context(), "static-creds/reporting")
				if err != nil {
					t.Fatal(err)
				}
				if _, err := a.byPassword(t.Context(), told); err != nil {
					t.Errorf("the new password: %v", err)
				}
				last = told["password"].(string)
				mount.MustWrite(t, "rotate-role/reporting", nil)
			}
			_, err := mount.Write(t.Context(), "static-roles/gone", map[string]any{"db_name": "shop", "username": "nobody", "rotation_period": "24h"})
			if err == nil || !strings.Contains(err.Error(), `"nobody" no longer exists`) {
				t.Errorf("a user that does not exist: %v", err)
			}
		})
	}
}

// TestAUserEndsThoughItsRoleCannot has a server that fails to delete roles.
func TestAUserEndsThoughItsRoleCannot(t *testing.T) {
	for name, settings := range map[string]elasticstandin.Settings{"Elasticsearch": {}, "OpenSearch": {OpenSearch: true}} {
		t.Run(name, func(t *testing.T) {
			a, statement := newStandIn(t, settings), reader
			if settings.OpenSearch {
				statement = openReader
			}
			through := a.behind(t, func(w http.ResponseWriter, r *http.Request, answer http.Handler) {
				if r.Method == http.MethodDelete && strings.Contains(r.URL.Path, "/role") {
					http.Error(w, "{}", http.StatusServiceUnavailable)
					return
				}
				answer.ServeHTTP(w, r)
			})
			mount := through.mount(t, userRole(statement))
			for range 5 {
				lease := mount.MustIssue(t, "creds/app")
				if err := mount.Revoke(t.Context(), lease); err == nil || !strings.Contains(err.Error(), "deleting the user's own role") {
					t.Errorf("got %v", err)
				}
				if _, err := a.byPassword(t.Context(), lease.Data); err == nil {
					t.Error("the user outlived the failure to delete its role")
				}
			}
		})
	}
}

func TestOnlyFilesWithAnEndAreReadForCertificates(t *testing.T) {
	a := newStandIn(t, elasticstandin.Settings{})
	mount := enginetest.NewMount(t, database.Factory)
	for _, file := range []string{os.DevNull, "/dev/zero", t.TempDir(), "nowhere.pem"} {
		if _, err := mount.Write(t.Context(), "config/shop", a.config(map[string]any{"ca_cert": file})); err == nil || !strings.Contains(err.Error(), "neither PEM nor a file") {
			t.Errorf("%s: %v", file, err)
		}
	}
}

func TestCertificatesAreCheckedBothWays(t *testing.T) {
	authority, err := certtest.New("test authority")
	if err != nil {
		t.Fatal(err)
	}
	serving, err := authority.Issue("es.example", "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	files, err := authority.Write(t.TempDir(), "client")
	if err != nil {
		t.Fatal(err)
	}
	a := newStandIn(t, elasticstandin.Settings{TLS: &tls.Config{
		Certificates: []tls.Certificate{serving}, ClientCAs: authority.Pool(), ClientAuth: tls.RequireAndVerifyClientCert,
	}})
	mount := enginetest.NewMount(t, database.Factory)
	whole := map[string]any{"ca_cert": string(authority.PEM()), "client_cert": files.Certificate, "client_key": files.Key}
	mount.MustWrite(t, "config/shop", a.config(whole))
	mount.MustWrite(t, "roles/app", userRole(reader))
	mount.MustIssue(t, "creds/app")
	for field, says := range map[string]string{"ca_cert": "check ca_cert", "client_cert": "check ca_cert"} {
		part := map[string]any{"ca_cert": whole["ca_cert"], "client_cert": whole["client_cert"], "client_key": whole["client_key"]}
		delete(part, field)
		if field == "client_cert" {
			delete(part, "client_key")
		}
		if _, err := mount.Write(t.Context(), "config/other", a.config(part)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("without %s: %v", field, err)
		}
	}
}

func TestTheAdminNeedsNoMoreThanTheREADMESays(t *testing.T) {
	a := newTarget(t)
	a.must(t, "PUT", "/_security/role/vault", `{"cluster": ["manage_security"], "indices": [{"names": ["orders"], "privileges": ["read"]}]}`)
	a.must(t, "PUT", "/_security/user/vault_admin", `{"password": "initial-password", "roles": ["vault"]}`)
	a.username, a.password = "vault_admin", "initial-password"
	for name, role := range map[string]map[string]any{"users": userRole(reader), "keys": keyRole()} {
		t.Run(name, func(t *testing.T) {
			mount := a.mount(t, role)
			lease := mount.MustIssue(t, "creds/app")
			login := a.byPassword
			if name == "keys" {
				login = a.byKey
			}
			if _, err := login(context.Background(), lease.Data); err != nil {
				t.Error(err)
			}
			if err := mount.Revoke(t.Context(), lease); err != nil {
				t.Error(err)
			}
		})
	}
}

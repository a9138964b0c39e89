package elasticsearch_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/novatech/securevault/server/engines/database"
	"github.com/novatech/securevault/server/engines/database/plugintest"
	"github.com/novatech/securevault/server/engines/enginetest"
	"github.com/novatech/securevault/server/engines/enginetest/elasticstandin"
)

// What the role of the tests may do: search the index orders.
const (
	reader     = `{"elasticsearch_role_definition": {"indices": [{"names": ["orders"], "privileges": ["read"]}]}}`
	openReader = `{"opensearch_role_definition": {"index_permissions": [{"index_patterns": ["orders"], "allowed_actions": ["read"]}]}}`
	readingKey = `{"role_descriptors": {"reader": {"indices": [{"names": ["orders"], "privileges": ["read"]}]}}, "metadata": {"for": "tests"}}`
)

// target is the server that a test runs against, and its admin.
type target struct {
	url, username, password string
	standIn                 *elasticstandin.Server // nil: a real server
}

// newTarget returns the real server of SECUREVAULT_TEST_ELASTICSEARCH_URL, whose
// URL holds the admin's name and password, or a stand-in.
func newTarget(t *testing.T) target {
	t.Helper()
	if text := os.Getenv("SECUREVAULT_TEST_ELASTICSEARCH_URL"); text != "" {
		address, err := url.Parse(text)
		if err != nil || address.User == nil {
			t.Fatal("SECUREVAULT_TEST_ELASTICSEARCH_URL must be like https://elastic:PASSWORD@HOST:9200")
		}
		password, _ := address.User.Password()
		found := target{username: address.User.Username(), password: password}
		address.User = nil
		found.url = strings.TrimSuffix(address.String(), "/")
		found.must(t, "PUT", "/orders/_doc/1?refresh=true", `{"item":"anvil"}`)
		return found
	}
	return newStandIn(t, elasticstandin.Settings{})
}

func newStandIn(t *testing.T, settings elasticstandin.Settings) target {
	t.Helper()
	standIn, err := elasticstandin.Start(settings)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(standIn.Stop)
	return target{standIn.URL(), elasticstandin.Admin, elasticstandin.Password, standIn}
}

func (a target) config(changes map[string]any) map[string]any {
	config := map[string]any{
		"plugin_name": "elasticsearch-database-plugin", "url": a.url, "allowed_roles": "*",
		"username": a.username, "password": a.password,
	}
	for name, value := range changes {
		config[name] = value
	}
	return config
}

// mount returns the engine with config/shop and roles/app.
func (a target) mount(t *testing.T, role map[string]any) *enginetest.Mount {
	t.Helper()
	mount := enginetest.NewMount(t, database.Factory)
	mount.MustWrite(t, "config/shop", a.config(nil))
	mount.MustWrite(t, "roles/app", role)
	return mount
}

func userRole(statement string) map[string]any {
	return map[string]any{"db_name": "shop", "creation_statements": statement, "default_ttl": "1h", "max_ttl": "24h"}
}

func keyRole() map[string]any {
	role := userRole(readingKey)
	role["credential_type"] = "api_key"
	return role
}

// must sends a request as the admin, which has to succeed.
func (a target) must(t testing.TB, method, path, body string) string {
	t.Helper()
	answer, err := app{a.url, func(r *http.Request) { r.SetBasicAuth(a.username, a.password) }}.send(t.Context(), method, path, body)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// users returns the names of the users, of which the path lists all.
func (a target) users(path string) func(t testing.TB) []string {
	return func(t testing.TB) []string {
		var all map[string]any
		if err := json.Unmarshal([]byte(a.must(t, "GET", path, "")), &all); err != nil {
			t.Fatal(err)
		}
		return slices.Sorted(maps.Keys(all))
	}
}

// keys returns the names of the API keys that work.
func (a target) keys(t testing.TB) []string {
	var found struct {
		Keys []struct {
			Name        string `json:"name"`
			Invalidated bool   `json:"invalidated"`
		} `json:"api_keys"`
	}
	if err := json.Unmarshal([]byte(a.must(t, "GET", "/_security/api_key", "")), &found); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, key := range found.Keys {
		if !key.Invalidated {
			names = append(names, key.Name)
		}
	}
	return names
}

// app is a session of an app: HTTP has none, each request logs in.
type app struct {
	url string
	as  func(*http.Request)
}

func (a app) send(ctx context.Context, method, path, body string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, method, a.url+path, bytes.NewReader([]byte(body)))
	if err != nil {
		return "", err
	}
	a.as(req)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode > 299 {
		err = fmt.Errorf("status %d: %s", resp.StatusCode, answer)
	}
	return string(answer), err
}

func (a app) Allowed(ctx context.Context) error {
	_, err := a.send(ctx, "GET", "/orders/_search", "")
	return err
}

func (a app) Forbidden(ctx context.Context) error {
	_, err := a.send(ctx, "POST", "/orders/_doc", `{"item":"rocket"}`)
	return err
}

func (a app) Close() {}

// byPassword logs in as a user.
func (a target) byPassword(ctx context.Context, data map[string]any) (enginetest.Session, error) {
	session := app{a.url, func(r *http.Request) { r.SetBasicAuth(data["username"].(string), data["password"].(string)) }}
	return session, session.Allowed(ctx)
}

// byKey logs in with an API key.
func (a target) byKey(ctx context.Context, data map[string]any) (enginetest.Session, error) {
	session := app{a.url, func(r *http.Request) { r.Header.Set("Authorization", "ApiKey "+data["encoded"].(string)) }}
	return session, session.Allowed(ctx)
}

// through returns the config with a proxy in between.
func (a target) through(t *testing.T) (*enginetest.Proxy, map[string]any) {
	t.Helper()
	address, err := url.Parse(a.url)
	if err != nil {
		t.Fatal(err)
	}
	proxy := enginetest.NewProxy(t, address.Host)
	address.Host = proxy.Address()
	return proxy, a.config(map[string]any{"url": address.String()})
}

func TestUsersConform(t *testing.T) {
	a := newTarget(t)
	proxy, config := a.through(t)
	enginetest.Suite{
		Factory: database.Factory,
		Setup:   []enginetest.Write{{Path: "config/shop", Data: config}, {Path: "roles/app", Data: userRole(reader)}},
		Creds:   "creds/app", Login: a.byPassword, Proxy: proxy, Users: a.users("/_security/user"),
	}.Run(t)
}

func TestAPIKeysConform(t *testing.T) {
	a := newTarget(t)
	proxy, config := a.through(t)
	enginetest.Suite{
		Factory: database.Factory,
		Setup:   []enginetest.Write{{Path: "config/shop", Data: config}, {Path: "roles/app", Data: keyRole()}},
		Creds:   "creds/app", Login: a.byKey, Proxy: proxy, Users: a.keys,
	}.Run(t)
}

func TestUsersOfOpenSearchConform(t *testing.T) {
	a := newStandIn(t, elasticstandin.Settings{OpenSearch: true})
	proxy, config := a.through(t)
	enginetest.Suite{
		Factory: database.Factory,
		Setup:   []enginetest.Write{{Path: "config/shop", Data: config}, {Path: "roles/app", Data: userRole(openReader)}},
		Creds:   "creds/app", Login: a.byPassword, Proxy: proxy, Users: a.users("/_plugins/_security/api/internalusers"),
	}.Run(t)
}

func TestHostileInputIsSurvived(t *testing.T) {
	a := newTarget(t)
	plugintest.Hostile{
		Config:  a.config(nil),
		Role:    userRole(reader),
		Halfway: userRole(`{"elasticsearch_role_definition": {"indices": [{"names": ["orders"], "privileges": ["no such thing"]}]}}`),
		Users:   a.users("/_security/user"),
		Drop:    func(t testing.TB, name string) { a.must(t, "DELETE", "/_security/user/"+url.PathEscape(name), "") },
		Admin:   a.password,
	}.Run(t)
}

func TestHostileInputIsSurvivedByKeys(t *testing.T) {
	a := newTarget(t)
	halfway := keyRole()
	halfway["creation_statements"] = `{"role_descriptors": {"reader": {"cluster": ["no such thing"]}}}`
	plugintest.Hostile{
		Config:  a.config(nil),
		Role:    keyRole(),
		Halfway: halfway,
		Users:   a.keys,
		Drop:    func(t testing.TB, name string) { a.must(t, "DELETE", "/_security/api_key", `{"name": "`+name+`"}`) },
		Admin:   a.password,
	}.Run(t)
}

func TestHostileInputIsSurvivedByOpenSearch(t *testing.T) {
	a := newStandIn(t, elasticstandin.Settings{OpenSearch: true})
	const path = "/_plugins/_security/api/internalusers"
	plugintest.Hostile{
		Config:  a.config(nil),
		Role:    userRole(openReader),
		Halfway: userRole(`{"opensearch_role_definition": {"no such field": 1}}`),
		Users:   a.users(path),
		Drop:    func(t testing.TB, name string) { a.must(t, "DELETE", path+"/"+url.PathEscape(name), "") },
		Admin:   a.password,
	}.Run(t)
}

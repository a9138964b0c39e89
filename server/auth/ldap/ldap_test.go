package ldap_test

import (
	"maps"
	"strings"
	"testing"
	"time"

	goldap "github.com/go-ldap/ldap/v3"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/auth/ldap"
	"github.com/novatech/securevault/server/core/coretest"
)

const (
	read   = logical.ReadOperation
	update = logical.UpdateOperation
	list   = logical.ListOperation
	del    = logical.DeleteOperation
)

// directory is a server whose method asks a real slapd.
type directory struct {
	*coretest.Server
	slapd
}

// start configures the method with a service account, and with more, where
// PLAIN, TLS and CA stand for slapd's addresses and certificate.
func start(t *testing.T, more map[string]any) directory {
	t.Helper()
	d := directory{coretest.Start(t, map[string]logical.Factory{"ldap": ldap.Factory}), startSlapd(t)}
	conf := map[string]any{
		"url": "PLAIN", "userdn": "dc=example,dc=org", "userattr": "uid", "groupdn": "ou=groups,dc=example,dc=org",
		"binddn": adminDN, "bindpass": adminPassword, "token_policies": "everybody", "token_ttl": "20m",
	}
	maps.Copy(conf, more)
	filled := strings.NewReplacer("PLAIN", d.plain, "TLS", d.tls, "CA", d.ca)
	for name, value := range conf {
		if text, ok := value.(string); ok {
			conf[name] = filled.Replace(text)
		}
	}
	d.Must(t, coretest.Root, update, "auth/ldap/config", conf)
	d.Must(t, coretest.Root, update, "auth/ldap/groups/engineers", map[string]any{"policies": "deploy,db"})
	d.Must(t, coretest.Root, update, "auth/ldap/groups/on-call", map[string]any{"policies": "pager"})
	d.Must(t, coretest.Root, update, "auth/ldap/users/alice", map[string]any{"groups": "On-Call", "policies": "own"})
	return d
}

// login returns the token's description, or the refusal.
func (d directory) login(t *testing.T, user, password string) (*logical.Auth, string) {
	t.Helper()
	resp, err := d.Do(t, "", update, "auth/ldap/login/"+user, map[string]any{"password": password})
	switch {
	case resp.IsError():
		return nil, resp.Error().Error()
	case err != nil:
		return nil, err.Error()
	}
	return resp.Auth, ""
}

func TestAUserOfTheDirectoryLogsIn(t *testing.T) {
	for name, more := range map[string]map[string]any{
		"found by a service account":         nil,
		"bound by a name made of the user's": {"userdn": "ou=people,dc=example,dc=org", "binddn": "", "bindpass": ""},
		"over TLS":                           {"url": "TLS", "certificate": "CA", "tls_max_version": "tls13"},
		"over StartTLS":                      {"starttls": true, "certificate": "CA"},
		"over TLS that nobody checks":        {"url": "TLS", "insecure_tls": true},
		"found by a filter of one's own":     {"userfilter": "(&(objectClass=inetOrgPerson)({{.UserAttr}}={{.Username}}))"},
		"from the second server of a list":   {"url": "ldap://127.0.0.1:1,PLAIN"},
	} {
		t.Run(name, func(t *testing.T) {
			d := start(t, more)
			got, refusal := d.login(t, "Alice", "wonderland")
			if refusal != "" {
				t.Fatal(refusal)
			}
			if policies := strings.Join(got.Policies, " "); policies != "db default deploy everybody own pager" {
				t.Errorf("policies %q", policies)
			}
			if got.TTL != 20*time.Minute || got.DisplayName != "ldap-alice" || got.Metadata["username"] != "alice" {
				t.Errorf("token %+v", got)
			}
		})
	}
}

func TestEveryWrongLoginIsRefusedAlike(t *testing.T) {
	d := start(t, nil)
	for name, who := range map[string][2]string{
		"a wrong password":           {"alice", "looking-glass"},
		"no password":                {"alice", ""},
		"a user who is nobody":       {"nobody", "wonderland"},
		"a user who is there twice":  {"dave", "twin"},
		"a name that is a wildcard":  {"*", "wonderland"},
		"a name that is half":        {"ali*", "wonderland"},
		"a name that is a filter":    {"alice)(objectClass=*", "wonderland"},
		"a name that is a DN":        {"alice,ou=people,dc=example,dc=org", "wonderland"},
		"a name of a byte that is 0": {"alice\x00", "wonderland"},
	} {
		if got, refusal := d.login(t, who[0], who[1]); got != nil || refusal != "invalid username or password" {
			t.Errorf("%s: %v, %q", name, got, refusal)
		}
	}
}

// Each of these is alice to the directory, and was a name of its own to those
// who count failed logins.
func TestOnlyOneSpellingOfANameLogsIn(t *testing.T) {
	d := start(t, nil)
	for name, spelling := range map[string]string{
		"a space after it": "alice ", "a space before it": " alice", "a wide letter": "\uff41lice", "a soft hyphen": "al\u00adice",
		"a space of no width": "alice\u200b", "a joiner": "al\u034fice", "a selector": "alice\ufe0f",
	} {
		if got, refusal := d.login(t, spelling, "wonderland"); got != nil || refusal != "invalid username or password" {
			t.Errorf("%s: %v, %q", name, got, refusal)
		}
	}
	if _, refusal := d.login(t, "ALICE", "wonderland"); refusal != "" {
		t.Errorf("case, which is counted as one: %s", refusal)
	}
}

func TestADirectoryThatCannotAnswerIsNoRefusal(t *testing.T) {
	for name, c := range map[string]struct {
		more map[string]any
		want string
	}{
		"it is down":                 {map[string]any{"url": "ldap://127.0.0.1:1"}, "connecting to the directory"},
		"its certificate is unknown": {map[string]any{"url": "TLS"}, "connecting to the directory"},
		"the service's password":     {map[string]any{"bindpass": "wrong"}, "check binddn, bindpass and userdn"},
		"a userdn that is not there": {map[string]any{"userdn": "dc=elsewhere"}, "check binddn, bindpass and userdn"},
		"a groupfilter that is none": {map[string]any{"groupfilter": "((("}, "check groupdn and groupfilter"},
	} {
		t.Run(name, func(t *testing.T) {
			d := start(t, c.more)
			for range 6 {
				if got, refusal := d.login(t, "alice", "wonderland"); got != nil || !strings.Contains(refusal, c.want) {
					t.Fatalf("%v, %q; want %q, and no lockout", got, refusal, c.want)
				}
			}
		})
	}
}

func TestATokenIsRenewedAfterTheDirectory(t *testing.T) {
	d := start(t, nil)
	got, _ := d.login(t, "alice", "wonderland")
	renew := func() error {
		resp, err := d.Do(t, coretest.Root, update, "auth/token/renew", map[string]any{"token": got.ClientToken})
		if err == nil {
			err = resp.Error()
		}
		return err
	}
	if err := renew(); err != nil {
		t.Fatal(err)
	}
	admin := d.admin(t)
	leave := goldap.NewModifyRequest("cn=Engineers,ou=groups,dc=example,dc=org", nil)
	leave.Replace("member", []string{"uid=bob,ou=people,dc=example,dc=org"})
	if err := admin.Modify(leave); err != nil {
		t.Fatal(err)
	}
	if err := renew(); err == nil || !strings.Contains(err.Error(), "log in again") {
		t.Fatalf("after leaving a group: %v", err)
	}
	if err := admin.Del(goldap.NewDelRequest("uid=alice,ou=people,dc=example,dc=org", nil)); err != nil {
		t.Fatal(err)
	}
	if err := renew(); err == nil || !strings.Contains(err.Error(), "not in the directory any more") {
		t.Fatalf("after leaving the directory: %v", err)
	}
}

// admin is a connection of the directory's owner.
func (d directory) admin(t *testing.T) *goldap.Conn {
	t.Helper()
	conn, err := goldap.DialURL(d.plain)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.Bind(adminDN, adminPassword); err != nil {
		t.Fatal(err)
	}
	return conn
}

func TestMappingsAreKept(t *testing.T) {
	s := coretest.Start(t, map[string]logical.Factory{"ldap": ldap.Factory})
	s.Must(t, coretest.Root, update, "auth/ldap/groups/Domain Users", map[string]any{"policies": "b,a"})
	if got := s.Must(t, coretest.Root, read, "auth/ldap/groups/domain users", nil).Data["policies"].([]string); len(got) != 2 {
		t.Errorf("policies %q", got)
	}
	s.Must(t, coretest.Root, update, "auth/ldap/users/Alice", map[string]any{"groups": "a,b"})
	if got := s.Must(t, coretest.Root, read, "auth/ldap/users/alice", nil).Data["groups"]; got != "a,b" {
		t.Errorf("groups %q", got)
	}
	if keys := s.Must(t, coretest.Root, list, "auth/ldap/groups/", nil).Data["keys"].([]string); len(keys) != 1 || keys[0] != "domain users" {
		t.Errorf("listed %q", keys)
	}
	s.Must(t, coretest.Root, del, "auth/ldap/users/alice", nil)
	if resp, err := s.Do(t, coretest.Root, read, "auth/ldap/users/alice", nil); resp != nil || err != nil {
		t.Errorf("deleted, but %v, %v", resp, err)
	}
}

func TestAConfigurationIsCheckedAndHidesItsSecrets(t *testing.T) {
	s := coretest.Start(t, map[string]logical.Factory{"ldap": ldap.Factory})
	const path = "auth/ldap/config"
	for name, c := range map[string]struct {
		conf map[string]any
		want string
	}{
		"a URL of the web":           {map[string]any{"url": "https://ldap.example.org", "userdn": "x"}, "neither ldap://"},
		"no way to find users":       {map[string]any{"url": "ldap://localhost"}, "give userdn"},
		"a filter with a wrong name": {map[string]any{"userdn": "x", "userfilter": "({{.Nothing}})"}, "userfilter"},
		"a filter cut short":         {map[string]any{"userdn": "x", "groupfilter": "({{.UserDN"}, "groupfilter"},
		"empty passwords":            {map[string]any{"userdn": "x", "deny_null_bind": false}, "deny_null_bind must stay true"},
		"names that mind the case":   {map[string]any{"userdn": "x", "case_sensitive_names": true}, "not supported"},
		"a certificate that is none": {map[string]any{"userdn": "x", "certificate": "PEM"}, "certificate"},
	} {
		resp, err := s.Do(t, coretest.Root, update, path, c.conf)
		if err == nil {
			err = resp.Error()
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; want %q", name, err, c.want)
		}
	}
	if _, err := s.Do(t, "", update, "auth/ldap/login/alice", map[string]any{"password": "x"}); err != nil {
		t.Errorf("a login before the configuration: %v", err)
	}
	s.Must(t, coretest.Root, update, path, map[string]any{"userdn": "ou=people", "bindpass": "hidden"})
	s.Must(t, coretest.Root, update, path, map[string]any{"groupdn": "ou=groups"})
	data := s.Must(t, coretest.Root, read, path, nil).Data
	if data["userdn"] != "ou=people" || data["groupdn"] != "ou=groups" {
		t.Errorf("an update of one field changed others: %v", data)
	}
	for field, value := range data {
		if value == "hidden" {
			t.Errorf("a read shows %s", field)
		}
	}
}

package database

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/engines/enginetest"
	"github.com/novatech/securevault/server/engines/enginetest/postgrestest"
)

func TestAPartialWriteKeepsEverythingElse(t *testing.T) {
	mount, _ := mountShop(t)
	mount.MustWrite(t, "config/shop", map[string]any{"max_open_connections": 3, "root_rotation_statements": guideRevocation})
	before, err := mount.Read(t.Context(), "config/shop")
	if err != nil {
		t.Fatal(err)
	}
	mount.MustWrite(t, "config/shop", map[string]any{"password_policy": "db-password-policy", "allowed_roles": nil})
	after, err := mount.Read(t.Context(), "config/shop")
	if err != nil {
		t.Fatal(err)
	}
	if after["password_policy"] != "db-password-policy" {
		t.Errorf("password_policy is %v", after["password_policy"])
	}
	before["password_policy"] = after["password_policy"]
	if want, got := asJSON(t, before), asJSON(t, after); got != want {
		t.Errorf("the config became %s, want %s", got, want)
	}
	mount.System.SetPasswordPolicy("db-password-policy", func() (string, error) { return "Abcdefgh-1234567", nil })
	if got := passwordOf(mount.MustIssue(t, "creds/app")); got != "Abcdefgh-1234567" {
		t.Error("the policy was not used, or the connection lost its password")
	}
}

func asJSON(t *testing.T, value any) string {
	t.Helper()
	encoded, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(encoded)
}

func TestReadingAConfigNeverShowsAPassword(t *testing.T) {
	mount, database := mountShop(t)
	urls := map[string]string{
		"template":     server.Template(database),
		"literal URL":  server.URL(postgrestest.Superuser, postgrestest.Password, database),
		"literal list": fmt.Sprintf("host=127.0.0.1 port=%d dbname=%s user=postgres password='%s' sslmode=disable", server.Port, database, postgrestest.Password),
	}
	for name, url := range urls {
		t.Run(name, func(t *testing.T) {
			mount.MustWrite(t, "config/shop", map[string]any{"connection_url": url})
			stored, err := mount.Read(t.Context(), "config/shop")
			if err != nil {
				t.Fatal(err)
			}
			text := asJSON(t, stored)
			if strings.Contains(text, postgrestest.Password) {
				t.Errorf("the password is told: %s", text)
			}
			if name == "template" && !strings.Contains(text, "{{username}}:{{password}}@") {
				t.Errorf("the template was changed: %s", text)
			}
			mount.MustIssue(t, "creds/app")
		})
	}
}

func TestReadingAConfigShowsNoSecretWhereverItWasWritten(t *testing.T) {
	const secret = "not-for-your-eyes"
	cases := map[string]struct {
		details map[string]any
		shown   string
	}{
		"a password of a URL":              {map[string]any{"connection_url": "mongodb://admin:" + secret + "@db/shop"}, "mongodb://admin:**redacted**@db/shop"},
		"a password of MySQL":              {map[string]any{"connection_url": "admin:" + secret + "@tcp(db:3306)/"}, "admin:**redacted**@tcp(db:3306)/"},
		"a password beside a template":     {map[string]any{"connection_url": "mongodb://{{username}}:{{password}}@db/?tlsCertificateKeyFilePassword=" + secret + "&tls=true"}, "{{username}}:{{password}}@db/?tlsCertificateKeyFilePassword=**redacted**&tls=true"},
		"a password of a key, in a list":   {map[string]any{"connection_url": "host=db password='{{password}}' sslpassword='" + secret + "' user=a"}, "password='{{password}}' sslpassword=**redacted** user=a"},
		"a token of AWS":                   {map[string]any{"connection_url": "mongodb://db/?authMechanismProperties=AWS_SESSION_TOKEN:" + secret}, "AWS_SESSION_TOKEN:**redacted**"},
		"a key beside its certificate":     {map[string]any{"client_cert": "-----BEGIN CERTIFICATE-----\n-----BEGIN EC PRIVATE KEY-----\n" + secret}, "admin"},
		"a template of MySQL is kept":      {map[string]any{"connection_url": "{{username}}:{{password}}@tcp(db:3306)/"}, "{{username}}:{{password}}@tcp(db:3306)/"},
		"a password that begins with more": {map[string]any{"connection_url": "postgresql://admin:a@" + secret + "@db/x"}, "postgresql://admin:**redacted**@db/x"},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			mount, _ := mountFake(t)
			mount.MustWrite(t, "config/shop", test.details)
			stored, err := mount.Read(t.Context(), "config/shop")
			if err != nil {
				t.Fatal(err)
			}
			if text := fmt.Sprint(stored); strings.Contains(text, secret) || !strings.Contains(text, test.shown) {
				t.Errorf("got %s, want it with %q and without the secret", text, test.shown)
			}
		})
	}
}

func TestAWrongConfigIsRefusedAndNothingStored(t *testing.T) {
	good := superuserConfig("postgres")
	cases := map[string]struct {
		changes map[string]any
		want    string
	}{
		"plugin_name missing":    {map[string]any{"plugin_name": nil}, "plugin_name is missing: write plugin_name=NAME with one of " + strings.Join(Plugins(), ", ")},
		"plugin unknown":         {map[string]any{"plugin_name": "postgres-database-plugin"}, `did you mean "postgresql-database-plugin"?`},
		"plugin version":         {map[string]any{"plugin_version": "v1.2.3"}, "plugins are built in"},
		"url missing":            {map[string]any{"connection_url": nil}, "connection_url is missing"},
		"url broken":             {map[string]any{"connection_url": "postgresql://{{username}}:" + postgrestest.Password + "@[::1/x"}, "connection_url cannot be parsed"},
		"username missing":       {map[string]any{"username": nil}, "username is missing"},
		"password missing":       {map[string]any{"password": ""}, "password is missing"},
		"password wrong":         {map[string]any{"password": "not-the-right-one"}, "check username and password"},
		"database unknown":       {map[string]any{"connection_url": server.Template("nowhere")}, "check the database's name"},
		"host unknown":           {map[string]any{"connection_url": "postgresql://{{username}}:{{password}}@host.invalid/x"}, "check the host name"},
		"port closed":            {map[string]any{"connection_url": "postgresql://{{username}}:{{password}}@127.0.0.1:1/x"}, "check that the server runs"},
		"TLS refused":            {map[string]any{"connection_url": strings.Replace(server.Template("postgres"), "disable", "require", 1)}, "turn on ssl"},
		"typo in a setting":      {map[string]any{"max_open_conections": 3}, `did you mean "max_open_connections"?`},
		"setting of wrong type":  {map[string]any{"max_open_connections": "many"}, "max_open_connections"},
		"lifetime no duration":   {map[string]any{"max_connection_lifetime": "long"}, "max_connection_lifetime is no duration"},
		"template always same":   {map[string]any{"username_template": "v-{{.RoleName}}"}, "add {{random 12}}"},
		"guide's order of MySQL": {map[string]any{"plugin_name": nil, "connection_url": nil, "username": nil, "password": nil, "password_policy": "p"}, "plugin_name is missing"},
	}
	mount := enginetest.NewMount(t, Factory)
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			response, err := mount.Write(t.Context(), "config/shop", with(good, test.changes))
			wantError(t, err, test.want, "not-the-right-one")
			if got := statusOf(t, response, err); got != 400 {
				t.Errorf("status is %d, want 400", got)
			}
			if stored, _ := mount.Read(t.Context(), "config/shop"); stored != nil {
				t.Errorf("stored all the same: %v", stored)
			}
		})
	}
}

func TestAnAdminsPasswordMayHoldAnyCharacter(t *testing.T) {
	const hostile = `p@ss:w/rd?'"\%41 {{username}}#`
	database := newShop(t)
	server.Exec(t, database, `CREATE ROLE odd LOGIN SUPERUSER PASSWORD 'p@ss:w/rd?''"\%41 {{username}}#'`)
	t.Cleanup(func() { dropRole(t, "odd") })
	for name, url := range map[string]string{
		"URL":  server.Template(database),
		"list": fmt.Sprintf("host=127.0.0.1 port=%d dbname=%s user={{username}} password={{password}} sslmode=disable", server.Port, database),
	} {
		t.Run(name, func(t *testing.T) {
			mount := enginetest.NewMount(t, Factory)
			mount.MustWrite(t, "config/shop", with(superuserConfig(database), map[string]any{
				"connection_url": url, "username": "odd", "password": hostile,
			}))
		})
	}
}

func dropRole(t *testing.T, name string) {
	t.Helper()
	conn := mustConnect(t)
	if _, err := conn.Exec(context.Background(), "DROP OWNED BY "+name+"; DROP ROLE "+name); err != nil {
		t.Errorf("dropping %s: %v", name, err)
	}
}

func TestMaxIdleConnectionsLimitsWhatStaysOpen(t *testing.T) {
	mount, database := mountShop(t)
	mount.MustWrite(t, "config/shop", map[string]any{"max_idle_connections": -1, "max_connection_lifetime": "5m"})
	mount.MustIssue(t, "creds/app")
	// The pool closes a connection in the background.
	for range 1000 {
		if ourSessions(t, database) == 0 {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Error("an idle connection stayed open")
}

func ourSessions(t *testing.T, database string) int {
	t.Helper()
	return postgrestest.Scalar[int](t, server, postgrestest.Database,
		"SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'securevault %' AND datname = $1", database)
}

func TestConfigsAndRolesAreListedAndDeleted(t *testing.T) {
	mount, _ := mountShop(t)
	for _, kind := range []string{"config/", "roles/"} {
		response, err := mount.Handle(t.Context(), &logical.Request{Operation: logical.ListOperation, Path: kind})
		if err != nil {
			t.Fatal(err)
		}
		names := response.Data["keys"].([]string)
		if len(names) != 1 {
			t.Fatalf("%s lists %v", kind, names)
		}
		if _, err := mount.Handle(t.Context(), &logical.Request{Operation: logical.DeleteOperation, Path: kind + names[0]}); err != nil {
			t.Fatal(err)
		}
		if left, err := mount.Read(t.Context(), kind+names[0]); left != nil || err != nil {
			t.Errorf("%s%s is left: %v, %v", kind, names[0], left, err)
		}
	}
}

func TestARoleKeepsWhatAPartialWriteLeavesOut(t *testing.T) {
	mount, _ := mountShop(t)
	mount.MustWrite(t, "roles/app", map[string]any{"default_ttl": "30m"})
	stored, err := mount.Read(t.Context(), "roles/app")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"db_name": "shop", "creation_statements": []string{guideReadonly}, "revocation_statements": []string{guideRevocation},
		"rollback_statements": nil, "renew_statements": nil, "default_ttl": 1800, "max_ttl": 86400,
		"credential_type": "password", "credential_config": map[string]string{},
	}
	stored["rollback_statements"], stored["renew_statements"] = nil, nil
	if asJSON(t, stored) != asJSON(t, want) {
		t.Errorf("the role is %v, want %v", stored, want)
	}
}

func TestAWrongRoleIsRefused(t *testing.T) {
	mount := enginetest.NewMount(t, Factory)
	cases := map[string]struct {
		changes map[string]any
		want    string
	}{
		"db_name missing":         {map[string]any{"db_name": nil}, "db_name is missing"},
		"ttl beyond max":          {map[string]any{"default_ttl": "25h"}, "default_ttl 25h0m0s is longer than max_ttl 24h0m0s"},
		"ttl no duration":         {map[string]any{"default_ttl": "soon"}, "default_ttl"},
		"revocation nobody knows": {map[string]any{"revocation_statements": `DROP ROLE "{{nmae}}"`}, "revocation_statements: unknown placeholder {{nmae}}: use {{name}}, {{username}}"},
		"unknown credential type": {map[string]any{"credential_type": "rsa_private_key"}, "not supported by any plugin: use password or client_certificate"},
		"unknown setting":         {map[string]any{"credential_config": map[string]any{"bits": 3}}, `unknown field "bits"`},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := mount.Write(t.Context(), "roles/app", with(readonlyRole(), test.changes))
			wantError(t, err, test.want)
		})
	}
	response, err := mount.Write(t.Context(), "roles/early", readonlyRole())
	if err != nil || len(response.Warnings) != 1 || !strings.Contains(response.Warnings[0], `"shop" is no config yet`) {
		t.Errorf("a role before its config answers %v, %v, want a warning", response, err)
	}
}

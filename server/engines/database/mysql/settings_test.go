package mysql

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/database/dbplugin/v5"

	"github.com/novatech/securevault/server/engines/database/fault"
)

// What needs a server is in the tests of the package mysql_test. Here is what needs
// none.

func decode(t testing.TB, given map[string]any) settings {
	t.Helper()
	decoded, err := decodeSettings(given, naming{32, "{{random 20}}"})
	if err != nil {
		t.Fatal(err)
	}
	return decoded
}

func TestTheAdminsNameAndPasswordReachTheDriverUnescaped(t *testing.T) {
	const hostile = `p@ss:w/rd?'"\%41(){{username}}#`
	cases := map[string]struct{ url, password, network, address string }{
		"a port":              {"{{username}}:{{password}}@tcp(db.example:3307)/", hostile, "tcp", "db.example:3307"},
		"no port":             {"{{username}}:{{password}}@tcp(db.example)/", hostile, "tcp", "db.example:3306"},
		"IPv6":                {"{{username}}:{{password}}@tcp([::1]:3306)/", hostile, "tcp", "[::1]:3306"},
		"a database":          {"{{username}}:{{password}}@tcp(db.example:3306)/shop?tls=true", hostile, "tcp", "db.example:3306"},
		"a socket":            {"{{username}}:{{password}}@unix(/run/mysqld/mysqld.sock)/", hostile, "unix", "/run/mysqld/mysqld.sock"},
		"no password":         {"{{username}}@tcp(db.example:3306)/", "", "tcp", "db.example:3306"},
		"a password of a URL": {"odd'admin:literal@tcp(db.example:3306)/", "literal", "tcp", "db.example:3306"},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			config, err := decode(t, map[string]any{"connection_url": test.url, "username": "odd'admin", "password": hostile}).driverConfig()
			if err != nil {
				t.Fatal(err)
			}
			if config.User != "odd'admin" || config.Passwd != test.password || config.Net != test.network || config.Addr != test.address {
				t.Errorf("got user %q, password %q at %s(%s)", config.User, config.Passwd, config.Net, config.Addr)
			}
			if config.Timeout != dialLimit || !config.MultiStatements {
				t.Errorf("dialling may take %s, several statements: %t", config.Timeout, config.MultiStatements)
			}
		})
	}
}

func TestSettingsThatCannotWorkAreRefusedWithAHint(t *testing.T) {
	const url = "{{username}}:{{password}}@tcp(db.example:3306)/"
	cases := map[string]struct {
		changes map[string]any
		says    string
	}{
		"no URL":                       {map[string]any{"connection_url": ""}, "connection_url is missing"},
		"a URL of another kind":        {map[string]any{"connection_url": "mysql://{{username}}:{{password}}@db.example:3306/shop"}, "connection_url cannot be parsed"},
		"no slash":                     {map[string]any{"connection_url": "{{username}}:{{password}}@tcp(db.example:3306)"}, "connection_url cannot be parsed"},
		"unknown TLS settings":         {map[string]any{"connection_url": url + "?tls=custom"}, "tls=true or tls_ca"},
		"files of this server":         {map[string]any{"connection_url": url + "?allowAllFiles=true"}, "allowAllFiles"},
		"TLS and none":                 {map[string]any{"connection_url": url + "?tls=false", "tls_ca": "x"}, "contradicts"},
		"TLS that may be left out":     {map[string]any{"connection_url": url + "?tls=preferred", "tls_server_name": "x"}, "contradicts"},
		"an authority that is none":    {map[string]any{"tls_ca": "nonsense"}, "tls_ca holds no certificate"},
		"a certificate that is none":   {map[string]any{"tls_certificate_key": "nonsense"}, "tls_certificate_key is no certificate"},
		"an unknown field":             {map[string]any{"tls_cas": "x"}, `did you mean "tls_ca"?`},
		"a lifetime that is none":      {map[string]any{"max_connection_lifetime": "soon"}, "max_connection_lifetime"},
		"a name too long":              {map[string]any{"username_template": "{{random 33}}"}, "the database allows 32"},
		"a name that is always it":     {map[string]any{"username_template": "app"}, "add {{random 12}}"},
		"a password that is not given": {map[string]any{"password": ""}, "password is missing"},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			given := map[string]any{"connection_url": url, "username": "admin", "password": "admin-secret"}
			for key, value := range test.changes {
				given[key] = value
			}
			database := New()
			_, err := database.Initialize(t.Context(), dbplugin.InitializeRequest{Config: given})
			if fault.ClassOf(err) != fault.Refused || !strings.Contains(err.Error(), test.says) {
				t.Errorf("got %v, want a refusal that says %q", err, test.says)
			}
			if err != nil && strings.Contains(err.Error(), "admin-secret") {
				t.Errorf("error %q gives the password away", err)
			}
			if err := database.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestPoolSettingsReachThePool(t *testing.T) {
	given := map[string]any{"connection_url": "a:b@tcp(db.example)/", "max_open_connections": "3", "max_connection_lifetime": "90s"}
	if open, _, lifetime, err := decode(t, given).Limits(); err != nil || open != 3 || lifetime != 90*time.Second {
		t.Errorf("got %d open, lifetime %s, %v", open, lifetime, err)
	}
	database := New()
	if _, err := database.Initialize(t.Context(), dbplugin.InitializeRequest{Config: given}); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = database.Close() }()
	if open := database.(*Database).pool.Stats().MaxOpenConnections; open != 3 {
		t.Errorf("the pool opens %d", open)
	}
	if _, err := database.Initialize(t.Context(), dbplugin.InitializeRequest{Config: given}); fault.ClassOf(err) != fault.Refused {
		t.Errorf("initializing twice: %v", err)
	}
}

func TestAnUninitializedDatabaseRefusesAndCloses(t *testing.T) {
	database := New()
	if _, err := database.DeleteUser(t.Context(), dbplugin.DeleteUserRequest{Username: "a"}); fault.ClassOf(err) != fault.Refused {
		t.Errorf("got %v, want a refusal", err)
	}
	if err := database.Close(); err != nil {
		t.Error(err)
	}
}

func FuzzAConnectionURLNeverGivesThePasswordAway(f *testing.F) {
	for _, seed := range []string{"{{username}}:{{password}}@tcp(h:1)/", "{{password}}@tcp/", "tcp({{password}})/?tls={{password}}", "a:b@unix(/s)/%zz", "{{username}}@/{{password}}?timeout={{password}}"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, url string) {
		const secret = "S3cret-of-the-admin"
		given := settings{}
		given.ConnectionURL, given.Password = url, secret
		database := &Database{}
		pool, err := database.newPool(given)
		if err == nil {
			_ = pool.Close()
			err = database.explainConnect(context.DeadlineExceeded)
		}
		if strings.Contains(err.Error(), secret) {
			t.Errorf("error %q gives the password away", err)
		}
	})
}

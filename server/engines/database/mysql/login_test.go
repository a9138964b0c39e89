package mysql_test

import (
	"crypto/tls"
	"os"
	"strings"
	"testing"

	"github.com/hashicorp/vault/sdk/database/dbplugin/v5"

	"github.com/novatech/securevault/server/engines/database"
	"github.com/novatech/securevault/server/engines/database/mysql"
	"github.com/novatech/securevault/server/engines/enginetest"
	"github.com/novatech/securevault/server/engines/enginetest/certtest"
)

func TestACertificateLetsInItsOwnUserOnly(t *testing.T) {
	shop := newShop(t)
	mount := enginetest.NewMount(t, database.Factory)
	mount.MustWrite(t, "config/shop", config(server.Address()))
	mount.MustWrite(t, "roles/app", certificateRole(t, withCertificate(shop)))
	lease, other := mount.MustIssue(t, "creds/app"), mount.MustIssue(t, "creds/app")
	username := lease.Data["username"].(string)
	if _, ok := lease.Data["password"]; ok {
		t.Error("the client got a password as well")
	}
	if session, err := loginWithCertificate(t.Context(), lease.Data, shop); err != nil {
		t.Errorf("with the certificate: %v", err)
	} else {
		_ = session.Close()
	}
	wrong := map[string][]tls.Certificate{"without one": nil, "with another user's": {pair(t, other)}, "with that of another authority": {foreign(t, username)}}
	for name, certificates := range wrong {
		t.Run(name, func(t *testing.T) {
			if session, err := server.LoginTLS(t.Context(), username, "", shop, certificates...); err == nil {
				_ = session.Close()
				t.Error("the server lets it in")
			}
		})
	}
	if !refused(t, username, "") {
		t.Error("the server lets it in without TLS")
	}
}

func pair(t *testing.T, lease *enginetest.Lease) tls.Certificate {
	t.Helper()
	made, err := tls.X509KeyPair([]byte(lease.Data["client_certificate"].(string)), []byte(lease.Data["private_key"].(string)))
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// foreign returns a certificate of that name from somebody the server does not trust.
func foreign(t *testing.T, name string) tls.Certificate {
	t.Helper()
	made, err := stranger(t).Issue(name)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func stranger(t *testing.T) *certtest.Authority {
	t.Helper()
	authority, err := certtest.New("stranger")
	if err != nil {
		t.Fatal(err)
	}
	return authority
}

func TestAUserThatAnyCertificateLetsInIsWarnedOf(t *testing.T) {
	plugin := open(t, config(server.Address()))
	for statements, warns := range map[string]bool{
		"CREATE USER '{{name}}'@'%' REQUIRE X509":                     true,
		"CREATE USER '{{name}}'@'%' REQUIRE SUBJECT '/CN={{name}}'":   false,
		"CREATE USER '{{name}}'@'%' REQUIRE subject \"/CN={{name}}\"": false,
	} {
		const name = "v-certified"
		asked := request(statements)
		asked.CredentialType, asked.Password, asked.Subject = dbplugin.CredentialTypeClientCertificate, "", "CN="+name
		warnings, err := named(plugin).NewNamedUser(t.Context(), name, asked)
		if err != nil || len(warnings) > 0 != warns {
			t.Errorf("%s: warnings %q, %v; want some: %t", statements, warnings, err, warns)
		}
		if _, err := plugin.DeleteUser(t.Context(), dbplugin.DeleteUserRequest{Username: name}); err != nil {
			t.Error(err)
		}
	}
}

func TestTheAdminLogsInOverTLSAndSockets(t *testing.T) {
	newUser(t, "secured", "CREATE USER secured@'%' IDENTIFIED BY 'secured-password' REQUIRE SUBJECT '/CN=secured'")
	newUser(t, "encrypted", "CREATE USER encrypted@'%' IDENTIFIED BY 'secured-password' REQUIRE SSL")
	newUser(t, "plain", `CREATE USER plain@'%' IDENTIFIED BY 'p@ss:w/rd?''"\\%41(){{username}}#'`)
	address := "{{username}}:{{password}}@tcp(" + server.Address() + ")/"
	trusted, own, strange := string(server.Authority.PEM()), certificateOf(t, server.Authority, "secured"), string(stranger(t).PEM())
	cases := map[string]struct {
		username string
		changes  map[string]any
		says     string // empty: it works
	}{
		"an authority":                         {"encrypted", map[string]any{"tls_ca": trusted}, ""},
		"an authority, and tls in the URL":     {"encrypted", map[string]any{"tls_ca": trusted, "connection_url": address + "?tls=true"}, ""},
		"anybody":                              {"encrypted", map[string]any{"tls_skip_verify": true}, ""},
		"anybody, by the URL":                  {"encrypted", map[string]any{"connection_url": address + "?tls=skip-verify"}, ""},
		"a certificate":                        {"secured", map[string]any{"tls_ca": trusted, "tls_certificate_key": own}, ""},
		"another name of the server":           {"encrypted", map[string]any{"tls_ca": trusted, "tls_server_name": "localhost"}, ""},
		"a unix socket":                        {"plain", map[string]any{"connection_url": "{{username}}:{{password}}@unix(" + server.Socket + ")/"}, ""},
		"a password full of the URL's letters": {"plain", nil, ""},
		"another authority":                    {"encrypted", map[string]any{"tls_ca": strange}, "check tls_ca"},
		"the system's authorities":             {"encrypted", map[string]any{"connection_url": address + "?tls=true"}, "check tls_ca"},
		"a wrong name of the server":           {"encrypted", map[string]any{"tls_ca": trusted, "tls_server_name": "db.example"}, "check tls_ca"},
		"no certificate":                       {"secured", map[string]any{"tls_ca": trusted}, "error 1045"},
		"no TLS":                               {"encrypted", nil, "error 1045"},
		"a socket that is not there":           {"plain", map[string]any{"connection_url": "{{username}}:{{password}}@unix(" + server.Socket + "x)/"}, "listens on that socket"},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			settings := map[string]any{"connection_url": address, "username": test.username, "password": "secured-password"}
			if test.username == "plain" {
				settings["password"] = `p@ss:w/rd?'"\%41(){{username}}#`
			}
			for key, value := range test.changes {
				settings[key] = value
			}
			plugin := mysql.New()
			_, err := plugin.Initialize(t.Context(), dbplugin.InitializeRequest{Config: settings, VerifyConnection: true})
			defer func() { _ = plugin.Close() }()
			if test.says == "" && err != nil || test.says != "" && (err == nil || !strings.Contains(err.Error(), test.says)) {
				t.Errorf("got %v, want %q", err, test.says)
			}
		})
	}
}

// certificateOf returns a certificate and its key, as tls_certificate_key wants them.
func certificateOf(t *testing.T, authority *certtest.Authority, name string) string {
	t.Helper()
	files, err := authority.Write(t.TempDir(), name)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := os.ReadFile(files.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	key, err := os.ReadFile(files.Key)
	if err != nil {
		t.Fatal(err)
	}
	return string(certificate) + string(key)
}

func TestAPasswordInTheURLIsNotReadBack(t *testing.T) {
	mount := enginetest.NewMount(t, database.Factory)
	settings := config(server.Address())
	const literal = "li:teral@(secret"
	newUser(t, "literal", "CREATE USER literal@'%' IDENTIFIED BY '"+literal+"'")
	settings["connection_url"] = "literal:" + literal + "@tcp(" + server.Address() + ")/"
	delete(settings, "username")
	delete(settings, "password")
	mount.MustWrite(t, "config/shop", settings)
	data, err := mount.Read(t.Context(), "config/shop")
	if err != nil {
		t.Fatal(err)
	}
	if url := data["connection_details"].(map[string]any)["connection_url"]; url != "literal:**redacted**@tcp("+server.Address()+")/" {
		t.Errorf("the URL is read as %q", url)
	}
}

package postgresql_test

import (
	"context"
	"crypto/tls"
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/novatech/securevault/server/engines/database"
	"github.com/novatech/securevault/server/engines/enginetest"
	"github.com/novatech/securevault/server/engines/enginetest/certtest"
	"github.com/novatech/securevault/server/engines/enginetest/postgrestest"
)

// loginTLS opens a session of somebody who may read orders, over TLS.
func loginTLS(ctx context.Context, address, shop, username, password string, certificates ...tls.Certificate) (enginetest.Session, error) {
	target, err := pgx.ParseConfig("postgresql://" + address + "/" + shop + "?sslmode=require")
	if err != nil {
		return nil, err
	}
	target.User, target.Password = username, password
	target.TLSConfig = &tls.Config{RootCAs: authority.Pool(), ServerName: "127.0.0.1", Certificates: certificates}
	conn, err := pgx.ConnectConfig(ctx, target)
	return session{conn}, err
}

// text returns a field of an answer.
func text(data map[string]any, field string) string {
	value, _ := data[field].(string)
	return value
}

func TestClientCertificatesConform(t *testing.T) {
	shop, outage := newShop(t), proxy(t)
	key, err := authority.KeyPEM()
	if err != nil {
		t.Fatal(err)
	}
	enginetest.Suite{
		Factory: database.Factory,
		Setup: []enginetest.Write{
			{Path: "config/shop", Data: with(config(through(server.Template(shop), outage)), map[string]any{
				"client_ca_certificate": string(authority.PEM()), "ca_private_key": string(key),
			})},
			{Path: "roles/app", Data: with(role(`CREATE ROLE "{{name}}" LOGIN IN ROLE certified;
				GRANT SELECT ON ALL TABLES IN SCHEMA public TO "{{name}}";`), map[string]any{"credential_type": "client_certificate"})},
		},
		Creds: "creds/app",
		Proxy: outage,
		Users: users,
		Login: func(ctx context.Context, data map[string]any) (enginetest.Session, error) {
			pair, err := tls.X509KeyPair([]byte(text(data, "client_certificate")), []byte(text(data, "private_key")))
			if err != nil {
				return nil, err
			}
			if other, err := loginTLS(ctx, address(), shop, postgrestest.Superuser, "", pair); err == nil {
				other.Close()
				return nil, errors.New("the certificate lets in under another name")
			}
			return loginTLS(ctx, address(), shop, text(data, "username"), "", pair)
		},
	}.Run(t)
}

func TestARoleOfCertificatesNeedsNoStatementsAndKnowsNoPassword(t *testing.T) {
	shop := newShop(t)
	key, err := authority.KeyPEM()
	if err != nil {
		t.Fatal(err)
	}
	mount := enginetest.NewMount(t, database.Factory)
	mount.MustWrite(t, "config/shop", with(config(server.Template(shop)), map[string]any{"client_ca_certificate": string(authority.PEM()), "ca_private_key": string(key)}))
	mount.MustWrite(t, "roles/app", map[string]any{"db_name": "shop", "credential_type": "client_certificate"})
	lease := mount.MustIssue(t, "creds/app")
	if !postgrestest.Scalar[bool](t, server, shop, "SELECT rolcanlogin AND rolpassword IS NULL FROM pg_authid WHERE rolname = $1", text(lease.Data, "username")) {
		t.Error("the role cannot log in, or has a password")
	}
	mount.MustWrite(t, "roles/app", map[string]any{"creation_statements": readonly})
	_, err = mount.Issue(t.Context(), "creds/app")
	wantError(t, err, "unknown placeholder {{password}}")
	mount.MustWrite(t, "roles/app", map[string]any{"creation_statements": "", "credential_config": map[string]any{
		"common_name_template": `{{random 20}}` + strings.Repeat("x", 44),
	}})
	_, err = mount.Issue(t.Context(), "creds/app")
	wantError(t, err, "has 64 bytes, PostgreSQL allows 63")
}

// certifiedAdmin makes a superuser who logs in with a certificate, and returns it.
func certifiedAdmin(t *testing.T) certtest.Files {
	t.Helper()
	server.Exec(t, postgrestest.Database, "CREATE ROLE certified_admin LOGIN SUPERUSER IN ROLE certified")
	t.Cleanup(func() { mustExec(t, "DROP ROLE certified_admin") })
	files, err := authority.Write(t.TempDir(), "certified_admin")
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestAnAdminLogsInWithACertificate(t *testing.T) {
	shop, files := newShop(t), certifiedAdmin(t)
	stranger, err := certtest.New("stranger")
	if err != nil {
		t.Fatal(err)
	}
	strangers, err := stranger.Write(t.TempDir(), "certified_admin")
	if err != nil {
		t.Fatal(err)
	}
	url := "postgresql://certified_admin@" + address() + "/" + shop
	byName := strings.Replace(url, "127.0.0.1", "localhost", 1)
	fields := map[string]any{"tls_ca": read(t, files.Authority), "tls_certificate": read(t, files.Certificate), "private_key": read(t, files.Key)}
	cases := map[string]struct {
		url     string
		changes map[string]any
		says    string // empty: it works
	}{
		"in fields":                 {url, nil, ""},
		"in fields, for one host":   {url + "?sslmode=verify-full", nil, ""},
		"in fields, for any host":   {byName + "?sslmode=verify-ca", nil, ""},
		"the host of another":       {byName, nil, "check sslmode, sslrootcert"},
		"in files":                  {url + "?sslmode=verify-full&sslrootcert=" + files.Authority + "&sslcert=" + files.Certificate + "&sslkey=" + files.Key, map[string]any{"tls_ca": nil, "tls_certificate": nil, "private_key": nil}, ""},
		"none":                      {url + "?sslmode=require", map[string]any{"tls_certificate": nil, "private_key": nil}, "connection requires a valid client certificate"},
		"of another authority":      {url, map[string]any{"tls_certificate": read(t, strangers.Certificate), "private_key": read(t, strangers.Key)}, "connection requires a valid client certificate"},
		"a server of another":       {url, map[string]any{"tls_ca": read(t, strangers.Authority)}, "check sslmode, sslrootcert"},
		"a server of another, any":  {url + "?sslmode=verify-ca", map[string]any{"tls_ca": read(t, strangers.Authority)}, "check sslmode, sslrootcert"},
		"no TLS":                    {url + "?sslmode=disable", nil, "write sslmode=verify-full"},
		"a certificate alone":       {url, map[string]any{"private_key": nil}, "both in PEM"},
		"a key of another":          {url, map[string]any{"private_key": read(t, strangers.Key)}, "both in PEM"},
		"an authority that is none": {url, map[string]any{"tls_ca": "none"}, "tls_ca holds no certificate"},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			mount := enginetest.NewMount(t, database.Factory)
			_, err := mount.Write(t.Context(), "config/shop", with(map[string]any{
				"plugin_name": "postgresql-database-plugin", "connection_url": test.url, "allowed_roles": "*",
			}, fields, test.changes))
			if test.says != "" {
				wantError(t, err, test.says, "PRIVATE KEY")
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			mount.MustWrite(t, "roles/app", role(readonly))
			mount.MustIssue(t, "creds/app")
		})
	}
}

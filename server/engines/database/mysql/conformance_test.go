package mysql_test

import (
	"context"
	"crypto/tls"
	"database/sql"
	"os"
	"testing"

	"github.com/novatech/securevault/server/engines/database"
	"github.com/novatech/securevault/server/engines/database/plugintest"
	"github.com/novatech/securevault/server/engines/enginetest"
	"github.com/novatech/securevault/server/engines/enginetest/mariadbtest"
)

var server *mariadbtest.Server

// makeLateAt is set for a process that is to be killed in the middle of makeLate.
const makeLateAt = "SECUREVAULT_TEST_MAKE_LATE_AT"

func TestMain(m *testing.M) {
	if address := os.Getenv(makeLateAt); address != "" {
		makeLate(address)
		return
	}
	server = mariadbtest.MustStart()
	code := m.Run()
	server.Stop()
	os.Exit(code)
}

// newShop returns a database with a table of orders.
func newShop(t testing.TB) string {
	t.Helper()
	shop := server.NewDatabase(t)
	server.Exec(t, "CREATE TABLE "+shop+".orders (id int); INSERT INTO "+shop+".orders VALUES (1)")
	return shop
}

// readonly are the statements of a user that may read the shop.
func readonly(shop string) string {
	return "CREATE USER '{{name}}'@'%' IDENTIFIED BY '{{password}}'; GRANT SELECT ON " + shop + ".* TO '{{name}}'@'%';"
}

// withCertificate are those of a user that shows a certificate of its own.
func withCertificate(shop string) string {
	return "CREATE USER '{{name}}'@'%' REQUIRE SUBJECT '/CN={{name}}'; GRANT SELECT ON " + shop + ".* TO '{{name}}'@'%';"
}

func config(address string) map[string]any {
	return map[string]any{
		"plugin_name": "mysql-database-plugin", "connection_url": "{{username}}:{{password}}@tcp(" + address + ")/", "allowed_roles": "*",
		"username": mariadbtest.Superuser, "password": mariadbtest.Password,
	}
}

func role(statements string) map[string]any {
	return map[string]any{"db_name": "shop", "creation_statements": statements, "default_ttl": "1h", "max_ttl": "24h"}
}

// users names the accounts on the server.
func users(t testing.TB) []string {
	t.Helper()
	return mariadbtest.Column[string](t, server, "SELECT User FROM mysql.user")
}

func TestPasswordsConform(t *testing.T) {
	shop, outage := newShop(t), enginetest.NewProxy(t, server.Address())
	enginetest.Suite{
		Factory: database.Factory,
		Setup:   []enginetest.Write{{Path: "config/shop", Data: config(outage.Address())}, {Path: "roles/app", Data: role(readonly(shop))}},
		Creds:   "creds/app",
		Proxy:   outage,
		Users:   users,
		Login: func(ctx context.Context, data map[string]any) (enginetest.Session, error) {
			db, err := server.Login(ctx, data["username"].(string), data["password"].(string), shop)
			return session{db}, err
		},
	}.Run(t)
}

func TestClientCertificatesConform(t *testing.T) {
	shop, outage := newShop(t), enginetest.NewProxy(t, server.Address())
	enginetest.Suite{
		Factory: database.Factory,
		Setup:   []enginetest.Write{{Path: "config/shop", Data: config(outage.Address())}, {Path: "roles/app", Data: certificateRole(t, withCertificate(shop))}},
		Creds:   "creds/app",
		Proxy:   outage,
		Users:   users,
		Login: func(ctx context.Context, data map[string]any) (enginetest.Session, error) {
			db, err := loginWithCertificate(ctx, data, shop)
			return session{db}, err
		},
	}.Run(t)
}

func certificateRole(t testing.TB, statements string) map[string]any {
	t.Helper()
	key, err := server.Authority.KeyPEM()
	if err != nil {
		t.Fatal(err)
	}
	certified := role(statements)
	certified["credential_type"] = "client_certificate"
	certified["credential_config"] = map[string]any{"ca_cert": string(server.Authority.PEM()), "ca_private_key": string(key), "key_type": "ec", "key_bits": "256"}
	return certified
}

func loginWithCertificate(ctx context.Context, data map[string]any, shop string) (*sql.DB, error) {
	pair, err := tls.X509KeyPair([]byte(data["client_certificate"].(string)), []byte(data["private_key"].(string)))
	if err != nil {
		return nil, err
	}
	return server.LoginTLS(ctx, data["username"].(string), "", shop, pair)
}

type session struct{ db *sql.DB }

func (s session) Allowed(ctx context.Context) error   { return run(ctx, s.db, "SELECT * FROM orders") }
func (s session) Forbidden(ctx context.Context) error { return run(ctx, s.db, "DELETE FROM orders") }
func (s session) Close()                              { _ = s.db.Close() }

func run(ctx context.Context, db *sql.DB, statement string) error {
	_, err := db.ExecContext(ctx, statement)
	return err
}

func TestHostileInputIsSurvived(t *testing.T) {
	shop := newShop(t)
	plugintest.Hostile{
		Config:  config(server.Address()),
		Role:    role(readonly(shop)),
		Halfway: role(readonly(shop) + "GRANT SELECT ON " + shop + ".missing TO '{{name}}'@'%'"),
		Users:   users,
		Drop:    func(t testing.TB, name string) { server.Exec(t, "DROP USER `"+name+"`@`%`") },
		Admin:   mariadbtest.Password,
	}.Run(t)
	if orders := mariadbtest.Column[int](t, server, "SELECT COUNT(*) FROM "+shop+".orders"); orders[0] != 1 {
		t.Error("the table of orders was touched")
	}
}

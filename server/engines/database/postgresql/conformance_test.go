package postgresql_test

import (
	"context"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/novatech/securevault/server/engines/database"
	"github.com/novatech/securevault/server/engines/database/plugintest"
	"github.com/novatech/securevault/server/engines/enginetest"
	"github.com/novatech/securevault/server/engines/enginetest/certtest"
	"github.com/novatech/securevault/server/engines/enginetest/postgrestest"
)

var (
	authority *certtest.Authority // of the server's certificate, and of its clients'
	server    *postgrestest.Server
	admin     *pgxpool.Pool // on server: logging in takes long
)

// The groups of roles that log in without a password. Whom the stand-ins of
// clouds let pass, the server trusts.
var groups = map[string]string{
	"certified":                 "hostssl all +certified all cert",
	"rds_iam":                   "host all +rds_iam 127.0.0.1/32 trust",
	"cloudsqliamserviceaccount": "host all +cloudsqliamserviceaccount 127.0.0.1/32 trust",
}

func TestMain(m *testing.M) {
	if err := start(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	admin.Close()
	server.Stop()
	os.Exit(code)
}

func start() (err error) {
	if authority, err = certtest.New("postgresql"); err != nil {
		return err
	}
	if server, err = postgrestest.StartTLS(authority, slices.Collect(maps.Values(groups))...); err != nil {
		return err
	}
	admin, err = pgxpool.New(context.Background(), server.URL(postgrestest.Superuser, postgrestest.Password, postgrestest.Database))
	if err != nil {
		return err
	}
	for group := range groups {
		if _, err := admin.Exec(context.Background(), "CREATE ROLE "+group); err != nil {
			return err
		}
	}
	return nil
}

// address is that of the server, as host:port.
func address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(server.Port)) }

const readonly = `CREATE ROLE "{{name}}" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}';
	GRANT SELECT ON ALL TABLES IN SCHEMA public TO "{{name}}";`

// newShop returns a database with a table of orders.
func newShop(t *testing.T) string {
	t.Helper()
	shop := server.NewDatabase(t)
	server.Exec(t, shop, "CREATE TABLE orders (id int); INSERT INTO orders VALUES (1)")
	return shop
}

func config(url string) map[string]any {
	return map[string]any{
		"plugin_name": "postgresql-database-plugin", "connection_url": url, "allowed_roles": "*",
		"username": postgrestest.Superuser, "password": postgrestest.Password,
	}
}

func role(statements string) map[string]any {
	return map[string]any{"db_name": "shop", "creation_statements": statements, "default_ttl": "1h", "max_ttl": "24h"}
}

// through returns a URL that leads to the server by way of a proxy.
func through(url string, proxy *enginetest.Proxy) string {
	return strings.Replace(url, address(), proxy.Address(), 1)
}

func proxy(t *testing.T) *enginetest.Proxy {
	t.Helper()
	return enginetest.NewProxy(t, address())
}

// with returns the fields of all, the last of a name winning; nil takes one out.
func with(all ...map[string]any) map[string]any {
	joined := map[string]any{}
	for _, fields := range all {
		maps.Copy(joined, fields)
	}
	maps.DeleteFunc(joined, func(_ string, value any) bool { return value == nil })
	return joined
}

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// wantError checks what an error says and that it holds no secret.
func wantError(t *testing.T, err error, says string, secrets ...string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), says) {
		t.Fatalf("got %v, want an error that says %q", err, says)
	}
	for _, secret := range append(secrets, postgrestest.Password) {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("error %q gives %q away", err, secret)
		}
	}
}

// users names the roles on the server.
func users(t testing.TB) []string {
	t.Helper()
	var names []string
	if err := admin.QueryRow(t.Context(), "SELECT array_agg(rolname::text ORDER BY rolname) FROM pg_roles").Scan(&names); err != nil {
		t.Fatal(err)
	}
	return names
}

func TestPasswordsConform(t *testing.T) {
	for _, authentication := range []string{"password", "scram-sha-256"} {
		t.Run(authentication, func(t *testing.T) {
			shop, outage := newShop(t), proxy(t)
			settings := config(through(server.Template(shop), outage))
			settings["password_authentication"] = authentication
			enginetest.Suite{
				Factory: database.Factory,
				Setup:   []enginetest.Write{{Path: "config/shop", Data: settings}, {Path: "roles/app", Data: role(readonly)}},
				Creds:   "creds/app",
				Proxy:   outage,
				Users:   users,
				Login: func(ctx context.Context, data map[string]any) (enginetest.Session, error) {
					return login(ctx, server.URL(data["username"].(string), data["password"].(string), shop))
				},
			}.Run(t)
		})
	}
}

// login opens a session of somebody who may read orders.
func login(ctx context.Context, url string) (enginetest.Session, error) {
	conn, err := pgx.Connect(ctx, url)
	return session{conn}, err
}

type session struct{ conn *pgx.Conn }

func (s session) Allowed(ctx context.Context) error   { return run(ctx, s.conn, "SELECT * FROM orders") }
func (s session) Forbidden(ctx context.Context) error { return run(ctx, s.conn, "DELETE FROM orders") }
func (s session) Close()                              { _ = s.conn.Close(context.Background()) }

func run(ctx context.Context, conn *pgx.Conn, statement string) error {
	_, err := conn.Exec(ctx, statement)
	return err
}

func TestHostileInputIsSurvived(t *testing.T) {
	shop := newShop(t)
	plugintest.Hostile{
		Config:  config(server.Template(shop)),
		Role:    role(readonly),
		Halfway: role(readonly + `GRANT SELECT ON missing TO "{{name}}"`),
		Users:   users,
		Drop: func(t testing.TB, name string) {
			server.Exec(t, shop, "DROP OWNED BY "+pgx.Identifier{name}.Sanitize()+"; DROP ROLE "+pgx.Identifier{name}.Sanitize())
		},
		Admin: postgrestest.Password,
	}.Run(t)
	if postgrestest.Scalar[int](t, server, shop, "SELECT count(*) FROM orders") != 1 {
		t.Error("the table of orders was touched")
	}
}

func TestARenewalThatMustReachTheDatabaseFailsWhileItIsDown(t *testing.T) {
	shop, outage := newShop(t), proxy(t)
	mount := enginetest.NewMount(t, database.Factory)
	mount.MustWrite(t, "config/shop", config(through(server.Template(shop), outage)))
	mount.MustWrite(t, "roles/app", role(readonly))
	lease := mount.MustIssue(t, "creds/app")
	outage.Cut()
	if _, err := mount.Renew(t.Context(), lease, 2*time.Hour); err == nil {
		t.Error("a deadline was moved at a database that is down")
	}
}

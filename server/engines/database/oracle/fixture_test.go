package oracle_test

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"testing"

	_ "github.com/sijms/go-ora/v2" // for clients of the accounts

	"github.com/novatech/securevault/server/engines/database"
	"github.com/novatech/securevault/server/engines/enginetest"
	"github.com/novatech/securevault/server/engines/enginetest/oraclestandin"
)

// realURL names a real server for these tests instead of the stand-in: a DBA of
// a pluggable database, as in oracle://system:password@host:1521/service.
const realURL = "SECUREVAULT_TEST_ORACLE_URL"

// target is the server under test.
type target struct {
	address, service   string
	admin, password    string // of the config
	system, systemPass string // a DBA, who sets things up and looks at them
	orders             string // a table with a row, of columns id and note
}

var server target

func TestMain(m *testing.M) {
	stop := startTarget()
	code := m.Run()
	stop()
	os.Exit(code)
}

// startTarget makes the server ready, or ends the process.
func startTarget() (stop func()) {
	if text := os.Getenv(realURL); text != "" {
		stop, err := useReal(text)
		if err != nil {
			fmt.Fprintf(os.Stderr, "%s: %s\n", realURL, err)
			os.Exit(1)
		}
		return stop
	}
	standIn := oraclestandin.MustStart()
	server = target{
		address: standIn.Address(), service: oraclestandin.Service, orders: oraclestandin.Schema + ".orders",
		admin: oraclestandin.Admin, password: oraclestandin.AdminPassword,
		system: oraclestandin.System, systemPass: oraclestandin.SystemPassword,
	}
	return standIn.Stop
}

// useReal makes a table of orders on the server that a URL names.
func useReal(text string) (stop func(), err error) {
	address, err := url.Parse(text)
	if err != nil {
		return nil, errors.New("it is no URL: write oracle://system:password@host:1521/service")
	}
	password, _ := address.User.Password()
	name := address.User.Username()
	server = target{
		address: address.Host, service: strings.Trim(address.Path, "/"), orders: name + ".securevault_orders",
		admin: name, password: password, system: name, systemPass: password,
	}
	dba, err := server.login(context.Background(), name, password)
	if err != nil {
		return nil, err
	}
	stop = func() {
		_ = dba.run(context.Background(), "DROP TABLE securevault_orders")
		dba.Close()
	}
	for _, statement := range []string{
		"CREATE TABLE securevault_orders (id NUMBER, note VARCHAR2(20))",
		"INSERT INTO securevault_orders VALUES (1, 'first')",
	} {
		if err := dba.run(context.Background(), statement); err != nil {
			stop()
			return nil, fmt.Errorf("running %q: %w", statement, err)
		}
	}
	return stop, nil
}

// url returns where the driver logs in as a user.
func (s target) url(username, password string) string {
	address := url.URL{Scheme: "oracle", User: url.UserPassword(username, password), Host: s.address, Path: s.service}
	return address.String()
}

// login opens one session.
func (s target) login(ctx context.Context, username, password string) (*session, error) {
	pool, err := sql.Open("oracle", s.url(username, password))
	if err != nil {
		return nil, err
	}
	conn, err := pool.Conn(ctx)
	if err != nil {
		_ = pool.Close()
		return nil, err
	}
	return &session{pool, conn}, nil
}

// session is a client of an account.
type session struct {
	pool *sql.DB
	conn *sql.Conn
}

func (s *session) Allowed(ctx context.Context) error {
	var count int
	return s.conn.QueryRowContext(ctx, "SELECT count(*) FROM "+server.orders).Scan(&count)
}

func (s *session) Forbidden(ctx context.Context) error {
	return s.run(ctx, "INSERT INTO "+server.orders+" VALUES (2, 'second')")
}

func (s *session) run(ctx context.Context, statement string) error {
	_, err := s.conn.ExecContext(ctx, statement)
	return err
}

func (s *session) Close() {
	_ = s.conn.Close()
	_ = s.pool.Close()
}

// asSystem runs statements as the DBA.
func asSystem(t testing.TB, statements ...string) {
	t.Helper()
	dba, err := server.login(context.Background(), server.system, server.systemPass)
	if err != nil {
		t.Fatal(err)
	}
	defer dba.Close()
	for _, statement := range statements {
		if err := dba.run(context.Background(), statement); err != nil {
			t.Fatalf("running %q: %v", statement, err)
		}
	}
}

// column returns the texts that a query of the DBA gives.
func column(t testing.TB, query string) []string {
	t.Helper()
	dba, err := server.login(context.Background(), server.system, server.systemPass)
	if err != nil {
		t.Fatal(err)
	}
	defer dba.Close()
	rows, err := dba.conn.QueryContext(context.Background(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	var texts []string
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			t.Fatal(err)
		}
		texts = append(texts, text)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return texts
}

func users(t testing.TB) []string {
	t.Helper()
	return column(t, "SELECT username FROM all_users")
}

func config(address string) map[string]any {
	return map[string]any{
		"plugin_name": "oracle-database-plugin", "connection_url": "{{username}}/{{password}}@//" + address + "/" + server.service,
		"allowed_roles": "*", "username": server.admin, "password": server.password,
	}
}

// readonly are the statements of a user that may read the orders.
func readonly() string {
	return `CREATE USER {{name}} IDENTIFIED BY "{{password}}"; GRANT CREATE SESSION TO {{name}}; GRANT SELECT ON ` + server.orders + ` TO {{name}};`
}

func role(statements string) map[string]any {
	return map[string]any{"db_name": "shop", "creation_statements": statements, "default_ttl": "1h", "max_ttl": "24h"}
}

// mountShop mounts the engine with the config "shop" and a role "app" of
// those fields over the usual ones.
func mountShop(t *testing.T, fields map[string]any) *enginetest.Mount {
	t.Helper()
	mount := enginetest.NewMount(t, database.Factory)
	mount.MustWrite(t, "config/shop", config(server.address))
	all := role(readonly())
	for field, value := range fields {
		all[field] = value
	}
	mount.MustWrite(t, "roles/app", all)
	return mount
}

func nameOf(lease *enginetest.Lease) string { return cmp.Or(lease.Data["username"].(string), "nobody") }

// mustLogin logs in with a credential for the length of the test.
func mustLogin(t *testing.T, lease *enginetest.Lease) *session {
	t.Helper()
	opened, err := server.login(t.Context(), nameOf(lease), lease.Data["password"].(string))
	if err != nil {
		t.Fatalf("logging in as %q: %v", nameOf(lease), err)
	}
	t.Cleanup(opened.Close)
	return opened
}

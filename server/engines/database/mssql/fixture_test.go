package mssql_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	driver "github.com/microsoft/go-mssqldb" // also for clients of the logins

	"github.com/novatech/securevault/server/engines/database"
	"github.com/novatech/securevault/server/engines/enginetest"
	"github.com/novatech/securevault/server/engines/enginetest/mssqlstandin"
)

// realURL names a real server for the tests of logins and of contained users,
// instead of the stand-in: sqlserver://sa:password@host:1433, of an admin who may
// create databases. Azure is always the stand-in.
const realURL = "SECUREVAULT_TEST_MSSQL_URL"

// The admin of the config, and what these tests make on the server.
const (
	admin         = "securevault_test_admin"
	adminPassword = "Securevault-Test-4711"
	shop          = "securevault_test_shop"
	containedShop = "securevault_test_contained"
)

// target is a server with the databases shop and containedShop, and a table of
// orders in each.
type target struct {
	address string
	master  *sql.DB              // as somebody who may do anything
	standIn *mssqlstandin.Server // nil: a real server
	root    *url.URL
}

var (
	server target
	azure  target
)

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "preparing SQL Server:", err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	plain := mssqlstandin.MustStart()
	defer plain.Stop()
	cloud := mssqlstandin.MustStart(mssqlstandin.Azure())
	defer cloud.Stop()
	text, standIn := plain.URL(mssqlstandin.Admin, mssqlstandin.Password, "master"), plain
	if real := os.Getenv(realURL); real != "" {
		text, standIn = real, nil
	}
	if server, err = reach(text, standIn); err != nil {
		return 0, err
	}
	defer server.clean()
	if err := server.prepare(); err != nil {
		return 0, err
	}
	if azure, err = reach(cloud.URL(mssqlstandin.Admin, mssqlstandin.Password, "master"), cloud); err != nil {
		return 0, err
	}
	defer azure.clean()
	if err := azure.prepareAzure(); err != nil {
		return 0, err
	}
	return m.Run(), nil
}

func reach(text string, standIn *mssqlstandin.Server) (target, error) {
	root, err := url.Parse(text)
	if err != nil {
		return target{}, errors.New("no URL: write sqlserver://sa:password@host:1433")
	}
	reached := target{address: root.Host, standIn: standIn, root: root}
	reached.master, err = sql.Open("sqlserver", reached.url(root.Host, root.User, "master"))
	return reached, err
}

// url returns a URL for somebody, with the settings of the real server's.
func (s target) url(address string, who *url.Userinfo, database string) string {
	query := s.root.Query()
	query.Set("database", database)
	return (&url.URL{Scheme: "sqlserver", Host: address, User: who, RawQuery: query.Encode()}).String()
}

// orders makes the table that roles are about.
var orders = []string{
	"CREATE TABLE dbo.orders (id int, note nvarchar(100))",
	"INSERT INTO dbo.orders (id, note) VALUES (1, 'first')",
}

// prepare makes the databases, and an admin with no more privileges than the
// README asks for.
func (s target) prepare() error {
	batches := []string{
		"EXEC sp_configure 'contained database authentication', 1; RECONFIGURE",
		"CREATE DATABASE [" + shop + "]",
		"CREATE DATABASE [" + containedShop + "] CONTAINMENT = PARTIAL",
		"CREATE LOGIN [" + admin + "] WITH PASSWORD = '" + adminPassword + "'",
		"GRANT ALTER ANY LOGIN, ALTER ANY CONNECTION, VIEW SERVER STATE TO [" + admin + "]",
	}
	for _, database := range []string{shop, containedShop} {
		for _, text := range append(orders, "CREATE USER ["+admin+"] FOR LOGIN ["+admin+"]", "ALTER ROLE db_owner ADD MEMBER ["+admin+"]") {
			batches = append(batches, "USE ["+database+"]; "+text)
		}
	}
	return s.exec(append(batches, "USE master")...)
}

// prepareAzure does the same where nobody changes databases. The admin is a
// contained user.
func (s target) prepareAzure() error {
	if err := s.exec("CREATE DATABASE [" + shop + "]"); err != nil {
		return err
	}
	database, err := sql.Open("sqlserver", s.url(s.address, s.root.User, shop))
	if err != nil {
		return err
	}
	defer func() { _ = database.Close() }()
	for _, text := range append(orders,
		"CREATE USER ["+admin+"] WITH PASSWORD = '"+adminPassword+"'",
		"ALTER ROLE db_owner ADD MEMBER ["+admin+"]",
	) {
		if _, err := database.Exec(text); err != nil {
			return err
		}
	}
	return nil
}

// clean removes what prepare has made.
func (s target) clean() {
	if s.standIn == nil {
		_ = s.exec("DROP DATABASE ["+shop+"]", "DROP DATABASE ["+containedShop+"]", "DROP LOGIN ["+admin+"]")
	}
	_ = s.master.Close()
}

// exec runs batches on one connection.
func (s target) exec(batches ...string) error {
	conn, err := s.master.Conn(context.Background())
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	for _, text := range batches {
		if _, err := conn.ExecContext(context.Background(), text); err != nil {
			return fmt.Errorf("%s: %w", text, err)
		}
	}
	return nil
}

func (s target) mustExec(t testing.TB, batches ...string) {
	t.Helper()
	if err := s.exec(batches...); err != nil {
		t.Fatal(err)
	}
}

// dropDatabase waits until the server has noticed that its clients have gone.
func (s target) dropDatabase(t testing.TB, name string) {
	t.Helper()
	const inUse = 3702
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		err := s.exec("USE master; DROP DATABASE [" + name + "]")
		var refused driver.Error
		if !errors.As(err, &refused) || refused.Number != inUse || time.Now().After(deadline) {
			if err != nil {
				t.Error(err)
			}
			return
		}
	}
}

// in runs a batch in a database, as somebody who may do anything.
func (s target) in(t testing.TB, database string, batches ...string) {
	t.Helper()
	pool := s.open(t, database)
	for _, text := range batches {
		if _, err := pool.Exec(text); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
}

func (s target) open(t testing.TB, database string) *sql.DB {
	t.Helper()
	pool, err := sql.Open("sqlserver", s.url(s.address, s.root.User, database))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pool.Close() })
	return pool
}

// column returns a query's first column.
func (s target) column(t testing.TB, database, query string) []string {
	t.Helper()
	pool := s.open(t, database)
	defer func() { _ = pool.Close() }()
	rows, err := pool.Query(query)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer func() { _ = rows.Close() }()
	var all []string
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			t.Fatal(err)
		}
		all = append(all, text)
	}
	return all
}

// users names all logins, and the users of some databases.
func (s target) users(databases ...string) func(testing.TB) []string {
	return func(t testing.TB) []string {
		t.Helper()
		names := s.column(t, "master", "SELECT name FROM sys.server_principals WHERE type = 'S'")
		for _, database := range databases {
			names = append(names, s.column(t, database, "SELECT name FROM sys.database_principals WHERE type = 'S'")...)
		}
		slices.Sort(names)
		return slices.Compact(names)
	}
}

// config is of config/shop, for a server at that address.
func (s target) config(address, database string) map[string]any {
	return map[string]any{
		"plugin_name": "mssql-database-plugin", "allowed_roles": "*", "username": admin, "password": adminPassword,
		"connection_url": strings.Replace(s.url(address, nil, database), "://", "://{{username}}:{{password}}@", 1),
	}
}

// containedConfig is config for users with passwords of their own.
func (s target) containedConfig(address, database string) map[string]any {
	return with(s.config(address, database), map[string]any{"contained_db": true})
}

const (
	loginRole = "CREATE LOGIN [{{name}}] WITH PASSWORD = '{{password}}'; USE [" + shop + "]; CREATE USER [{{name}}] FOR LOGIN [{{name}}]; ALTER ROLE db_datareader ADD MEMBER [{{name}}];"
	userRole  = "CREATE USER [{{name}}] WITH PASSWORD = '{{password}}'; GRANT SELECT ON SCHEMA::dbo TO [{{name}}];"
)

func role(statements ...string) map[string]any {
	return map[string]any{"db_name": "shop", "creation_statements": statements, "default_ttl": "1h", "max_ttl": "24h"}
}

func with(all ...map[string]any) map[string]any {
	joined := map[string]any{}
	for _, fields := range all {
		maps.Copy(joined, fields)
	}
	return joined
}

// mount mounts the engine with a config and the role app.
func mount(t *testing.T, config, role map[string]any) *enginetest.Mount {
	t.Helper()
	mount := enginetest.NewMount(t, database.Factory)
	mount.MustWrite(t, "config/shop", config)
	mount.MustWrite(t, "roles/app", role)
	return mount
}

// session is a client of an issued credential.
type session struct {
	pool *sql.DB
	conn *sql.Conn
}

// login logs in to a database.
func (s target) login(database string) func(context.Context, map[string]any) (enginetest.Session, error) {
	return func(ctx context.Context, data map[string]any) (enginetest.Session, error) {
		return s.logIn(ctx, data["username"].(string), data["password"].(string), database)
	}
}

func (s target) logIn(ctx context.Context, username, password, database string) (session, error) {
	pool, err := sql.Open("sqlserver", s.url(s.address, url.UserPassword(username, password), database))
	if err != nil {
		return session{}, err
	}
	conn, err := pool.Conn(ctx)
	if err != nil {
		_ = pool.Close()
		return session{}, err
	}
	return session{pool, conn}, nil
}

func (s session) exec(ctx context.Context, text string) error {
	_, err := s.conn.ExecContext(ctx, text)
	return err
}

func (s session) Allowed(ctx context.Context) error   { return s.exec(ctx, "SELECT * FROM dbo.orders") }
func (s session) Forbidden(ctx context.Context) error { return s.exec(ctx, "DELETE FROM dbo.orders") }

func (s session) Close() {
	_ = s.conn.Close()
	_ = s.pool.Close()
}

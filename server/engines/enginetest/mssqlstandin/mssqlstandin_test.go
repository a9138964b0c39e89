package mssqlstandin_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	mssql "github.com/microsoft/go-mssqldb"

	"github.com/novatech/securevault/server/engines/enginetest/mssqlstandin"
)

const (
	appPassword = "Secret-Password-1"
	orders      = "CREATE TABLE dbo.orders (id int, note nvarchar(50))"
)

func start(t *testing.T, options ...mssqlstandin.Option) *mssqlstandin.Server {
	t.Helper()
	server, err := mssqlstandin.Start(options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	return server
}

// connect returns one session of a client.
func connect(t *testing.T, server *mssqlstandin.Server, username, password, database string) (*sql.Conn, error) {
	t.Helper()
	return dial(t, server.URL(username, password, database))
}

func dial(t *testing.T, address string) (*sql.Conn, error) {
	t.Helper()
	pool, err := sql.Open("sqlserver", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pool.Close() })
	return pool.Conn(t.Context())
}

// admin returns a session that may do anything, in master.
func admin(t *testing.T, server *mssqlstandin.Server) *sql.Conn {
	t.Helper()
	conn, err := connect(t, server, mssqlstandin.Admin, mssqlstandin.Password, "master")
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func exec(t *testing.T, conn *sql.Conn, batches ...string) {
	t.Helper()
	for _, text := range batches {
		if _, err := conn.ExecContext(t.Context(), text); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
}

// refused expects an error of SQL Server.
func refused(t *testing.T, err error, number int32) {
	t.Helper()
	var refusal mssql.Error
	if !errors.As(err, &refusal) || refusal.Number != number {
		t.Errorf("got %v, want error %d", err, number)
	}
}

func execRefused(t *testing.T, conn *sql.Conn, text string, number int32) {
	t.Helper()
	_, err := conn.ExecContext(t.Context(), text)
	if err == nil {
		t.Errorf("%s succeeded, want error %d", text, number)
		return
	}
	refused(t, err, number)
}

func count(t *testing.T, conn *sql.Conn, query string, args ...any) (n int) {
	t.Helper()
	if err := conn.QueryRowContext(t.Context(), query, args...).Scan(&n); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return n
}

// newShop starts a server with the database shop, its orders, and the login app
// that may read them.
func newShop(t *testing.T) (*mssqlstandin.Server, *sql.Conn) {
	t.Helper()
	server := start(t)
	root := admin(t, server)
	exec(t, root, "CREATE DATABASE [shop]", "USE [shop]", orders, "INSERT INTO dbo.orders (id, note) VALUES (1, 'it''s first')",
		"CREATE LOGIN [app] WITH PASSWORD = '"+appPassword+"'; CREATE USER [app] FOR LOGIN [app]; ALTER ROLE db_datareader ADD MEMBER [app]")
	return server, root
}

func TestALoginMustProveItsPassword(t *testing.T) {
	server, root := newShop(t)
	exec(t, root, "CREATE LOGIN [off] WITH PASSWORD = '"+appPassword+"'; ALTER LOGIN [off] DISABLE", "CREATE LOGIN [locked] WITH PASSWORD = '"+appPassword+"'")
	server.Lock("locked")
	cases := map[string]struct {
		username, password, database string
		number                       int32
	}{
		"a wrong password":             {"app", "Secret-Password-2", "shop", 18456},
		"a password in the wrong case": {"app", strings.ToLower(appPassword), "shop", 18456},
		"no password":                  {"app", "", "shop", 18456},
		"an unknown login":             {"nobody", appPassword, "shop", 18456},
		"a disabled login":             {"off", appPassword, "master", 18470},
		"a disabled login, and wrong":  {"off", "Secret-Password-2", "master", 18456},
		"a locked login":               {"locked", appPassword, "master", 18486},
		"an unknown database":          {"app", appPassword, "nowhere", 4060},
		"a database without the user":  {"locked2", appPassword, "shop", 4060},
	}
	exec(t, root, "CREATE LOGIN [locked2] WITH PASSWORD = '"+appPassword+"'")
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := connect(t, server, test.username, test.password, test.database)
			refused(t, err, test.number)
		})
	}
	if _, err := connect(t, server, "APP", appPassword, "shop"); err != nil {
		t.Errorf("names have no case: %v", err)
	}
}

func TestEncryptionIsAsTheClientAsksForIt(t *testing.T) {
	server := start(t)
	certificate := filepath.Join(t.TempDir(), "server.pem")
	if err := os.WriteFile(certificate, server.CertificatePEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	trusted := "&certificate=" + url.QueryEscape(certificate)
	for settings, works := range map[string]bool{
		"&encrypt=disable":          true,
		"&encrypt=false" + trusted:  true,
		"&encrypt=true" + trusted:   true,
		"&encrypt=strict" + trusted: true,
		"&encrypt=true":             false,
		"&encrypt=strict":           false,
	} {
		conn, err := dial(t, server.URL(mssqlstandin.Admin, mssqlstandin.Password, "master")+settings)
		if (err == nil) != works {
			t.Errorf("%s: %v, want it to work: %t", settings, err, works)
		}
		if err == nil && count(t, conn, "SELECT COUNT(*) FROM sys.databases WHERE name = @p1", strings.Repeat("x", 3000)) != 0 {
			t.Errorf("%s: found a database of an odd name", settings)
		}
	}
}

func TestStatementsThatAreNotUnderstoodAreSyntaxErrors(t *testing.T) {
	_, root := newShop(t)
	for text, number := range map[string]int32{
		"NONSENSE 1":                 102,
		"SHUTDOWN":                   102,
		"DROP LOGIN IF EXISTS [app]": 156,
		"CREATE LOGIN app":           102,
		"CREATE LOGIN [app] WITH PASSWORD = secret":                   102,
		"CREATE LOGIN [a] WITH CHECK_POLICY = OFF, PASSWORD = 'x'":    102,
		"CREATE LOGIN v-app-1 WITH PASSWORD = 'A-password-1'":         102,
		"CREATE USER [x] FOR app":                                     102,
		"SELECT * FROM dbo.orders o":                                  102,
		"SELECT 'it's'":                                               105,
		"SELECT 1 /* without end":                                     113,
		"GRANT EVERYTHING TO [app]":                                   102,
		"SELECT NOW()":                                                195,
		"SELECT QUOTENAME()":                                          174,
		"SELECT nosuchcolumn FROM dbo.orders":                         207,
		"SELECT * FROM dbo.nosuchtable":                               208,
		"EXEC sp_nosuch 1":                                            2812,
		"SELECT @nosuch":                                              137,
		"USE [nowhere]":                                               911,
		"CREATE ROLE r; CREATE SCHEMA s":                              111,
		"INSERT INTO dbo.orders (id, note) VALUES (2, 'x'); NONSENSE": 102,
	} {
		execRefused(t, root, text, number)
	}
	if rows := count(t, root, "SELECT COUNT(*) FROM dbo.orders"); rows != 1 {
		t.Errorf("%d orders: a batch with a syntax error has run", rows)
	}
}

func TestPermissionsAreChecked(t *testing.T) {
	server, root := newShop(t)
	exec(t, root, "CREATE SCHEMA [sales]", "CREATE TABLE sales.orders (id int)", "CREATE ROLE [clerks]", "GRANT INSERT ON dbo.orders TO [clerks]", "CREATE DATABASE [other]")
	app, err := connect(t, server, "app", appPassword, "shop")
	if err != nil {
		t.Fatal(err)
	}
	exec(t, app, "SELECT * FROM dbo.orders", "SELECT * FROM [shop].[sales].[orders]")
	for text, number := range map[string]int32{
		"DELETE FROM dbo.orders":                           229,
		"INSERT INTO dbo.orders (id) VALUES (2)":           229,
		"CREATE LOGIN [x] WITH PASSWORD = 'A-password-1'":  15247,
		"ALTER LOGIN [sa] WITH PASSWORD = 'A-password-1'":  15151,
		"DROP LOGIN [sa]":                                  15151,
		"CREATE USER [x] WITHOUT LOGIN":                    15247,
		"DROP USER [app]":                                  15151,
		"ALTER ROLE db_owner ADD MEMBER [app]":             15151,
		"GRANT SELECT ON SCHEMA::dbo TO [app]":             15151,
		"ALTER AUTHORIZATION ON SCHEMA::dbo TO [app]":      15151,
		"CREATE TABLE dbo.mine (id int)":                   262,
		"CREATE DATABASE [mine]":                           262,
		"CREATE SCHEMA [mine]":                             2760,
		"USE [other]":                                      916,
		"SELECT name FROM [other].sys.database_principals": 916,
		"KILL 51":                        6102,
		"GRANT ALTER ANY LOGIN TO [app]": 4621,
		"EXEC sp_configure 'contained database authentication', 1": 15247,
	} {
		execRefused(t, app, text, number)
	}
	execRefused(t, app, "USE master; GRANT ALTER ANY LOGIN TO [app]", 4613)
	if sessions := count(t, app, "SELECT COUNT(*) FROM sys.dm_exec_sessions"); sessions != 1 {
		t.Errorf("app sees %d sessions, want its own", sessions)
	}
	exec(t, root, "ALTER ROLE [clerks] ADD MEMBER [app]")
	exec(t, app, "USE [shop]; INSERT INTO dbo.orders (id) VALUES (2)")
	exec(t, root, "REVOKE INSERT ON dbo.orders FROM [clerks]")
	execRefused(t, app, "INSERT INTO dbo.orders (id) VALUES (3)", 229)
}

func TestGrantsMayBeHandedOnWithTheOptionOnly(t *testing.T) {
	server, root := newShop(t)
	exec(t, root, "CREATE USER [x] WITHOUT LOGIN", "GRANT SELECT ON SCHEMA::dbo TO [app]")
	app, err := connect(t, server, "app", appPassword, "shop")
	if err != nil {
		t.Fatal(err)
	}
	execRefused(t, app, "GRANT SELECT ON SCHEMA::dbo TO [x]", 15151)
	exec(t, root, "GRANT SELECT ON SCHEMA::dbo TO [app] WITH GRANT OPTION")
	exec(t, app, "GRANT SELECT ON SCHEMA::dbo TO [x]", "GRANT SELECT ON OBJECT::dbo.orders TO [x]")
	execRefused(t, app, "GRANT INSERT ON SCHEMA::dbo TO [x]", 15151)
}

func TestPrincipalsAreProtected(t *testing.T) {
	server, root := newShop(t)
	exec(t, root, "CREATE SCHEMA [owned] AUTHORIZATION [app]")
	for text, number := range map[string]int32{
		"CREATE LOGIN [App] WITH PASSWORD = 'A-password-1'":   15025,
		"CREATE USER [app] FOR LOGIN [app]":                   15023,
		"CREATE USER [again] FOR LOGIN [app]":                 15063,
		"CREATE USER [x] FOR LOGIN [nobody]":                  15007,
		"CREATE USER [x] WITH PASSWORD = 'A-password-1'":      33233,
		"ALTER USER [app] WITH PASSWORD = 'A-password-1'":     33234,
		"CREATE LOGIN [x] WITH PASSWORD = 'short'":            15116,
		"CREATE LOGIN [x] WITH PASSWORD = 'onlysmallletters'": 15118,
		"CREATE LOGIN [xyzxyz] WITH PASSWORD = 'A-xyzxyz-1'":  15118,
		"DROP USER [app]":                              15138,
		"DROP USER [dbo]":                              15150,
		"DROP USER [nobody]":                           15151,
		"DROP LOGIN [nobody]":                          15151,
		"EXEC sp_addrolemember 'nosuch', 'app'":        15014,
		"EXEC sp_addrolemember 'db_owner', 'nobody'":   15410,
		"ALTER ROLE db_datareader ADD MEMBER [nobody]": 15151,
		"DROP TABLE dbo.nosuch":                        3701,
		"DROP ROLE [db_owner]":                         3701,
		"DROP SCHEMA [dbo]":                            3729,
		"DROP DATABASE [shop]":                         3702,
	} {
		execRefused(t, root, text, number)
	}
	exec(t, root, "DROP USER IF EXISTS [nobody]", "CREATE LOGIN [weak] WITH PASSWORD = 'weak', CHECK_POLICY = OFF")
	if _, err := connect(t, server, "app", appPassword, "shop"); err != nil {
		t.Fatal(err)
	}
	execRefused(t, root, "DROP LOGIN [app]", 15434)
}

func TestAnErrorEndsWhatXactAbortSays(t *testing.T) {
	_, root := newShop(t)
	const half = "INSERT INTO dbo.orders (id) VALUES (2); DROP USER [nobody]; INSERT INTO dbo.orders (id) VALUES (3)"
	execRefused(t, root, "BEGIN TRANSACTION; "+half+"; COMMIT", 15151)
	if rows := count(t, root, "SELECT COUNT(*) FROM dbo.orders"); rows != 3 {
		t.Errorf("%d orders, want that the error skipped one statement", rows)
	}
	execRefused(t, root, "SET XACT_ABORT ON; BEGIN TRAN; "+half, 15151)
	if rows := count(t, root, "SELECT COUNT(*) FROM dbo.orders"); rows != 3 {
		t.Errorf("%d orders, want that the error undid the transaction", rows)
	}
	execRefused(t, root, "COMMIT", 3902)
	execRefused(t, root, "ROLLBACK", 3903)
	execRefused(t, root, "BEGIN TRAN; EXEC sp_addrolemember 'db_owner', 'app'", 15002)
	execRefused(t, root, "BEGIN TRAN; CREATE DATABASE [x]", 226)
}

func TestATransactionIsInvisibleUntilItsCommit(t *testing.T) {
	server, root := newShop(t)
	other := admin(t, server)
	exec(t, other, "USE [shop]")
	transaction, err := root.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := transaction.Exec("CREATE LOGIN [new] WITH PASSWORD = 'A-password-1'; CREATE USER [new] FOR LOGIN [new]"); err != nil {
		t.Fatal(err)
	}
	if seen := count(t, other, "SELECT COUNT(*) FROM sys.server_principals WHERE name = N'NEW'"); seen != 0 {
		t.Error("a login is seen before the commit")
	}
	if _, err := other.ExecContext(cancelled(t), "DELETE FROM dbo.orders"); !errors.Is(err, context.Canceled) {
		t.Errorf("a change did not wait for the transaction: %v", err)
	}
	if err := transaction.Rollback(); err != nil {
		t.Fatal(err)
	}
	if seen := count(t, other, "SELECT COUNT(*) FROM sys.server_principals WHERE name = N'new'"); seen != 0 {
		t.Error("a login outlived the rollback")
	}
	if rows := count(t, other, "SELECT COUNT(*) FROM dbo.orders"); rows != 1 {
		t.Errorf("%d orders: the change that was cancelled was made", rows)
	}
}

// cancelled returns a context that ends soon, and not by a deadline: that would
// make the driver give up the connection.
func cancelled(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	timer := time.AfterFunc(50*time.Millisecond, cancel)
	t.Cleanup(func() { timer.Stop() })
	return ctx
}

func TestAnAttentionEndsTheStatementAndKeepsTheSession(t *testing.T) {
	root := admin(t, start(t))
	begun := time.Now()
	if _, err := root.ExecContext(cancelled(t), "WAITFOR DELAY '00:01:00'"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("the statement ended after %s", took)
	}
	if count(t, root, "SELECT 1") != 1 {
		t.Error("the session does not answer")
	}
}

func TestAKilledSessionEnds(t *testing.T) {
	server, root := newShop(t)
	app, err := connect(t, server, "app", appPassword, "shop")
	if err != nil {
		t.Fatal(err)
	}
	id := count(t, app, "SELECT @@SPID")
	waiting := make(chan error, 1)
	go func() {
		_, err := app.ExecContext(context.Background(), "WAITFOR DELAY '00:01:00'")
		waiting <- err
	}()
	exec(t, root, fmt.Sprintf("KILL %d", id))
	if err := <-waiting; err == nil {
		t.Error("the session went on")
	}
	for count(t, root, "SELECT COUNT(*) FROM sys.dm_exec_sessions WHERE session_id = @p1", id) > 0 {
		time.Sleep(time.Millisecond)
	}
	execRefused(t, root, fmt.Sprintf("KILL %d", id), 6106)
	execRefused(t, root, fmt.Sprintf("KILL %d", count(t, root, "SELECT @@SPID")), 6104)
	execRefused(t, root, "BEGIN TRAN; KILL 99", 6115)
	exec(t, root, "ROLLBACK; USE [shop]; DROP USER [app]; DROP LOGIN [app]")
}

func TestParametersAreBound(t *testing.T) {
	_, root := newShop(t)
	var note string
	if err := root.QueryRowContext(t.Context(), "SELECT note FROM orders WHERE id = @p1 AND note <> @p2", 1, "x' OR 1=1").Scan(&note); err != nil || note != "it's first" {
		t.Errorf("got %q, %v", note, err)
	}
	var handle int64
	_, err := root.ExecContext(t.Context(), "sp_prepexec", sql.Named("handle", sql.Out{Dest: &handle}),
		sql.Named("params", "@id int"), sql.Named("stmt", "INSERT INTO dbo.orders (id) VALUES (@id)"), sql.Named("id", 7))
	if err != nil || handle == 0 {
		t.Errorf("handle %d, %v", handle, err)
	}
	if rows := count(t, root, "SELECT COUNT(*) FROM orders WHERE id IN (7, 8) AND note IS NULL"); rows != 1 {
		t.Errorf("%d rows were prepared and inserted", rows)
	}
	if _, err := root.ExecContext(t.Context(), "sp_executesql", sql.Named("stmt", "SELECT @x"), sql.Named("params", "@x int"), sql.Named("y", 1)); err == nil {
		t.Error("an undeclared parameter was taken")
	}
}

func TestContainedUsersBelongToTheirDatabase(t *testing.T) {
	server := start(t)
	root := admin(t, server)
	execRefused(t, root, "CREATE DATABASE [box] CONTAINMENT = PARTIAL", 12824)
	exec(t, root, "EXEC sp_configure 'contained database authentication', 1; RECONFIGURE", "CREATE DATABASE [box] CONTAINMENT = PARTIAL", "USE [box]", orders,
		"CREATE USER [inner] WITH PASSWORD = '"+appPassword+"'; GRANT SELECT ON OBJECT::dbo.orders TO [inner]")
	inner, err := connect(t, server, "inner", appPassword, "box")
	if err != nil {
		t.Fatal(err)
	}
	exec(t, inner, "SELECT * FROM dbo.orders")
	execRefused(t, inner, "USE [master]", 916)
	if _, err := connect(t, server, "inner", appPassword, "master"); err == nil {
		t.Error("a contained user logged in elsewhere")
	}
	exec(t, root, "ALTER USER [inner] WITH PASSWORD = 'Another-Password-1'")
	_, err = connect(t, server, "inner", appPassword, "box")
	refused(t, err, 18456)
	exec(t, root, "DROP USER [inner]")
	execRefused(t, inner, "SELECT * FROM dbo.orders", 916)
}

func TestAzureSQLRefusesWhatItDoesNotKnow(t *testing.T) {
	server := start(t, mssqlstandin.Azure())
	root := admin(t, server)
	exec(t, root, "CREATE DATABASE [box]")
	if edition := count(t, root, "SELECT CAST(SERVERPROPERTY('EngineEdition') AS int)"); edition != 5 {
		t.Errorf("the edition is %d", edition)
	}
	execRefused(t, root, "USE [box]", 40508)
	execRefused(t, root, "SELECT name FROM [box].sys.schemas", 40515)
	execRefused(t, root, "CREATE LOGIN [x] WITH PASSWORD = 'A-password-1'; CREATE USER [x]", 40530)
	box, err := connect(t, server, mssqlstandin.Admin, mssqlstandin.Password, "box")
	if err != nil {
		t.Fatal(err)
	}
	execRefused(t, box, "CREATE LOGIN [x] WITH PASSWORD = 'A-password-1'", 5001)
	exec(t, box, "CREATE USER [x] WITH PASSWORD = 'A-password-1'")
	if seen := count(t, box, "SELECT COUNT(*) FROM sys.dm_exec_sessions"); seen != 1 {
		t.Errorf("%d sessions are seen, want those of the database alone", seen)
	}
}

func TestAPlannedFaultHappensOnce(t *testing.T) {
	server, root := newShop(t)
	server.FailNext("DELETE FROM dbo.orders", 1205, "deadlock")
	execRefused(t, root, "DELETE FROM dbo.orders", 1205)
	exec(t, root, "DELETE FROM dbo.orders")
	if !slices.Contains(server.Statements(), "DELETE FROM dbo.orders") {
		t.Error("the statement is not on record")
	}
}

func TestBytesThatAreNoTDSEndTheConnection(t *testing.T) {
	server := start(t)
	for name, sent := range map[string]string{
		"HTTP":                 "GET / HTTP/1.1\r\nHost: db\r\n\r\n",
		"a packet of no bytes": "\x12\x01\x00\x00\x00\x00\x01\x00",
		"an empty PRELOGIN":    "\x12\x01\x00\x08\x00\x00\x01\x00",
		"a LOGIN7 at once":     "\x10\x01\x00\x08\x00\x00\x01\x00",
		"a broken ClientHello": "\x16\x03\x01\x00\x05hello",
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := net.Dial("tcp", server.Address())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
			if _, err := conn.Write([]byte(sent)); err != nil {
				t.Fatal(err)
			}
			var answer [512]byte
			for err == nil {
				_, err = conn.Read(answer[:])
			}
			var timeout net.Error
			if errors.As(err, &timeout) && timeout.Timeout() {
				t.Error("the server waits for more")
			}
		})
	}
}

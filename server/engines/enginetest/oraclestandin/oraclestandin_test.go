package oraclestandin

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	_ "github.com/sijms/go-ora/v2" // the driver that has to get along with the stand-in
)

// start returns a server that lives as long as the test.
func start(t *testing.T) *Server {
	t.Helper()
	server, err := Start(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	return server
}

// connect opens one session with the driver, for the length of the test.
func connect(t *testing.T, url string) *sql.Conn {
	t.Helper()
	pool, err := sql.Open("oracle", url)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pool.Conn(context.Background())
	if err != nil {
		t.Fatalf("connecting: %v", err)
	}
	t.Cleanup(func() { _ = conn.Close(); _ = pool.Close() })
	return conn
}

func run(t *testing.T, conn *sql.Conn, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		if _, err := conn.ExecContext(context.Background(), statement); err != nil {
			t.Fatalf("running %q: %v", statement, err)
		}
	}
}

func TestADriverLogsInAndReadsRows(t *testing.T) {
	server := start(t)
	conn := connect(t, server.URL(Admin, AdminPassword))
	var count int
	if err := conn.QueryRowContext(t.Context(), "SELECT count(*) FROM shop.orders").Scan(&count); err != nil || count < 1 {
		t.Errorf("got %d, %v", count, err)
	}
	var name, program string
	var sid, serial int64
	query := "SELECT sid, serial#, username, program FROM gv$session WHERE username = :1 AND status <> 'KILLED'"
	if err := conn.QueryRowContext(t.Context(), query, Admin).Scan(&sid, &serial, &name, &program); err != nil {
		t.Fatal(err)
	}
	if name != Admin || sid == 0 || serial == 0 || program == "" {
		t.Errorf("got session %d,%d of %q with %q", sid, serial, name, program)
	}
	var now time.Time
	if err := conn.QueryRowContext(t.Context(), "SELECT SYSTIMESTAMP FROM dual").Scan(&now); err != nil || time.Since(now).Abs() > time.Minute {
		t.Errorf("got %s, %v", now, err)
	}
	if err := conn.PingContext(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestRowsComeInPortions(t *testing.T) {
	server := start(t)
	conn := connect(t, server.URL(System, SystemPassword))
	run(t, conn, "CREATE TABLE numbers (id NUMBER)")
	const all = 300
	for i := range all {
		run(t, conn, fmt.Sprintf("INSERT INTO numbers VALUES (%d)", i))
	}
	rows, err := conn.QueryContext(t.Context(), "SELECT id FROM numbers")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	next := 0
	for ; rows.Next(); next++ {
		var got int
		if err := rows.Scan(&got); err != nil || got != next {
			t.Fatalf("row %d is %d, %v", next, got, err)
		}
	}
	if next != all || rows.Err() != nil {
		t.Errorf("got %d rows, %v", next, rows.Err())
	}
}

func TestLoginsAreRefused(t *testing.T) {
	server := start(t)
	admin := connect(t, server.URL(System, SystemPassword))
	run(t, admin, `CREATE USER idle IDENTIFIED BY "Secret-1"`,
		`CREATE USER locked IDENTIFIED BY "Secret-1" ACCOUNT LOCK`, "GRANT CREATE SESSION TO locked")
	cases := map[string]struct {
		url  string
		code string
	}{
		"a wrong password":        {server.URL(Admin, "wrong"), "ORA-01017"},
		"a password's other case": {server.URL(Admin, strings.ToUpper(AdminPassword)), "ORA-01017"},
		"an unknown user":         {server.URL("nobody", AdminPassword), "ORA-01017"},
		"a locked account":        {server.URL("locked", "Secret-1"), "ORA-28000"},
		"no privilege":            {server.URL("idle", "Secret-1"), "ORA-01045"},
		"an unknown service":      {strings.Replace(server.URL(Admin, AdminPassword), "/"+Service, "/OTHER", 1), "ORA-12514"},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			pool, err := sql.Open("oracle", test.url)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = pool.Close() }()
			if err := pool.PingContext(t.Context()); err == nil || !strings.Contains(err.Error(), test.code) {
				t.Errorf("got %v, want %s", err, test.code)
			}
		})
	}
}

func TestAKilledSessionEndsAndItsUserCanBeDroppedSoon(t *testing.T) {
	server := start(t)
	admin := connect(t, server.URL(System, SystemPassword))
	run(t, admin, `CREATE USER victim IDENTIFIED BY "Secret-1"`, "GRANT CONNECT TO victim")
	for _, command := range []string{"KILL", "DISCONNECT"} {
		victim := connect(t, server.URL("victim", "Secret-1"))
		var id string
		row := admin.QueryRowContext(t.Context(), "SELECT sid, serial# FROM v$session WHERE username = 'VICTIM' AND status <> 'KILLED'")
		var sid, serial int
		if err := row.Scan(&sid, &serial); err != nil {
			t.Fatal(err)
		}
		id = fmt.Sprintf("%d,%d,@1", sid, serial)
		if _, err := admin.ExecContext(t.Context(), "DROP USER victim"); err == nil || !strings.Contains(err.Error(), "ORA-01940") {
			t.Errorf("dropping a connected user: %v", err)
		}
		run(t, admin, "ALTER SYSTEM "+command+" SESSION '"+id+"' IMMEDIATE")
		_, err := victim.ExecContext(t.Context(), "BEGIN NULL; END;")
		if err == nil || command == "KILL" && !strings.Contains(err.Error(), "ORA-00028") {
			t.Errorf("after %s: %v", command, err)
		}
	}
	deadline := time.Now().Add(5 * time.Second)
	for {
		_, err := admin.ExecContext(t.Context(), "DROP USER victim")
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(lingering / 4)
	}
}

func TestTextsOfAnyLengthArriveWhole(t *testing.T) {
	conn := connect(t, start(t).URL(Admin, AdminPassword))
	for _, length := range []int{0, 1, 63, 64, 252, 253, 254, 1000, 3999} {
		sent := strings.Repeat("x", length)
		var got sql.NullString
		if err := conn.QueryRowContext(t.Context(), "SELECT '"+sent+"' FROM dual WHERE DUMMY <> :1", "y"+sent).Scan(&got); err != nil || got.String != sent {
			t.Errorf("%d bytes: got %q, %v", length, got.String, err)
		}
	}
}

func TestAClientThatBreaksTheProtocolIsDropped(t *testing.T) {
	server := start(t)
	for name, bytes := range map[string]string{
		"an empty packet":      "\x00\x00\x00\x00\x01\x00\x00\x00",
		"no connect packet":    "\x00\x0a\x00\x00\x06\x00\x00\x00\x00\x00",
		"a short packet":       "\x00\x0a\x00\x00\x01\x00\x00\x00\x00\x00",
		"another protocol":     "GET / HTTP/1.1\r\n\r\n" + strings.Repeat(" ", 1<<15),
		"a client that is old": "\x00\x46\x00\x00\x01\x00\x00\x00\x01\x40\x01\x40" + strings.Repeat("\x00", 58),
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := net.Dial("tcp", server.Address())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
			if _, err := conn.Write([]byte(bytes)); err != nil {
				t.Fatal(err)
			}
			if count, err := conn.Read(make([]byte, 1)); count > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("got %d bytes, %v, want to be dropped", count, err)
			}
		})
	}
}

func FuzzNoMessageBreaksTheStandIn(f *testing.F) {
	f.Add([]byte("\x03\x76\x00\x01\x01\x01\x01\x01\x01\x01\x00\x01\x01\x01a"))
	f.Add([]byte("\x02\x80\x21\x00\x01\x01\x01\x01\x01\x0d\x00\x00\x00\x00\x00\x00\x00\x00\x00"))
	f.Add([]byte("\xfe\x02ab\x01c\x00\x01\x01a\x00"))
	d := newDatabase()
	f.Fuzz(func(t *testing.T, request []byte) {
		if call, err := readExecute(&reader{rest: request}); err == nil && call.text == "" && len(call.binds) > 0 {
			t.Error("values without a statement were accepted")
		}
		if made, answer, err := d.challenge(&reader{rest: request}); err == nil && (answer == nil || made.verifier.salt == nil) {
			t.Error("a challenge without content")
		}
		_, _, err := d.login(&reader{rest: request}, challenge{user: Admin, verifier: d.user(Admin).verifier, half: random(sessionKeySize), salt: random(saltSize)}, func() {})
		if err == nil {
			t.Error("somebody without the password was let in")
		}
	})
}

package mssql

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/hashicorp/vault/sdk/database/dbplugin/v5"
	mssqldb "github.com/microsoft/go-mssqldb"

	"github.com/novatech/securevault/server/engines/database/fault"
)

// The behaviour against a server is tested in the other files of this folder.
// Here is what needs none.

func TestTheAdminsNameAndPasswordReachTheDriverUnescaped(t *testing.T) {
	const hostile = `p@ss:w/rd?'"\%41 {{username}}#;}`
	urls := map[string]string{
		"URL":                    "sqlserver://{{username}}:{{password}}@db.example:1444?database=shop",
		"URL with parameters":    "sqlserver://db.example:1444?database=shop&user+id={{username}}&password={{password}}",
		"ADO":                    "server=db.example;port=1444;user id={{username}};password={{password}};database=shop",
		"ADO with its synonyms":  `Data Source=db.example,1444;UID={{username}};PWD="{{password}}";Initial Catalog=shop`,
		"ODBC":                   "odbc:server=db.example;port=1444;user id={{username}};password={{{password}}};database=shop",
		"name but no password":   "sqlserver://{{username}}@db.example:1444?database=shop",
		"literal name, password": "sqlserver://odd'admin:literal@db.example:1444?database=shop",
	}
	for name, url := range urls {
		t.Run(name, func(t *testing.T) {
			decoded, err := decodeSettings(map[string]any{"connection_url": url, "username": "odd'admin", "password": hostile})
			if err != nil {
				t.Fatal(err)
			}
			target, err := decoded.target()
			if err != nil {
				t.Fatal(err)
			}
			want := map[string]string{"name but no password": "", "literal name, password": "literal"}
			password, other := want[name]
			if !other {
				password = hostile
			}
			if target.User != "odd'admin" || target.Password != password || target.Host != "db.example" || target.Port != 1444 || target.Database != "shop" {
				t.Errorf("got user %q, password %q at %s:%d/%s", target.User, target.Password, target.Host, target.Port, target.Database)
			}
		})
	}
}

func TestURLsThatMeanSomethingElseAreRefused(t *testing.T) {
	const secret = "literal-secret"
	for url, says := range map[string]string{
		"sqlserver://a:" + secret + "@db:port":                        "connection_url cannot be parsed",
		"mssql://a:" + secret + "@db:1433":                            "connection_url cannot be parsed",
		"user id=a;password=" + secret:                                "connection_url cannot be parsed",
		"sqlserver://a:" + secret + "@db?encrypt=perhaps":             "connection_url cannot be parsed",
		"sqlserver://a:" + secret + "@db?databse=shop":                `unknown parameter "databse", did you mean "database"?`,
		"sqlserver://a:" + secret + "@db?log=63":                      `unknown parameter "log"`,
		"sqlserver://a:" + secret + "@db?change+password=" + secret:   `unknown parameter "change password"`,
		"server=db;user id=a;password=" + secret + ";authenticator=x": `unknown parameter "authenticator"`,
	} {
		decoded, err := decodeSettings(map[string]any{"connection_url": url})
		if err == nil {
			_, err = decoded.target()
		}
		if fault.ClassOf(err) != fault.Refused || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %v, want that it says %q", url, err, says)
		}
	}
}

func TestTheTargetIsNamedInErrors(t *testing.T) {
	for url, want := range map[string]string{
		"sqlserver://a@db?database=shop":          `db:1433, database "shop", as "a"`,
		"sqlserver://a@db:1444":                   `db:1444, database "", as "a"`,
		"sqlserver://a@db/instance?database=shop": `db\instance, database "shop", as "a"`,
	} {
		target, err := settings{}.with(url).target()
		if got := describe(target); err != nil || got != want {
			t.Errorf("%s is %q, %v, want %q", url, got, err, want)
		}
	}
}

func (s settings) with(url string) settings {
	s.ConnectionURL = url
	return s
}

func TestErrorsSayWhatToDoAndNoPassword(t *testing.T) {
	database := &Database{password: "admin-secret"}
	const issued = "A1b-issued-secret"
	cases := map[string]struct {
		err   error
		class fault.Class
		says  string
	}{
		"a syntax error at a password": {mssqldb.Error{Number: 102, Message: "Incorrect syntax near 'issued'."}, fault.Refused, "correct the SQL"},
		"a password in the message":    {mssqldb.Error{Number: 15118, Message: "weak: " + issued}, fault.Refused, "write a password_policy"},
		"a missing permission":         {mssqldb.Error{Number: 15247, Message: "User does not have permission"}, fault.Refused, "give the config's username the permission"},
		"a name that is taken":         {mssqldb.Error{Number: 15025, Message: "exists"}, fault.Refused, "{{random 12}}"},
		"a deadlock":                   {mssqldb.Error{Number: 1205, Message: "deadlocked"}, fault.Later, "try again"},
		"a busy Azure SQL":             {mssqldb.Error{Number: 40501, Message: "busy"}, fault.Later, "try again"},
		"sessions that do not end":     {mssqldb.Error{Number: 15434, Message: "logged in"}, fault.Later, "ALTER ANY CONNECTION"},
		"an error nobody has seen":     {mssqldb.Error{Number: 99999, Message: "odd"}, fault.Refused, "check the statements"},
		"several errors":               {mssqldb.Error{Number: 1802, Message: "failed", All: []mssqldb.Error{{Number: 262, Message: "denied"}, {Number: 1802}}}, fault.Refused, "denied (error 262)"},
		"a connection that broke":      {errors.New("read: EOF near " + issued + " admin-secret"), fault.Later, "broke: try again"},
		"one that is explained":        {fault.New(fault.NoUser, "gone"), fault.NoUser, "gone"},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			err := database.explain(test.err, "running creation_statements", issued)
			if fault.ClassOf(err) != test.class || !strings.Contains(err.Error(), test.says) {
				t.Errorf("got %v of class %d", err, fault.ClassOf(err))
			}
			for _, secret := range []string{issued, "admin-secret", "issued"} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("error %q gives %q away", err, secret)
				}
			}
		})
	}
	if database.explain(nil, "doing nothing") != nil {
		t.Error("no error became one")
	}
}

func TestErrorsOfALoginSayWhatToCheck(t *testing.T) {
	database := &Database{password: "admin-secret"}
	for says, err := range map[string]error{
		"check username and password": mssqldb.Error{Number: 18456, Message: "login error: Login failed for user 'admin-secret'."},
		"enable or unlock":            mssqldb.Error{Number: 18470, Message: "disabled"},
		"has a user in it":            mssqldb.Error{Number: 4060, Message: "Cannot open database"},
		"firewall of the Azure SQL":   mssqldb.Error{Number: 40615, Message: "not allowed"},
		"check the host name":         &net.DNSError{Err: "no such host", Name: "db"},
		"listens on that port":        errors.New("dial tcp: connection refused"),
		"the server's certificate":    errors.New("TLS Handshake failed: x509: unknown authority, admin-secret"),
		"encrypt=false":               errors.New("server does not support encryption"),
		"did not answer in time":      context.DeadlineExceeded,
		"check host, port and TLS":    errors.New("EOF"),
	} {
		got := database.explainConnect(err, "connecting")
		if fault.ClassOf(got) != fault.Later || !strings.Contains(got.Error(), says) || strings.Contains(got.Error(), "admin-secret") {
			t.Errorf("%v is explained as %v, want that it says %q", err, got, says)
		}
	}
}

func TestNamesAreQuoted(t *testing.T) {
	if got := identifier("a]b") + literal("it's"); got != "[a]]b]N'it''s'" {
		t.Errorf("got %s", got)
	}
}

func TestAnUninitializedDatabaseRefusesAndCloses(t *testing.T) {
	database := New()
	if _, err := database.DeleteUser(t.Context(), dbplugin.DeleteUserRequest{Username: "a"}); fault.ClassOf(err) != fault.Refused {
		t.Errorf("got %v, want a refusal", err)
	}
	if kind, err := database.Type(); kind != "mssql" || err != nil {
		t.Errorf("the type is %q, %v", kind, err)
	}
	if err := database.Close(); err != nil {
		t.Error(err)
	}
}

func TestADatabaseIsInitializedOnce(t *testing.T) {
	database := New()
	defer func() { _ = database.Close() }()
	config := map[string]any{"connection_url": "sqlserver://a:b@db.example", "max_open_connections": "3", "max_connection_lifetime": "90s"}
	if _, err := database.Initialize(t.Context(), dbplugin.InitializeRequest{Config: config}); err != nil {
		t.Fatal(err)
	}
	if open := database.(*Database).pool.Stats().MaxOpenConnections; open != 3 {
		t.Errorf("%d connections may be open", open)
	}
	if _, err := database.Initialize(t.Context(), dbplugin.InitializeRequest{Config: config}); fault.ClassOf(err) != fault.Refused {
		t.Errorf("initializing again: %v", err)
	}
	if _, err := New().Initialize(t.Context(), dbplugin.InitializeRequest{Config: map[string]any{"connection_url": "sqlserver://a:b@db.example", "max_connection_lifetime": "soon"}}); fault.ClassOf(err) != fault.Refused {
		t.Errorf("a lifetime that is none: %v", err)
	}
}

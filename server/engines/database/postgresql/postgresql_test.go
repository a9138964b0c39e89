package postgresql

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/database/dbplugin/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/novatech/securevault/server/engines/database/fault"
)

// The behaviour against a real server is tested through the engine, in the
// folder above. Here is what needs none.

func TestTheAdminsNameAndPasswordReachTheDriverUnescaped(t *testing.T) {
	const hostile = `p@ss:w/rd?'"\%41 {{username}}#`
	urls := map[string]string{
		"URL":                    "postgresql://{{username}}:{{password}}@db.example:6432/shop?sslmode=disable",
		"URL with parameters":    "postgresql://db.example:6432/shop?user={{username}}&password={{password}}&sslmode=disable",
		"list":                   "host=db.example port=6432 dbname=shop user={{username}} password={{password}} sslmode=disable",
		"list in quotes":         "host=db.example port=6432 dbname=shop user='{{username}}' password='{{password}}' sslmode=disable",
		"name but no password":   "postgresql://{{username}}@db.example:6432/shop?sslmode=disable",
		"literal name, password": "postgresql://odd'admin:literal@db.example:6432/shop?sslmode=disable",
	}
	for name, url := range urls {
		t.Run(name, func(t *testing.T) {
			decoded, err := decodeSettings(map[string]any{"connection_url": url, "username": "odd'admin", "password": hostile})
			if err != nil {
				t.Fatal(err)
			}
			config, err := decoded.poolConfig()
			if err != nil {
				t.Fatal(err)
			}
			want := map[string]string{"name but no password": "", "literal name, password": "literal"}
			password, other := want[name]
			if !other {
				password = hostile
			}
			target := config.ConnConfig
			if target.User != "odd'admin" || target.Password != password || target.Host != "db.example" || target.Port != 6432 || target.Database != "shop" {
				t.Errorf("got user %q, password %q at %s:%d/%s", target.User, target.Password, target.Host, target.Port, target.Database)
			}
			if target.ConnectTimeout != dialLimit {
				t.Errorf("dialling may take %s, want %s", target.ConnectTimeout, dialLimit)
			}
		})
	}
}

func TestPoolSettingsReachTheDriver(t *testing.T) {
	decoded, err := decodeSettings(map[string]any{"connection_url": "postgresql://a:b@db.example/shop", "max_open_connections": "3", "max_connection_lifetime": "90s"})
	if err != nil {
		t.Fatal(err)
	}
	config, err := decoded.poolConfig()
	if err != nil || config.MaxConns != 3 || config.MaxConnLifetime != 90*time.Second {
		t.Errorf("got %d open, lifetime %s, %v", config.MaxConns, config.MaxConnLifetime, err)
	}
}

func TestErrorsSayWhatToDoAndNoPassword(t *testing.T) {
	database := &Database{password: "admin-secret"}
	const issued = "A1b-issued-secret"
	cases := map[string]struct {
		err   error
		class fault.Class
		says  string
	}{
		"a syntax error at a password": {&pgconn.PgError{Code: "42601", Message: `syntax error at or near "issued"`}, fault.Refused, "correct the SQL"},
		"a password in the message":    {&pgconn.PgError{Code: "22023", Message: "invalid password " + issued}, fault.Refused, "check the statements"},
		"a missing privilege":          {&pgconn.PgError{Code: "42501", Message: "permission denied"}, fault.Refused, "give the config's username the privilege"},
		"a full server":                {&pgconn.PgError{Code: "53300", Message: "too many clients"}, fault.Later, "lower max_open_connections"},
		"a server shutting down":       {&pgconn.PgError{Code: "57P01", Message: "terminating"}, fault.Later, "try again"},
		"a collision":                  {&pgconn.PgError{Code: "XX000", Message: "tuple concurrently updated"}, fault.Later, "tuple concurrently updated"},
		"a table dropped meanwhile":    {&pgconn.PgError{Code: "XX000", Message: "cache lookup failed for relation 17225"}, fault.Later, "cache lookup failed"},
		"a temporary one":              {&pgconn.PgError{Code: "XX000", Message: "could not open relation with OID 17011"}, fault.Later, "could not open relation"},
		"another internal error":       {&pgconn.PgError{Code: "XX000", Message: "unrecognized node type"}, fault.Refused, "check the statements"},
		"too many roles on a table":    {&pgconn.PgError{Code: "54000", Message: "row is too big"}, fault.Later, "grant them to one role"},
		"a broken connection":          {errors.New("write: broken pipe admin-secret"), fault.Later, "the connection to the server broke"},
		"an end of the request":        {context.Canceled, fault.Later, "context canceled"},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			err := database.explain(test.err, "running creation_statements", issued)
			if got := fault.ClassOf(err); got != test.class {
				t.Errorf("class is %d, want %d", got, test.class)
			}
			if !strings.Contains(err.Error(), test.says) {
				t.Errorf("error %q does not say %q", err, test.says)
			}
			for _, secret := range []string{issued, "admin-secret", `"issued"`} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("error %q gives %q away", err, secret)
				}
			}
		})
	}
}

func TestAGrantRightBehindTheOptionsOfARoleIsAStatementOfItsOwn(t *testing.T) {
	for written, want := range map[string]string{
		"CREATE ROLE a VALID UNTIL 'infinity'  GRANT r TO a;":      "CREATE ROLE a VALID UNTIL 'infinity';  GRANT r TO a;",
		"create role a valid until '{{expiration}}'\ngrant r to a": "create role a valid until 'soon';\ngrant r to a",
		"CREATE ROLE a VALID UNTIL 'infinity'; GRANT r TO a":       "CREATE ROLE a VALID UNTIL 'infinity'; GRANT r TO a",
		"ALTER ROLE a VALID UNTIL 'infinity' LOGIN":                "ALTER ROLE a VALID UNTIL 'infinity' LOGIN",
	} {
		statements := dbplugin.Statements{Commands: []string{written}}
		got, err := render("creation_statements", statements, map[string]string{"expiration": "soon"})
		if err != nil || got != want {
			t.Errorf("%q became %q, %v", written, got, err)
		}
	}
}

func TestOnlyWhatIsClearSharesATransaction(t *testing.T) {
	cases := map[string]bool{
		`CREATE ROLE "a" LOGIN PASSWORD 'x' VALID UNTIL '2026-01-01 00:00:00+0000';`:   true,
		inTurn(`CREATE ROLE "a"; GRANT SELECT ON ALL TABLES IN SCHEMA public TO "a";`): true,
		`create user a; grant readers to a; alter role a valid until 'infinity'`:       true,
		`CREATE ROLE "a" PASSWORD 'SCRAM-SHA-256$4096:c2E=$c3Q=:c2s='`:                 true,
		`CREATE ROLE "a" PASSWORD $$;COMMIT;$$`:                                        false,
		`CREATE ROLE "a"; SET ROLE "a"`:                                                false,
		`CREATE ROLE "a"; COMMIT`:                                                      false,
		`BEGIN; CREATE ROLE "a"; COMMIT`:                                               false,
		`CREATE ROLE "a"; ALTER ROLE "a" SET search_path = x`:                          false,
		`CREATE ROLE "a"; SELECT make_friends('a')`:                                    false,
		`DO $x$ BEGIN CREATE ROLE "a"; END $x$`:                                        false,
		`CREATE ROLE "a" -- ; COMMIT`:                                                  false,
		`CREATE ROLE "a" PASSWORD ';COMMIT'`:                                           false,
		`CREATE DATABASE "a"`:                                                          false,
	}
	for text, want := range cases {
		if got := sharable(text); got != want {
			t.Errorf("%q shares: %t, want %t", text, got, want)
		}
	}
}

func TestOnlyGrantsOnObjectsTakeTurns(t *testing.T) {
	cases := map[string]bool{
		`CREATE ROLE "a"; GRANT SELECT ON t TO "a"`:                         true,
		"grant all privileges\n on all tables in schema public to \"a\"":    true,
		`CREATE ROLE "a" IN ROLE readers`:                                   false,
		`CREATE ROLE "a"; GRANT readers TO "a"`:                             false,
		`CREATE ROLE "grantee" LOGIN PASSWORD 'on' VALID UNTIL 'infinity';`: false,
	}
	for text, want := range cases {
		if got := strings.Contains(inTurn(text), takeTurn); got != want {
			t.Errorf("%q takes turns: %t, want %t", text, got, want)
		}
	}
}

func TestATurnBeginsAfterTheRoleIsCreated(t *testing.T) {
	const grant = `GRANT SELECT ON t TO "a";`
	for create, plain := range map[string]bool{
		`CREATE ROLE "a" LOGIN PASSWORD 'x';`:                           true,
		"\n create user a password 'x' ;":                               true,
		`CREATE ROLE "a" PASSWORD 'SCRAM-SHA-256$4096:c2E=$c3Q=:c2s=';`: true,
		`CREATE ROLE a PASSWORD $$x;y$$;`:                               false,
		`CREATE ROLE "a" LOGIN PASSWORD 'x;y';`:                         false,
		`CREATE ROLE "a;b";`:                                            false,
		`CREATE ROLE a /* ; */;`:                                        false,
		"CREATE ROLE a -- ;\n;":                                         false,
		`DO $$ BEGIN CREATE ROLE a; END $$;`:                            false,
		`ALTER DEFAULT PRIVILEGES GRANT ALL ON t TO "a";`:               false,
	} {
		want := takeTurn + create + grant
		if plain {
			want = create + takeTurn + grant
		}
		if got := inTurn(create + grant); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestAVerifierIsWhatPostgreSQLWouldKeep(t *testing.T) {
	database := &Database{authentication: asVerifier}
	for password, want := range map[string]string{"": "", "pa$$word": "SCRAM-SHA-256$4096:"} {
		sent, err := database.sent(password)
		if err != nil || !strings.HasPrefix(sent, want) || password != "" && strings.Contains(sent, password) {
			t.Errorf("%q is sent as %q, %v", password, sent, err)
		}
	}
	if _, err := database.sent("schlüssel"); fault.ClassOf(err) != fault.Refused {
		t.Errorf("a password beyond ASCII: %v", err)
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

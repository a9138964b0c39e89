package oracle

import (
	"context"
	"database/sql/driver"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/database/dbplugin/v5"
	"github.com/sijms/go-ora/v2/configurations"
	"github.com/sijms/go-ora/v2/network"

	"github.com/novatech/securevault/server/core/password"
	"github.com/novatech/securevault/server/engines/database/fault"
)

// The behaviour against a server is tested through the engine, in
// conformance_test.go. Here is what needs none.

// parsed returns what the driver gets for settings.
func parsed(t *testing.T, given map[string]any) (*connector, error) {
	t.Helper()
	decoded, err := decodeSettings(given)
	if err != nil {
		return nil, err
	}
	return decoded.connector()
}

func TestTheAdminsNameAndPasswordReachTheDriverUnescaped(t *testing.T) {
	const hostile = `p@ss:w/rd?'"\%41 {{username}}#`
	for name, url := range map[string]string{
		"easy connect":                   "{{username}}/{{password}}@//db.example:1522/shop.example",
		"easy connect without slashes":   "{{username}}/{{password}}@db.example:1522/shop.example",
		"easy connect with options":      "{{username}}/{{password}}@//db.example:1522/shop.example?CONNECT+TIMEOUT=60",
		"a descriptor":                   "{{username}}/{{password}}@(DESCRIPTION=(ADDRESS=(PROTOCOL=TCP)(HOST=db.example)(PORT=1522))(CONNECT_DATA=(SERVICE_NAME=shop.example)))",
		"the driver's form":              "oracle://{{username}}:{{password}}@db.example:1522/shop.example",
		"the driver's form with options": "oracle://{{username}}:{{password}}@db.example:1522/shop.example?SSL=false&PREFETCH_ROWS=10",
	} {
		t.Run(name, func(t *testing.T) {
			made, err := parsed(t, map[string]any{"connection_url": url, "username": "odd'admin", "password": hostile})
			if err != nil {
				t.Fatal(err)
			}
			config := made.config
			server := config.Servers[0]
			if config.UserID != "odd'admin" || config.Password != hostile || server.Addr != "db.example" || server.Port != 1522 || config.ServiceName != "shop.example" {
				t.Errorf("got user %q, password %q at %s:%d/%s", config.UserID, config.Password, server.Addr, server.Port, config.ServiceName)
			}
			if config.Timeout != time.Minute || !strings.HasPrefix(config.ProgramName, "securevault ") {
				t.Errorf("got timeout %s, program %q", config.Timeout, config.ProgramName)
			}
		})
	}
}

func TestConnectionURLIsReadAsOracleReadsIt(t *testing.T) {
	made, err := parsed(t, map[string]any{"connection_url": "{{username}}/{{password}}@tcps://db.example/shop", "username": "sys", "password": "x"})
	if err != nil {
		t.Fatal(err)
	}
	config := made.config
	if !config.SSL || config.Servers[0].Port != 1521 || config.DBAPrivilege != configurations.SYSDBA {
		t.Errorf("got TLS %t, port %d, privilege %d", config.SSL, config.Servers[0].Port, config.DBAPrivilege)
	}
	made, err = parsed(t, map[string]any{"connection_url": "oracle://{{username}}:{{password}}@db.example/shop?PROGRAM=" + strings.Repeat("long", 20) + "&TIMEOUT=7", "username": "a", "password": "b"})
	if err != nil || len(made.config.ProgramName) != maxProgramBytes || made.config.Timeout != 7*time.Second {
		t.Errorf("got program %q, timeout %s, %v", made.config.ProgramName, made.config.Timeout, err)
	}
}

func TestSettingsThatCannotWorkAreRefused(t *testing.T) {
	const literal = "literal-secret"
	broken := t.TempDir()
	if err := os.WriteFile(filepath.Join(broken, "cwallet.sso"), []byte{161, 248, 78, 54, 0, 0, 0, 6, 0, 0, 0, 0, 6}, 0o600); err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct {
		changes map[string]any
		says    string
	}{
		"a wallet that was cut short":    {map[string]any{"connection_url": "oracle://{{username}}:{{password}}@db/shop?SSL=true&WALLET=" + broken}, "reading the wallet"},
		"no URL":                         {map[string]any{"connection_url": ""}, "connection_url is missing"},
		"a literal password":             {map[string]any{"connection_url": "admin/" + literal + "@//db/shop"}, "neither {{username}}/{{password}}@"},
		"no service":                     {map[string]any{"connection_url": "oracle://a:" + literal + "@db:1521"}, "connection_url: empty SID and service name"},
		"no URL at all":                  {map[string]any{"connection_url": "oracle://a:" + literal + "@[db/shop"}, "cannot be parsed"},
		"an unknown option":              {map[string]any{"connection_url": "{{username}}/{{password}}@//db/shop?nonsense=1"}, "nonsense"},
		"a wallet's password in the URL": {map[string]any{"connection_url": "{{username}}/{{password}}@//db/shop?wallet+password=" + literal}, "write a wallet's to wallet_password"},
		"a trace":                        {map[string]any{"connection_url": "{{username}}/{{password}}@//db/shop?TRACE+FILE=x"}, "asks for a trace"},
		"a wallet's password and none":   {map[string]any{"wallet_password": literal}, "there is no wallet"},
		"a wallet that is not there":     {map[string]any{"connection_url": "oracle://{{username}}:{{password}}@db/shop?SSL=true&WALLET=/nowhere", "wallet_password": literal}, "/nowhere/cwallet.sso"},
		"a CA without TLS":               {map[string]any{"tls_ca": "x"}, "TLS is off"},
		"a CA that is none":              {map[string]any{"connection_url": "{{username}}/{{password}}@tcps://db/shop", "tls_ca": literal}, "tls_ca holds no certificate"},
		"a certificate that is none":     {map[string]any{"connection_url": "{{username}}/{{password}}@tcps://db/shop", "tls_certificate_key": literal}, "tls_certificate_key is no certificate"},
		"an unknown setting":             {map[string]any{"split_statement": true}, `did you mean "split_statements"?`},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			given := map[string]any{"connection_url": "{{username}}/{{password}}@//db/shop", "username": "admin", "password": literal}
			for field, value := range test.changes {
				given[field] = value
			}
			_, err := parsed(t, given)
			if fault.ClassOf(err) != fault.Refused || !strings.Contains(err.Error(), test.says) || strings.Contains(err.Error(), literal) {
				t.Errorf("got %v, want a refusal that says %q and no secret", err, test.says)
			}
		})
	}
}

func TestErrorsSayWhatToDoAndNoPassword(t *testing.T) {
	database := &Database{secrets: []string{"admin-secret"}}
	const issued = "A1b-issued-secret"
	refusal := func(code int, text string) error { return &network.OracleError{ErrCode: code, ErrMsg: text + "\n"} }
	cases := map[string]struct {
		err   error
		class fault.Class
		says  string
	}{
		"a syntax error at a password": {refusal(922, `ORA-00922: missing option near "issued"`), fault.Refused, "correct the SQL"},
		"a password in the message":    {refusal(28003, "ORA-28003: bad "+issued), fault.Refused, "write a password_policy"},
		"a long password":              {refusal(972, "ORA-00972: identifier is too long"), fault.Refused, "30 bytes"},
		"a missing privilege":          {refusal(1031, "ORA-01031: insufficient privileges"), fault.Refused, "ORA-01031: insufficient privileges: give the config's username the privilege"},
		"a full server":                {refusal(20, "ORA-00020: maximum number of processes"), fault.Later, "lower max_open_connections"},
		"a server shutting down":       {refusal(1089, "ORA-01089: immediate shutdown"), fault.Later, "try again"},
		"a killed session":             {refusal(28, "ORA-00028: your session has been killed"), fault.Later, "try again"},
		"an error nobody knows":        {&network.OracleError{ErrCode: 4242}, fault.Refused, "ORA-4242"},
		"a session the pool gave up":   {driver.ErrBadConn, fault.Later, "the connection to the server broke"},
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
			for _, secret := range []string{issued, "admin-secret", `"issued"`, "\n", "error occur at position"} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("error %q holds %q", err, secret)
				}
			}
		})
	}
}

func TestNamesAreTheSameInQuotesAndWithout(t *testing.T) {
	valid := regexp.MustCompile(`^[A-Z][A-Z0-9_$#]{0,29}$`)
	for _, template := range []string{"", "{{random 12}}-{{.DisplayName}}", "1-{{random 10}}", "{{random 30}}", "app.{{random 8}}@x:y"} {
		database := New().(*Database)
		given := map[string]any{"connection_url": "{{username}}/{{password}}@//db/shop", "username": "a", "password": "b", "username_template": template}
		if _, err := database.Initialize(t.Context(), dbplugin.InitializeRequest{Config: given}); err != nil {
			t.Fatal(err)
		}
		for _, display := range []string{"token", "Zoë;--", `"`, ""} {
			name, err := database.NewUsername(dbplugin.UsernameMetadata{DisplayName: display, RoleName: "app-1.x"})
			if err != nil || !valid.MatchString(name) {
				t.Errorf("template %q, display name %q: got %q, %v", template, display, name, err)
			}
		}
		if err := database.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestTheDefaultPasswordsFitOracle(t *testing.T) {
	for range 100 {
		generated, err := password.Default().Generate(t.Context(), nil)
		if err != nil || len(generated) > 30 || strings.ContainsAny(generated, `"'@/ `) {
			t.Errorf("got %q, %v", generated, err)
		}
	}
}

func TestStatementsAreTakenApartBeforeValuesAreFilledIn(t *testing.T) {
	values := map[string]string{"name": "A;B", "password": "p;w"}
	statements := dbplugin.Statements{Commands: []string{`CREATE USER "{{name}}" IDENTIFIED BY "{{password}}"; GRANT a TO {{name}};`, "b;"}}
	for split, want := range map[bool]string{
		true:  `CREATE USER "A;B" IDENTIFIED BY "p;w"|GRANT a TO A;B|b`,
		false: `CREATE USER "A;B" IDENTIFIED BY "p;w"; GRANT a TO A;B;|b`,
	} {
		database := &Database{split: split}
		got, err := database.render("statements", statements, values)
		if err != nil || strings.Join(got, "|") != want {
			t.Errorf("split %t: got %q, %v, want %q", split, got, err, want)
		}
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

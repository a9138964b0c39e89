package mariadbtest

import (
	"os"
	"strings"
	"testing"
)

var server *Server

func TestMain(m *testing.M) {
	server = MustStart()
	code := m.Run()
	server.Stop()
	os.Exit(code)
}

func TestNobodyLogsInWithoutThePassword(t *testing.T) {
	for _, username := range []string{Superuser, "", "mariadb.sys", "mysql"} {
		if session, err := server.Login(t.Context(), username, "", ""); err == nil {
			_ = session.Close()
			t.Errorf("%q logs in without a password", username)
		}
	}
}

func TestTLSIsThereAndTheServerIsWhoItSays(t *testing.T) {
	session, err := server.LoginTLS(t.Context(), Superuser, Password, "")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = session.Close() }()
	var name, cipher string
	if err := session.QueryRowContext(t.Context(), "SHOW STATUS LIKE 'Ssl_cipher'").Scan(&name, &cipher); err != nil || cipher == "" {
		t.Errorf("the cipher is %q, %v", cipher, err)
	}
}

func TestADatabaseIsThereAndEmpty(t *testing.T) {
	name := server.NewDatabase(t)
	if found := Column[string](t, server, "SHOW DATABASES LIKE '"+name+"'"); len(found) != 1 {
		t.Errorf("found %q", found)
	}
	if tables := Column[string](t, server, "SHOW TABLES IN "+name); len(tables) != 0 {
		t.Errorf("it has the tables %q", tables)
	}
}

func TestAStoppedServerLeavesNothing(t *testing.T) {
	other, err := Start("max-connections=12")
	if err != nil {
		t.Fatal(err)
	}
	if limit := Column[int](t, other, "SELECT @@max_connections"); limit[0] != 12 {
		t.Errorf("the setting is %d, want 12", limit[0])
	}
	other.Stop()
	if _, err := os.Stat(other.folder); !os.IsNotExist(err) {
		t.Errorf("its folder is still there: %v", err)
	}
	if session, err := other.Login(t.Context(), Superuser, Password, ""); err == nil {
		_ = session.Close()
		t.Error("it still answers")
	}
}

func TestAServerThatCannotStartSaysWhy(t *testing.T) {
	_, err := Start("no-such-setting=1")
	if err == nil {
		t.Fatal("it started")
	}
	if !strings.Contains(err.Error(), "no-such-setting") {
		t.Errorf("error %q does not say why", err)
	}
}

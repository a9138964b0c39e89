package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const lookupSelf = `{"data":{"id":"hvs.x","accessor":"acc","policies":["default"],"ttl":3600,"renewable":true}}`

const loginTable = `Success! You are now authenticated.

Key                  Value
---                  -----
token                hvs.x
token_accessor       acc
token_duration       1h
token_renewable      true
token_policies       ["default"]
identity_policies    []
policies             ["default"]
`

const loginAnswer = `{"auth":{"client_token":"hvs.x","accessor":"acc","policies":["default"],"token_policies":["default"],"lease_duration":3600,"renewable":true}}`

func TestLoginsStoreTheTokenTheyGet(t *testing.T) {
	folder := t.TempDir()
	role := filepath.Join(folder, "role-id")
	writeFile(t, role, "r1")
	tests := []struct {
		name  string
		args  []string
		stdin string
		line  string
		body  string
		reply string
	}{
		{"by a token as argument", []string{"login", "hvs.x"}, "", "GET /v1/auth/token/lookup-self", "", lookupSelf},
		{"by a token as a field", []string{"login", "token=hvs.x"}, "", "GET /v1/auth/token/lookup-self", "", lookupSelf},
		{"by a token on standard input", []string{"login", "-"}, "hvs.x\n", "GET /v1/auth/token/lookup-self", "", lookupSelf},
		{"by approle", []string{"login", "-method=approle", "role_id=@" + role, "secret_id=-"}, "s1",
			"PUT /v1/auth/approle/login", `{"role_id":"r1","secret_id":"s1"}`, loginAnswer},
		{"by approle at another path", []string{"login", "-method=approle", "-path=team/roles/", "role_id=r1"}, "",
			"PUT /v1/auth/team/roles/login", `{"role_id":"r1"}`, loginAnswer},
		{"by userpass", []string{"login", "-method=userpass", "username=alice", "password=-"}, "pw",
			"PUT /v1/auth/userpass/login/alice", `{"password":"pw"}`, loginAnswer},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server := newFakeServer(t, map[string]reply{tt.line: {body: tt.reply}})
			c := at(t, server)
			delete(c.env, "VAULT_TOKEN")
			c.stdin = strings.NewReader(tt.stdin)
			c.run(t, tt.args...).want(t, ExitOK, loginTable, "")
			if got := server.received()[0]; got.line != tt.line || got.body != tt.body {
				t.Errorf("sent %s %s\nwant %s %s", got.line, got.body, tt.line, tt.body)
			}
			holdsToken(t, c.env["HOME"], "hvs.x")
		})
	}
}

// holdsToken fails unless the token file is private, whole and alone.
func holdsToken(t *testing.T, home, token string) {
	t.Helper()
	path := filepath.Join(home, ".vault-token")
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(content) != token || info.Mode() != 0o600 {
		t.Errorf("the token file holds %q with mode %v", content, info.Mode())
	}
	if entries, err := os.ReadDir(home); err != nil || len(entries) != 1 {
		t.Errorf("the home directory holds %v (%v), want the token file alone", entries, err)
	}
}

func TestALoginReplacesATokenFileThatOthersCouldRead(t *testing.T) {
	server := newFakeServer(t, map[string]reply{"GET /v1/auth/token/lookup-self": {body: lookupSelf}})
	c := at(t, server)
	delete(c.env, "VAULT_TOKEN")
	path := filepath.Join(c.env["HOME"], ".vault-token")
	if err := os.WriteFile(path, []byte("a much longer old token"), 0o644); err != nil {
		t.Fatal(err)
	}
	c.run(t, "login", "hvs.x").want(t, ExitOK, loginTable, "")
	holdsToken(t, c.env["HOME"], "hvs.x")
}

func TestALoginDoesNotSendTheTokenInUse(t *testing.T) {
	server := newFakeServer(t, map[string]reply{"PUT /v1/auth/approle/login": {body: loginAnswer}})
	at(t, server).run(t, "login", "-no-store", "-method=approle", "role_id=r").want(t, ExitOK, loginTable, "")
	if token := server.received()[0].header.Get("X-Vault-Token"); token != "" {
		t.Errorf("sent the token %q", token)
	}
}

func TestNoStoreLeavesNoFile(t *testing.T) {
	server := newFakeServer(t, map[string]reply{"PUT /v1/auth/approle/login": {body: loginAnswer}})
	c := at(t, server)
	c.run(t, "login", "-token-only", "-method=approle", "role_id=r").want(t, ExitOK, "hvs.x", "")
	if _, err := os.Stat(filepath.Join(c.env["HOME"], ".vault-token")); !os.IsNotExist(err) {
		t.Errorf("the token file is there: %v", err)
	}
}

func TestALoginWarnsThatTheEnvironmentWins(t *testing.T) {
	server := newFakeServer(t, map[string]reply{"GET /v1/auth/token/lookup-self": {body: lookupSelf}})
	got := at(t, server).run(t, "login", "hvs.x")
	mentions(t, got.stderr, "Warning: VAULT_TOKEN")
	if token := server.received()[0].header.Get("X-Vault-Token"); token != "hvs.x" {
		t.Errorf("checked the token %q, want the new one", token)
	}
}

func TestARefusedTokenIsNotStored(t *testing.T) {
	server := newFakeServer(t, map[string]reply{"GET /v1/auth/token/lookup-self": {403, `{"errors":["permission denied"]}`}})
	c := at(t, server)
	if got := c.run(t, "login", "hvs.s3cret"); got.code != ExitServer || strings.Contains(got.stderr, "s3cret") {
		t.Errorf("exit code %d, standard error %s", got.code, got.stderr)
	}
	if entries, err := os.ReadDir(c.env["HOME"]); err != nil || len(entries) != 0 {
		t.Errorf("the home directory holds %v (%v)", entries, err)
	}
}

func TestALoginWithoutAHomeSaysWhatToDo(t *testing.T) {
	server := newFakeServer(t, map[string]reply{"GET /v1/auth/token/lookup-self": {body: lookupSelf}})
	c := at(t, server)
	c.env["HOME"] = filepath.Join(t.TempDir(), "missing")
	got := c.run(t, "login", "hvs.x")
	if got.code != ExitLocal || got.stdout != "" {
		t.Errorf("exit code %d, standard output %q", got.code, got.stdout)
	}
	mentions(t, got.stderr, "storing the token", "pass -no-store")
	delete(c.env, "HOME")
	got = c.run(t, "login", "hvs.x")
	mentions(t, got.stderr, "HOME is not set")
}

func TestTheTokenFileIsReadWhenTheEnvironmentHasNone(t *testing.T) {
	for _, tt := range []struct{ name, content, token, stderr string }{
		{"without a newline", "hvs.x", "hvs.x", ""},
		{"with one newline", "hvs.x\n", "hvs.x", ""},
		{"empty", "", "", ""},
		{"with two lines", "hvs.s3cret\n\n", "", "contains control characters"},
		{"from another system", "hvs.s3cret\r\n", "", "contains control characters"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server := newFakeServer(t, map[string]reply{"GET /v1/kv/x": {body: `{"data":{"a":"b"}}`}})
			c := at(t, server)
			delete(c.env, "VAULT_TOKEN")
			writeFile(t, filepath.Join(c.env["HOME"], ".vault-token"), tt.content)
			got := c.run(t, "read", "-field=a", "kv/x")
			if tt.stderr != "" {
				if got.code != ExitLocal || len(server.received()) != 0 || strings.Contains(got.stderr, "s3cret") {
					t.Errorf("exit code %d, %d requests, standard error %s", got.code, len(server.received()), got.stderr)
				}
				mentions(t, got.stderr, tt.stderr, ".vault-token")
				return
			}
			got.want(t, ExitOK, "b", "")
			if token := server.received()[0].header.Get("X-Vault-Token"); token != tt.token {
				t.Errorf("sent the token %q, want %q", token, tt.token)
			}
		})
	}
}

func TestATokenFileThatCannotBeReadIsAnError(t *testing.T) {
	c := at(t, newFakeServer(t, nil))
	delete(c.env, "VAULT_TOKEN")
	if err := os.Mkdir(filepath.Join(c.env["HOME"], ".vault-token"), 0o700); err != nil {
		t.Fatal(err)
	}
	got := c.run(t, "read", "kv/x")
	if got.code != ExitLocal {
		t.Errorf("exit code %d, want %d", got.code, ExitLocal)
	}
	mentions(t, got.stderr, "reading the token file", "set VAULT_TOKEN")
}

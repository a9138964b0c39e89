package cli

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"path"
	"path/filepath"
	"strings"
	"testing"

	hashicli "github.com/hashicorp/cli"
)

// TestBadUsageIsRefusedBeforeTheServerHearsOfIt covers every way to type a
// command wrong.
func TestBadUsageIsRefusedBeforeTheServerHearsOfIt(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	broken := filepath.Join(t.TempDir(), "broken.json")
	writeFile(t, broken, "{")
	tests := []struct {
		name   string
		args   []string
		stderr []string
	}{
		{"unknown command", []string{"raed", "x"}, []string{`unknown command "raed"`, "did you mean securevault read?"}},
		{"unknown subcommand", []string{"secrets", "enble", "database"}, []string{`unknown command "secrets enble"`, "did you mean securevault secrets enable?"}},
		{"command far from any", []string{"frobnicate"}, []string{"Hint: securevault -help lists"}},
		{"no subcommand", []string{"lease"}, []string{"Usage: securevault lease SUBCOMMAND", "renew", "revoke", "lookup"}},
		{"no command", nil, []string{"Usage: securevault", "Renew, revoke and look up leases"}},
		{"unknown flag", []string{"lease", "renew", "-incremnt=2h", "l"}, []string{"-incremnt", "did you mean -increment?"}},
		{"bad duration", []string{"lease", "renew", "-increment=soon", "l"}, []string{`"soon"`, "-increment", "write a duration such as 2h"}},
		{"negative duration", []string{"lease", "renew", "-increment=-1h", "l"}, []string{"-increment", "write a duration"}},
		{"fraction of a second", []string{"secrets", "tune", "-max-lease-ttl=10ms", "x"}, []string{"-max-lease-ttl", "whole seconds"}},
		{"bad count", []string{"token", "create", "-use-limit=-1"}, []string{"-use-limit", "zero or more"}},
		{"bad note", []string{"token", "create", "-metadata=x"}, []string{"-metadata", "KEY=VALUE"}},
		{"flag after the arguments", []string{"lease", "renew", "l", "-increment=2h"}, []string{`looks like the flag "-increment"`, "flags come before arguments: securevault lease renew -increment"}},
		{"too few arguments", []string{"read"}, []string{`"read" takes at least 1 argument, got 0`, "usage: securevault read [options] PATH"}},
		{"too many arguments", []string{"lease", "renew", "a", "b"}, []string{"takes 1 argument, got 2"}},
		{"bad format", []string{"read", "-format=xml", "x"}, []string{`"xml" is not an output format`, "table, json or yaml"}},
		{"empty path", []string{"read", "/"}, []string{"the path is empty"}},
		{"path that climbs", []string{"read", "kv/../sys/mounts"}, []string{`segment ".."`}},
		{"path with control characters", []string{"delete", "kv/a\nb"}, []string{"control characters"}},
		{"nothing to write", []string{"write", "kv/x"}, []string{`nothing to write to "kv/x"`, "securevault write -force kv/x"}},
		{"value without a key", []string{"write", "kv/x", "a=b", "s3cret"}, []string{"argument 3: format must be key=value", "KEY=@FILE"}},
		{"missing file", []string{"write", "kv/x", "a=@" + missing}, []string{`argument 2 ("a"): opening its file: no such file`, `KEY=\@VALUE`}},
		{"missing object file", []string{"write", "kv/x", "@" + missing}, []string{"missing", "no such file"}},
		{"broken object file", []string{"write", "kv/x", "@" + broken}, []string{"broken.json", "unexpected EOF"}},
		{"broken object on standard input", []string{"write", "kv/x", "-"}, []string{`argument 2 ("-"): EOF`}},
		{"missing policy file", []string{"policy", "write", "p", missing}, []string{"reading the policy", "missing"}},
		{"force without prefix", []string{"lease", "revoke", "-force", "l"}, []string{"-force needs -prefix"}},
		{"prefix that is everything", []string{"lease", "revoke", "-prefix", "/"}, []string{"the path is empty"}},
		{"nothing to tune", []string{"secrets", "tune", "x"}, []string{"no setting to change", "-max-lease-ttl"}},
		{"no token to revoke", []string{"token", "revoke"}, []string{"exactly one token"}},
		{"two tokens to revoke", []string{"token", "revoke", "-self", "t"}, []string{"exactly one token"}},
		{"orphan by accessor", []string{"token", "revoke", "-orphan", "-accessor", "a"}, []string{"-orphan goes neither"}},
		{"accessor without one", []string{"token", "lookup", "-accessor"}, []string{"-accessor needs an argument"}},
		{"role and orphan", []string{"token", "create", "-role=r", "-orphan"}, []string{"exclude each other"}},
		{"unknown login method", []string{"login", "-method=magic", "a=b"}, []string{`"magic" is not a login method`, "approle"}},
		{"login without a user name", []string{"login", "-method=userpass", "password=s3cret"}, []string{"needs a user name"}},
		{"login without a terminal", []string{"login"}, []string{"no terminal to ask for the token", "pass - to read it"}},
		{"login with an empty token", []string{"login", "-"}, []string{"the token is empty"}},
		{"login with two tokens", []string{"login", "s3cret", "s3cret"}, []string{"2 arguments are not one token"}},
		{"login with control characters", []string{"login", "a\x01s3cret"}, []string{"control characters"}},
		{"header without a value", []string{"read", "-header=x", "p"}, []string{"a header is NAME=VALUE"}},
		{"header of the client's own", []string{"read", "-header=x-vault-token=s3cret", "p"}, []string{`header "x-vault-token" is set by the client itself`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server := newFakeServer(t, nil)
			got := at(t, server).run(t, tt.args...)
			if got.code != ExitLocal || got.stdout != "" {
				t.Errorf("exit code %d, standard output %q; want %d and nothing", got.code, got.stdout, ExitLocal)
			}
			mentions(t, got.stderr, tt.stderr...)
			if n := len(server.received()); n != 0 {
				t.Errorf("the server received %d requests", n)
			}
		})
	}
}

func TestBadEnvironmentIsNamed(t *testing.T) {
	for _, tt := range []struct{ name, value, mention string }{
		{"VAULT_ADDR", "127.0.0.1:8200", "http://HOST:PORT"},
		{"VAULT_ADDR", "ftp://u:s3cret@host", "http://HOST:PORT"},
		{"VAULT_SKIP_VERIFY", "maybe", "VAULT_SKIP_VERIFY"},
		{"VAULT_CLIENT_TIMEOUT", "soon", "VAULT_CLIENT_TIMEOUT"},
		{"VAULT_MAX_RETRIES", "many", "VAULT_MAX_RETRIES"},
		{"VAULT_CACERT", "/nonexistent/ca.pem", "-ca-cert"},
		{"VAULT_CLIENT_CERT", "/nonexistent/cert.pem", "-client-key"},
		{"VAULT_TOKEN", "s3cret\n", "the token in the environment contains control characters"},
		{"VAULT_FORMAT", "xml", "VAULT_FORMAT"},
	} {
		t.Run(tt.name+"="+tt.value, func(t *testing.T) {
			c := at(t, newFakeServer(t, nil))
			c.env[tt.name] = tt.value
			got := c.run(t, "read", "kv/x")
			if got.code != ExitLocal {
				t.Errorf("exit code %d, want %d", got.code, ExitLocal)
			}
			mentions(t, got.stderr, "Error: ", "Hint: ", tt.mention)
			if strings.Contains(got.stderr, "s3cret") {
				t.Errorf("the secret is repeated: %s", got.stderr)
			}
		})
	}
}

func TestRefusalsListTheServersErrorsWithAHint(t *testing.T) {
	tests := []struct {
		name   string
		reply  reply
		stderr string // after the request's URL
	}{
		{"forbidden", reply{403, `{"errors":["permission denied"]}`},
			": 403 Forbidden\n  * permission denied\nHint: the token is expired or its policies do not allow this: see securevault token lookup\n"},
		{"unknown mount", reply{404, `{"errors":["no handler for route"]}`},
			": 404 Not Found\n  * no handler for route\nHint: check the mount with securevault secrets list\n"},
		{"nothing there", reply{404, `{"errors":[]}`}, ": 404 Not Found\nHint: nothing is stored there, or the name is wrong\n"},
		{"bad request with two reasons", reply{400, `{"errors":["unknown role","and\nmore"]}`},
			": 400 Bad Request\n  * unknown role\n  * and\n    more\nHint: check the path and the parameters\n"},
		{"unsupported operation", reply{405, `{"errors":["unsupported operation"]}`},
			": 405 Method Not Allowed\n  * unsupported operation\nHint: this path does not support the operation: try read, write, list or delete instead\n"},
		{"over the limit", reply{429, `{"errors":["100 leases"]}`},
			": 429 Too Many Requests\n  * 100 leases\nHint: a limit is reached: revoke leases that are no longer needed, or try again later\n"},
		{"server error", reply{500, `{"errors":["internal error"]}`}, ": 500 Internal Server Error\n  * internal error\nHint: the cause is in the server's log\n"},
		{"sealed", reply{503, `{"errors":["Vault is sealed"]}`}, ": 503 Service Unavailable\n  * Vault is sealed\nHint: the server may be sealed: see securevault status\n"},
		{"an error that is not json", reply{502, "bad gateway\n"}, ": 502 Bad Gateway\n  * bad gateway\nHint: the cause is in the server's log\n"},
		{"a status without a name", reply{473, ""}, ": 473\nHint: check the path and the parameters\n"},
		{"success that is not json", reply{200, "<html>"},
			": decoding the answer: invalid character '<' looking for beginning of value\nHint: this does not look like a server of this API: check the address\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server := newFakeServer(t, map[string]reply{"PUT /v1/kv/x": tt.reply})
			got := at(t, server).run(t, "write", "kv/x", "password=s3cret")
			got.want(t, ExitServer, "", "Error: PUT "+server.URL+"/v1/kv/x"+tt.stderr)
			if n := len(server.received()); n != 1 {
				t.Errorf("%d requests, want 1: a write must not be repeated unasked", n)
			}
		})
	}
}

func TestARefusalWithoutATokenSuggestsToLogIn(t *testing.T) {
	server := newFakeServer(t, map[string]reply{"GET /v1/kv/x": {403, `{"errors":["permission denied"]}`}})
	c := at(t, server)
	delete(c.env, "VAULT_TOKEN")
	got := c.run(t, "read", "kv/x")
	mentions(t, got.stderr, "no token was sent: run securevault login")
}

func TestReadsAndListsOfNothingFailAsTheServersAnswer(t *testing.T) {
	server := newFakeServer(t, map[string]reply{
		"GET /v1/kv/x":              {},
		"GET /v1/kv/y?list=true":    {body: `{"data":{"keys":[]}}`},
		"GET /v1/kv/deleted":        {status: 404, body: `{"data":{"deletion_time":"2026-01-02"}}`},
		"PUT /v1/sys/leases/lookup": {},
	})
	c := at(t, server)
	const hint = "Hint: check the spelling, or list the names above it\n"
	c.run(t, "read", "kv/x").want(t, ExitServer, "", "Error: no value found at \"kv/x\"\n"+hint)
	c.run(t, "list", "kv/y").want(t, ExitServer, "", "Error: no value found at \"kv/y\"\n"+hint)
	c.run(t, "lease", "lookup", "l").want(t, ExitServer, "", "Error: no value found at \"l\"\n"+hint)
	c.run(t, "read", "kv/deleted").want(t, ExitOK, "Key              Value\n---              -----\ndeletion_time    2026-01-02\n", "")
}

func TestAnswersThatMakeNoSenseAreRefused(t *testing.T) {
	for _, tt := range []struct {
		name, line, body string
		args             []string
		code             int
		mention          string
	}{
		{"a name that is a number", "GET /v1/kv/x?list=true", `{"data":{"keys":[1]}}`, []string{"list", "kv/x"}, ExitServer, "holds a json.Number, not a name"},
		{"mounts that are a list", "GET /v1/sys/mounts", `{"data":{"x/":[1]}}`, []string{"secrets", "list"}, ExitServer, "decoding the list of mounts"},
		{"mounts that are missing", "GET /v1/sys/mounts", "", []string{"secrets", "list"}, ExitServer, "decoding the list of mounts"},
		{"capabilities of another path", "PUT /v1/sys/capabilities-self", `{"data":{"y":["read"]}}`, []string{"token", "capabilities", "x"}, ExitServer, `no capabilities for "x"`},
		{"a seal status without the seal", "GET /v1/sys/seal-status", `{"version":"1"}`, []string{"status"}, ExitLocal, "whether the server is sealed"},
		{"no seal status", "GET /v1/sys/seal-status", "", []string{"status"}, ExitLocal, "no seal status"},
		{"a token whose policies are a number", "GET /v1/auth/token/lookup-self", `{"data":{"policies":1}}`, []string{"login", "t"}, ExitServer, "decoding the token's lookup"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server := newFakeServer(t, map[string]reply{tt.line: {body: tt.body}})
			got := at(t, server).run(t, tt.args...)
			if got.code != tt.code || got.stdout != "" {
				t.Errorf("exit code %d, standard output %q; want %d and nothing", got.code, got.stdout, tt.code)
			}
			mentions(t, got.stderr, tt.mention)
		})
	}
}

func TestAnUnreachableServerIsNamedWithItsAddress(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	c := terminal{env: map[string]string{"VAULT_ADDR": "http://user:s3cret@" + address, "VAULT_TOKEN": "t"}}
	c.run(t, "read", "kv/x").want(t, ExitServer, "",
		"Error: GET http://user:xxxxx@"+address+"/v1/kv/x: dial tcp "+address+": connect: connection refused\n"+
			"Hint: is the server running there? The address comes from -address, SECUREVAULT_ADDR or VAULT_ADDR\n")
	if got := c.run(t, "status"); got.code != ExitLocal {
		t.Errorf("status exits with %d, want %d: 2 would mean sealed", got.code, ExitLocal)
	}
}

func TestHTTPSToAPlainServerIsExplained(t *testing.T) {
	server := newFakeServer(t, nil)
	c := at(t, server)
	c.env["VAULT_ADDR"] = strings.Replace(server.URL, "http:", "https:", 1)
	got := c.run(t, "read", "kv/x")
	if got.code != ExitServer {
		t.Errorf("exit code %d, want %d", got.code, ExitServer)
	}
	mentions(t, got.stderr, "the server speaks plain HTTP: write http://")
}

func TestASlowServerIsGivenUp(t *testing.T) {
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer server.Close()
	defer close(release)
	c := terminal{env: map[string]string{"VAULT_ADDR": server.URL, "VAULT_TOKEN": "t", "VAULT_CLIENT_TIMEOUT": "50ms"}}
	got := c.run(t, "read", "kv/x")
	if got.code != ExitServer {
		t.Errorf("exit code %d, want %d", got.code, ExitServer)
	}
	mentions(t, got.stderr, "no answer within 50ms", "VAULT_CLIENT_TIMEOUT")
}

func TestAnEndlessAnswerIsCutOff(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		chunk := make([]byte, 1<<20)
		for range maxAnswer/len(chunk) + 1 {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	}))
	defer server.Close()
	c := terminal{env: map[string]string{"VAULT_ADDR": server.URL, "VAULT_TOKEN": "t"}}
	got := c.run(t, "read", "kv/x")
	if got.code != ExitServer {
		t.Errorf("exit code %d, want %d", got.code, ExitServer)
	}
	mentions(t, got.stderr, "no answer of this API is that large")
}

func TestAnInterruptHasItsOwnExitCode(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var stdout, stderr strings.Builder
	env := map[string]string{"VAULT_ADDR": newFakeServer(t, nil).URL}
	stdio := IO{Stdin: strings.NewReader(""), Stdout: &stdout, Stderr: &stderr, Getenv: func(name string) string { return env[name] }}
	if code := Run(ctx, []string{"securevault", "read", "kv/x"}, stdio, nil); code != ExitInterrupted {
		t.Errorf("exit code %d, want %d", code, ExitInterrupted)
	}
	mentions(t, stderr.String(), "interrupted")
}

func TestExtraCommandsJoinTheTable(t *testing.T) {
	var given []string
	extra := map[string]hashicli.CommandFactory{
		"agent": func() (hashicli.Command, error) {
			return &hashicli.MockCommand{SynopsisText: "Run beside an app", RunResult: 7}, nil
		},
		"probe": func() (hashicli.Command, error) { return probe{&given}, nil },
	}
	var stdout, stderr strings.Builder
	stdio := IO{Stdin: strings.NewReader(""), Stdout: &stdout, Stderr: &stderr, Getenv: func(string) string { return "" }}
	if code := Run(t.Context(), []string{"securevault", "agent", "-config=x"}, stdio, extra); code != 7 {
		t.Errorf("exit code %d, want the command's own 7", code)
	}
	Run(t.Context(), []string{"securevault", "probe", "-config=a", "b"}, stdio, extra)
	if strings.Join(given, " ") != "-config=a b" {
		t.Errorf("the command was given %q", given)
	}
	Run(t.Context(), []string{"securevault", "-help"}, stdio, extra)
	mentions(t, stdout.String(), "Run beside an app", "Request", "Renew, revoke and look up leases")
}

// probe is a command that notes its arguments.
type probe struct{ given *[]string }

func (p probe) Run(args []string) int { *p.given = args; return 0 }
func (p probe) Synopsis() string      { return "Request nothing" }
func (p probe) Help() string          { return "" }

// FuzzCleanPath checks that no accepted path leaves its place in the URL.
func FuzzCleanPath(f *testing.F) {
	for _, seed := range []string{"database/creds/r", "/a/", "..", "a/../b", "a//b", "a/./b", "a%2f..", "\x00", "/"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, typed string) {
		clean, err := cleanPath(typed)
		if err == nil && path.Join("/v1", clean) != "/v1/"+clean {
			t.Errorf("%q became %q, which the client turns into %q", typed, clean, path.Join("/v1", clean))
		}
	})
}

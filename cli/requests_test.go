package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestCommandsSendTheRequestsOfTheAPI pins method, path and body of what each
// command sends, and the line a human reads.
func TestCommandsSendTheRequestsOfTheAPI(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "file")
	object := filepath.Join(folder, "object.json")
	writeFile(t, file, "from a file\n")
	writeFile(t, object, `{"nested":{"n":1},"ttl":3600}`)
	const queued = "All revocation operations queued successfully!\n"

	tests := []struct {
		name  string
		args  []string
		stdin string
		line  string
		body  string
		out   string
	}{
		{"write sends strings", []string{"write", "database/config/x", "a=b", "c=d=e"}, "",
			"PUT /v1/database/config/x", `{"a":"b","c":"d=e"}`, "Success! Data written to: database/config/x\n"},
		{"write keeps the guide's statements as typed", []string{"write", "database/roles/r", `creation_statements=CREATE ROLE "{{name}}"; GRANT x`}, "",
			"PUT /v1/database/roles/r", `{"creation_statements":"CREATE ROLE \"{{name}}\"; GRANT x"}`, "Success! Data written to: database/roles/r\n"},
		{"write reads a value from a file", []string{"write", "gcp/config", "credentials=@" + file}, "",
			"PUT /v1/gcp/config", `{"credentials":"from a file\n"}`, "Success! Data written to: gcp/config\n"},
		{"write reads a value from standard input", []string{"write", "aws/roles/r", "policy_document=-"}, `{"Version":"1"}`,
			"PUT /v1/aws/roles/r", `{"policy_document":"{\"Version\":\"1\"}"}`, "Success! Data written to: aws/roles/r\n"},
		{"write reads an object from standard input", []string{"write", "kv/x", "-", "b=2"}, `{"a":1}`,
			"PUT /v1/kv/x", `{"a":1,"b":"2"}`, "Success! Data written to: kv/x\n"},
		{"write reads an object from a file", []string{"write", "kv/x", "@" + object}, "",
			"PUT /v1/kv/x", `{"nested":{"n":1},"ttl":3600}`, "Success! Data written to: kv/x\n"},
		{"write makes a list of a repeated key", []string{"write", "kv/x", "a=1", "a=2"}, "",
			"PUT /v1/kv/x", `{"a":["1","2"]}`, "Success! Data written to: kv/x\n"},
		{"write escapes a leading at sign", []string{"write", "kv/x", `a=\@b`}, "",
			"PUT /v1/kv/x", `{"a":"@b"}`, "Success! Data written to: kv/x\n"},
		{"write after two dashes takes keys with a dash", []string{"write", "--", "kv/x", "-a=b"}, "",
			"PUT /v1/kv/x", `{"-a":"b"}`, "Success! Data written to: kv/x\n"},
		{"write -force sends no body", []string{"write", "-force", "database/rotate-root/x"}, "",
			"PUT /v1/database/rotate-root/x", "", "Success! Data written to: database/rotate-root/x\n"},
		{"write -f is short for it", []string{"write", "-f", "database/rotate-root/x"}, "",
			"PUT /v1/database/rotate-root/x", "", "Success! Data written to: database/rotate-root/x\n"},
		{"delete", []string{"delete", "/database/roles/r/"}, "",
			"DELETE /v1/database/roles/r", "", "Success! Data deleted (if it existed) at: /database/roles/r/\n"},

		{"secrets enable", []string{"secrets", "enable", "database"}, "",
			"PUT /v1/sys/mounts/database", `{"type":"database"}`, "Success! Enabled the database secrets engine at: database/\n"},
		{"secrets enable with settings", []string{"secrets", "enable", "-path=team/db", "-description=ours", "-default-lease-ttl=1h", "--max-lease-ttl", "86400", "database"}, "",
			"PUT /v1/sys/mounts/team/db", `{"config":{"default_lease_ttl":"3600s","max_lease_ttl":"86400s"},"description":"ours","type":"database"}`,
			"Success! Enabled the database secrets engine at: team/db/\n"},
		{"secrets disable", []string{"secrets", "disable", "database/"}, "",
			"DELETE /v1/sys/mounts/database", "", "Success! Disabled the secrets engine (if it existed) at: database/\n"},
		{"secrets tune sends only what is given", []string{"secrets", "tune", "-max-lease-ttl=24h", "database/"}, "",
			"PUT /v1/sys/mounts/database/tune", `{"max_lease_ttl":"86400s"}`, "Success! Tuned the secrets engine at: database/\n"},
		{"secrets tune clears a description", []string{"secrets", "tune", "-description=", "database"}, "",
			"PUT /v1/sys/mounts/database/tune", `{"description":""}`, "Success! Tuned the secrets engine at: database/\n"},
		{"auth enable", []string{"auth", "enable", "approle"}, "",
			"PUT /v1/sys/auth/approle", `{"type":"approle"}`, "Success! Enabled the approle auth method at: approle/\n"},
		{"auth disable", []string{"auth", "disable", "approle"}, "",
			"DELETE /v1/sys/auth/approle", "", "Success! Disabled the auth method (if it existed) at: approle/\n"},
		{"auth tune", []string{"auth", "tune", "-default-lease-ttl=30m", "approle"}, "",
			"PUT /v1/sys/auth/approle/tune", `{"default_lease_ttl":"1800s"}`, "Success! Tuned the auth method at: approle/\n"},

		{"lease renew", []string{"lease", "renew", "database/creds/r/1"}, "",
			"PUT /v1/sys/leases/renew", `{"lease_id":"database/creds/r/1"}`, "Success! Renewed lease: database/creds/r/1\n"},
		{"lease renew for two hours", []string{"lease", "renew", "-increment=2h", "database/creds/r/1"}, "",
			"PUT /v1/sys/leases/renew", `{"increment":7200,"lease_id":"database/creds/r/1"}`, "Success! Renewed lease: database/creds/r/1\n"},
		{"lease renew for plain seconds", []string{"lease", "renew", "-increment", "3600", "l"}, "",
			"PUT /v1/sys/leases/renew", `{"increment":3600,"lease_id":"l"}`, "Success! Renewed lease: l\n"},
		{"lease revoke", []string{"lease", "revoke", "database/creds/r/1"}, "",
			"PUT /v1/sys/leases/revoke", `{"lease_id":"database/creds/r/1","sync":false}`, queued},
		{"lease revoke -sync", []string{"lease", "revoke", "-sync", "l"}, "",
			"PUT /v1/sys/leases/revoke", `{"lease_id":"l","sync":true}`, "Success! Revoked lease: l\n"},
		{"lease revoke -prefix", []string{"lease", "revoke", "-prefix", "database/creds/app-readonly"}, "",
			"PUT /v1/sys/leases/revoke-prefix/database/creds/app-readonly", `{"sync":false}`, queued},
		{"lease revoke -prefix of a whole mount", []string{"lease", "revoke", "-prefix", "database/"}, "",
			"PUT /v1/sys/leases/revoke-prefix/database", `{"sync":false}`, queued},
		{"lease revoke -prefix -sync", []string{"lease", "revoke", "-sync", "-prefix", "database/"}, "",
			"PUT /v1/sys/leases/revoke-prefix/database", `{"sync":true}`, "Success! Revoked any leases with prefix: database/\n"},
		{"lease revoke -prefix -force", []string{"lease", "revoke", "-force", "-prefix", "database/"}, "",
			"PUT /v1/sys/leases/revoke-force/database", "", "Success! Force revoked any leases with prefix: database/\n"},

		{"token create", []string{"token", "create"}, "",
			"PUT /v1/auth/token/create", `{}`, "Success! Created a token\n"},
		{"token create with everything", []string{"token", "create", "-policy=a", "-policy=b", "-ttl=1h", "-period=30m", "-explicit-max-ttl=1d",
			"-use-limit=3", "-renewable=false", "-no-default-policy", "-display-name=ci", "-metadata=k=v", "-type=service", "-id=t"}, "",
			"PUT /v1/auth/token/create", `{"display_name":"ci","explicit_max_ttl":"86400s","id":"t","meta":{"k":"v"},"no_default_policy":true,` +
				`"num_uses":3,"period":"1800s","policies":["a","b"],"renewable":false,"ttl":"3600s","type":"service"}`, "Success! Created a token\n"},
		{"token create -orphan", []string{"token", "create", "-orphan"}, "",
			"PUT /v1/auth/token/create-orphan", `{}`, "Success! Created a token\n"},
		{"token create -role", []string{"token", "create", "-role=ci"}, "",
			"PUT /v1/auth/token/create/ci", `{}`, "Success! Created a token\n"},
		{"token renew of the one in use", []string{"token", "renew", "-increment=1h"}, "",
			"PUT /v1/auth/token/renew-self", `{"increment":3600}`, "Success! Renewed the token\n"},
		{"token renew of another", []string{"token", "renew", "t"}, "",
			"PUT /v1/auth/token/renew", `{"token":"t"}`, "Success! Renewed the token\n"},
		{"token renew by accessor", []string{"token", "renew", "-accessor", "a"}, "",
			"PUT /v1/auth/token/renew-accessor", `{"accessor":"a"}`, "Success! Renewed the token\n"},
		{"token revoke -self", []string{"token", "revoke", "-self"}, "",
			"PUT /v1/auth/token/revoke-self", `{}`, "Success! Revoked token (if it existed)\n"},
		{"token revoke from standard input", []string{"token", "revoke", "-"}, "t\n",
			"PUT /v1/auth/token/revoke", `{"token":"t"}`, "Success! Revoked token (if it existed)\n"},
		{"token revoke -orphan", []string{"token", "revoke", "-orphan", "t"}, "",
			"PUT /v1/auth/token/revoke-orphan", `{"token":"t"}`, "Success! Revoked token (if it existed)\n"},
		{"token revoke -accessor", []string{"token", "revoke", "-accessor", "a"}, "",
			"PUT /v1/auth/token/revoke-accessor", `{"accessor":"a"}`, "Success! Revoked token (if it existed)\n"},

		{"policy write from a file", []string{"policy", "write", "p", file}, "",
			"PUT /v1/sys/policies/acl/p", `{"policy":"from a file\n"}`, "Success! Uploaded policy: p\n"},
		{"policy write from standard input", []string{"policy", "write", "p", "-"}, "path \"x\" {}\n",
			"PUT /v1/sys/policies/acl/p", `{"policy":"path \"x\" {}"}`, "Success! Uploaded policy: p\n"},
		{"policy delete", []string{"policy", "delete", "p"}, "",
			"DELETE /v1/sys/policies/acl/p", "", "Success! Deleted policy: p\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server := newFakeServer(t, map[string]reply{tt.line: {}})
			c := at(t, server)
			c.stdin = strings.NewReader(tt.stdin)
			c.run(t, tt.args...).want(t, ExitOK, tt.out, "")
			requests := server.received()
			if len(requests) != 1 {
				t.Fatalf("%d requests, want 1", len(requests))
			}
			if got := requests[0]; got.line != tt.line || got.body != tt.body {
				t.Errorf("sent %s %s\nwant %s %s", got.line, got.body, tt.line, tt.body)
			}
			if got := requests[0].header.Get("X-Vault-Token"); got != "root" {
				t.Errorf("sent token %q", got)
			}
		})
	}
}

func TestWritesWithoutAnAnswerAreSilentInJSON(t *testing.T) {
	server := newFakeServer(t, map[string]reply{"PUT /v1/kv/x": {}})
	at(t, server).run(t, "write", "-format=json", "kv/x", "a=b").want(t, ExitOK, "", "")
}

func TestTheVersionIsOneLine(t *testing.T) {
	got := terminal{}.run(t, "version")
	got.want(t, ExitOK, versionLine()+"\n", "")
	if flag := (terminal{}).run(t, "-version"); flag.stdout != got.stdout {
		t.Errorf("-version prints %q", flag.stdout)
	}
}

func TestTheNameOfASymlinkAppearsInTheHelp(t *testing.T) {
	var stdout, stderr strings.Builder
	stdio := IO{Stdin: strings.NewReader(""), Stdout: &stdout, Stderr: &stderr, Getenv: func(string) string { return "" }}
	if code := Run(t.Context(), []string{"/bin/vault", "lease", "renew", "-h"}, stdio, nil); code != ExitOK {
		t.Errorf("exit code %d", code)
	}
	mentions(t, stdout.String(), "Usage: vault lease renew [options] LEASE_ID\n", "$ vault lease renew -increment=2h", "-increment=DURATION")
}

func TestEveryCommandHasAHelpWithAnExampleOfItself(t *testing.T) {
	for name, build := range commands() {
		t.Run(name, func(t *testing.T) {
			got := terminal{}.run(t, append(strings.Fields(name), "-help")...)
			if got.code != ExitOK {
				t.Errorf("exit code %d: %s", got.code, got.stderr)
			}
			mentions(t, got.stdout, "Usage: securevault "+name, "\n  $ securevault "+name)
			c := build()
			if c.synopsis == "" || len(c.synopsis) > 50 || strings.HasSuffix(c.synopsis, ".") {
				t.Errorf("synopsis %q is not a short line", c.synopsis)
			}
			for _, example := range c.examples {
				parsesItself(t, name, example, build())
			}
		})
	}
}

// parsesItself fails unless the command accepts the line that its help shows.
func parsesItself(t *testing.T, name, example string, c command) {
	t.Helper()
	args := strings.Fields(strings.TrimPrefix(example, name))
	stdio := IO{Getenv: func(string) string { return "" }}
	l := &leaf{command: c, name: name, program: "securevault", stdio: stdio}
	if _, err := l.parse(newSession("securevault", stdio), args); err != nil {
		t.Errorf("the example %q is refused: %v", example, err)
	}
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

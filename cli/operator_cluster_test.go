package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestABackupIsKeptWholeOrNotAtAll(t *testing.T) {
	content := "securevault backup 1\n\x00\xff" + strings.Repeat("x", 100_000)
	server := newFakeServer(t, map[string]reply{"GET /v1/sys/storage/backup": {body: content}})
	c, file := at(t, server), filepath.Join(t.TempDir(), "a.backup")
	c.run(t, "operator", "backup", file).want(t, ExitOK, "Success! Wrote 100023 bytes to "+file+"\n", "")
	written, err := os.ReadFile(file)
	if err != nil || string(written) != content {
		t.Fatalf("the file holds %d bytes, %v", len(written), err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	again := c.run(t, "operator", "backup", file)
	if again.code != ExitLocal || !strings.Contains(again.stderr, "is there already") {
		t.Errorf("a second time: exit code %d, %s", again.code, again.stderr)
	}

	server.replies["GET /v1/sys/storage/backup"] = reply{status: 403, body: `{"errors":["permission denied"]}`}
	refused := filepath.Join(t.TempDir(), "refused.backup")
	got := c.run(t, "operator", "backup", refused)
	if got.code != ExitServer || !strings.Contains(got.stderr, "permission denied") {
		t.Errorf("exit code %d: %s", got.code, got.stderr)
	}
	if _, err := os.Stat(refused); !os.IsNotExist(err) {
		t.Errorf("a file is left behind: %v", err)
	}
}

func TestARestoreSendsTheFileAsItIs(t *testing.T) {
	server := newFakeServer(t, map[string]reply{"PUT /v1/sys/storage/restore": {}})
	file := filepath.Join(t.TempDir(), "a.backup")
	if err := os.WriteFile(file, []byte("securevault backup 1\n\x00\xff"), 0o600); err != nil {
		t.Fatal(err)
	}
	got := at(t, server).run(t, "operator", "restore", file)
	if got.code != ExitOK || server.received()[0].body != "securevault backup 1\n\x00\xff" {
		t.Errorf("exit code %d, %s; sent %q", got.code, got.stderr, server.received()[0].body)
	}
	mentions(t, got.stdout, "the server is sealed")
	missing := at(t, server).run(t, "operator", "restore", file+".none")
	if missing.code != ExitLocal || len(server.received()) != 1 {
		t.Errorf("a missing file: exit code %d, %d requests", missing.code, len(server.received()))
	}
}

func TestTheServersOfAClusterAreListedAndSteppedDown(t *testing.T) {
	server := newFakeServer(t, map[string]reply{
		"PUT /v1/sys/step-down": {},
		"GET /v1/sys/ha-status": {body: `{"data":{"nodes":[
			{"hostname":"one","api_address":"https://one:8200","active_node":true,"version":"1.0","last_echo":"2026-11-23T10:00:00Z"},
			{"hostname":"two","api_address":"https://two:8200","active_node":false,"version":"1.0","last_echo":"2026-11-23T10:00:01Z"}]}}`},
	})
	at(t, server).run(t, "operator", "step-down").want(t, ExitOK, "Success! The active server steps down.\n", "")
	got := at(t, server).run(t, "operator", "members")
	mentions(t, got.stdout, "one          https://one:8200    true           1.0", "two          https://two:8200    false")
}

func TestAMigrationNeedsItsProgramAndItsConfiguration(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	for _, tt := range []struct{ args, want string }{
		{"-config=migrate.hcl", `the program "securevault-server" is not found`},
		{"", "pass -config=FILE"},
	} {
		got := terminal{}.run(t, strings.Fields("operator migrate "+tt.args)...)
		if got.code != ExitLocal || !strings.Contains(got.stderr, tt.want) {
			t.Errorf("%q: exit code %d, %s", tt.args, got.code, got.stderr)
		}
	}
	folder := t.TempDir()
	t.Setenv("PATH", folder)
	script := "#!/bin/sh\necho \"$@\"\n"
	if err := os.WriteFile(filepath.Join(folder, serverProgram), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	terminal{}.run(t, "operator", "migrate", "-config=m.hcl").want(t, ExitOK, "migrate -config=m.hcl\n", "")
}

package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

const examples = "../../../examples/server"

func TestEveryExampleIsValid(t *testing.T) {
	var files []string
	for _, pattern := range []string{"*.yaml", "*.hcl"} {
		found, err := filepath.Glob(filepath.Join(examples, pattern))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	if len(files) < 3 {
		t.Fatalf("the examples are gone: %v", files)
	}
	for _, file := range files {
		var stdout, stderr bytes.Buffer
		if code := run(t.Context(), []string{"validate", "-config", file}, noEnv, &stdout, &stderr); code != exitOK {
			t.Errorf("%s:\n%s", file, stderr.String())
		}
	}
}

// settle puts an example into a folder of its own, with everything that it
// names in there and ports that are free.
func settle(t *testing.T, name string) (folder, file string) {
	t.Helper()
	folder = t.TempDir()
	text, err := os.ReadFile(filepath.Join(examples, name))
	if err != nil {
		t.Fatal(err)
	}
	local := strings.NewReplacer("/etc/securevault", folder, "/var/lib/securevault", folder, "/run/securevault", folder,
		"/var/log/securevault", folder, "127.0.0.1:8200", "127.0.0.1:0").Replace(string(text))
	certificate, key := selfSigned(t)
	file = filepath.Join(folder, name)
	for path, content := range map[string][]byte{
		file: []byte(local), filepath.Join(folder, "tls.crt"): certificate, filepath.Join(folder, "tls.key"): key,
		filepath.Join(folder, "unseal.key"): bytes.Repeat([]byte("k"), 32), filepath.Join(folder, "smtp-password"): []byte("x\n"),
	} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return folder, file
}

func selfSigned(t *testing.T) (certificate, key []byte) {
	t.Helper()
	authority := newAuthority(t, "localhost")
	key, err := authority.KeyPEM()
	if err != nil {
		t.Fatal(err)
	}
	return authority.PEM(), key
}

func TestTheYAMLExampleServes(t *testing.T) {
	folder, file := settle(t, "securevault-config.yaml")
	w := newWorld(t, "")
	w.file, w.socket = file, filepath.Join(folder, "api.sock")
	w.start(t)
	w.initialize(t)
	alerts := w.must(t, "GET", "sys/alerts", nil)["data"].(map[string]any)["alerts"].([]any)
	if len(alerts) != 4 || alerts[2].(map[string]any)["notify"].([]any)[0] != "https://chat.example.com/…" {
		t.Errorf("%v", alerts)
	}
	rules := w.must(t, "GET", "sys/alerts/export", nil)["data"].(map[string]any)["rules"].(string)
	if !strings.Contains(rules, `expr: max(secret_lease_limit_used{mount="database/"}) > 0.9`) || !strings.Contains(rules, "for: 600s") {
		t.Error(rules)
	}
	w.must(t, "PUT", "sys/mounts/database", map[string]any{"type": "database"})
	tune := w.must(t, "GET", "sys/mounts/database/tune", nil)["data"].(map[string]any)
	if tune["default_lease_ttl"] != 3600.0 || tune["max_lease_ttl"] != 86400.0 {
		t.Errorf("%v", tune)
	}
}

func TestTheHCLExampleUnsealsItself(t *testing.T) {
	folder, file := settle(t, "server.hcl")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(folder, "api.sock")
	local := regexp.MustCompile(`(?m)^log_file.*$`).ReplaceAllString(string(text), "") + fmt.Sprintf("listener \"unix\" {\n  address = %q\n}\n", socket)
	if err := os.WriteFile(file, []byte(local), 0o600); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, "")
	w.file, w.socket = file, socket
	w.start(t)
	w.must(t, "PUT", "sys/init", map[string]any{"recovery_shares": 1, "recovery_threshold": 1})
	w.stop(t, syscall.SIGKILL)
	w.start(t)
	if status := w.must(t, "GET", "sys/seal-status", nil); status["sealed"] != false || status["type"] != "static" {
		t.Errorf("%v", status)
	}
	w.stop(t, syscall.SIGTERM)
}

func TestALogBeginsAnewAfterItWasMovedAway(t *testing.T) {
	path := filepath.Join(t.TempDir(), "server.log")
	log, err := openLog(path)
	if err != nil {
		t.Fatal(err)
	}
	defer log.file.Close()
	fmt.Fprintln(log, "one")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(log, "two")
	if err := log.reopen(); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(log, "three")
	for file, want := range map[string]string{path + ".1": "one\ntwo\n", path: "three\n"} {
		if got, err := os.ReadFile(file); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", file, got, err)
		}
	}
}

package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

func noEnv(string) string { return "" }

func TestFlagsThatMakeNoSenseEndWithOneLineAndCodeTwo(t *testing.T) {
	cases := []struct {
		name string
		args []string
		want string
	}{
		{"no flag at all", nil, "start it with -dev"},
		{"an unknown flag", []string{"-devv"}, "flag provided but not defined: -devv; see securevault-server -help"},
		{"an argument", []string{"-dev", "now"}, `unexpected argument "now"`},
		{"an address without port", []string{"-dev", "-dev-listen-address=localhost"}, "write it as host:port"},
		{"an unknown level", []string{"-dev", "-log-level=loud"}, "use trace, debug, info, warn or error"},
		{"an unknown format", []string{"-dev", "-log-format=xml"}, "use standard or json"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			code := run(t.Context(), c.args, noEnv, &stdout, &stderr)
			if code != exitUsage || !strings.Contains(stderr.String(), c.want) || strings.Count(stderr.String(), "\n") != 1 || stdout.Len() > 0 {
				t.Fatalf("code %d, stderr %q, stdout %q", code, stderr.String(), stdout.String())
			}
		})
	}
}

func TestVersionAndHelpGoToStdout(t *testing.T) {
	for flag, want := range map[string]string{"-version": "securevault-server " + version, "-help": "-dev-root-token-id"} {
		var stdout, stderr bytes.Buffer
		if code := run(t.Context(), []string{flag}, noEnv, &stdout, &stderr); code != exitOK || !strings.Contains(stdout.String(), want) || stderr.Len() > 0 {
			t.Errorf("%s: code %d, stdout %q, stderr %q", flag, code, stdout.String(), stderr.String())
		}
	}
}

func TestAnAddressInUseIsNamed(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	var stderr bytes.Buffer
	code := run(t.Context(), []string{"-dev", "-dev-listen-address", taken.Addr().String()}, noEnv, io.Discard, &stderr)
	if code != exitFailed || !strings.HasPrefix(stderr.String(), "securevault-server: listening on "+taken.Addr().String()) ||
		!strings.Contains(stderr.String(), "choose another with -dev-listen-address") {
		t.Fatalf("code %d, stderr %q", code, stderr.String())
	}
}

func TestADevServerTellsItsAddressAndTokenAndEndsCleanly(t *testing.T) {
	ctx, signal := context.WithCancel(t.Context())
	defer signal()
	read, write := io.Pipe()
	env := map[string]string{"VAULT_DEV_ROOT_TOKEN_ID": "from-env", "VAULT_DEV_LISTEN_ADDRESS": "127.0.0.1:0"}
	code := make(chan int, 1)
	var logs bytes.Buffer
	go func() {
		code <- run(ctx, []string{"-dev"}, func(name string) string { return env[name] }, write, &logs)
		write.Close()
	}()

	var banner strings.Builder
	address := ""
	lines := bufio.NewScanner(read)
	for lines.Scan() {
		banner.WriteString(lines.Text() + "\n")
		if _, found, ok := strings.Cut(lines.Text(), "export VAULT_ADDR="); ok {
			address = found
		}
		if strings.Contains(lines.Text(), "Root Token: from-env") {
			break
		}
	}
	go func() { _, _ = io.Copy(io.Discard, read) }()
	if address == "" || strings.HasSuffix(address, ":0") || !strings.Contains(banner.String(), "WARNING: dev mode") {
		t.Fatalf("banner:\n%s", banner.String())
	}
	req, err := http.NewRequestWithContext(t.Context(), "GET", address+"/v1/sys/auth", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer from-env")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK || !bytes.Contains(body, []byte(`"approle/"`)) {
		t.Fatalf("%d %s", resp.StatusCode, body)
	}
	http.DefaultClient.CloseIdleConnections()
	signal()
	if got := <-code; got != exitOK {
		t.Fatalf("exit code %d, logs:\n%s", got, logs.String())
	}
	if strings.Contains(logs.String(), "from-env") {
		t.Fatal("the logs show the root token")
	}
}

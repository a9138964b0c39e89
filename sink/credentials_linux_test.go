package sink

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// serveCredentials runs a socket until the test ends, and returns it when
// there is somebody to answer.
func serveCredentials(t *testing.T, cfg CredentialsConfig) *Credentials {
	t.Helper()
	c := NewCredentials(cfg)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("the socket ended with %v", err)
		}
		if _, err := os.Lstat(cfg.Path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the socket was left behind: %v", err)
		}
	})
	for {
		info, err := os.Lstat(cfg.Path)
		if err == nil && info.Mode().Perm() == c.cfg.Mode.Perm() {
			if _, err := readAs(cfg.Path, ""); err == nil {
				return c
			}
		}
		select {
		case err := <-done:
			done <- err
			t.Fatal(err)
		default:
			runtime.Gosched()
		}
	}
}

// readAs reads as systemd does: bound to an address that names the reader.
func readAs(path, address string) (string, error) {
	dialer := net.Dialer{Timeout: 10 * time.Second}
	if address != "" {
		dialer.LocalAddr = &net.UnixAddr{Net: "unix", Name: address}
	}
	conn, err := dialer.Dial("unix", path)
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close() }()
	content, err := io.ReadAll(conn)
	return string(content), err
}

// systemdAddress is the address that systemd documents in systemd.exec(5).
func systemdAddress(unit, name string) string {
	return "@" + rand.Text() + "/unit/" + unit + "/" + name
}

func TestCredentialsAreGivenToTheUnitsThatMayHaveThem(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run", "credentials.sock")
	log, logged := observer.New(zap.DebugLevel)
	c := serveCredentials(t, CredentialsConfig{
		Path: path, Log: zap.New(log),
		Credentials: []Credential{{Name: "db"}, {Name: "key", Unit: "app.service"}, {Name: "key", Unit: "job@1.service"}, {Name: "db", Unit: "special.service"}},
	})
	if err := c.Publish(map[Credential][]byte{
		{Name: "db"}:                          []byte("p\x00w\n"),
		{Name: "key", Unit: "app.service"}:    []byte("k"),
		{Name: "key", Unit: "job@1.service"}:  []byte("j"),
		{Name: "db", Unit: "special.service"}: []byte("its own"),
		{Name: "unlisted"}:                    []byte("u"),
	}); err != nil {
		t.Fatal(err)
	}
	tests := []struct{ name, address, want string }{
		{"any unit reads what is for all", systemdAddress("web.service", "db"), "p\x00w\n"},
		{"a unit reads what is for it", systemdAddress("app.service", "key"), "k"},
		{"a second unit reads what is for it", systemdAddress("job@1.service", "key"), "j"},
		{"a unit reads its own rather than what is for all", systemdAddress("special.service", "db"), "its own"},
		{"another unit does not", systemdAddress("web.service", "key"), ""},
		{"nobody reads what there is not", systemdAddress("app.service", "nothing"), ""},
		{"nobody reads what is not listed", systemdAddress("app.service", "unlisted"), ""},
		{"a reader without an address reads nothing", "", ""},
		{"a reader with an address of its own making reads nothing", "@" + rand.Text(), ""},
		{"a reader that names no unit reads nothing", "@" + rand.Text() + "/unit/db", ""},
		{"a reader whose credential is a path reads nothing", systemdAddress("app.service", "x/db"), ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := readAs(path, test.address)
			if err != nil {
				t.Fatal(err)
			}
			if got != test.want {
				t.Errorf("the reader got %q, want %q", got, test.want)
			}
		})
	}
	for _, entry := range logged.All() {
		if text := fmt.Sprint(entry.Message, entry.ContextMap()); strings.Contains(text, "p\x00w") {
			t.Errorf("the log tells a credential: %s", text)
		}
	}
}

func TestCredentialsReadTwiceAreThoseOfTheTime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sock")
	c := serveCredentials(t, CredentialsConfig{Path: path, Credentials: []Credential{{Name: "db"}}})
	for _, want := range []string{"first", "second"} {
		if err := c.Publish(map[Credential][]byte{{Name: "db"}: []byte(want)}); err != nil {
			t.Fatal(err)
		}
		if got, err := readAs(path, systemdAddress("app.service", "db")); err != nil || got != want {
			t.Errorf("the reader got %q, %v, want %q", got, err, want)
		}
	}
}

func TestACredentialAskedForTooEarlyIsWaitedFor(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sock")
	c := serveCredentials(t, CredentialsConfig{Path: path, Credentials: []Credential{{Name: "db"}}})
	got := make(chan string)
	go func() {
		content, err := readAs(path, systemdAddress("app.service", "db"))
		got <- fmt.Sprint(content, err)
	}()
	if err := c.Publish(map[Credential][]byte{{Name: "other"}: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	if err := c.Publish(map[Credential][]byte{{Name: "db"}: []byte("late")}); err != nil {
		t.Fatal(err)
	}
	if content := <-got; content != "late<nil>" {
		t.Errorf("the reader got %q", content)
	}
}

func TestACredentialIsNotWaitedForWithoutEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewCredentials(CredentialsConfig{Wait: time.Minute})
		started := time.Now()
		_, err := c.await(t.Context(), Credential{Name: "db"})
		wantError(t, err, "not rendered within 1m0s", "start the unit after the agent")
		if waited := time.Since(started); waited != time.Minute {
			t.Errorf("it was waited for %s", waited)
		}
	})
}

func TestCredentialsSocketHasItsModeAndOwner(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sock")
	serveCredentials(t, CredentialsConfig{Path: path, Mode: 0o660, Owner: fmt.Sprint(os.Getuid()), Group: fmt.Sprint(os.Getgid())})
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o660 || owners(info) != (ids{os.Getuid(), os.Getgid()}) {
		t.Errorf("the socket has mode %s and owner %v", info.Mode(), owners(info))
	}
}

func TestAReaderOfAnotherUserReadsNothing(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Log("only root can be another user: the kernel refuses everybody else by the mode of the socket")
		return
	}
	tests := []struct{ name, owner, want string }{
		{"unless it owns the socket", fmt.Sprint(nobody), "pw"},
		{"else", "", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			folder := t.TempDir()
			path := filepath.Join(folder, "sock")
			c := serveCredentials(t, CredentialsConfig{Path: path, Mode: 0o666, Owner: test.owner, Credentials: []Credential{{Name: "db"}}})
			if err := c.Publish(map[Credential][]byte{{Name: "db"}: []byte("pw")}); err != nil {
				t.Fatal(err)
			}
			open(t, folder)
			t.Cleanup(func() { _ = os.Chmod(filepath.Dir(folder), 0o755); _ = os.Chmod(folder, 0o755) })
			var got string
			var err error
			unprivileged(t, func() { got, err = readAs(path, systemdAddress("app.service", "db")) })
			if err != nil || got != test.want {
				t.Errorf("the reader got %q, %v, want %q", got, err, test.want)
			}
		})
	}
}

func TestTheSocketOfAKilledRunIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sock")
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: path})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	if err := stale.Close(); err != nil {
		t.Fatal(err)
	}
	c := serveCredentials(t, CredentialsConfig{Path: path, Mode: 0o640, Credentials: []Credential{{Name: "db"}}})
	if err := c.Publish(map[Credential][]byte{{Name: "db"}: []byte("pw")}); err != nil {
		t.Fatal(err)
	}
	if got, err := readAs(path, systemdAddress("app.service", "db")); err != nil || got != "pw" {
		t.Errorf("the reader got %q, %v", got, err)
	}
}

func TestASocketThatCannotBeMadeIsRefused(t *testing.T) {
	folder := t.TempDir()
	put(t, folder+"/file", "x", 0o600)
	busy, err := net.Listen("unix", folder+"/busy")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = busy.Close() })
	tests := []struct {
		name string
		cfg  CredentialsConfig
		want string
	}{
		{"a file in the way", CredentialsConfig{Path: folder + "/file"}, "no socket"},
		{"somebody who listens", CredentialsConfig{Path: folder + "/busy"}, "another process"},
		{"a path that is too long", CredentialsConfig{Path: folder + "/" + strings.Repeat("x", 108)}, "too long"},
		{"an unknown owner", CredentialsConfig{Path: folder + "/s", Owner: "no-such-user"}, "no-such-user"},
		{"a credential that is a path", CredentialsConfig{Path: folder + "/s", Credentials: []Credential{{Name: "a/b"}}}, `"a/b"`},
		{"a credential without a name", CredentialsConfig{Path: folder + "/s", Credentials: []Credential{{}}}, "rename it"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			wantError(t, NewCredentials(test.cfg).Run(t.Context()), test.cfg.Path, test.want)
		})
	}
	wantContent(t, folder+"/file", "x")
	large := map[Credential][]byte{{Name: "db"}: make([]byte, maxCredential+1)}
	wantError(t, NewCredentials(CredentialsConfig{}).Publish(large), `"db"`, "write it to a file")
}

func FuzzAsked(f *testing.F) {
	f.Add("@0123456789abcdef/unit/app.service/db")
	f.Add("@/unit//")
	f.Add("")
	f.Fuzz(func(t *testing.T, address string) {
		unit, name, err := asked(&net.UnixAddr{Net: "unix", Name: address})
		if err != nil {
			return
		}
		if unit == "" || !isCredentialName(name) || !strings.HasSuffix(address, "/unit/"+unit+"/"+name) {
			t.Errorf("%q names the unit %q and the credential %q", address, unit, name)
		}
	})
}

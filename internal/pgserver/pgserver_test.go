package pgserver

import (
	"database/sql"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func start(t *testing.T, cfg Config) *Server {
	t.Helper()
	server, err := Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	return server
}

func login(t *testing.T, url string) error {
	t.Helper()
	db, err := sql.Open("postgres", url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	return db.PingContext(t.Context())
}

func TestLoginsNeedTheRightPassword(t *testing.T) {
	t.Parallel()
	server := start(t, Config{Superuser: "vault_admin", Password: "initial-password", Database: "mydb"})
	if err := login(t, server.URL("vault_admin", "initial-password", "mydb")); err != nil {
		t.Errorf("logging in with the right password: %v", err)
	}
	if err := login(t, server.URL("vault_admin", "wrong", "mydb")); err == nil {
		t.Error("a wrong password was accepted")
	}
	plain := strings.Replace(server.URL("vault_admin", "initial-password", "mydb"), "require", "disable", 1)
	if err := login(t, plain); err != nil {
		t.Errorf("logging in without TLS: %v", err)
	}
}

func TestStopEndsTheServerAndRemovesItsFolder(t *testing.T) {
	t.Parallel()
	server := start(t, Config{Superuser: "admin", Password: "p", Database: `odd "name"`})
	pid := server.process.command.Process.Pid
	if err := login(t, server.URL("admin", "p", `odd "name"`)); err != nil {
		t.Fatal(err)
	}
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("the server is still there: %v", err)
	}
	if _, err := os.Stat(server.cfg.Dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder is still there: %v", err)
	}
}

// TestTheServerEndsWithAKilledProgram runs this test binary again, as the
// program that starts a server and is killed.
func TestTheServerEndsWithAKilledProgram(t *testing.T) {
	const marker = "PGSERVER_TEST_FOLDER"
	if dir := os.Getenv(marker); dir != "" {
		if _, err := Start(t.Context(), Config{Dir: dir, Superuser: "admin", Password: "p", Database: "d"}); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(os.Getpid(), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		select {}
	}
	dir, err := os.MkdirTemp("", "pgserver-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	command := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$")
	command.Env = append(os.Environ(), marker+"="+dir)
	output, err := command.CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.Exited() {
		t.Fatalf("the program was not killed: %v\n%s", err, output)
	}
	pidFile := filepath.Join(dir, dataName, "postmaster.pid")
	for deadline := time.Now().Add(startLimit); ; time.Sleep(pollDelay) {
		content, err := os.ReadFile(pidFile)
		if errors.Is(err, os.ErrNotExist) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the server lives on: %s", content)
		}
	}
}

func TestMistakesAreExplained(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		run  func(t *testing.T) error
		want string
	}{
		"a configuration without a password": {
			run: func(t *testing.T) error {
				_, err := Start(t.Context(), Config{Superuser: "admin", Database: "d"})
				return err
			},
			want: "superuser, password and database must be given",
		},
		"a folder that holds a cluster already": {
			run: func(t *testing.T) error {
				server := start(t, Config{Superuser: "admin", Password: "p", Database: "d"})
				_, err := Start(t.Context(), Config{Dir: server.cfg.Dir, Superuser: "admin", Password: "p", Database: "d"})
				return err
			},
			want: "file exists",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := test.run(t); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
		})
	}
}

func TestTheNewestVersionIsUsed(t *testing.T) {
	root := t.TempDir()
	for _, version := range []string{"9", "15", "17"} {
		bin := filepath.Join(root, version, "bin")
		if err := os.MkdirAll(bin, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(bin, "initdb"), nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	got, err := findBinaries(filepath.Join(root, "*", "bin"))
	if want := filepath.Join(root, "17", "bin"); err != nil || got != want {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
	t.Setenv("PATH", "")
	if _, err := findBinaries(filepath.Join(root, "none", "*", "bin")); err == nil || !strings.Contains(err.Error(), "apt-get install postgresql") {
		t.Errorf("got %v, want the hint what to install", err)
	}
}

// Package postgrestest starts a real PostgreSQL that lives as long as a test
// binary: in a temporary folder, on loopback and a free port, with passwords
// checked by scram-sha-256. A package's TestMain starts one and stops it:
//
//	func TestMain(m *testing.M) {
//		server = postgrestest.MustStart()
//		code := m.Run()
//		server.Stop()
//		os.Exit(code)
//	}
package postgrestest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/novatech/securevault/server/engines/enginetest/process"
)

// The superuser of every server, and the database to log in to.
const (
	Superuser = "postgres"
	Password  = "postgrestest-superuser"
	Database  = "postgres"
)

const startLimit = time.Minute

// Server is a running PostgreSQL.
type Server struct {
	Port    int
	folder  string
	process *process.Process // nil: not started
}

// MustStart is Start for TestMain: it ends the process with the reason on
// standard error if there is no PostgreSQL to start.
func MustStart() *Server {
	server, err := Start()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return server
}

// Start makes a new cluster and returns once it accepts logins. The caller must
// call Stop. Settings are of postgresql.conf, as in "fsync=on", over those that
// suit tests.
func Start(settings ...string) (*Server, error) {
	return begin(func(*Server) ([]string, error) { return settings, nil })
}

// begin makes a cluster and asks for the settings of its server.
func begin(settings func(*Server) ([]string, error)) (*Server, error) {
	binaries, err := findBinaries()
	if err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp("", "postgrestest-")
	if err != nil {
		return nil, err
	}
	server := &Server{folder: folder}
	if err := server.start(binaries, settings); err != nil {
		server.Stop()
		return nil, fmt.Errorf("starting PostgreSQL in %s: %w", folder, err)
	}
	return server, nil
}

// findBinaries returns the folder of the newest installed version.
func findBinaries() (string, error) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		if path, err := exec.LookPath("initdb"); err == nil {
			return filepath.Dir(path), nil
		}
		return "", errors.New("this test needs a real PostgreSQL: apt-get install postgresql")
	}
	version := func(path string) int {
		number, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
		return number
	}
	newest := slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) })
	return filepath.Dir(newest), nil
}

func (s *Server) start(binaries string, settings func(*Server) ([]string, error)) error {
	given, err := settings(s)
	if err != nil {
		return err
	}
	data := filepath.Join(s.folder, "data")
	passwordFile := filepath.Join(s.folder, "password")
	if err := os.WriteFile(passwordFile, []byte(Password), 0o600); err != nil {
		return err
	}
	account, err := process.Unprivileged(s.folder, "postgres", "apt-get install postgresql")
	if err != nil {
		return err
	}
	initdb := exec.Command(filepath.Join(binaries, "initdb"), "--pgdata", data, "--username", Superuser,
		"--pwfile", passwordFile, "--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C", "--no-sync")
	initdb.SysProcAttr = &syscall.SysProcAttr{Credential: account}
	initdb.Dir = s.folder
	if output, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("running initdb: %w: %s", err, output)
	}
	if s.Port, err = process.FreePort(); err != nil {
		return err
	}
	postgres := exec.Command(filepath.Join(binaries, "postgres"), "-D", data, "-p", strconv.Itoa(s.Port),
		"-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="+s.folder, "-c", "fsync=off")
	for _, setting := range given {
		postgres.Args = append(postgres.Args, "-c", setting)
	}
	postgres.SysProcAttr = &syscall.SysProcAttr{Credential: account}
	postgres.Dir = s.folder
	if s.process, err = process.Start(postgres, filepath.Join(s.folder, "log"), syscall.SIGQUIT); err != nil {
		return err
	}
	return s.awaitLogin()
}

func (s *Server) awaitLogin() error {
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	return s.process.Await(ctx, "logging in", func(ctx context.Context) error {
		conn, err := pgx.Connect(ctx, s.URL(Superuser, Password, Database))
		if err != nil {
			return err
		}
		return conn.Close(ctx)
	})
}

// Stop ends the server and removes its folder.
func (s *Server) Stop() {
	if s.process != nil {
		s.process.Stop()
	}
	_ = os.RemoveAll(s.folder)
}

// URL returns the address of a database for a user.
func (s *Server) URL(username, password, database string) string {
	address := url.URL{Scheme: "postgresql", User: url.UserPassword(username, password),
		Host: s.address(), Path: database, RawQuery: "sslmode=disable"}
	return address.String()
}

// Template returns the connection_url of a configuration for a database.
func (s *Server) Template(database string) string {
	return "postgresql://{{username}}:{{password}}@" + s.address() + "/" + database + "?sslmode=disable"
}

func (s *Server) address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.Port)) }

// Connect logs in for the length of the test.
func (s *Server) Connect(t testing.TB, username, password, database string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), s.URL(username, password, database))
	if err != nil {
		t.Fatalf("logging in as %q: %v", username, err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// Exec runs statements as the superuser.
func (s *Server) Exec(t testing.TB, database, statements string) {
	t.Helper()
	conn := s.Connect(t, Superuser, Password, database)
	if _, err := conn.Exec(t.Context(), statements); err != nil {
		t.Fatalf("running %q: %v", statements, err)
	}
}

// Scalar returns the only value of the only row of a query, run as the superuser.
func Scalar[T any](t testing.TB, s *Server, database, query string, args ...any) T {
	t.Helper()
	var value T
	if err := s.Connect(t, Superuser, Password, database).QueryRow(t.Context(), query, args...).Scan(&value); err != nil {
		t.Fatalf("running %q: %v", query, err)
	}
	return value
}

// NewDatabase makes an empty database that is dropped after the test.
func (s *Server) NewDatabase(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("test_%d", time.Now().UnixNano())
	s.Exec(t, Database, "CREATE DATABASE "+name)
	t.Cleanup(func() {
		conn, err := pgx.Connect(context.Background(), s.URL(Superuser, Password, Database))
		if err != nil {
			t.Errorf("dropping database %s: %v", name, err)
			return
		}
		defer func() { _ = conn.Close(context.Background()) }()
		if _, err := conn.Exec(context.Background(), "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			t.Errorf("dropping database %s: %v", name, err)
		}
	})
	return name
}

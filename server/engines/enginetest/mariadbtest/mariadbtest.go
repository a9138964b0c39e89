// Package mariadbtest starts a real MariaDB that lives as long as a test binary:
// in a temporary folder, on loopback and a free port and on a unix socket, with
// TLS from an authority of its own. A package's TestMain starts one and stops it:
//
//	func TestMain(m *testing.M) {
//		server = mariadbtest.MustStart()
//		code := m.Run()
//		server.Stop()
//		os.Exit(code)
//	}
//
// client.go is how tests log in and look.
package mariadbtest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/novatech/securevault/server/engines/enginetest/certtest"
	"github.com/novatech/securevault/server/engines/enginetest/process"
)

// The superuser of every server, at any host.
const (
	Superuser = "root"
	Password  = "mariadbtest-superuser"
)

const startLimit = time.Minute

// Server is a running MariaDB.
type Server struct {
	Port   int
	Socket string // path of its unix socket

	Authority *certtest.Authority // vouches for the server, and for clients that the server is to believe

	folder  string
	process *process.Process // nil: not started
}

// MustStart is Start for TestMain: it ends the process with the reason on
// standard error if there is no MariaDB to start.
func MustStart() *Server {
	server, err := Start()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return server
}

// Start makes a new server and returns once it accepts logins. The caller must
// call Stop. Settings are of mariadbd, as in "max-connections=20", over those
// that suit tests.
func Start(settings ...string) (*Server, error) {
	installer, program, err := findPrograms()
	if err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp("", "mariadbtest-")
	if err != nil {
		return nil, err
	}
	server := &Server{folder: folder, Socket: filepath.Join(folder, "socket")}
	if err := server.start(installer, program, settings); err != nil {
		server.Stop()
		return nil, fmt.Errorf("starting MariaDB in %s: %w", folder, err)
	}
	return server, nil
}

// findPrograms returns what makes the system tables, and the server.
func findPrograms() (installer, program string, err error) {
	installer, installerErr := exec.LookPath("mariadb-install-db")
	program, programErr := exec.LookPath("mariadbd")
	if programErr != nil {
		program, programErr = exec.LookPath("/usr/sbin/mariadbd") // not on everybody's path
	}
	if installerErr != nil || programErr != nil {
		return "", "", errors.New("this test needs a real MariaDB: apt-get install mariadb-server")
	}
	return installer, program, nil
}

func (s *Server) start(installer, program string, settings []string) error {
	arguments, err := s.prepare(settings)
	if err != nil {
		return err
	}
	account, err := process.Unprivileged(s.folder, "mysql", "apt-get install mariadb-server")
	if err != nil {
		return err
	}
	if err := s.install(installer, account); err != nil {
		return err
	}
	mariadbd := exec.Command(program, arguments...)
	mariadbd.SysProcAttr = &syscall.SysProcAttr{Credential: account}
	mariadbd.Dir = s.folder
	if s.process, err = process.Start(mariadbd, filepath.Join(s.folder, "log"), syscall.SIGKILL); err != nil {
		return err
	}
	return s.awaitLogin()
}

// install makes the system tables.
func (s *Server) install(installer string, account *syscall.Credential) error {
	install := exec.Command(installer, "--no-defaults", "--datadir="+s.data(), "--skip-test-db", "--skip-name-resolve",
		"--auth-root-authentication-method=normal")
	install.SysProcAttr = &syscall.SysProcAttr{Credential: account}
	install.Dir = s.folder
	if output, err := install.CombinedOutput(); err != nil {
		return fmt.Errorf("running mariadb-install-db: %w: %s", err, output)
	}
	return nil
}

// prepare writes what the server reads at its start, and returns its arguments.
func (s *Server) prepare(settings []string) (arguments []string, err error) {
	if s.Authority, err = certtest.New("mariadbtest"); err != nil {
		return nil, err
	}
	files, err := s.Authority.Write(s.folder, "server", "127.0.0.1", "localhost")
	if err != nil {
		return nil, err
	}
	accounts := filepath.Join(s.folder, "accounts.sql")
	if err := os.WriteFile(accounts, []byte(firstStatements), 0o600); err != nil {
		return nil, err
	}
	if s.Port, err = process.FreePort(); err != nil {
		return nil, err
	}
	arguments = []string{"--no-defaults", "--datadir=" + s.data(), "--socket=" + s.Socket, "--pid-file=" + filepath.Join(s.folder, "pid"),
		"--bind-address=127.0.0.1", "--port=" + strconv.Itoa(s.Port), "--skip-name-resolve", "--init-file=" + accounts,
		"--ssl-ca=" + files.Authority, "--ssl-cert=" + files.Certificate, "--ssl-key=" + files.Key,
		"--skip-log-bin", "--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=16M"}
	for _, setting := range settings {
		arguments = append(arguments, "--"+setting)
	}
	return arguments, nil
}

// firstStatements leave one superuser, whom the server knows at any host. Each
// stands on a line of its own, as the server wants it.
const firstStatements = `CREATE USER '` + Superuser + `'@'%' IDENTIFIED BY '` + Password + `';
GRANT ALL PRIVILEGES ON *.* TO '` + Superuser + `'@'%' WITH GRANT OPTION;
DELETE FROM mysql.global_priv WHERE Host <> '%' AND User <> 'mariadb.sys';
FLUSH PRIVILEGES;
`

func (s *Server) data() string { return filepath.Join(s.folder, "data") }

// awaitLogin returns once the superuser can log in, by when the first statements
// are through.
func (s *Server) awaitLogin() error {
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	db, err := s.open(Superuser, Password, "", nil)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	return s.process.Await(ctx, "logging in", db.PingContext)
}

// Stop ends the server and removes its folder.
func (s *Server) Stop() {
	if s.process != nil {
		s.process.Stop()
	}
	_ = os.RemoveAll(s.folder)
}

// Address returns its host:port.
func (s *Server) Address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.Port)) }

// Package pgserver runs a throw-away PostgreSQL, a real one, for the end-to-end
// tests and the demo.
//
// [Start] makes a new cluster in a folder and serves it on loopback and a free
// port, to clients that present a password (scram-sha-256). TLS is on, with a
// certificate made for the occasion, so that `sslmode=require` works as it does
// in production. The server ends with [Server.Stop], and also if the program
// that started it is killed.
//
// PostgreSQL refuses to run as root: if we are, it runs as the account postgres
// and owns its folder. Start reading at [Start]; process.go holds the life of
// the process, files.go what it needs on disk.
package pgserver

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"time"

	_ "github.com/lib/pq" // the driver that logs in, as in the guide
)

// Config says what to start.
type Config struct {
	// Dir is the folder of the cluster, its socket and its log. It is handed to
	// the account postgres if we are root, who must be able to reach it. Empty
	// means a new folder in the system's temporary one, removed by Stop.
	Dir string
	// Superuser and Password are the account of the cluster's owner; required.
	Superuser, Password string
	// Database is created beside PostgreSQL's own; required.
	Database string
	// Durable keeps fsync on. Without it a power cut may cost the data.
	Durable bool
}

const (
	host       = "127.0.0.1"
	startLimit = time.Minute
	pollDelay  = 20 * time.Millisecond
)

// Server is a running PostgreSQL.
type Server struct {
	// Port is the TCP port on loopback.
	Port int

	cfg     Config
	remove  bool // Dir is ours
	process *process
}

// Start makes a new cluster and returns once it accepts logins and has the
// database. The caller must call [Server.Stop]. ctx bounds the start alone.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	if cfg.Superuser == "" || cfg.Password == "" || cfg.Database == "" {
		return nil, errors.New("starting PostgreSQL: superuser, password and database must be given")
	}
	binaries, err := findBinaries("/usr/lib/postgresql/*/bin")
	if err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, remove: cfg.Dir == ""}
	if s.remove {
		if s.cfg.Dir, err = os.MkdirTemp("", "pgserver-"); err != nil {
			return nil, fmt.Errorf("making a folder for PostgreSQL: %w", err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	if err := s.start(ctx, binaries); err != nil {
		return nil, fmt.Errorf("starting PostgreSQL in %q: %w", s.cfg.Dir, errors.Join(err, s.Stop()))
	}
	return s, nil
}

// start is Start once there are binaries and a folder.
func (s *Server) start(ctx context.Context, binaries string) error {
	account, err := unprivileged()
	if err != nil {
		return err
	}
	if err := prepareFolder(s.cfg, account); err != nil {
		return err
	}
	if err := initdb(ctx, binaries, s.cfg, account); err != nil {
		return err
	}
	if s.Port, err = freePort(); err != nil {
		return err
	}
	if s.process, err = launch(binaries, s.cfg, s.Port, account); err != nil {
		return err
	}
	if err := s.awaitLogin(ctx); err != nil {
		return err
	}
	return s.Exec(ctx, "postgres", "CREATE DATABASE "+quoteName(s.cfg.Database))
}

// awaitLogin returns once the superuser can log in, or the server has ended.
func (s *Server) awaitLogin(ctx context.Context) error {
	for {
		err := s.Exec(ctx, "postgres", "SELECT 1")
		if err == nil {
			return nil
		}
		select {
		case <-s.process.ended:
			log, _ := os.ReadFile(filepath.Join(s.cfg.Dir, logName))
			return fmt.Errorf("the server ended at once: %s", log)
		case <-ctx.Done():
			return fmt.Errorf("waiting for a login to succeed: %w", err)
		case <-time.After(pollDelay):
		}
	}
}

// Stop ends the server, breaking off its connections, and waits until it is
// gone. A folder that Start made is removed. Calling it again does nothing.
func (s *Server) Stop() error {
	if s.process != nil {
		s.process.stop()
	}
	if !s.remove {
		return nil
	}
	return os.RemoveAll(s.cfg.Dir)
}

// Host returns the address to connect to, without the port.
func (s *Server) Host() string { return host }

// URL returns the address of a database for a user, in the form that every
// PostgreSQL client reads.
func (s *Server) URL(user, password, database string) string {
	address := url.URL{
		Scheme:   "postgresql",
		User:     url.UserPassword(user, password),
		Host:     net.JoinHostPort(host, fmt.Sprint(s.Port)),
		Path:     database,
		RawQuery: "sslmode=require",
	}
	return address.String()
}

// Exec runs statements as the superuser that Start was given.
func (s *Server) Exec(ctx context.Context, database, statements string) error {
	db, err := sql.Open("postgres", s.URL(s.cfg.Superuser, s.cfg.Password, database))
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	_, err = db.ExecContext(ctx, statements)
	return err
}

package mariadbtest

import (
	"context"
	"crypto/tls"
	"database/sql"
	"fmt"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
)

// open returns a pool for a user; how nil means without TLS.
func (s *Server) open(username, password, database string, how *tls.Config) (*sql.DB, error) {
	config := mysql.NewConfig()
	config.Net, config.Addr = "tcp", s.Address()
	config.User, config.Passwd, config.DBName = username, password, database
	config.TLS = how
	config.MultiStatements = true
	config.Logger = &mysql.NopLogger{}
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector), nil
}

// Login logs a user in. The caller closes the session.
func (s *Server) Login(ctx context.Context, username, password, database string) (*sql.DB, error) {
	return s.login(ctx, username, password, database, nil)
}

// LoginTLS is Login over TLS, with a certificate or without.
func (s *Server) LoginTLS(ctx context.Context, username, password, database string, certificates ...tls.Certificate) (*sql.DB, error) {
	how := &tls.Config{RootCAs: s.Authority.Pool(), Certificates: certificates, MinVersion: tls.VersionTLS12}
	return s.login(ctx, username, password, database, how)
}

// login keeps to one connection, so that a session that was ended cannot come
// back as another one unless the login still works.
func (s *Server) login(ctx context.Context, username, password, database string, how *tls.Config) (*sql.DB, error) {
	db, err := s.open(username, password, database, how)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	if err := db.PingContext(ctx); err != nil {
		_ = db.Close()
		return nil, err
	}
	return db, nil
}

// asSuperuser returns a session for the caller to close.
func (s *Server) asSuperuser(t testing.TB) *sql.DB {
	t.Helper()
	db, err := s.open(Superuser, Password, "", nil)
	if err != nil {
		t.Fatalf("preparing a login as the superuser: %v", err)
	}
	return db
}

// Exec runs statements as the superuser, also when the test is over.
func (s *Server) Exec(t testing.TB, statements string) {
	t.Helper()
	db := s.asSuperuser(t)
	defer func() { _ = db.Close() }()
	if _, err := db.ExecContext(context.WithoutCancel(t.Context()), statements); err != nil {
		t.Fatalf("running %q: %v", statements, err)
	}
}

// Column returns the only column of a query, run as the superuser, also when the
// test is over.
func Column[T any](t testing.TB, s *Server, query string, args ...any) []T {
	t.Helper()
	db := s.asSuperuser(t)
	defer func() { _ = db.Close() }()
	rows, err := db.QueryContext(context.WithoutCancel(t.Context()), query, args...)
	if err != nil {
		t.Fatalf("running %q: %v", query, err)
	}
	defer func() { _ = rows.Close() }()
	var values []T
	for rows.Next() {
		var value T
		if err := rows.Scan(&value); err != nil {
			t.Fatalf("reading what %q returns: %v", query, err)
		}
		values = append(values, value)
	}
	if err := rows.Err(); err != nil {
		t.Fatalf("reading what %q returns: %v", query, err)
	}
	return values
}

// NewDatabase makes an empty database that is dropped after the test.
func (s *Server) NewDatabase(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("test_%d", time.Now().UnixNano())
	s.Exec(t, "CREATE DATABASE "+name)
	t.Cleanup(func() { s.Exec(t, "DROP DATABASE "+name) })
	return name
}

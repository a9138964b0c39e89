// Package oraclestandin stands in for an Oracle Database 12.1 where none can be
// had: it speaks TNS and TTC on a loopback port, so that a real driver really
// connects, logs in and runs statements. It is no database. It knows accounts,
// roles, privileges, sessions and a few tables, reads a subset of Oracle's SQL
// strictly, and refuses all else with the ORA- error a server would give.
//
// Oracle publishes no description of TTC. What is here was derived from what
// go-ora sends and expects, the login (O5LOGON with the 12c verifier: PBKDF2,
// SHA-512, AES-256) included. It shares no code with the driver, but it cannot
// tell where the driver errs about a real server.
//
// Start reading at session.go (what a client may ask), then tns.go (packets),
// ttc.go (messages), login.go, call.go. The SQL is in token.go, parser.go,
// account.go, grant.go, query.go and block.go; catalog.go holds the state.
package oraclestandin

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"sync"
)

// What every server holds at its start: a service, a DBA, an account that has
// the least a plugin needs, and the owner of the tables ORDERS and CUSTOMERS.
const (
	Service        = "SHOP"
	System         = "SYSTEM"
	SystemPassword = "oraclestandin-system"
	Admin          = "VAULT_ADMIN"
	AdminPassword  = "oraclestandin-admin"
	Schema         = "SHOP"
)

// Server is a running stand-in.
type Server struct {
	listener net.Listener
	database *database

	mu    sync.Mutex
	open  map[net.Conn]struct{} // those that are served
	ended bool
	work  sync.WaitGroup
}

// MustStart is Start for TestMain: it ends the process with the reason on
// standard error if the server does not start.
func MustStart() *Server {
	server, err := Start(nil)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return server
}

// Start listens on loopback, with TLS if config is given. The caller must call
// Stop.
func Start(config *tls.Config) (*Server, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("starting the stand-in for Oracle: %w", err)
	}
	if config != nil {
		listener = tls.NewListener(listener, config)
	}
	server := &Server{listener: listener, database: newDatabase(), open: map[net.Conn]struct{}{}}
	server.work.Go(server.accept)
	return server, nil
}

// Stop ends every session and returns once nothing of the server is left.
func (s *Server) Stop() {
	s.mu.Lock()
	s.ended = true
	_ = s.listener.Close()
	for conn := range s.open {
		_ = conn.Close()
	}
	s.mu.Unlock()
	s.work.Wait()
}

// Address returns the host and port.
func (s *Server) Address() string { return s.listener.Addr().String() }

// URL returns the address for a user, in the driver's form.
func (s *Server) URL(username, password string) string {
	address := url.URL{Scheme: "oracle", User: url.UserPassword(username, password), Host: s.Address(), Path: Service}
	return address.String()
}

func (s *Server) accept() {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return
		}
		if !s.keep(conn) {
			return
		}
		s.work.Go(func() {
			defer s.forget(conn)
			serve(conn, s.database)
		})
	}
}

// keep remembers a connection for Stop, and tells whether it may be served.
func (s *Server) keep(conn net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		_ = conn.Close()
		return false
	}
	s.open[conn] = struct{}{}
	return true
}

func (s *Server) forget(conn net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = conn.Close()
	delete(s.open, conn)
}

// oraError is an error as a client sees it.
type oraError struct {
	code int
	text string
}

func (e *oraError) Error() string { return fmt.Sprintf("ORA-%05d: %s", e.code, e.text) }

// refuse makes the error of a code.
func refuse(code int, format string, args ...any) *oraError {
	return &oraError{code, fmt.Sprintf(format, args...)}
}

// codeOf returns the code of an error of this package, 0 for any other.
func codeOf(err error) int {
	var refused *oraError
	if errors.As(err, &refused) {
		return refused.code
	}
	return 0
}

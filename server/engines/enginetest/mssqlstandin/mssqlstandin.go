// Package mssqlstandin is a stand-in for Microsoft SQL Server, which cannot be
// had here: it speaks TDS on loopback and understands the part of T-SQL by which
// logins, users, roles and permissions are managed. It is written from MS-TDS
// and the T-SQL reference, and shares no code with any client.
//
// It is strict. A login must prove its password in a well-formed LOGIN7; a batch
// is parsed whole before any of it runs, and what it does not understand is a
// syntax error (102); every statement needs the permissions that SQL Server asks
// for; errors carry SQL Server's numbers. Transactions are real, and a killed
// session ends.
//
//	server := mssqlstandin.MustStart()
//	defer server.Stop()
//	db, err := sql.Open("sqlserver", server.URL(mssqlstandin.Admin, mssqlstandin.Password, "master"))
//
// The wire: packet.go, prelogin.go, login.go, request.go, token.go. The language:
// scan.go, parse.go, expression.go. The state: catalog.go, permission.go, and
// what changes and reads it: define….go, grant.go, query.go. A session's life is
// in session.go and transaction.go.
package mssqlstandin

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
)

// The administrator of every server.
const (
	Admin    = "sa"
	Password = "Mssqlstandin-Admin-1"
)

// Option changes what a server is.
type Option func(*Server)

// Azure makes it an Azure SQL Database: contained users in every database, no
// USE, no view beyond the database.
func Azure() Option { return func(s *Server) { s.azure = true } }

// Server is a running stand-in.
type Server struct {
	azure       bool
	listener    net.Listener
	certificate tls.Certificate
	work        sync.WaitGroup
	writer      chan struct{} // held by the session whose transaction changes the catalog

	mu         sync.Mutex
	committed  *catalog         // never changed, only replaced
	sessions   map[int]*session // session_id → who is logged in
	conns      map[net.Conn]struct{}
	stopped    bool
	nextID     int
	statements []string // what clients sent, in order
	faults     []fault
}

// fault makes a statement fail that would not.
type fault struct {
	prefix string
	refusal
}

// MustStart is Start for TestMain: it ends the process if that fails.
func MustStart(options ...Option) *Server {
	server, err := Start(options...)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return server
}

// Start listens on loopback and a free port. The caller must call Stop.
func Start(options ...Option) (*Server, error) {
	server := &Server{
		writer:   make(chan struct{}, 1),
		sessions: map[int]*session{},
		conns:    map[net.Conn]struct{}{},
		nextID:   firstSessionID,
	}
	for _, option := range options {
		option(server)
	}
	server.committed = newCatalog(server.azure)
	var err error
	if server.certificate, err = newCertificate(); err != nil {
		return nil, fmt.Errorf("making the stand-in's certificate: %w", err)
	}
	if server.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, fmt.Errorf("listening as SQL Server: %w", err)
	}
	server.work.Go(server.accept)
	return server, nil
}

// Stop ends every session and returns when they are gone.
func (s *Server) Stop() {
	_ = s.listener.Close()
	s.mu.Lock()
	s.stopped = true
	for conn := range s.conns {
		_ = conn.Close()
	}
	s.mu.Unlock()
	s.work.Wait()
}

// Address returns host:port.
func (s *Server) Address() string { return s.listener.Addr().String() }

// URL returns a URL to log in with.
func (s *Server) URL(username, password, database string) string {
	return (&url.URL{
		Scheme:   "sqlserver",
		User:     url.UserPassword(username, password),
		Host:     s.Address(),
		RawQuery: url.Values{"database": {database}}.Encode(),
	}).String()
}

// Statements returns the texts of all batches so far, with their secrets.
func (s *Server) Statements() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.statements)
}

// FailNext makes the next statement that begins with the prefix, which is
// searched for in the text of its batch, fail with that error of SQL Server.
func (s *Server) FailNext(prefix string, number int, message string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, fault{prefix, refusal{number: number, class: 13, message: message}})
}

// Lock locks a login out, as too many wrong passwords do.
func (s *Server) Lock(login string) {
	s.writer <- struct{}{}
	defer func() { <-s.writer }()
	s.mu.Lock()
	defer s.mu.Unlock()
	next := s.committed.clone()
	if found := next.logins[key(login)]; found != nil {
		found.locked = true
	}
	s.committed = next
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
			defer s.drop(conn)
			s.serve(conn)
		})
	}
}

// keep has Stop close the connection; it returns false after Stop.
func (s *Server) keep(conn net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		_ = conn.Close()
		return false
	}
	s.conns[conn] = struct{}{}
	return true
}

func (s *Server) drop(conn net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = conn.Close()
	delete(s.conns, conn)
}

// record keeps the text of a batch and returns the fault that is meant for it.
func (s *Server) record(text string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.statements = append(s.statements, text)
	for i, planned := range s.faults {
		if strings.Contains(text, planned.prefix) {
			s.faults = slices.Delete(s.faults, i, i+1)
			return planned.refusal
		}
	}
	return nil
}

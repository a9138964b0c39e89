// Package mongostandin stands in for MongoDB in tests: a standalone mongod 7.0 as
// far as accounts go, on loopback and a free port, with everything in memory. It
// is written from MongoDB's public documentation and driver specifications, and
// calls none of our own engines.
//
// It takes nothing on trust: passwords are proved by SCRAM, certificates by TLS,
// each command is checked against the roles of who sent it, and a command or a
// field that it does not know is refused with mongod's code. A user who is
// dropped loses all rights at once, also on connections that are open. Like
// mongod with net.tls.mode=preferTLS it takes both plain and TLS connections.
//
// Start reading at connection.go (a client's life), then message.go (the wire),
// handshake.go (hello, SCRAM, X.509), user.go (accounts), role.go (rights).
package mongostandin

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/url"
	"os"
	"sync"
	"sync/atomic"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/novatech/securevault/server/engines/enginetest/certtest"
)

// The first account, which may do everything.
const (
	Admin    = "admin"
	Password = "mongostandin-admin"
)

// Server is a running stand-in.
type Server struct {
	// Authority vouches for the server, and for the clients it believes.
	Authority *certtest.Authority

	listener net.Listener
	tls      *tls.Config
	process  bson.ObjectID // as in topologyVersion
	commands map[string]command
	faults   faults

	ctx    context.Context // ends with Stop
	cancel context.CancelFunc
	work   sync.WaitGroup
	serial atomic.Int32 // for ids of connections, operations and messages

	mu         sync.Mutex
	open       map[net.Conn]struct{}
	users      map[principal]*account
	documents  map[string][]bson.Raw // "database.collection" → what was inserted
	sessions   map[string]principal  // id of a logical session → whose it is
	operations map[int32]*operation  // what is being carried out, by its id
	received   map[string][]bson.Raw // command → those that changed or ended something
}

// MustStart is Start for TestMain: it ends the process with the reason on
// standard error if the stand-in cannot start.
func MustStart() *Server {
	server, err := Start()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return server
}

// Start makes a server with one account. The caller must call Stop.
func Start() (*Server, error) {
	authority, err := certtest.New("mongostandin")
	if err != nil {
		return nil, fmt.Errorf("making an authority: %w", err)
	}
	certificate, err := authority.Issue("mongostandin server", "127.0.0.1", "localhost")
	if err != nil {
		return nil, fmt.Errorf("making the server's certificate: %w", err)
	}
	s := &Server{
		Authority: authority, process: bson.NewObjectID(), commands: commands(),
		tls:  &tls.Config{Certificates: []tls.Certificate{certificate}, ClientCAs: authority.Pool(), ClientAuth: tls.VerifyClientCertIfGiven},
		open: map[net.Conn]struct{}{}, users: map[principal]*account{}, documents: map[string][]bson.Raw{},
		sessions: map[string]principal{}, operations: map[int32]*operation{}, received: map[string][]bson.Raw{},
	}
	admin, err := newAccount(principal{Admin, adminDatabase}, Password, []role{{"root", adminDatabase}})
	if err != nil {
		return nil, fmt.Errorf("making the admin: %w", err)
	}
	s.users[admin.principal] = admin
	if s.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, fmt.Errorf("listening: %w", err)
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.work.Go(s.accept)
	return s, nil
}

// Stop ends every connection, and returns when nothing of the server is left.
func (s *Server) Stop() {
	s.cancel()
	_ = s.listener.Close()
	s.mu.Lock()
	for conn := range s.open {
		_ = conn.Close()
	}
	s.mu.Unlock()
	s.work.Wait()
}

// Address returns the host:port of the server.
func (s *Server) Address() string { return s.listener.Addr().String() }

// URL returns the address for an account of the database admin.
func (s *Server) URL(username, password string) string {
	address := url.URL{Scheme: "mongodb", User: url.UserPassword(username, password),
		Host: s.Address(), Path: "/" + adminDatabase, RawQuery: "directConnection=true"}
	return address.String()
}

// Received returns the commands of that name in the order in which they came, of
// those that make, change or end accounts and sessions. Passwords are in them.
func (s *Server) Received(name string) []bson.Raw {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]bson.Raw(nil), s.received[name]...)
}

// Sessions returns how many logical sessions an account has.
func (s *Server) Sessions(username, database string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	count := 0
	for _, owner := range s.sessions {
		if owner == (principal{username, database}) {
			count++
		}
	}
	return count
}

func (s *Server) accept() {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.open[conn] = struct{}{}
		s.mu.Unlock()
		if s.ctx.Err() != nil {
			_ = conn.Close()
		}
		s.work.Go(func() {
			s.serve(conn)
			_ = conn.Close()
			s.mu.Lock()
			delete(s.open, conn)
			s.mu.Unlock()
		})
	}
}

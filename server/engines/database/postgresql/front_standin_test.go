package postgresql_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"
)

// front stands in for a PostgreSQL of a cloud, at the wire. It insists on TLS,
// asks for a password in clear, as PAM does at Amazon and the IAM plugin at
// Google, and has the token that it gets checked. Who passes is let through to a
// real PostgreSQL, which trusts the members of a group.
type front struct {
	listener net.Listener
	tls      *tls.Config
	check    func(user, token string) error
	work     sync.WaitGroup

	mu     sync.Mutex
	open   map[net.Conn]struct{}
	tokens []string // that passed, in order
}

// newFront listens for the length of the test; serve makes it answer.
func newFront(t *testing.T) *front {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := authority.Issue("front", "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	f := &front{listener: listener, tls: &tls.Config{Certificates: []tls.Certificate{certificate}}, open: map[net.Conn]struct{}{}}
	t.Cleanup(f.stop)
	return f
}

func (f *front) address() string { return f.listener.Addr().String() }

// serve lets in whom check has nothing against.
func (f *front) serve(check func(user, token string) error) {
	f.check = check
	f.work.Go(func() {
		for {
			conn, err := f.listener.Accept()
			if err != nil {
				return
			}
			f.work.Go(func() { f.session(conn) })
		}
	})
}

func (f *front) stop() {
	_ = f.listener.Close()
	f.mu.Lock()
	for conn := range f.open {
		_ = conn.Close()
	}
	f.mu.Unlock()
	f.work.Wait()
}

func (f *front) keep(conn net.Conn) func() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.open[conn] = struct{}{}
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		_ = conn.Close()
		delete(f.open, conn)
	}
}

// passed returns the tokens that were let in.
func (f *front) passed() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string{}, f.tokens...)
}

// session is one client, from its first byte on.
func (f *front) session(conn net.Conn) {
	defer f.keep(conn)()
	encrypted, startup, err := f.begin(conn)
	if err != nil {
		return
	}
	if err := f.logIn(encrypted, startup); err != nil {
		refusal := &pgproto3.ErrorResponse{Severity: "FATAL", SeverityUnlocalized: "FATAL", Code: "28000", Message: err.Error()}
		backend := pgproto3.NewBackend(encrypted, encrypted)
		backend.Send(refusal)
		_ = backend.Flush()
		return
	}
	f.relay(encrypted, startup)
}

// begin returns the encrypted connection and what the client opens it with.
func (f *front) begin(conn net.Conn) (net.Conn, pgproto3.FrontendMessage, error) {
	first, err := pgproto3.NewBackend(conn, conn).ReceiveStartupMessage()
	if err != nil {
		return nil, nil, err
	}
	if _, asks := first.(*pgproto3.SSLRequest); !asks {
		return nil, nil, errors.New("a client began without TLS")
	}
	if _, err := conn.Write([]byte("S")); err != nil {
		return nil, nil, err
	}
	encrypted := tls.Server(conn, f.tls)
	startup, err := pgproto3.NewBackend(encrypted, encrypted).ReceiveStartupMessage()
	return encrypted, startup, err
}

// logIn has the client's token checked. A request to cancel needs none.
func (f *front) logIn(conn net.Conn, first pgproto3.FrontendMessage) error {
	startup, ok := first.(*pgproto3.StartupMessage)
	if !ok {
		return nil
	}
	backend := pgproto3.NewBackend(conn, conn)
	backend.Send(&pgproto3.AuthenticationCleartextPassword{})
	if err := errors.Join(backend.Flush(), backend.SetAuthType(pgproto3.AuthTypeCleartextPassword)); err != nil {
		return err
	}
	answer, err := backend.Receive()
	if err != nil {
		return err
	}
	password, ok := answer.(*pgproto3.PasswordMessage)
	if !ok {
		return fmt.Errorf("got %T for a password", answer)
	}
	user := startup.Parameters["user"]
	if err := f.check(user, password.Password); err != nil {
		return fmt.Errorf("PAM authentication failed for user %q: %w", user, err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tokens = append(f.tokens, password.Password)
	return nil
}

// relay opens the session at the real server, which answers for itself.
func (f *front) relay(client net.Conn, startup pgproto3.FrontendMessage) {
	real, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(server.Port)))
	if err != nil {
		return
	}
	defer f.keep(real)()
	first, err := startup.Encode(nil)
	if err != nil {
		return
	}
	if _, err := real.Write(first); err != nil {
		return
	}
	var back sync.WaitGroup
	back.Go(func() {
		_, _ = io.Copy(client, real)
		_ = client.Close()
	})
	_, _ = io.Copy(real, client)
	_ = real.Close()
	back.Wait()
}

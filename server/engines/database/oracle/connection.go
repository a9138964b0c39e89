package oracle

import (
	"cmp"
	"context"
	"crypto/tls"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"net"
	"sync"
	"time"

	go_ora "github.com/sijms/go-ora/v2"
	"github.com/sijms/go-ora/v2/configurations"
)

const (
	dialLimit = 5 * time.Second // for one address
	// farewellLimit bounds how long a server may take to let a session go.
	farewellLimit = time.Second
)

// connector opens sessions.
type connector struct {
	config *configurations.ConnectionConfig
	tls    *tls.Config // nil: as config says
}

// Driver is asked for by sql.DB.Driver alone.
func (c *connector) Driver() driver.Driver { return go_ora.GetDefaultDriver() }

// target describes where sessions lead.
func (c *connector) target() string {
	where := "the configured address"
	if server := c.config.GetActiveServer(false); server != nil {
		where = server.NetworkAddr()
	}
	return fmt.Sprintf("%s, service %q, as %q", where, cmp.Or(c.config.ServiceName, c.config.SID), c.config.UserID)
}

// Connect logs in.
func (c *connector) Connect(ctx context.Context) (driver.Conn, error) {
	config := *c.config
	config.TLSConfig = c.tls.Clone() // the driver writes into it
	link := &line{opening: ctx}
	config.Dialer = link
	conn, err := go_ora.NewConnection("", &config)
	if err == nil {
		err = conn.OpenWithContext(context.WithoutCancel(ctx))
	}
	if err != nil || !link.opened() {
		link.cut()
		if cause := context.Cause(ctx); cause != nil {
			err = fmt.Errorf("waiting for the server: %w", cause)
		}
		return nil, err
	}
	return &session{conn, link}, nil
}

// line is the socket of a session. The driver itself ends a call whose context
// is over by asking the server to, and then waits for the server, with fields
// that it does not guard. So it gets contexts that never end, and the socket is
// closed instead.
type line struct {
	opening context.Context // of Connect: dialling ends with it

	mu     sync.Mutex
	socket net.Conn
	broken bool
	stop   func() bool // keeps the end of opening from closing the socket
}

// DialContext is called by the driver, maybe for several addresses.
func (l *line) DialContext(_ context.Context, network, address string) (net.Conn, error) {
	dialer := net.Dialer{Timeout: dialLimit}
	socket, err := dialer.DialContext(l.opening, network, address)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stop != nil {
		l.stop()
		_ = l.socket.Close()
	}
	l.socket = socket
	l.stop = context.AfterFunc(l.opening, l.cut)
	return &wire{socket, l}, nil
}

// opened ends the part in which the end of Connect's context closes the socket,
// and tells whether it has not.
func (l *line) opened() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stop != nil && l.stop() && !l.broken
}

// cut closes the socket.
func (l *line) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.broken = true
	if l.socket != nil {
		_ = l.socket.Close()
	}
}

// during closes the socket if ctx ends before the returned function is called.
func (l *line) during(ctx context.Context) (done func()) {
	stop := context.AfterFunc(ctx, l.cut)
	return func() { stop() }
}

func (l *line) usable() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.broken
}

// wire is the socket as the driver sees it. After an error the session is out of
// step with the server, which the driver does not always notice.
type wire struct {
	net.Conn
	line *line
}

func (w *wire) Read(buffer []byte) (int, error) {
	count, err := w.Conn.Read(buffer)
	if err != nil {
		w.line.cut()
	}
	return count, err
}

func (w *wire) Write(buffer []byte) (int, error) {
	count, err := w.Conn.Write(buffer)
	if err != nil {
		w.line.cut()
	}
	return count, err
}

// session is a connection of the driver whose calls end with their context.
type session struct {
	*go_ora.Connection
	line *line
}

// IsValid tells the pool whether to keep the session.
func (s *session) IsValid() bool { return s.line.usable() }

// ResetSession is called before the pool hands the session out again. Oracle ends
// sessions without telling, so it is asked.
func (s *session) ResetSession(ctx context.Context) error {
	if !s.line.usable() || s.Ping(ctx) != nil {
		return driver.ErrBadConn
	}
	return s.Connection.ResetSession(ctx)
}

// Ping asks the server whether it is there.
func (s *session) Ping(ctx context.Context) error {
	defer s.line.during(ctx)()
	return s.Connection.Ping(context.WithoutCancel(ctx))
}

// ExecContext runs a statement. The connection is held, which ends it with its
// context.
func (s *session) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	return s.Connection.ExecContext(context.WithoutCancel(ctx), query, args)
}

// QueryContext runs a query, as ExecContext does.
func (s *session) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	return s.Connection.QueryContext(context.WithoutCancel(ctx), query, args)
}

// Close logs off, if the server lets it.
func (s *session) Close() error {
	timer := time.AfterFunc(farewellLimit, s.line.cut)
	defer timer.Stop()
	err := s.Connection.Close()
	s.line.cut()
	return err
}

// number returns what the server calls the session.
func (s *session) number() (sid, serial string) {
	return s.SessionProperties["AUTH_SESSION_ID"], s.SessionProperties["AUTH_SERIAL_NUM"]
}

// held is a connection of the pool while it is used.
type held struct {
	*sql.Conn
	session *session
	done    func()
}

// hold ties a connection to ctx: when it ends, so does the session.
func hold(ctx context.Context, conn *sql.Conn) (*held, error) {
	h := &held{Conn: conn}
	err := conn.Raw(func(connection any) error {
		h.session = connection.(*session)
		h.done = h.session.line.during(ctx)
		return nil
	})
	return h, err
}

// release gives the connection back to the pool.
func (h *held) release() {
	h.done()
	_ = h.Close()
}

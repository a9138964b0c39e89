package mssql

import (
	"context"
	"crypto/rand"
	"database/sql"
	"database/sql/driver"
	"net"
	"sync"
	"time"

	mssqldb "github.com/microsoft/go-mssqldb"
	"github.com/microsoft/go-mssqldb/msdsn"

	"github.com/novatech/securevault/server/engines/database/fault"
)

const (
	// acquireLimit bounds the wait for a connection, dialling included, so that a
	// request against a host that does not answer fails within ten seconds.
	acquireLimit = 8 * time.Second
	// azureSQL is the EngineEdition of Azure SQL Database.
	azureSQL = 5
)

// connector makes connections for the pool. Each gets a program name of its own,
// by which its session is found on the server when the connection is lost.
type connector struct {
	target  msdsn.Config
	session string
}

// link is a connection as the pool keeps it.
type link struct {
	*mssqldb.Conn
	program string
	wire    *wire
}

// Close ends the connection without the driver, which would hand its buffer on to
// the next connection although what reads answers into it may not have ended yet.
func (l link) Close() error {
	l.wire.cut()
	return nil
}

// Connect logs in. The driver itself minds ctx only while it dials and while it
// waits for the answer to its login; a host that stays silent in between would
// keep it for ever.
func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	c.target.AppName = c.session + " " + rand.Text()[:tagSize]
	if c.target.TLSConfig != nil {
		c.target.TLSConfig = c.target.TLSConfig.Clone() // the driver changes it
	}
	dialled := &wire{host: c.target.Host, keepAlive: c.target.KeepAlive}
	defer context.AfterFunc(ctx, dialled.cut)()
	made := mssqldb.NewConnectorConfig(c.target)
	made.Dialer = dialled
	conn, err := made.Connect(ctx)
	if ctx.Err() != nil {
		dialled.cut()
		return nil, context.Cause(ctx)
	}
	if err != nil {
		return nil, err
	}
	return link{conn.(*mssqldb.Conn), c.target.AppName, dialled}, nil
}

// Driver returns the driver that the connections are of.
func (c connector) Driver() driver.Driver { return mssqldb.NewConnectorConfig(c.target).Driver() }

// wire is what one login dials. Host names are its own business: the driver would
// look them up without regard for ctx.
type wire struct {
	host      string
	keepAlive time.Duration

	mu    sync.Mutex
	conns []net.Conn
	ended bool
}

// HostName tells the driver not to look up the host itself.
func (w *wire) HostName() string { return w.host }

// DialContext implements the driver's Dialer.
func (w *wire) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{KeepAlive: w.keepAlive}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.conns = append(w.conns, conn)
	if w.ended {
		_ = conn.Close()
	}
	return conn, nil
}

// cut ends what was dialled, at once.
func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = true
	for _, conn := range w.conns {
		_ = conn.Close()
	}
}

// connection is one of the pool's, for as long as it is not released. It ends
// with its user's context: the driver alone would first wait up to ten seconds
// for the server to confirm that it has stopped.
type connection struct {
	*sql.Conn
	link  link
	azure bool // Azure SQL Database
	stop  func() bool
}

// greeting is the first batch of everybody who gets a connection. An error ends
// the whole transaction from then on, and does not just skip a statement.
const greeting = "SET XACT_ABORT ON; SELECT CAST(SERVERPROPERTY('EngineEdition') AS int)"

// acquire returns a connection that works, to be released by the caller. Nothing
// is repeated that was sent on a connection which broke later: it may have had
// its effect.
func (d *Database) acquire(ctx context.Context) (*connection, error) {
	if d.pool == nil {
		return nil, fault.New(fault.Refused, "the database is not initialized: call Initialize first")
	}
	limited, cancel := context.WithTimeout(ctx, acquireLimit)
	defer cancel()
	for {
		conn, err := d.pool.Conn(limited)
		if err != nil {
			return nil, d.explainConnect(err, "connecting to "+d.target)
		}
		acquired := &connection{Conn: conn}
		if err = acquired.greet(limited); err == nil {
			acquired.stop = context.AfterFunc(ctx, acquired.link.wire.cut)
			return acquired, nil
		}
		_ = conn.Close()
		if limited.Err() != nil {
			err = context.Cause(limited)
		}
		if _, answered := refusalOf(err); answered || limited.Err() != nil {
			return nil, d.explainConnect(err, "connecting to "+d.target)
		}
		// It broke while it was idle, and so may have the others.
	}
}

// greet finds out whether the connection works, and what is at its other end.
func (c *connection) greet(ctx context.Context) error {
	err := c.Raw(func(kept any) error {
		c.link = kept.(link)
		return nil
	})
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, c.link.wire.cut)()
	edition, err := c.number(ctx, greeting)
	c.azure = edition == azureSQL
	return err
}

// release returns the connection to the pool, which resets its session.
func (c *connection) release() {
	c.stop()
	_ = c.Close()
}

// texts returns the first column of a query.
func (c *connection) texts(ctx context.Context, query string, args ...any) ([]string, error) {
	rows, err := c.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var all []string
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		all = append(all, text)
	}
	return all, rows.Err()
}

// number returns the only value of a query.
func (c *connection) number(ctx context.Context, query string, args ...any) (n int, err error) {
	err = c.QueryRowContext(ctx, query, args...).Scan(&n)
	return n, err
}

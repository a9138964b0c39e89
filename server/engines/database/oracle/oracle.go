// Package oracle issues Oracle users: the plugin behind oracle-database-plugin,
// on go-ora, which needs no client library of Oracle's.
//
// It promises that a creation which fails leaves no user behind, although each
// statement commits by itself; that revocation really ends a user (login,
// sessions, and the user with its schema, for Oracle cannot hand objects on); and
// that no error tells a password.
//
// Start reading at user.go (create, change the password), then revoke.go;
// split.go takes the operator's text apart, for Oracle runs one statement at a
// time; settings.go reads connection_url, connection.go opens sessions and ends
// them with their context, failure.go explains errors.
package oracle

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/hashicorp/vault/sdk/database/dbplugin/v5"

	"github.com/novatech/securevault/server/engines/database/fault"
	"github.com/novatech/securevault/server/engines/database/username"
)

const (
	// acquireLimit bounds the wait for a connection, dialling included, so that a
	// request against a host that does not answer fails within ten seconds.
	acquireLimit = 8 * time.Second
	// defaultLifetime is how long a connection lives unless configured.
	defaultLifetime = time.Hour
)

// Database is one configured Oracle service. Its methods may be called
// concurrently once Initialize has returned.
type Database struct {
	pool *sql.DB
	username.Generator
	target     string   // where it connects, and as whom: for errors
	secrets    []string // of the configuration: scrubbed from errors
	session    string   // v$session.program of our connections, and of nobody else's
	split      bool     // take texts of several statements apart
	disconnect bool     // end the sessions of a user that is revoked
}

var _ dbplugin.Database = (*Database)(nil)

// New returns a database that waits for Initialize.
func New() dbplugin.Database { return &Database{} }

// Type returns "oracle".
func (d *Database) Type() (string, error) { return "oracle", nil }

// Initialize reads the settings and makes the pool. It connects only if
// VerifyConnection is set.
func (d *Database) Initialize(ctx context.Context, req dbplugin.InitializeRequest) (dbplugin.InitializeResponse, error) {
	if d.pool != nil {
		return dbplugin.InitializeResponse{}, fault.New(fault.Refused, "the database is initialized already: close it and make a new one")
	}
	settings, err := decodeSettings(req.Config)
	if err != nil {
		return dbplugin.InitializeResponse{}, err
	}
	if err := d.configure(settings); err != nil {
		return dbplugin.InitializeResponse{}, err
	}
	if req.VerifyConnection {
		if err := d.verify(ctx); err != nil {
			_ = d.Close()
			return dbplugin.InitializeResponse{}, err
		}
	}
	response := dbplugin.InitializeResponse{Config: req.Config}
	response.SetSupportedCredentialTypes([]dbplugin.CredentialType{dbplugin.CredentialTypePassword})
	return response, nil
}

// configure makes the pool, which does not connect yet.
func (d *Database) configure(s settings) error {
	d.split, d.disconnect = s.SplitStatements, s.DisconnectSessions
	d.secrets = []string{s.Password, s.WalletPassword}
	var err error
	if d.Generator, err = username.New(s.UsernameTemplate, maxNameBytes); err != nil {
		return fault.New(fault.Refused, "%s", fault.Scrub(err.Error(), d.secrets...))
	}
	open, idle, lifetime, err := s.Limits()
	if err != nil {
		return err
	}
	if lifetime == 0 {
		lifetime = defaultLifetime
	}
	opener, err := s.connector()
	if err != nil {
		return err
	}
	d.secrets = append(d.secrets, opener.config.Password) // connection_url may hold one of its own
	d.session = opener.config.ProgramName
	d.target = opener.target()
	d.pool = sql.OpenDB(opener)
	d.pool.SetMaxOpenConns(open)
	d.pool.SetMaxIdleConns(idle)
	d.pool.SetConnMaxLifetime(lifetime)
	return nil
}

// verify logs in and asks the server something.
func (d *Database) verify(ctx context.Context) error {
	conn, err := d.acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.release()
	return d.explain(conn.PingContext(ctx), "verifying the connection")
}

// Close ends every connection that is not in use, and those in use when they are
// released.
func (d *Database) Close() error {
	if d.pool == nil {
		return nil
	}
	return d.pool.Close()
}

// acquire returns a connection of the pool, to be released by the caller. It ends
// with ctx.
func (d *Database) acquire(ctx context.Context) (*held, error) {
	if d.pool == nil {
		return nil, fault.New(fault.Refused, "the database is not initialized: call Initialize first")
	}
	waiting, cancel := context.WithTimeout(ctx, acquireLimit)
	defer cancel()
	conn, err := d.pool.Conn(waiting)
	if err == nil {
		var acquired *held
		if acquired, err = hold(ctx, conn); err == nil {
			return acquired, nil
		}
		_ = conn.Close()
	}
	return nil, d.explainConnect(err, fmt.Sprintf("connecting to %s", d.target))
}

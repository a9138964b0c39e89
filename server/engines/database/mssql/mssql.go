// Package mssql issues logins and users of Microsoft SQL Server and Azure SQL:
// the plugin behind mssql-database-plugin.
//
// It promises that creation is all or nothing, that revocation really ends a
// credential (login, sessions, and its users in every database, while what they
// own lives on as somebody else's), and that no error tells a password.
//
// A statement of a role is a batch: the server splits it, so quotes and comments
// mean what they mean in sqlcmd. The batches of a role run in one transaction.
//
// Start reading at user.go (create, renew, change the password), then revoke.go;
// execute.go runs batches, connection.go makes connections, session.go ends those
// that were lost, settings.go reads how to connect, failure.go explains errors.
package mssql

import (
	"context"
	"database/sql"
	"sync"

	"github.com/hashicorp/vault/sdk/database/dbplugin/v5"

	"github.com/novatech/securevault/server/engines/database/fault"
	"github.com/novatech/securevault/server/engines/database/username"
)

// Database is one configured server. Its methods may be called concurrently once
// Initialize has returned.
type Database struct {
	pool    *sql.DB
	target  string // where connections go, for errors
	session string // how the names of our sessions begin, and of nobody else's
	username.Generator
	password string // the admin's: scrubbed from errors

	contained bool // users of the connection's database with passwords of their own, no logins

	mu     sync.Mutex
	strays []string // our sessions that may still be creating something; see stray
}

var _ dbplugin.Database = (*Database)(nil)

// New returns a database that waits for Initialize.
func New() dbplugin.Database { return &Database{} }

// Type returns "mssql".
func (d *Database) Type() (string, error) { return "mssql", nil }

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
	d.password, d.contained = settings.Password, settings.Contained
	if d.Generator, err = username.New(settings.UsernameTemplate, maxNameBytes); err != nil {
		return dbplugin.InitializeResponse{}, fault.New(fault.Refused, "%s", fault.Scrub(err.Error(), d.password))
	}
	if err := d.open(settings); err != nil {
		return dbplugin.InitializeResponse{}, err
	}
	if req.VerifyConnection {
		conn, err := d.acquire(ctx)
		if err != nil {
			_ = d.Close()
			return dbplugin.InitializeResponse{}, err
		}
		conn.release()
	}
	response := dbplugin.InitializeResponse{Config: req.Config}
	response.SetSupportedCredentialTypes([]dbplugin.CredentialType{dbplugin.CredentialTypePassword})
	return response, nil
}

// open makes the pool, which has no connection yet.
func (d *Database) open(settings settings) error {
	target, err := settings.target()
	if err != nil {
		return err
	}
	open, idle, lifetime, err := settings.Limits()
	if err != nil {
		return err
	}
	d.password = target.Password // connection_url may hold one of its own
	d.target, d.session = describe(target), newSession(target.AppName)
	d.pool = sql.OpenDB(connector{target, d.session})
	d.pool.SetMaxOpenConns(open)
	d.pool.SetMaxIdleConns(idle)
	d.pool.SetConnMaxLifetime(lifetime)
	return nil
}

// Close ends every connection; those in use when they are released.
func (d *Database) Close() error {
	if d.pool == nil {
		return nil
	}
	return d.pool.Close()
}

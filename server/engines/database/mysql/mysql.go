// Package mysql issues users of MySQL and MariaDB: the plugin behind
// mysql-database-plugin.
//
// It promises that a creation that fails leaves no user behind, though the server
// knows no transaction for it; that revocation really ends a user (login,
// sessions, privileges, at every host of its name); that no user appears after its
// revocation; and that no error tells a password.
//
// A user is called by its name alone here. For the server it is one account for
// each host that the statements name, all of which belong to it.
//
// Start reading at user.go (create) and maker.go (why nothing comes later), then
// update.go (renew, change the password) and revoke.go; accounts.go finds a user's
// accounts, statements.go fills in and runs what operators wrote, settings.go reads
// the configuration, failure.go explains errors.
package mysql

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	driver "github.com/go-sql-driver/mysql"
	"github.com/hashicorp/vault/sdk/database/dbplugin/v5"

	"github.com/novatech/securevault/server/engines/database/fault"
	"github.com/novatech/securevault/server/engines/database/username"
)

// acquireLimit bounds the wait for a connection, dialling included, so that a
// request against a host that does not answer fails within ten seconds.
const acquireLimit = 8 * time.Second

// Database is one configured server. Its methods may be called concurrently once
// Initialize has returned.
type Database struct {
	names naming
	pool  *sql.DB
	username.Generator
	password string // the admin's: scrubbed from errors
	target   string // who logs in where, for errors
}

var _ dbplugin.Database = (*Database)(nil)

// New returns a database that waits for Initialize. Its names have up to 32
// characters, as MySQL has allowed since 5.7.
func New() dbplugin.Database {
	return &Database{names: naming{32, `{{printf "v-%s-%s-%s-%s" (.DisplayName | truncate 10) (.RoleName | truncate 10) (random 20) (unix_time) | truncate 32}}`}}
}

// NewLegacy is New for older servers, with names of up to 16 characters.
func NewLegacy() dbplugin.Database {
	return &Database{names: naming{16, `{{printf "v-%s-%s" (.RoleName | truncate 4) (random 20) | truncate 16}}`}}
}

// Type returns "mysql".
func (d *Database) Type() (string, error) { return "mysql", nil }

// Initialize reads the settings and makes the pool. It connects only if
// VerifyConnection is set.
func (d *Database) Initialize(ctx context.Context, req dbplugin.InitializeRequest) (dbplugin.InitializeResponse, error) {
	if d.pool != nil {
		return dbplugin.InitializeResponse{}, fault.New(fault.Refused, "the database is initialized already: close it and make a new one")
	}
	settings, err := decodeSettings(req.Config, d.names)
	if err != nil {
		return dbplugin.InitializeResponse{}, err
	}
	d.password = settings.Password
	if d.Generator, err = username.New(settings.UsernameTemplate, d.names.maxBytes); err != nil {
		return dbplugin.InitializeResponse{}, fault.New(fault.Refused, "%s", fault.Scrub(err.Error(), d.password))
	}
	pool, err := d.newPool(settings)
	if err != nil {
		return dbplugin.InitializeResponse{}, err
	}
	d.pool = pool
	if req.VerifyConnection {
		if err := d.verify(ctx); err != nil {
			_ = pool.Close()
			return dbplugin.InitializeResponse{}, err
		}
	}
	response := dbplugin.InitializeResponse{Config: req.Config}
	response.SetSupportedCredentialTypes([]dbplugin.CredentialType{dbplugin.CredentialTypePassword, dbplugin.CredentialTypeClientCertificate})
	return response, nil
}

func (d *Database) newPool(settings settings) (*sql.DB, error) {
	open, idle, lifetime, err := settings.Limits()
	if err != nil {
		return nil, err
	}
	if lifetime == 0 {
		lifetime = defaultLifetime
	}
	config, err := settings.driverConfig()
	if err != nil {
		return nil, err
	}
	d.password = config.Passwd // connection_url may hold one of its own
	d.target = fmt.Sprintf("%s(%s) as %q", config.Net, config.Addr, config.User)
	connector, err := driver.NewConnector(config)
	if err != nil {
		return nil, fault.New(fault.Refused, "connection_url cannot be used: %s: correct its parameters", fault.Scrub(err.Error(), d.password))
	}
	pool := sql.OpenDB(connector)
	pool.SetMaxOpenConns(open)
	pool.SetMaxIdleConns(idle)
	pool.SetConnMaxLifetime(lifetime)
	return pool, nil
}

// verify logs in and asks the server something.
func (d *Database) verify(ctx context.Context) error {
	conn, err := d.acquire(ctx)
	if err != nil {
		return err
	}
	defer release(conn)
	return d.explain(conn.PingContext(ctx), "verifying the connection")
}

// Close ends every connection, those in use once they are released.
func (d *Database) Close() error {
	if d.pool != nil {
		return d.pool.Close()
	}
	return nil
}

// acquire returns a connection of the pool, to be released by the caller.
func (d *Database) acquire(ctx context.Context) (*sql.Conn, error) {
	if d.pool == nil {
		return nil, fault.New(fault.Refused, "the database is not initialized: call Initialize first")
	}
	ctx, cancel := context.WithTimeout(ctx, acquireLimit)
	defer cancel()
	conn, err := d.pool.Conn(ctx)
	if err != nil {
		return nil, d.explainConnect(err)
	}
	return conn, nil
}

// release gives a connection back to the pool, which drops it if it is broken.
func release(conn *sql.Conn) { _ = conn.Close() }

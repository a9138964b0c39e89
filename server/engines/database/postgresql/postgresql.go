// Package postgresql issues PostgreSQL roles: the plugin behind
// postgresql-database-plugin.
//
// It promises that creation is all or nothing, that revocation really ends a
// role (login, sessions, privileges and default privileges in every database,
// while its objects live on as the admin's), and that no error tells a password.
//
// Statements go to the server as one text through the simple query protocol. The
// server itself then splits them, so quotes, $body$ quotes and comments mean
// what they mean in psql, and runs the text as one transaction.
//
// Start reading at user.go (create, renew, change the password), then revoke.go;
// scram.go keeps passwords from the server; issue.go makes roles that log in with
// tokens of AWS; settings.go makes the connection pool, login.go and tls.go how the
// admin gets in, failure.go explains errors.
package postgresql

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/vault/sdk/database/dbplugin/v5"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/novatech/securevault/server/batch"
	"github.com/novatech/securevault/server/engines/database/fault"
	"github.com/novatech/securevault/server/engines/database/username"
)

// acquireLimit bounds the wait for a connection, dialling included, so that a
// request against a host that does not answer fails within ten seconds.
const acquireLimit = 8 * time.Second

// Database is one configured PostgreSQL server. Its methods may be called
// concurrently once Initialize has returned.
type Database struct {
	pool *pgxpool.Pool
	username.Generator
	password string   // the admin's: scrubbed from errors
	identity identity // makes the admin's passwords instead; nil: it has one of its own
	aws      *atAWS   // makes tokens for those who are issued; nil: nobody does

	authentication string                   // how passwords of roles are sent
	beginnings     *batch.Queue[*beginning] // roles on their way in
	endings        *batch.Queue[ending]     // roles on their way out
	session        string                   // application_name of our connections, and of nobody else's

	mu     sync.Mutex
	strays []uint32 // guarded by mu; processes of the server that may still create a role
}

var _ dbplugin.Database = (*Database)(nil)

// New returns a database that waits for Initialize.
func New() dbplugin.Database {
	d := &Database{}
	d.beginnings = batch.New(beginningsAtOnce, beginningsTogether, d.beginTogether)
	d.endings = batch.New(endingsAtOnce, endingsTogether, d.endTogether)
	return d
}

// Type returns "postgresql".
func (d *Database) Type() (string, error) { return "postgresql", nil }

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
	d.password, d.authentication = settings.Password, settings.Authentication
	if d.Generator, err = username.New(settings.UsernameTemplate, maxNameBytes); err != nil {
		return dbplugin.InitializeResponse{}, fault.New(fault.Refused, "%s", fault.Scrub(err.Error(), d.password))
	}
	config, err := settings.poolConfig()
	if err != nil {
		return dbplugin.InitializeResponse{}, err
	}
	d.password = config.ConnConfig.Password                 // connection_url may hold one of its own
	if open, idle, _, _ := settings.Limits(); idle < open { // poolConfig has checked them
		config.AfterRelease = func(*pgx.Conn) bool { return int(d.pool.Stat().IdleConns()) < idle }
	}
	if err := d.identify(ctx, settings.Cloud, config); err != nil {
		return dbplugin.InitializeResponse{}, err
	}
	d.session = config.ConnConfig.RuntimeParams["application_name"]
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return dbplugin.InitializeResponse{}, d.explain(err, "opening the connection pool")
	}
	d.pool = pool
	if req.VerifyConnection {
		if err := d.verify(ctx); err != nil {
			pool.Close()
			return dbplugin.InitializeResponse{}, err
		}
	}
	response := dbplugin.InitializeResponse{Config: req.Config}
	response.SetSupportedCredentialTypes([]dbplugin.CredentialType{dbplugin.CredentialTypePassword, dbplugin.CredentialTypeClientCertificate})
	return response, nil
}

// verify logs in and asks the server something.
func (d *Database) verify(ctx context.Context) error {
	conn, err := d.acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	if err := conn.Ping(ctx); err != nil {
		return d.explain(err, "verifying the connection")
	}
	return nil
}

// Close ends every connection. It waits for those in use.
func (d *Database) Close() error {
	if d.pool != nil {
		d.pool.Close()
	}
	return nil
}

// acquire returns a connection of the pool, to be released by the caller.
func (d *Database) acquire(ctx context.Context) (*pgxpool.Conn, error) {
	if d.pool == nil {
		return nil, fault.New(fault.Refused, "the database is not initialized: call Initialize first")
	}
	ctx, cancel := context.WithTimeout(ctx, acquireLimit)
	defer cancel()
	conn, err := d.pool.Acquire(ctx)
	if err != nil {
		target := d.pool.Config().ConnConfig
		return nil, d.explainConnect(err, fmt.Sprintf("connecting to %s:%d, database %q, as %q",
			target.Host, target.Port, target.Database, target.User))
	}
	return conn, nil
}

// connect opens a connection to another database of the server, to be closed by
// the caller.
func (d *Database) connect(ctx context.Context, database string) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, acquireLimit)
	defer cancel()
	config := d.pool.Config()
	target := config.ConnConfig
	target.Database = database
	if config.BeforeConnect != nil {
		if err := config.BeforeConnect(ctx, target); err != nil {
			return nil, err
		}
	}
	conn, err := pgx.ConnectConfig(ctx, target)
	if err != nil {
		return nil, d.explainConnect(err, fmt.Sprintf("connecting to database %q", database))
	}
	return conn, nil
}

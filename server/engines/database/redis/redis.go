// Package redis issues Redis ACL users: the plugin behind redis-database-plugin.
//
// Redis does not replicate its users, so each is made, changed and ended on every
// server of the deployment: one, the masters and replicas of a cluster, or those
// that sentinels watch. Who they are is asked anew for each operation, and no
// connection outlives one: there is nothing to repair after a failover.
//
// It promises that a creation is all or nothing, that a revocation ends login and
// sessions on every server, and that no password leaves this process: Redis is
// sent its SHA-256, which is what it keeps.
//
// Start reading at user.go (create), then password.go and revoke.go. rules.go reads
// what a role permits; members.go finds the servers, connection.go talks to them,
// session.go ends what a dead server of ours has asked them for; settings.go reads
// the configuration, failure.go explains errors.
package redis

import (
	"context"

	"github.com/hashicorp/vault/sdk/database/dbplugin/v5"

	"github.com/novatech/securevault/server/engines/database/fault"
	"github.com/novatech/securevault/server/engines/database/username"
)

// Database is one configured deployment of Redis. Its methods may be called
// concurrently once Initialize has returned.
type Database struct {
	settings settings
	username.Generator
	session string // how the names of our connections begin, and of nobody else's
}

var _ dbplugin.Database = (*Database)(nil)

// New returns a database that waits for Initialize.
func New() dbplugin.Database { return &Database{} }

// Type returns "redis".
func (d *Database) Type() (string, error) { return "redis", nil }

// Initialize reads the settings. It connects, to every server that is up, only if
// VerifyConnection is set.
func (d *Database) Initialize(ctx context.Context, req dbplugin.InitializeRequest) (dbplugin.InitializeResponse, error) {
	if d.session != "" {
		return dbplugin.InitializeResponse{}, fault.New(fault.Refused, "the database is initialized already: make a new one")
	}
	var err error
	if d.settings, err = decodeSettings(req.Config); err != nil {
		return dbplugin.InitializeResponse{}, err
	}
	if d.Generator, err = username.New(d.settings.UsernameTemplate, maxNameBytes); err != nil {
		return dbplugin.InitializeResponse{}, fault.New(fault.Refused, "%s", d.scrub(err.Error()))
	}
	d.session = newSession()
	if req.VerifyConnection {
		if err := d.verify(ctx); err != nil {
			return dbplugin.InitializeResponse{}, err
		}
	}
	response := dbplugin.InitializeResponse{Config: req.Config}
	response.SetSupportedCredentialTypes([]dbplugin.CredentialType{dbplugin.CredentialTypePassword})
	return response, nil
}

// verify logs in to every server that is up. Whoever may not even say PING has
// logged in, as a static role's user may have whose password is tried.
func (d *Database) verify(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, verifyLimit)
	defer cancel()
	up, _, err := d.upMembers(ctx)
	if err != nil {
		return err
	}
	return d.each(ctx, "logging in", up, func(c *connection) error {
		if err := c.tell("PING"); !says(err, "NOPERM") {
			return err
		}
		return nil
	})
}

// Close has nothing to do: no connection outlives the operation it is for.
func (d *Database) Close() error { return nil }

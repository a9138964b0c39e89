// Package elasticsearch is the plugin elasticsearch-database-plugin: it issues
// native users of Elasticsearch, API keys, and users of OpenSearch.
//
// A configuration is decoded in settings.go, and the server asked what it is in
// dialect.go, which holds what differs between the two. A role's statement is one
// JSON object (statement.go). Users are made in user.go, keys in key.go, both are
// ended in revoke.go. client.go speaks HTTP, failure.go explains what the server
// refuses.
//
// A name is either a user or a key: revocation ends whatever carries it, with all
// that a user may have made to live on: keys and tokens of its own.
package elasticsearch

import (
	"context"
	"strings"
	"sync/atomic"

	"github.com/hashicorp/vault/sdk/database/dbplugin/v5"

	"github.com/novatech/securevault/server/engines/database/fault"
	"github.com/novatech/securevault/server/engines/database/username"
)

// apiKey is the credential_type of roles whose clients get an API key.
const apiKey = "api_key"

// Database issues users and keys of one server. It is safe for concurrent use
// after Initialize.
type Database struct {
	client  *client
	dialect atomic.Pointer[dialect] // nil until the server has said what it is
	username.Generator
}

var _ dbplugin.Database = (*Database)(nil)

// New returns a Database that is not connected yet.
func New() dbplugin.Database { return &Database{} }

// Type implements dbplugin.Database.
func (d *Database) Type() (string, error) { return "elasticsearch", nil }

// Initialize implements dbplugin.Database. It asks the server what it is, unless
// the connection is not to be verified: then the first request does.
func (d *Database) Initialize(ctx context.Context, req dbplugin.InitializeRequest) (dbplugin.InitializeResponse, error) {
	settings, err := decodeSettings(req.Config)
	if err != nil {
		return dbplugin.InitializeResponse{}, err
	}
	if d.Generator, err = username.New(settings.UsernameTemplate, maxNameBytes); err != nil {
		return dbplugin.InitializeResponse{}, fault.New(fault.Refused, "%s", fault.Scrub(err.Error(), settings.Password))
	}
	if d.client, err = newClient(settings); err != nil {
		return dbplugin.InitializeResponse{}, err
	}
	if req.VerifyConnection {
		if err := d.verify(ctx); err != nil {
			d.client.close()
			return dbplugin.InitializeResponse{}, err
		}
	}
	response := dbplugin.InitializeResponse{Config: req.Config}
	response.SetSupportedCredentialTypes([]dbplugin.CredentialType{dbplugin.CredentialTypePassword})
	return response, nil
}

// verify logs in. It asks for no privilege: the account may also be that of a static
// role whose password is tried.
func (d *Database) verify(ctx context.Context) error {
	dialect, err := d.speak(ctx)
	if err != nil {
		return err
	}
	return d.client.do(ctx, "logging in", request{"GET", dialect.self, nil}, nil)
}

// NewUsername makes up the name of a user or a key. In HTTP a colon ends the name
// and begins the password, so that names must not have any.
func (d *Database) NewUsername(metadata dbplugin.UsernameMetadata) (string, error) {
	name, err := d.Generator.NewUsername(metadata)
	return strings.ReplaceAll(name, ":", "_"), err
}

// Close implements dbplugin.Database.
func (d *Database) Close() error {
	if d.client != nil {
		d.client.close()
	}
	return nil
}

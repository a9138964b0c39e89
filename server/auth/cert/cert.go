// Package cert is the auth method for clients with a TLS certificate: the
// handshake of the connection has proved that the client has its key.
//
// certs.go keeps which certificates are trusted, constraints.go what else must
// be true of a client's, crls.go which are revoked, login.go puts them together
// and binds the token to the key: it is renewed only over a connection that
// shows it.
package cert

import (
	"context"
	"slices"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/auth/record"
	"github.com/novatech/securevault/server/core/endpoint"
)

type backend struct {
	*framework.Backend
	certs  *record.Family[trusted, *trusted]
	crls   *record.Family[crl, *crl]
	config *record.Family[config, *config]
}

// Factory makes the method for one mount.
func Factory(ctx context.Context, conf *logical.BackendConfig) (logical.Backend, error) {
	b := &backend{certs: newCerts(), crls: newCRLs(), config: newConfig()}
	b.Backend = &framework.Backend{
		Help:         "Logs in clients that show a TLS certificate.",
		BackendType:  logical.TypeCredential,
		PathsSpecial: &logical.Paths{Unauthenticated: []string{"login"}},
		Paths:        slices.Concat(b.certs.Paths(), b.crls.Paths(), b.config.Paths(), b.loginPaths()),
		AuthRenew:    b.renew,
	}
	return b, b.Setup(ctx, conf)
}

// config is what holds for all certificates.
type config struct {
	DisableBinding bool `json:"disable_binding"`
}

func newConfig() *record.Family[config, *config] {
	return &record.Family[config, *config]{
		Folder: "config", Synopsis: "Reads or writes the settings.",
		Fields: endpoint.Fields{
			"disable_binding": endpoint.Flag("Renew tokens over connections that do not show the certificate of the login."),
		},
	}
}

// Apply implements record.Record.
func (c *config) Apply(_ *logical.Request, d *framework.FieldData) error {
	if disable, ok := d.GetOk("disable_binding"); ok {
		c.DisableBinding = disable.(bool)
	}
	return nil
}

// Describe implements record.Record.
func (c *config) Describe() map[string]any {
	return map[string]any{"disable_binding": c.DisableBinding}
}

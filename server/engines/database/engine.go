// Package database issues database users that live as long as their lease, and
// rotates the passwords of those that were there before.
//
// An operator writes a configuration (config.go: which database, which admin;
// retire.go: what becomes of it when it is deleted)
// and roles (roles.go: the statements that make and end a user; credential.go:
// what it logs in with). A client reads creds/ROLE (creds.go), gets a user of its
// own (order.go), and the server renews and ends it with the lease (secret.go).
// For a user that keeps its name there is a static role (static_roles.go): its
// password is changed (static_rotation.go) when it is due (timetable.go), in the
// background (rotator.go), and told at static-creds/ROLE (static_creds.go). What
// differs between databases lives in plugins of dbplugin/v5, listed in all.go; the
// engine keeps one open instance for each configuration (connection.go).
//
// It promises: a failed request leaves no user behind, nor does a server that
// dies during one; a revocation that succeeded means the user is gone; a password
// that may be the real one is never forgotten; no answer holds the admin's
// password; and a database that hangs delays only those who use it.
package database

import (
	"context"
	"sync"

	"github.com/hashicorp/vault/sdk/database/dbplugin/v5"
	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"
)

type backend struct {
	*framework.Backend
	plugins     map[string]func() dbplugin.Database
	connections connections

	rotator  rotator
	turns    turns      // of those who change a static role
	claiming sync.Mutex // held while a static role claims its user
}

// Factory makes the engine of one mount.
func Factory(ctx context.Context, config *logical.BackendConfig) (logical.Backend, error) {
	return newBackend(ctx, config, plugins())
}

func newBackend(ctx context.Context, config *logical.BackendConfig, plugins map[string]func() dbplugin.Database) (*backend, error) {
	b := &backend{plugins: plugins}
	b.Backend = &framework.Backend{
		Help:        "Issues database users that live as long as their lease. Write config/NAME and roles/NAME, then read creds/NAME.",
		BackendType: logical.TypeLogical,
		PathsSpecial: &logical.Paths{
			SealWrapStorage: []string{configPrefix + "*", retiredPrefix + "*", rolePrefix + "*", staticPrefix + "*"},
		},
		Paths: []*framework.Path{
			b.configPath(), b.configListPath(),
			b.rolePath(), b.roleListPath(),
			b.credsPath(),
			b.staticRolePath(), b.staticRoleListPath(),
			b.staticCredsPath(), b.rotateRolePath(),
			b.rotateRootPath(), b.resetPath(), b.reloadPath(),
		},
		Secrets:        []*framework.Secret{b.userSecret()},
		InitializeFunc: b.startRotator,
		PeriodicFunc:   b.forgetOver,
		Clean: func(context.Context) {
			b.rotator.stop()
			b.connections.closeAll()
		},
	}
	return b, b.Setup(ctx, config)
}

// Package system answers the paths below sys/ that need a token: mounts,
// policies, leases, capabilities.
//
// It is a framework.Backend like any engine, mounted by core with the
// managers it speaks for; each file holds one family of paths. What answers
// without a token (health, seal status) is in package api.
package system

import (
	"context"
	"slices"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/core/lease"
	"github.com/novatech/securevault/server/core/mount"
	"github.com/novatech/securevault/server/core/policy"
	"github.com/novatech/securevault/server/core/token"
)

// Managers are what the paths act on.
type Managers struct {
	Mounts    *mount.Table
	Policies  *policy.Store
	Tokens    *token.Store
	Leases    *lease.Manager
	Passwords *Passwords
}

type backend struct {
	*framework.Backend
	Managers
}

// Factory returns what mounts the system paths. The mount must be a built-in
// one, which gets the client's token in the clear.
func Factory(m Managers) logical.Factory {
	return func(ctx context.Context, conf *logical.BackendConfig) (logical.Backend, error) {
		b := &backend{Managers: m}
		b.Backend = &framework.Backend{
			Help:        "Mounts, policies, leases and capabilities.",
			BackendType: logical.TypeLogical,
			PathsSpecial: &logical.Paths{Root: []string{
				"auth/*",
				"leases/lookup/*",
				"leases/revoke-prefix/*", "revoke-prefix/*",
				"leases/revoke-force/*", "revoke-force/*",
			}},
			Paths: slices.Concat(
				b.mountPaths(secrets), b.mountPaths(methods), b.visiblePaths(),
				b.policyPaths(), b.passwordPaths(), b.leasePaths(), b.capabilityPaths(),
			),
		}
		return b, b.Setup(ctx, conf)
	}
}

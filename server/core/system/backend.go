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

	"github.com/novatech/securevault/server/core/alert"
	"github.com/novatech/securevault/server/core/audit"
	"github.com/novatech/securevault/server/core/lease"
	"github.com/novatech/securevault/server/core/lockout"
	"github.com/novatech/securevault/server/core/metric"
	"github.com/novatech/securevault/server/core/mount"
	"github.com/novatech/securevault/server/core/policy"
	"github.com/novatech/securevault/server/core/quota"
	"github.com/novatech/securevault/server/core/token"
	"github.com/novatech/securevault/server/core/work"
	"github.com/novatech/securevault/server/core/wrap"
)

// Managers are what the paths act on.
type Managers struct {
	Mounts    *mount.Table
	Policies  *policy.Store
	Tokens    *token.Store
	Leases    *lease.Manager
	Passwords *Passwords
	CORS      *CORS
	Audit     *audit.Broker
	Metrics   *metric.Registry
	Alerts    *alert.Watch
	Quotas    *quota.Keeper
	Databases []string // types of databases, sorted
	Lockout   *lockout.Guard
	Wraps     *wrap.Store
	Seal      Seal
	Cluster   Cluster
}

type backend struct {
	*framework.Backend
	Managers
	tidying *work.Pool
}

// Factory returns what mounts the system paths. The mount must be a built-in
// one, which gets the client's token in the clear.
func Factory(m Managers) logical.Factory {
	return func(ctx context.Context, conf *logical.BackendConfig) (logical.Backend, error) {
		b := &backend{Managers: m, tidying: work.NewPool(1)}
		b.Backend = &framework.Backend{
			Help:        "Mounts, policies, leases and capabilities.",
			BackendType: logical.TypeLogical,
			PathsSpecial: &logical.Paths{Unauthenticated: openWrappingPaths, Root: []string{
				"audit", "audit/*", "auth/*",
				"leases", "leases/", "leases/lookup/*", "leases/tidy",
				"leases/revoke-prefix/*", "revoke-prefix/*",
				"leases/revoke-force/*", "revoke-force/*",
				"seal", "rotate", "step-down", "storage/*", "remount", "config/cors",
			}},
			Paths: slices.Concat(
				b.mountPaths(secrets), b.mountPaths(methods), b.visiblePaths(), b.remountPaths(), namespacePaths(),
				b.policyPaths(), b.passwordPaths(), b.leasePaths(), b.capabilityPaths(), b.lockoutPaths(),
				b.wrappingPaths(), b.sealPaths(), b.clusterPaths(),
				b.corsPaths(), b.auditPaths(), b.metricPaths(), b.alertPaths(),
				b.quotaPaths(), b.openAPIPaths(), b.catalogPaths(),
			),
		}
		return b, b.Setup(ctx, conf)
	}
}

// Package ldap is the auth method for the users of a directory: it binds as
// the user with the password given, and turns the user's groups into policies.
//
// config.go keeps where the directory is, mapping.go which users and groups
// have which policies, directory.go asks the directory, login.go puts them
// together. Names of users and groups are compared without regard to case, as
// directories do. A password is used once and never kept.
package ldap

import (
	"context"
	"slices"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/auth/record"
)

type backend struct {
	*framework.Backend
	config *record.Family[config, *config]
	users  *record.Family[user, *user]
	groups *record.Family[group, *group]
}

// Factory makes the method for one mount.
func Factory(ctx context.Context, conf *logical.BackendConfig) (logical.Backend, error) {
	b := &backend{config: newConfig(), users: newUsers(), groups: newGroups()}
	b.Backend = &framework.Backend{
		Help:         "Logs in the users of a directory (LDAP, Active Directory).",
		BackendType:  logical.TypeCredential,
		PathsSpecial: &logical.Paths{Unauthenticated: []string{"login/*"}},
		Paths:        slices.Concat(b.config.Paths(), b.users.Paths(), b.groups.Paths(), b.loginPaths()),
		AuthRenew:    b.renew,
	}
	return b, b.Setup(ctx, conf)
}

// Package userpass is the auth method for people and machines with a user name
// and a password.
//
// users.go keeps the users, whose passwords are stored as bcrypt hashes only;
// login.go compares and grants.
package userpass

import (
	"context"
	"fmt"
	"slices"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"
	"golang.org/x/crypto/bcrypt"

	"github.com/novatech/securevault/server/auth/record"
)

type backend struct {
	*framework.Backend
	users *record.Family[user, *user]
	decoy []byte // hash that is compared where there is no user
}

// Factory makes the method for one mount.
func Factory(ctx context.Context, conf *logical.BackendConfig) (logical.Backend, error) {
	decoy, err := bcrypt.GenerateFromPassword([]byte(conf.BackendUUID), bcrypt.DefaultCost)
	if err != nil {
		return nil, fmt.Errorf("hashing a password: %w", err)
	}
	b := &backend{users: newUsers(), decoy: decoy}
	parts := []*framework.Path{
		b.users.Part("password", "Changes a user's password.", "password", "password_hash"),
		b.users.Part("policies", "Changes a user's policies.", "policies", "token_policies"),
	}
	b.Backend = &framework.Backend{
		Help:         "Logs in with a user name and a password.",
		BackendType:  logical.TypeCredential,
		PathsSpecial: &logical.Paths{Unauthenticated: []string{"login/*"}},
		Paths:        slices.Concat(b.users.Paths(), parts, b.loginPaths()),
		AuthRenew:    b.renew,
	}
	return b, b.Setup(ctx, conf)
}

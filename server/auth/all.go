// Package auth lists the auth methods that the server is built with, each in a
// folder of its own.
//
// What they share: record keeps what they are told, grant answers logins and
// renewals.
package auth

import (
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/auth/approle"
	"github.com/novatech/securevault/server/auth/aws"
	"github.com/novatech/securevault/server/auth/cert"
	"github.com/novatech/securevault/server/auth/jwt"
	"github.com/novatech/securevault/server/auth/kubernetes"
	"github.com/novatech/securevault/server/auth/ldap"
	"github.com/novatech/securevault/server/auth/userpass"
)

// All returns the factories of the auth methods: type → factory.
func All() map[string]logical.Factory {
	return map[string]logical.Factory{
		"approle":    approle.Factory,
		"aws":        aws.Factory,
		"cert":       cert.Factory,
		"jwt":        jwt.Factory,
		"kubernetes": kubernetes.Factory,
		"ldap":       ldap.Factory,
		"oidc":       jwt.Factory,
		"userpass":   userpass.Factory,
	}
}

// Package auth lists the auth methods that the server is built with, each in a
// folder of its own.
package auth

import (
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/auth/approle"
)

// All returns the factories of the auth methods: type → factory.
func All() map[string]logical.Factory {
	return map[string]logical.Factory{
		"approle": approle.Factory,
	}
}

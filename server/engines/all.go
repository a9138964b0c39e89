// Package engines lists the secrets engines of the server. Each is a folder: a
// logical.Backend of the plugin SDK, a README that says what it needs on the
// target, and a test that runs the conformance suite of enginetest.
package engines

import (
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/engines/database"
)

// All returns what can be mounted, by the type given to `secrets enable`.
func All() map[string]logical.Factory {
	return map[string]logical.Factory{
		"database": database.Factory,
	}
}

// Package jwt is the auth method for whoever has a signed JSON web token:
// workloads of CI systems and clouds, and people through OpenID Connect.
//
// The method itself is the SDK makers' own module; this package gives it its
// place among the others. jwt_test.go says what the server relies on.
package jwt

import (
	"context"

	jwtauth "github.com/hashicorp/vault-plugin-auth-jwt"
	"github.com/hashicorp/vault/sdk/logical"
)

// Factory makes the method for one mount, of type jwt or oidc.
func Factory(ctx context.Context, conf *logical.BackendConfig) (logical.Backend, error) {
	return jwtauth.Factory(ctx, conf)
}

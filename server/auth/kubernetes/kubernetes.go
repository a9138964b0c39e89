// Package kubernetes is the auth method for pods: they show the token of their
// service account, and the cluster itself is asked about it (TokenReview).
//
// The method itself is the SDK makers' own module; this package gives it its
// place among the others. kubernetes_test.go says what the server relies on.
package kubernetes

import (
	"context"

	kubeauth "github.com/hashicorp/vault-plugin-auth-kubernetes"
	"github.com/hashicorp/vault/sdk/logical"
)

// Factory makes the method for one mount.
func Factory(ctx context.Context, conf *logical.BackendConfig) (logical.Backend, error) {
	return kubeauth.Factory(ctx, conf)
}

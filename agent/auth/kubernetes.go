package auth

import (
	"context"
	"fmt"

	"github.com/novatech/securevault/internal/vault"
)

// KubernetesTokenPath is where Kubernetes puts the token of a pod's service
// account.
const KubernetesTokenPath = "/var/run/secrets/kubernetes.io/serviceaccount/token" //nolint:gosec // a path, no credential

// Kubernetes logs in with the token of the pod's service account. Make one
// with [NewKubernetes].
type Kubernetes struct {
	mount
	role      string
	tokenPath string
}

// NewKubernetes returns the method for a mount such as "auth/kubernetes".
// tokenPath may be empty for [KubernetesTokenPath]. The file is read at each
// login, since Kubernetes replaces the token before it ends.
func NewKubernetes(mount, role, tokenPath string) *Kubernetes {
	if tokenPath == "" {
		tokenPath = KubernetesTokenPath
	}
	return &Kubernetes{mount: newMount(mount), role: role, tokenPath: tokenPath}
}

// Login implements [Method].
func (k *Kubernetes) Login(ctx context.Context, server Server) (*vault.Auth, error) {
	token, err := readCredential("service account token", k.tokenPath)
	if err != nil && k.tokenPath == KubernetesTokenPath {
		return nil, fmt.Errorf("%w; outside a pod, and in one with automountServiceAccountToken = false, "+
			"name a projected token by token_path", err)
	}
	if err != nil {
		return nil, err
	}
	return server.Login(ctx, k.login(), map[string]any{"role": k.role, "jwt": token.Reveal()})
}

package auth

import (
	"context"
	"encoding/json"
	"time"

	"github.com/novatech/securevault/internal/vault"
)

// Given uses a token that belongs to somebody else. Make one with
// [NewTokenFile] or [NewToken].
type Given struct {
	path string // "" for a token that is known
	read func() (vault.Sensitive, error)
}

// NewTokenFile returns the method for a file that holds a bare token. The
// file is read at each login, so that a newer token in it is taken up when
// the older one nears its end.
func NewTokenFile(path string) Given {
	return Given{path, func() (vault.Sensitive, error) { return readCredential("token", path) }}
}

// NewToken returns the method for a token that is known already.
func NewToken(token vault.Sensitive) Given {
	return Given{"", func() (vault.Sensitive, error) { return token, nil }}
}

// Watched implements [Watcher].
func (g Given) Watched() ([]string, time.Duration) {
	if g.path == "" {
		return nil, 0
	}
	return []string{g.path}, 0
}

// Owns implements [Method].
func (Given) Owns() bool { return false }

// Login implements [Method]: it asks the server what the token is worth.
func (g Given) Login(ctx context.Context, server Server) (*vault.Auth, error) {
	token, err := g.read()
	if err != nil {
		return nil, err
	}
	secret, err := server.LookupSelf(ctx, token)
	if err != nil {
		return nil, err
	}
	return authFromLookup(token, secret), nil
}

// authFromLookup reads the answer to a lookup-self, whose numbers are seconds.
func authFromLookup(token vault.Sensitive, secret *vault.Secret) *vault.Auth {
	auth := &vault.Auth{Token: token}
	if secret == nil {
		return auth
	}
	auth.Accessor, _ = secret.Data["accessor"].(string)
	auth.Renewable, _ = secret.Data["renewable"].(bool)
	auth.Batch = secret.Data["type"] == "batch"
	if seconds, ok := secret.Data["ttl"].(json.Number); ok {
		if n, err := seconds.Int64(); err == nil {
			auth.TTL = time.Duration(n) * time.Second
		}
	}
	if policies, ok := secret.Data["policies"].([]any); ok {
		for _, p := range policies {
			if name, ok := p.(string); ok {
				auth.Policies = append(auth.Policies, name)
			}
		}
	}
	return auth
}

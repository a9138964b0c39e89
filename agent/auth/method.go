package auth

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/novatech/securevault/internal/vault"
)

// Method is one way to log in.
type Method interface {
	// Login returns a token. An error of the server is returned as it is, so
	// that it can be classified; any other error is retried later.
	Login(ctx context.Context, server Server) (*vault.Auth, error)
	// Owns reports whether the token is the agent's own: made by Login, and
	// so revoked at shutdown. A token that was given to the agent is not.
	Owns() bool
}

// Server is what a login asks of the server.
type Server interface {
	Write(ctx context.Context, token vault.Sensitive, path string, body map[string]any) (*vault.Secret, error)
	LookupSelf(ctx context.Context, token vault.Sensitive) (*vault.Secret, error)
}

// login writes credentials to a method's login path.
func login(ctx context.Context, server Server, path string, body map[string]any) (*vault.Auth, error) {
	secret, err := server.Write(ctx, "", path, body)
	if err != nil {
		return nil, err
	}
	if secret == nil || secret.Auth == nil || secret.Auth.Token == "" {
		return nil, fmt.Errorf("logging in at %q: the answer carries no token; check the mount path of the method", path)
	}
	return secret.Auth, nil
}

// readCredential reads a file that holds one credential, such as a token or a
// secret id. Surrounding white space is not part of it.
func readCredential(what, path string) (vault.Sensitive, error) {
	content, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("reading the %s: %w; write it there, or correct the path in the method's config", what, err)
	case err != nil:
		return "", fmt.Errorf("reading the %s: %w", what, err)
	}
	text := strings.TrimSpace(string(content))
	if text == "" {
		return "", fmt.Errorf("reading the %s: %q is empty", what, path)
	}
	if strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return "", fmt.Errorf("reading the %s: %q holds white space or control characters inside; it must hold the bare value", what, path)
	}
	return vault.Sensitive(text), nil
}

package auth

import (
	"context"
	"strings"
	"time"

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

// Watcher is a Method whose credentials are files that others write anew.
type Watcher interface {
	// Watched returns the files, and how long to wait between two looks at
	// them; 0 leaves that to the keeper.
	Watched() (paths []string, every time.Duration)
}

// Server is what a login asks of the server.
type Server interface {
	// Login sends credentials to a method's login path.
	Login(ctx context.Context, path string, body map[string]any) (*vault.Auth, error)
	Write(ctx context.Context, token vault.Sensitive, path string, body map[string]any) (*vault.Secret, error)
	LookupSelf(ctx context.Context, token vault.Sensitive) (*vault.Secret, error)
}

// mount is where a method is mounted, "auth/approle" say. Methods embed it:
// whoever logs in at a mount owns the token.
type mount string

func newMount(path string) mount { return mount(strings.Trim(path, "/")) }

// Owns implements [Method].
func (mount) Owns() bool { return true }

func (m mount) login() string { return string(m) + "/login" }

package auth

import (
	"context"
	"time"

	"github.com/novatech/securevault/internal/vault"
)

const (
	readPeriod     = time.Minute            // of a file that stays
	readOncePeriod = 500 * time.Millisecond // of a file that is removed once read
)

// JWTConfig says where the JWT is and what becomes of it.
type JWTConfig struct {
	Mount  string // "auth/jwt"
	Role   string // "" for the default role of the mount
	Path   string // of the file that holds the JWT
	Remove bool   // delete the file after it was read
	// FollowLinks deletes what the path links to instead of the link.
	FollowLinks bool
	// Period is how long to wait between two looks at the file; 0 for one
	// minute, or half a second with Remove.
	Period time.Duration
}

// JWT logs in with a JSON web token that somebody puts into a file. Make one
// with [NewJWT].
type JWT struct {
	mount
	role   string
	file   credentialFile
	period time.Duration
}

// NewJWT returns the method.
func NewJWT(cfg JWTConfig) *JWT {
	return &JWT{
		mount: newMount(cfg.Mount),
		role:  cfg.Role,
		file: credentialFile{
			what: "JWT", path: cfg.Path, remove: cfg.Remove, option: "remove_jwt_after_reading", follow: cfg.FollowLinks,
		},
		period: period(cfg.Period, cfg.Remove),
	}
}

// period returns how long to wait between two looks at a credential's file.
func period(configured time.Duration, remove bool) time.Duration {
	switch {
	case configured > 0:
		return configured
	case remove:
		return readOncePeriod
	default:
		return readPeriod
	}
}

// Watched implements [Watcher].
func (j *JWT) Watched() ([]string, time.Duration) { return []string{j.file.path}, j.period }

// Login implements [Method].
func (j *JWT) Login(ctx context.Context, server Server) (*vault.Auth, error) {
	token, err := j.file.read()
	if err != nil {
		return nil, err
	}
	body := map[string]any{"jwt": token.Reveal()}
	if j.role != "" {
		body["role"] = j.role
	}
	return server.Login(ctx, j.login(), body)
}

package auth

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/novatech/securevault/internal/vault"
)

// PasswordConfig says who logs in and where the password is.
type PasswordConfig struct {
	Mount    string // "auth/userpass" or "auth/ldap"
	Username string
	Path     string // of the file that holds the password
	Remove   bool   // delete the file after it was read
	// Period is how long to wait between two looks at the file; 0 for one
	// minute, or half a second with Remove.
	Period time.Duration
}

// Password logs in with a user name and a password: the methods userpass and
// ldap, which differ in their mount alone. Make one with [NewPassword].
type Password struct {
	mount
	username string
	file     credentialFile
	period   time.Duration
}

// NewPassword returns the method.
func NewPassword(cfg PasswordConfig) *Password {
	return &Password{
		mount:    newMount(cfg.Mount),
		username: cfg.Username,
		file: credentialFile{
			what: "password", path: cfg.Path, remove: cfg.Remove, option: "remove_password_after_reading", phrase: true,
		},
		period: period(cfg.Period, cfg.Remove),
	}
}

// Watched implements [Watcher].
func (p *Password) Watched() ([]string, time.Duration) { return []string{p.file.path}, p.period }

// Login implements [Method].
func (p *Password) Login(ctx context.Context, server Server) (*vault.Auth, error) {
	// The name is part of the path, which must end at it.
	if p.username == "" || strings.Contains(p.username, "/") || strings.Trim(p.username, ".") == "" {
		return nil, fmt.Errorf("logging in at %q: %q is no user name; correct username in the method's config", string(p.mount), p.username)
	}
	password, err := p.file.read()
	if err != nil {
		return nil, err
	}
	return server.Login(ctx, p.login()+"/"+p.username, map[string]any{"password": password.Reveal()})
}

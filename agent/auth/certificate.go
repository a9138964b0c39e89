package auth

import (
	"context"
	"time"

	"github.com/novatech/securevault/internal/vault"
)

// Certificate logs in with the TLS client certificate of the connection. Its
// keeper must be given a server that presents one ([vault.Client.WithCertificate]
// or the certificate of the vault stanza), also for renewals: servers bind the
// token to the certificate. Make one with [NewCertificate].
type Certificate struct {
	mount
	name    string
	watched []string
	period  time.Duration
}

// NewCertificate returns the method for a mount such as "auth/cert". name is
// that of the role; without one the server looks for a role that fits.
// watched are the files whose change means a new certificate, looked at once
// in a period (0 leaves it to the keeper).
func NewCertificate(mount, name string, watched []string, period time.Duration) *Certificate {
	return &Certificate{mount: newMount(mount), name: name, watched: watched, period: period}
}

// Watched implements [Watcher].
func (c *Certificate) Watched() ([]string, time.Duration) { return c.watched, c.period }

// Login implements [Method].
func (c *Certificate) Login(ctx context.Context, server Server) (*vault.Auth, error) {
	body := map[string]any{}
	if c.name != "" {
		body["name"] = c.name
	}
	return server.Login(ctx, c.login(), body)
}

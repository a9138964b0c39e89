package core

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/helper/policyutil"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/core/lease"
	"github.com/novatech/securevault/server/core/mount"
	"github.com/novatech/securevault/server/core/policy"
	"github.com/novatech/securevault/server/core/token"
)

// takeCharge registers what an engine or auth method has just given out, so
// that nothing leaves the server whose end is not certain.
func (c *Core) takeCharge(ctx context.Context, cl *call, req *logical.Request, resp *logical.Response) error {
	switch {
	case cl.mount.BuiltIn():
		return nil // its tokens and renewed leases are registered already
	case cl.mount.Entry().IsAuth() && resp.Auth != nil:
		return c.logIn(ctx, cl, req, resp)
	}
	resp.Auth = nil // only auth methods log in
	if resp.Secret == nil {
		return nil
	}
	return c.issue(ctx, cl, req, resp)
}

// issue registers the lease of a new credential and puts its id and lifetime
// into the answer. On any failure the credential is revoked.
func (c *Core) issue(ctx context.Context, cl *call, req *logical.Request, resp *logical.Response) error {
	secret := *resp.Secret
	l := &lease.Lease{
		ID:        strings.TrimSuffix(req.Path, "/") + "/" + rand.Text(),
		Path:      req.Path,
		Mount:     cl.mount.Entry().UUID,
		Data:      resp.Data,
		Secret:    &secret,
		IssueTime: time.Now(),
	}
	if cl.caller == nil || cl.caller.UsedUp() {
		c.leases.Abandon(ctx, l)
		return logical.CodedError(http.StatusBadRequest,
			"this was the token's last use, and its credential would end with it: it is being revoked; use a token with more uses")
	}
	ttl, warnings, err := framework.CalculateTTL(cl.mount.System(), 0, secret.TTL, 0, secret.MaxTTL, 0, time.Time{})
	if err != nil {
		c.leases.Abandon(ctx, l)
		return fmt.Errorf("deciding the lifetime of a lease: %w", err)
	}
	secret.TTL, secret.LeaseID = ttl, l.ID
	l.Token, l.ExpireTime = cl.caller.Key, l.IssueTime.Add(ttl)
	if err := c.leases.Register(ctx, l); err != nil {
		return err
	}
	if _, err := c.tokens.ByKey(l.Token); err != nil { // it ended meanwhile
		c.leases.RevokeLater(ctx, l.ID)
		return logical.ErrPermissionDenied
	}
	resp.Secret, cl.leaseID = &secret, l.ID
	for _, warning := range warnings {
		resp.AddWarning(warning)
	}
	return nil
}

// logIn makes the token of a login and puts it into the answer.
func (c *Core) logIn(ctx context.Context, cl *call, req *logical.Request, resp *logical.Response) error {
	auth := resp.Auth
	policies := policyutil.SanitizePolicies(auth.Policies, !auth.NoDefaultPolicy)
	if slices.Contains(policies, policy.RootName) {
		return logical.CodedError(http.StatusBadRequest, "auth methods cannot create root tokens; give the role other policies")
	}
	if auth.TokenType == logical.TokenTypeBatch {
		return logical.CodedError(http.StatusBadRequest, "batch tokens are not supported; set token_type to service")
	}
	ttl, warnings, err := framework.CalculateTTL(cl.mount.System(), 0, auth.TTL, auth.Period, auth.MaxTTL, auth.ExplicitMaxTTL, time.Time{})
	if err != nil {
		return fmt.Errorf("deciding the lifetime of a token: %w", err)
	}
	secret, made, err := c.tokens.Create(ctx, "", token.Token{
		Policies:       policies,
		Path:           req.Path,
		DisplayName:    loginName(cl.mount.Entry(), auth.DisplayName),
		Meta:           auth.Metadata,
		BoundCIDRs:     auth.BoundCIDRs,
		Internal:       auth.InternalData,
		NumUses:        auth.NumUses,
		Renewable:      auth.Renewable,
		TTL:            ttl,
		MaxTTL:         auth.MaxTTL,
		ExplicitMaxTTL: auth.ExplicitMaxTTL,
		Period:         auth.Period,
	})
	if err != nil {
		return err
	}
	resp.Auth = made.Auth()
	resp.Auth.ClientToken, resp.Auth.TTL = secret, ttl
	resp.Secret = nil // a login has no lease but its token
	for _, warning := range warnings {
		resp.AddWarning(warning)
	}
	return nil
}

// loginName names who logged in by the method's path and its own name for them,
// as in "approle" or "ldap-alice".
func loginName(e *mount.Entry, name string) string {
	source := strings.ReplaceAll(strings.TrimPrefix(e.Path, mount.AuthPrefix), "/", "-")
	return strings.TrimSuffix(source+name, "-")
}

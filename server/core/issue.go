package core

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/helper/policyutil"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/core/mount"
	"github.com/novatech/securevault/server/core/policy"
	"github.com/novatech/securevault/server/core/token"
)

// takeCharge registers what an engine or auth method has just given out, so
// that nothing leaves the server whose end is not certain.
func (c *Core) takeCharge(ctx context.Context, cl *call, req *logical.Request, resp *logical.Response, d *draft) error {
	switch {
	case cl.mount.BuiltIn():
		c.noteCreation(cl, resp)
		return nil // its tokens and renewed leases are registered already
	case cl.mount.Entry().IsAuth() && resp.Auth != nil:
		return c.logIn(ctx, cl, req, resp)
	}
	resp.Auth = nil // only auth methods log in
	if resp.Secret == nil {
		return nil
	}
	return c.issue(ctx, cl, resp, d)
}

// issue registers the lease of a new credential and puts its id and lifetime
// into the answer. On any failure the credential is revoked.
func (c *Core) issue(ctx context.Context, cl *call, resp *logical.Response, d *draft) error {
	secret := *resp.Secret
	d.lease.Data, d.lease.Secret = resp.Data, &secret
	warnings, err := c.grant(ctx, cl, &secret, d)
	if err != nil {
		d.abandon(ctx)
		return err
	}
	if err := d.register(ctx); err != nil {
		return err
	}
	if owner := d.lease.Token; owner != "" && !c.tokens.Alive(owner) { // it ended meanwhile
		return logical.ErrPermissionDenied
	}
	resp.Secret = &secret
	c.countCreated(cl.mount, d.lease.Role)
	for _, warning := range warnings {
		resp.AddWarning(warning)
	}
	return nil
}

// grant decides whether and how long a new credential lives.
func (c *Core) grant(ctx context.Context, cl *call, secret *logical.Secret, d *draft) (warnings []string, err error) {
	if cl.caller == nil || cl.caller.UsedUp() {
		return nil, logical.CodedError(http.StatusBadRequest,
			"this was the token's last use, and its credential would end with it: it is being revoked; use a token with more uses")
	}
	if err := d.reserve(ctx); err != nil { // on a path that nobody knew to issue
		return nil, err
	}
	ttl, warnings, err := framework.CalculateTTL(cl.mount.System(), 0, secret.TTL, 0, secret.MaxTTL, 0, time.Time{})
	if err != nil {
		return nil, fmt.Errorf("deciding the lifetime of a lease: %w", err)
	}
	if cl.caller.Batch { // which nobody revokes: its leases must not outlive it
		d.lease.Until = cl.caller.ExpireTime
		ttl = min(ttl, cl.caller.Remaining())
	}
	secret.TTL, secret.LeaseID = ttl, d.lease.ID
	d.lease.ExpireTime = d.lease.IssueTime.Add(ttl)
	return warnings, nil
}

// logIn makes the token of a login and puts it into the answer.
func (c *Core) logIn(ctx context.Context, cl *call, req *logical.Request, resp *logical.Response) error {
	auth := resp.Auth
	policies := policyutil.SanitizePolicies(auth.Policies, !auth.NoDefaultPolicy)
	if slices.Contains(policies, policy.RootName) {
		return logical.CodedError(http.StatusBadRequest, "auth methods cannot create root tokens; give the role other policies")
	}
	batch := auth.TokenType == logical.TokenTypeBatch || auth.TokenType == logical.TokenTypeDefaultBatch
	if batch && (auth.NumUses > 0 || auth.Period > 0 || auth.ExplicitMaxTTL > 0) {
		return logical.CodedError(http.StatusBadRequest,
			"batch tokens have neither num_uses, period nor explicit_max_ttl; set token_type of the role to service")
	}
	ttl, warnings, err := framework.CalculateTTL(cl.mount.System(), 0, auth.TTL, auth.Period, auth.MaxTTL, auth.ExplicitMaxTTL, time.Time{})
	if err != nil {
		return fmt.Errorf("deciding the lifetime of a token: %w", err)
	}
	secret, made, err := c.tokens.Create(ctx, "", token.Token{
		Batch:          batch,
		Alias:          alias(cl.mount.Entry(), auth),
		Policies:       policies,
		Path:           req.Path,
		DisplayName:    loginName(cl.mount.Entry(), auth.DisplayName),
		Meta:           auth.Metadata,
		BoundCIDRs:     auth.BoundCIDRs,
		Internal:       auth.InternalData,
		NumUses:        auth.NumUses,
		Renewable:      auth.Renewable && !batch,
		TTL:            ttl,
		MaxTTL:         auth.MaxTTL,
		ExplicitMaxTTL: auth.ExplicitMaxTTL,
		Period:         auth.Period,
	})
	if err != nil {
		return err
	}
	if !batch {
		cl.tokenID = made.Key
	}
	resp.Auth = made.Auth()
	resp.Auth.ClientToken, resp.Auth.TTL = secret, ttl
	resp.Secret = nil // a login has no lease but its token
	for _, warning := range warnings {
		resp.AddWarning(warning)
	}
	return nil
}

// alias is how policies know who logged in: by the method's own name for them,
// and by what it says about them.
func alias(e *mount.Entry, auth *logical.Auth) token.Alias {
	known := token.Alias{Accessor: e.Accessor, Name: auth.DisplayName, Metadata: auth.Metadata}
	if auth.Alias == nil {
		return known
	}
	known.Name = cmp.Or(auth.Alias.Name, known.Name)
	if len(auth.Alias.Metadata) > 0 {
		known.Metadata = auth.Alias.Metadata
	}
	return known
}

// loginName names who logged in by the method's path and its own name for them,
// as in "approle" or "ldap-alice".
func loginName(e *mount.Entry, name string) string {
	source := strings.ReplaceAll(strings.TrimPrefix(e.Path, mount.AuthPrefix), "/", "-")
	return strings.TrimSuffix(source+name, "-")
}

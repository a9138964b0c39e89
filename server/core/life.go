package core

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/core/lease"
	"github.com/novatech/securevault/server/core/token"
	"github.com/novatech/securevault/server/store"
)

// engines implements lease.Engine: it finds the engine of a lease by its mount.
type engines struct{ core *Core }

// request builds what an engine is asked about a lease. The secret is a copy
// that the engine may change.
func (e engines) request(l *lease.Lease, op logical.Operation) (*logical.Request, logical.Backend, error) {
	m, ok := e.core.mounts.ByUUID(l.Mount)
	if !ok {
		return nil, nil, fmt.Errorf("the engine of lease %q is not mounted any more", l.ID)
	}
	secret := *l.Secret
	secret.IssueTime, secret.LeaseID = l.IssueTime, ""
	entry := m.Entry()
	return &logical.Request{
		Operation:     op,
		Path:          l.Path[min(len(entry.Path), len(l.Path)):],
		Data:          l.Data,
		Secret:        &secret,
		Storage:       m.Storage,
		MountPoint:    entry.Path,
		MountType:     entry.Type,
		MountAccessor: entry.Accessor,
	}, m.Backend, nil
}

// Renew implements lease.Engine.
func (e engines) Renew(ctx context.Context, l *lease.Lease, increment time.Duration) (*logical.Response, error) {
	req, backend, err := e.request(l, logical.RenewOperation)
	if err != nil {
		return nil, err
	}
	req.Secret.Increment = increment
	resp, err := backend.HandleRequest(ctx, req)
	if err := engineError(resp, err); err != nil {
		return nil, err
	}
	if resp == nil || resp.Secret == nil {
		return nil, lease.ErrNotRenewable
	}
	m, ok := e.core.mounts.ByUUID(l.Mount)
	if !ok {
		return nil, lease.ErrNotFound
	}
	ttl, warnings, err := framework.CalculateTTL(m.System(), increment, resp.Secret.TTL, 0, resp.Secret.MaxTTL, 0, l.IssueTime)
	if err != nil { // at the very end of its maximum: what is left, no more
		ttl = l.TTL()
	}
	most := m.System().MaxLeaseTTL()
	if s := resp.Secret.MaxTTL; s > 0 {
		most = min(most, s)
	}
	// The SDK counts in whole seconds, and may give nearly one too many.
	ttl = min(ttl, max(time.Until(l.IssueTime.Add(most)), 0))
	if !l.Until.IsZero() {
		ttl = min(ttl, time.Until(l.Until))
	}
	resp.Secret.TTL = ttl
	resp.Warnings = append(resp.Warnings, warnings...)
	return resp, nil
}

// Revoke implements lease.Engine. A server that is not active any more leaves
// it to the one that is, unless that one cannot know of the credential.
func (e engines) Revoke(ctx context.Context, l *lease.Lease) error {
	if !l.Unrecorded && !e.core.config.tenure.holds() {
		return store.ErrNotActive
	}
	req, backend, err := e.request(l, logical.RevokeOperation)
	if err != nil {
		return err
	}
	resp, err := backend.HandleRequest(ctx, req)
	return engineError(resp, err)
}

// engineError unites the two ways in which an engine reports a failure. An
// error inside the response is the client's to mend.
func engineError(resp *logical.Response, err error) error {
	if err == nil && resp.IsError() {
		return logical.CodedError(http.StatusBadRequest, resp.Error().Error())
	}
	return err
}

// RenewToken implements token.Authority: the auth method that made the token
// is asked, where there is one.
func (c *Core) RenewToken(ctx context.Context, from *logical.Connection, t *token.Token, increment time.Duration) (*token.Token, []string, error) {
	if !t.Renewable {
		return nil, nil, lease.ErrNotRenewable
	}
	m, path, ok := c.mounts.Route(t.Path)
	if !ok {
		return nil, nil, lease.ErrNotRenewable
	}
	auth := t.Auth()
	auth.Increment, auth.TTL = increment, t.TTL
	if !m.BuiltIn() {
		req := logical.RenewAuthRequest(path, auth, nil)
		req.Connection = from
		req.Storage, req.MountPoint, req.MountType = m.Storage, m.Entry().Path, m.Entry().Type
		resp, err := m.Backend.HandleRequest(ctx, req)
		if err := engineError(resp, err); err != nil {
			return nil, nil, err
		}
		if resp == nil || resp.Auth == nil {
			return nil, nil, errors.New("renewing a token: its auth method gave no answer")
		}
		auth = resp.Auth
	}
	ttl, warnings, err := framework.CalculateTTL(m.System(), increment, auth.TTL, auth.Period, auth.MaxTTL, t.ExplicitMaxTTL, t.IssueTime)
	if err != nil { // at the very end of its maximum: what is left, no more
		ttl = t.Remaining()
	}
	renewed, err := c.tokens.Extend(ctx, t.Key, ttl)
	return renewed, warnings, err
}

package core

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/hashicorp/vault/sdk/helper/errutil"
	"github.com/hashicorp/vault/sdk/logical"
)

// requestTimeout bounds one request, its engine included.
const requestTimeout = 90 * time.Second

// Handle answers one request. Its Path is whole and has no leading slash, its
// ClientToken is what the client sent. A nil response without error means that
// there is nothing to say (a write that succeeded) or nothing there (a read).
//
// The engine is not interrupted when ctx ends: what it is creating would be
// left behind. A credential whose client has gone is revoked instead.
func (c *Core) Handle(ctx context.Context, req *logical.Request) (*logical.Response, error) {
	work, cancel := context.WithTimeout(context.WithoutCancel(ctx), requestTimeout)
	defer cancel()

	cl, err := c.admit(work, req)
	if cl != nil && cl.caller != nil && cl.caller.UsedUp() {
		defer c.retire(work, cl)
	}
	if err != nil {
		return nil, err
	}
	if err := cl.settleOperation(work, req, c); err != nil {
		return nil, err
	}
	if err := cl.authorize(req); err != nil {
		return nil, err
	}
	resp, err := cl.mount.Handle(work, c.inner(cl, req))
	if err != nil || resp == nil || resp.IsError() {
		return resp, err
	}
	resp.MountType = cl.mount.Entry().Type
	if err := c.takeCharge(work, cl, req, resp); err != nil {
		return nil, err
	}
	if ctx.Err() != nil && cl.leaseID != "" {
		c.leases.RevokeLater(work, cl.leaseID)
		return nil, fmt.Errorf("the client has gone, its credential is being revoked: %w", context.Cause(ctx))
	}
	return resp, nil
}

// settleOperation turns an update of what does not exist yet into a creation.
func (cl *call) settleOperation(ctx context.Context, req *logical.Request, c *Core) error {
	if req.Operation != logical.UpdateOperation || !cl.mayWrite(req) {
		return nil
	}
	checked, exists, err := cl.mount.Backend.HandleExistenceCheck(ctx, c.inner(cl, req))
	var mistake errutil.UserError
	switch {
	case errors.As(err, &mistake):
		return logical.CodedError(http.StatusBadRequest, mistake.Err)
	case err != nil && !errors.Is(err, logical.ErrUnsupportedPath):
		return fmt.Errorf("checking whether %q exists: %w", req.Path, err)
	}
	if checked && !exists {
		req.Operation = logical.CreateOperation
	}
	return nil
}

// inner is the request as its engine sees it: relative to its mount, and
// without the client's token unless the mount is part of the server.
func (c *Core) inner(cl *call, req *logical.Request) *logical.Request {
	entry := cl.mount.Entry()
	inner := &logical.Request{
		ID:            req.ID,
		Operation:     req.Operation,
		Path:          cl.path,
		Data:          req.Data,
		Storage:       cl.mount.Storage,
		Connection:    req.Connection,
		Headers:       req.Headers,
		MountPoint:    entry.Path,
		MountType:     entry.Type,
		MountAccessor: entry.Accessor,
	}
	if cl.caller == nil {
		inner.Unauthenticated = true
		return inner
	}
	inner.DisplayName = cl.caller.DisplayName
	inner.ClientTokenAccessor = cl.caller.Accessor
	inner.ClientTokenRemainingUses = max(0, cl.caller.NumUses)
	inner.ClientToken = cl.caller.Key
	if cl.mount.BuiltIn() {
		inner.ClientToken = req.ClientToken
		inner.Data = withoutNulls(req.Data)
	}
	return inner
}

// withoutNulls drops the fields that some clients send as null to say nothing.
func withoutNulls(data map[string]any) map[string]any {
	kept := make(map[string]any, len(data))
	for name, value := range data {
		if value != nil {
			kept[name] = value
		}
	}
	return kept
}

// retire revokes a token that has been used for the last time.
func (c *Core) retire(ctx context.Context, cl *call) {
	if err := c.tokens.Revoke(ctx, cl.caller.Key); err != nil {
		c.logger.Error("revoking a used-up token", "accessor", cl.caller.Accessor, "error", err)
	}
}

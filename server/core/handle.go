package core

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/hashicorp/vault/sdk/helper/errutil"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/core/endpoint"
)

// requestTimeout bounds one request, its engine included, whose listener set no
// deadline.
const requestTimeout = 90 * time.Second

// aftermathTime bounds what is ended after a request.
const aftermathTime = 30 * time.Second

// Handle answers one request. Its Path is whole and has no leading slash, its
// ClientToken is what the client sent. A nil response without error means that
// there is nothing to say (a write that succeeded) or nothing there (a read).
//
// The engine is not interrupted when ctx ends: what it is creating would be
// left behind. A credential whose client has gone is revoked instead.
func (c *Core) Handle(ctx context.Context, req *logical.Request) (*logical.Response, error) {
	work, cancel := bounded(ctx)
	defer cancel()

	if err := c.quotas.Allow(req.Path, endpoint.RemoteAddr(req)); err != nil {
		return nil, c.refuseExcess(req, err)
	}
	begun := time.Now()
	cl, err := c.admit(work, req)
	defer func() { c.observe(cl, req, begun) }()
	if cl.caller != nil && cl.caller.UsedUp() {
		defer c.retire(work, cl)
	}
	var resp *logical.Response
	if err == nil {
		resp, err = c.perform(work, cl, req)
	}
	return c.release(ctx, work, cl, req, resp, err)
}

// perform does what an admitted request asks, if its caller may.
func (c *Core) perform(ctx context.Context, cl *call, req *logical.Request) (*logical.Response, error) {
	if err := cl.settleOperation(ctx, req, c); err != nil {
		return nil, err
	}
	if err := cl.authorize(req); err != nil {
		return nil, err
	}
	if err := c.recordRequest(cl, req, nil); err != nil {
		return nil, err
	}
	ctx, d, err := c.expect(ctx, cl, req)
	defer d.close(ctx)
	if err != nil {
		return nil, err
	}
	resp, err := c.pass(ctx, cl, c.inner(cl, req))
	if err != nil || resp == nil || resp.IsError() {
		return resp, err
	}
	resp.MountType = cl.mount.Entry().Type
	return resp, c.takeCharge(ctx, cl, req, resp, d)
}

// release is the one place that every answer passes before it leaves, errors
// and refusals among them. What must be done with an answer is done here, in
// turn; when any of it fails, the client gets the error alone, and what the
// request has brought about is ended.
func (c *Core) release(ctx, work context.Context, cl *call, req *logical.Request, resp *logical.Response, err error) (*logical.Response, error) {
	if err == nil {
		resp, err = c.wrapUp(work, cl, req, resp)
	}
	if failed := c.recordAnswer(cl, req, resp, err); failed != nil {
		err = failed
	}
	if err == nil && ctx.Err() != nil && cl.leaseID != "" {
		err = fmt.Errorf("the client has gone, its credential is being revoked: %w", context.Cause(ctx))
	}
	if err != nil {
		c.takeBack(work, cl)
		return nil, err
	}
	return resp, nil
}

// takeBack ends what a request has brought about and its client will not get.
func (c *Core) takeBack(ctx context.Context, cl *call) {
	ctx, cancel := aftermath(ctx)
	defer cancel()
	if cl.leaseID != "" {
		c.leases.RevokeLater(ctx, cl.leaseID)
	}
	if cl.tokenID != "" {
		if err := c.tokens.Revoke(ctx, cl.tokenID); err != nil {
			c.logger.Error("revoking a token that its client did not get", "error", err)
		}
	}
}

// bounded returns what the work on a request runs under: it ends at the deadline
// of ctx, but not when the client goes.
func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(requestTimeout)
	}
	return context.WithDeadline(context.WithoutCancel(ctx), deadline)
}

// aftermath returns what the clearing up after a request runs under: the
// request's own time may be over.
func aftermath(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), aftermathTime)
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
		WrapInfo:      req.WrapInfo,
		MountPoint:    entry.Path,
		MountType:     entry.Type,
		MountAccessor: entry.Accessor,
	}
	if cl.mount.BuiltIn() {
		inner.ClientToken = req.ClientToken
		inner.Data = withoutNulls(req.Data)
	}
	if cl.caller == nil {
		inner.Unauthenticated = true
		return inner
	}
	inner.DisplayName = cl.caller.DisplayName
	inner.ClientTokenAccessor = cl.caller.Accessor
	inner.ClientTokenRemainingUses = max(0, cl.caller.NumUses)
	if !cl.mount.BuiltIn() {
		inner.ClientToken = cl.caller.Key
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
	ctx, cancel := aftermath(ctx)
	defer cancel()
	if err := c.tokens.Revoke(ctx, cl.caller.Key); err != nil {
		c.logger.Error("revoking a used-up token", "accessor", cl.caller.Accessor, "error", err)
	}
}

package core

import (
	"context"
	"errors"
	"maps"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/core/lockout"
)

// pass hands a request to its engine. A login that fails is counted, and
// refused from then on once there were too many.
func (c *Core) pass(ctx context.Context, cl *call, req *logical.Request) (*logical.Response, error) {
	name, guarded := c.whoLogsIn(ctx, cl, req)
	if guarded {
		if err := c.lockout.Allow(name); err != nil {
			c.logger.Warn("login refused", "mount", cl.mount.Entry().Path, "error", err)
			return nil, logical.ErrPermissionDenied
		}
	}
	resp, err := cl.mount.Handle(ctx, req)
	wrong := errors.Is(err, logical.ErrInvalidCredentials)
	switch {
	case guarded && wrong && c.lockout.Failed(name, c.lockoutOf(cl)):
		c.logger.Warn("user locked out after too many failed logins", "mount", cl.mount.Entry().Path)
	case guarded && err == nil && resp != nil && resp.Auth != nil:
		c.lockout.Succeeded(name)
	}
	if wrong && resp.IsError() { // the response says it in the method's words
		err = nil
	}
	return resp, err
}

// whoLogsIn asks the auth method whose login a request is. Only methods that
// could be guessed at are asked; of them, only logins need no token.
func (c *Core) whoLogsIn(ctx context.Context, cl *call, req *logical.Request) (lockout.Name, bool) {
	entry := cl.mount.Entry()
	if cl.caller != nil || !entry.IsAuth() || !lockout.Guards(entry.Type) || c.lockoutOf(cl).Disabled {
		return lockout.Name{}, false
	}
	question := *req
	question.Operation = logical.AliasLookaheadOperation
	question.Data = maps.Clone(req.Data)
	resp, err := cl.mount.Handle(ctx, &question)
	if err != nil || resp == nil || resp.Auth == nil || resp.Auth.Alias == nil {
		return lockout.Name{}, false // its login will say why
	}
	return lockout.Name{Mount: entry.Accessor, Alias: resp.Auth.Alias.Name}, true
}

func (c *Core) lockoutOf(cl *call) lockout.Settings {
	return cl.mount.Entry().Config.Lockout.Or(c.config.Lockout).Or(lockout.Default())
}

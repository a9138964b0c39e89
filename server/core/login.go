package core

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/core/lockout"
)

// pass hands a request to its engine. A login waits for its turn; one that fails
// is counted, and refused from then on once there were too many.
func (c *Core) pass(ctx context.Context, cl *call, req *logical.Request) (*logical.Response, error) {
	name, guarded := c.whoLogsIn(ctx, cl, req)
	if guarded {
		end, err := c.lockout.Begin(ctx, name, c.lockoutOf(cl))
		if errors.Is(err, lockout.ErrLocked) {
			c.logger.Warn("login refused", "mount", cl.mount.Entry().Path, "error", err)
			return nil, logical.ErrPermissionDenied
		}
		if err != nil {
			return nil, fmt.Errorf("waiting for other logins of the same name: %w", err)
		}
		defer end()
	}
	resp, err := cl.mount.Handle(ctx, req)
	wrong := errors.Is(err, logical.ErrInvalidCredentials)
	switch {
	case guarded && wrong:
		c.countFailure(ctx, cl, name)
	case guarded && err == nil && resp != nil && resp.Auth != nil:
		if err := c.lockout.Succeeded(ctx, name); err != nil {
			c.logger.Error("forgetting a lock", "mount", cl.mount.Entry().Path, "error", err)
		}
	}
	if wrong && resp.IsError() { // the response says it in the method's words
		err = nil
	}
	return resp, err
}

// countFailure counts a failed login.
func (c *Core) countFailure(ctx context.Context, cl *call, name lockout.Name) {
	at := cl.mount.Entry().Path
	locked, err := c.lockout.Failed(ctx, name, c.lockoutOf(cl))
	if locked {
		c.logger.Warn("user locked out after too many failed logins", "mount", at)
	}
	if err != nil {
		c.logger.Error("keeping a lock; a restart will end it", "mount", at, "error", err)
	}
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
	return lockout.NewName(entry.Accessor, resp.Auth.Alias.Name), true
}

func (c *Core) lockoutOf(cl *call) lockout.Settings {
	return cl.mount.Entry().Config.Lockout.Or(c.config.Lockout).Or(lockout.Default())
}

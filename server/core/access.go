package core

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/hashicorp/vault/sdk/helper/cidrutil"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/core/endpoint"
	"github.com/novatech/securevault/server/core/mount"
	"github.com/novatech/securevault/server/core/policy"
	"github.com/novatech/securevault/server/core/token"
)

// visibleMounts may be read with any token: it shows only what the token can
// use.
const visibleMounts = "sys/internal/ui/mounts"

// call is a request on its way: where it goes and who sent it.
type call struct {
	mount   *mount.Mount
	path    string       // relative to the mount
	caller  *token.Token // nil on a path that needs none
	acl     *policy.ACL  // nil likewise
	leaseID string       // of the credential that the request has brought about
	tokenID string       // key of the token that the request has brought about

	recorded bool // whether the audit devices know of the request
}

// admit finds the mount of a request and the token that sent it. A path that
// needs no token ignores the one it is given. The call is never nil.
func (c *Core) admit(ctx context.Context, req *logical.Request) (*call, error) {
	m, path, found := c.mounts.Route(req.Path)
	if found && m.Open(path) {
		return &call{mount: m, path: path}, nil
	}
	caller, err := c.sender(ctx, req)
	if errors.Is(err, token.ErrInvalid) {
		return &call{}, logical.ErrPermissionDenied
	}
	if caller == nil {
		return &call{}, err
	}
	cl := &call{mount: m, path: path, caller: caller, acl: c.policies.ACL(caller.Policies, policy.Identity(caller.Alias))}
	if err != nil {
		return cl, err
	}
	if !found && cl.acl.Capabilities(req.Path).Has(policy.For(req.Operation)) {
		return cl, logical.CodedError(http.StatusNotFound,
			fmt.Sprintf("no handler for route %q: no engine is mounted there; see secrets list", req.Path))
	}
	if !found {
		return cl, logical.ErrPermissionDenied
	}
	return cl, nil
}

// sender finds the token that sent a request and counts the use. A token that
// is bound to other addresses is returned with the refusal, and not used up:
// whoever has stolen it could end it that way.
func (c *Core) sender(ctx context.Context, req *logical.Request) (*token.Token, error) {
	t, err := c.tokens.Lookup(req.ClientToken)
	switch {
	case err != nil:
		return nil, err
	case t.UsedUp():
		return nil, token.ErrInvalid
	case len(t.BoundCIDRs) > 0 && !cidrutil.RemoteAddrIsOk(endpoint.RemoteAddr(req), t.BoundCIDRs):
		return t, logical.ErrPermissionDenied
	case t.NumUses == 0:
		return t, nil
	}
	return c.tokens.Use(ctx, req.ClientToken)
}

// authorize checks that the caller may do what the request asks. The operation
// must be final: whether an update creates has been found out.
func (cl *call) authorize(req *logical.Request) error {
	if cl.acl == nil || req.Operation == logical.ReadOperation && isVisibleMounts(req.Path) {
		return nil
	}
	want := policy.For(req.Operation)
	if cl.mount.NeedsSudo(cl.path) {
		want |= policy.Sudo
	}
	if !cl.acl.Allows(policy.Ask{Path: req.Path, Want: want, Data: req.Data, WrapTTL: wrapTTL(req)}) {
		return logical.ErrPermissionDenied
	}
	return nil
}

// mayWrite reports whether the caller may create or update at all, so that an
// engine is not asked about things on behalf of someone who may do neither.
func (cl *call) mayWrite(req *logical.Request) bool {
	if cl.acl == nil {
		return true
	}
	granted := cl.acl.Capabilities(req.Path)
	return granted.Has(policy.Create) || granted.Has(policy.Update)
}

// Sudo implements token.Authority.
func (c *Core) Sudo(t *token.Token, path string) bool {
	return c.policies.ACL(t.Policies, policy.Identity(t.Alias)).Capabilities(path).Has(policy.Sudo)
}

func isVisibleMounts(path string) bool {
	rest, ok := strings.CutPrefix(path, visibleMounts)
	return ok && (rest == "" || rest[0] == '/')
}

package core

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/core/audit"
)

// errUnrecorded is what a client gets when no audit device works: nothing is
// done, or told, that nobody could find out about later.
var errUnrecorded = logical.CodedError(http.StatusInternalServerError,
	"no audit device has taken the record of this request; the cause is in the server's log")

// recordRequest writes down a request before it is acted upon, or that it was
// refused.
func (c *Core) recordRequest(cl *call, req *logical.Request, refusal error) error {
	cl.recorded = true
	return c.record(cl, req, audit.Record{Err: refusal})
}

// recordAnswer writes down what a request is about to be answered.
func (c *Core) recordAnswer(cl *call, req *logical.Request, resp *logical.Response, err error) error {
	if !cl.recorded {
		if failed := c.recordRequest(cl, req, err); failed != nil {
			return failed
		}
	}
	if err == nil && resp.IsError() {
		resp, err = nil, resp.Error()
	}
	return c.record(cl, req, audit.Record{Answer: true, Response: resp, Err: err})
}

func (c *Core) record(cl *call, req *logical.Request, r audit.Record) error {
	if !c.audit.Active() {
		return nil
	}
	r.Time = time.Now()
	r.Auth = cl.auditAuth(r.Err)
	shown := *req
	if cl.mount != nil {
		entry := cl.mount.Entry()
		shown.MountPoint, shown.MountType, shown.MountAccessor = entry.Path, entry.Type, entry.Accessor
	}
	r.Request = &shown
	if err := c.audit.Write(&r); err != nil {
		return errUnrecorded
	}
	return nil
}

// refuseExcess returns the error for a request that no quota allows, written
// down if that is asked for: a flood of them would fill the audit devices.
func (c *Core) refuseExcess(req *logical.Request, excess error) error {
	if !c.quotas.Settings().Audit {
		return excess
	}
	if failed := c.recordAnswer(&call{}, req, nil, excess); failed != nil {
		return failed
	}
	return excess
}

// auditAuth is the caller as the record shows it, nil for nobody.
func (cl *call) auditAuth(refusal error) *audit.Auth {
	t := cl.caller
	if t == nil {
		return nil
	}
	kind := logical.TokenTypeService
	if t.Batch {
		kind = logical.TokenTypeBatch
	}
	return &audit.Auth{
		Accessor: t.Accessor, DisplayName: t.DisplayName, Policies: t.Policies, Metadata: t.Meta,
		TokenType: kind.String(), TTL: t.TTL, IssueTime: t.IssueTime,
		Allowed: !errors.Is(refusal, logical.ErrPermissionDenied),
	}
}

// noteCreation remembers a token that a request to auth/token has created, so
// that it can be taken back.
func (c *Core) noteCreation(cl *call, resp *logical.Response) {
	if cl.mount.Entry().Path != "auth/token/" || !strings.HasPrefix(cl.path, "create") || resp.Auth == nil {
		return
	}
	if made, err := c.tokens.Lookup(resp.Auth.ClientToken); err == nil && !made.Batch {
		cl.tokenID = made.Key
	}
}

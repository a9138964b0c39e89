package core

import (
	"context"
	"crypto/rand"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/core/intent"
	"github.com/novatech/securevault/server/core/lease"
)

// draft is the lease that a request may lead to.
type draft struct {
	core     *Core
	call     *call
	lease    *lease.Lease
	place    *lease.Place // nil unless a place was reserved
	intended bool         // and neither registered, abandoned nor withdrawn yet
}

// expect prepares for the credential that a request may bring about: where its
// path is one that issues, a place within the role's limit is reserved, and the
// engine is given a recorder of its intent. The caller must call d.close.
func (c *Core) expect(ctx context.Context, cl *call, req *logical.Request) (context.Context, *draft, error) {
	entry := cl.mount.Entry()
	if cl.mount.BuiltIn() { // its leases and tokens are registered already
		return ctx, &draft{}, nil
	}
	role, issues := lease.RoleOf(cl.path)
	d := &draft{core: c, call: cl, lease: &lease.Lease{
		ID:        strings.TrimSuffix(req.Path, "/") + "/" + rand.Text(),
		Path:      req.Path,
		Mount:     entry.UUID,
		Role:      role,
		IssueTime: time.Now(),
	}}
	if cl.caller != nil {
		d.lease.Token = cl.caller.Owner()
	}
	if entry.IsAuth() {
		return ctx, d, nil
	}
	if issues {
		if err := d.reserve(ctx); err != nil {
			return ctx, d, err
		}
	}
	return intent.With(ctx, d), d, nil
}

// reserve takes a place within the limit of the role, if there is none yet.
func (d *draft) reserve(ctx context.Context) (err error) {
	if d.place == nil {
		d.place, err = d.core.leases.Reserve(ctx, lease.Group{Mount: d.lease.Mount, Role: d.lease.Role})
	}
	return err
}

// Record implements intent.Recorder.
func (d *draft) Record(ctx context.Context, secret *logical.Secret) error {
	intended := *secret
	d.lease.Secret = &intended
	if err := d.core.leases.Intend(ctx, d.lease, d.place); err != nil {
		return err
	}
	d.intended = true
	return nil
}

// Withdraw implements intent.Recorder.
func (d *draft) Withdraw(ctx context.Context) {
	if d.intended {
		d.intended = false
		d.core.leases.Withdraw(ctx, d.lease)
	}
}

// register makes the draft a lease.
func (d *draft) register(ctx context.Context) error {
	d.intended = false
	if err := d.core.leases.Register(ctx, d.lease, d.place); err != nil {
		return err
	}
	d.call.leaseID = d.lease.ID
	return nil
}

// abandon has the credential revoked.
func (d *draft) abandon(ctx context.Context) {
	d.intended = false
	d.core.leases.Abandon(ctx, d.lease)
}

// close ends what has not become a lease.
func (d *draft) close(ctx context.Context) {
	if d.intended {
		d.abandon(ctx)
	}
	if d.place != nil {
		d.place.Release()
	}
}

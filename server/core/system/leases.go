package system

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/core/endpoint"
	"github.com/novatech/securevault/server/core/mount"
)

// Every path but lookup also answers without "leases/", as older clients ask.
func (b *backend) leasePaths() []*framework.Path {
	const inURL = "(/(?P<url_lease_id>.+))?"
	id := endpoint.Fields{
		"lease_id":     endpoint.Text("Id of the lease."),
		"url_lease_id": endpoint.Text("Id of the lease, in the path."),
		"increment":    {Type: framework.TypeDurationSecond, Description: "How long the lease shall live from now."},
		"sync":         {Type: framework.TypeBool, Default: true, Description: "Wait until it is revoked."},
	}
	prefix := endpoint.Fields{"prefix": endpoint.Text("Beginning of lease ids, up to a slash.")}
	return []*framework.Path{
		endpoint.New("leases/lookup", "Describes a lease.", id, endpoint.Operations{logical.UpdateOperation: b.lookupLease}),
		endpoint.New("leases/lookup/(?P<prefix>.*)", "Lists lease ids.", prefix, endpoint.Operations{logical.ListOperation: b.listLeases}),
		endpoint.New("(leases/)?renew"+inURL, "Prolongs a lease.", id, endpoint.Operations{logical.UpdateOperation: b.renewLease}),
		endpoint.New("(leases/)?revoke"+inURL, "Revokes a lease.", id, endpoint.Operations{logical.UpdateOperation: b.revokeLease}),
		endpoint.New("(leases/)?revoke-prefix/(?P<prefix>.+)", "Revokes all leases below a prefix.", prefix,
			endpoint.Operations{logical.UpdateOperation: b.revokePrefix}),
		endpoint.New("(leases/)?revoke-force/(?P<prefix>.+)", "Forgets all leases below a prefix, whatever the engine says.", prefix,
			endpoint.Operations{logical.UpdateOperation: b.revokeForce}),
	}
}

// leaseID returns the id that the request names, or an answer that says that
// it is missing.
func leaseID(d *framework.FieldData) (string, *logical.Response) {
	id := d.Get("lease_id").(string)
	if id == "" {
		id = d.Get("url_lease_id").(string)
	}
	if id == "" {
		return "", logical.ErrorResponse("missing lease_id: send the id of the lease")
	}
	return id, nil
}

func (b *backend) lookupLease(ctx context.Context, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	id, missing := leaseID(d)
	if missing != nil {
		return missing, nil
	}
	l, err := b.Leases.Lookup(ctx, id)
	if err != nil {
		return nil, err
	}
	data := map[string]any{
		"id":           l.ID,
		"issue_time":   l.IssueTime,
		"expire_time":  l.ExpireTime,
		"last_renewal": nil,
		"renewable":    l.Secret.Renewable,
		"ttl":          int64(l.TTL().Seconds()),
	}
	if !l.LastRenewal.IsZero() {
		data["last_renewal"] = l.LastRenewal
	}
	return &logical.Response{Data: data}, nil
}

func (b *backend) listLeases(ctx context.Context, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	keys, err := b.Leases.List(ctx, d.Get("prefix").(string))
	if err != nil {
		return nil, err
	}
	return logical.ListResponse(keys), nil
}

func (b *backend) renewLease(ctx context.Context, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	id, missing := leaseID(d)
	if missing != nil {
		return missing, nil
	}
	return b.Leases.Renew(ctx, id, time.Duration(d.Get("increment").(int))*time.Second)
}

func (b *backend) revokeLease(ctx context.Context, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	id, missing := leaseID(d)
	if missing != nil {
		return missing, nil
	}
	if d.Get("sync").(bool) {
		return nil, b.Leases.Revoke(ctx, id)
	}
	b.Leases.RevokeLater(ctx, id)
	return logical.RespondWithStatusCode(nil, req, http.StatusAccepted)
}

func (b *backend) revokePrefix(ctx context.Context, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	prefix := d.Get("prefix").(string)
	if err := b.Leases.RevokePrefix(ctx, prefix); err != nil {
		return nil, err
	}
	return nil, b.revokeLogins(ctx, prefix)
}

func (b *backend) revokeForce(ctx context.Context, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	prefix := d.Get("prefix").(string)
	if err := b.Leases.ForgetPrefix(ctx, prefix); err != nil {
		return nil, err
	}
	return nil, b.revokeLogins(ctx, prefix)
}

// revokeLogins revokes the tokens that auth methods below prefix gave out.
func (b *backend) revokeLogins(ctx context.Context, prefix string) error {
	if !strings.HasPrefix(prefix, mount.AuthPrefix) {
		return nil
	}
	return b.Tokens.RevokePrefix(ctx, strings.TrimSuffix(prefix, "/")+"/")
}

package system

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/core/endpoint"
	"github.com/novatech/securevault/server/core/lease"
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
	prefix := endpoint.Fields{
		"prefix": endpoint.Text("Beginning of lease ids, up to a slash."),
		"sync":   id["sync"],
	}
	kind := endpoint.Fields{
		"type":                     endpoint.Text("irrevocable, or nothing for all leases."),
		"limit":                    {Type: framework.TypeString, Default: "10000", Description: "How many leases to list at most, or none."},
		"include_child_namespaces": endpoint.Flag("Kept for clients that send it."),
	}
	return []*framework.Path{
		endpoint.New("leases/?", "Lists the irrevocable leases.", kind, endpoint.Operations{logical.ReadOperation: b.listIrrevocable}),
		endpoint.New("leases/count", "Counts the leases by mount and role.", kind, endpoint.Operations{logical.ReadOperation: b.countLeases}),
		endpoint.Update("leases/tidy", "Finds leases that nobody would end.", nil, b.tidyLeases),
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

func (b *backend) revokePrefix(ctx context.Context, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	prefix, sync := d.Get("prefix").(string), d.Get("sync").(bool)
	if err := b.Leases.RevokePrefix(ctx, prefix, sync); err != nil {
		return nil, err
	}
	if err := b.revokeLogins(ctx, prefix); err != nil || sync {
		return nil, err
	}
	return logical.RespondWithStatusCode(nil, req, http.StatusAccepted)
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

// listIrrevocable lists no others: there may be very many, and their ids are
// found by prefix.
func (b *backend) listIrrevocable(_ context.Context, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	if kind := d.Get("type").(string); kind != "irrevocable" {
		return logical.ErrorResponse("type %q cannot be listed: send type=irrevocable, or list sys/leases/lookup/PREFIX", kind), nil
	}
	found := b.Leases.Irrevocables()
	counts, total := b.countIrrevocables(found), len(found)
	resp := &logical.Response{}
	if limit := d.Get("limit").(string); limit != "none" {
		most, err := strconv.Atoi(limit)
		if err != nil || most < 1 {
			return logical.ErrorResponse("limit %q is neither a number nor none", limit), nil //nolint:nilerr // what the client sent is wrong, and says so in the answer
		}
		if total > most {
			resp.AddWarning(fmt.Sprintf("there are %d more; send limit=none to see them", total-most))
			found = found[:most]
		}
	}
	leases := make([]map[string]any, len(found))
	for i, l := range found {
		leases[i] = map[string]any{"lease_id": l.ID, "error": l.Reason}
	}
	resp.Data = map[string]any{"lease_count": total, "counts": counts, "leases": leases}
	return resp, nil
}

// countIrrevocables returns how many there are by the path of their mount.
func (b *backend) countIrrevocables(found []lease.Irrevocable) map[string]int {
	counts := map[string]int{}
	for _, l := range found {
		counts[b.mountPath(l.Mount)]++
	}
	return counts
}

// countLeases answers by mount, and unless only irrevocable ones are counted, by
// role as well: mount → role → number, beside how many a role may have.
func (b *backend) countLeases(_ context.Context, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	switch kind := d.Get("type").(string); kind {
	case "irrevocable":
		found := b.Leases.Irrevocables()
		return &logical.Response{Data: map[string]any{"lease_count": len(found), "counts": b.countIrrevocables(found)}}, nil
	case "", "all":
	default:
		return logical.ErrorResponse("type %q cannot be counted: send type=irrevocable, or nothing for all leases", kind), nil
	}
	total, counts, roles := 0, map[string]int{}, map[string]map[string]int{}
	for _, group := range b.Leases.Counts() {
		path := b.mountPath(group.Mount)
		total += group.Leases
		counts[path] += group.Leases
		if roles[path] == nil {
			roles[path] = map[string]int{}
		}
		roles[path][group.Role] = group.Leases
	}
	data := map[string]any{"lease_count": total, "counts": counts, "roles": roles}
	if limits := b.leaseLimits(); len(limits) > 0 {
		data["limits"] = limits
	}
	return &logical.Response{Data: data}, nil
}

// leaseLimits returns how many leases each role of a mount may have, by the
// path of the mount, for those that have a limit.
func (b *backend) leaseLimits() map[string]int {
	limits := map[string]int{}
	for _, m := range b.Mounts.Mounts() {
		e := m.Entry()
		if most := b.Leases.Limit(lease.Group{Mount: e.UUID}); most > 0 {
			limits[e.Path] = most
		}
	}
	return limits
}

// mountPath returns where a mount is, or its id if it is gone.
func (b *backend) mountPath(id string) string {
	if m, ok := b.Mounts.ByUUID(id); ok {
		return m.Entry().Path
	}
	return id
}

// tidyLeases answers at once and works on.
func (b *backend) tidyLeases(ctx context.Context, req *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	ctx = context.WithoutCancel(ctx)
	b.tidying.Go(func() {
		found, err := b.Leases.Tidy(ctx)
		if err == nil {
			err = b.Leases.RevokeOwnerless(ctx, b.Tokens.Alive)
		}
		if err != nil {
			b.Logger().Error("tidying leases", "error", err)
		}
		b.Logger().Info("leases tidied", "found", found)
	})
	return endpoint.Begun(req)
}

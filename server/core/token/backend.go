package token

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/core/endpoint"
)

// Authority decides what lies beyond the store's knowledge.
type Authority interface {
	// Sudo reports whether t has sudo on path.
	Sudo(t *Token, path string) bool
	// RenewToken prolongs t and returns it with warnings for the client, who
	// asks over the connection from.
	RenewToken(ctx context.Context, from *logical.Connection, t *Token, increment time.Duration) (*Token, []string, error)
}

// mountPath is where the backend is mounted.
const mountPath = "auth/token/"

type backend struct {
	*framework.Backend
	store     *Store
	authority Authority
}

// Factory returns what mounts the paths of auth/token over a store. The mount
// must be a built-in one, which gets the client's token in the clear.
func Factory(s *Store, a Authority) logical.Factory {
	return func(ctx context.Context, conf *logical.BackendConfig) (logical.Backend, error) {
		b := &backend{store: s, authority: a}
		b.Backend = &framework.Backend{
			Help:         "Creates, looks up, renews and revokes tokens.",
			BackendType:  logical.TypeCredential,
			PathsSpecial: &logical.Paths{Root: []string{"accessors/", "revoke-orphan", "tidy"}},
			Paths:        slices.Concat(b.createPaths(), b.rolePaths(), b.lookupPaths(), b.renewPaths(), b.revokePaths()),
		}
		return b, b.Setup(ctx, conf)
	}
}

func tokenField() endpoint.Fields {
	return endpoint.Fields{
		"token": endpoint.Text("The token."),
	}
}

func accessorField() endpoint.Fields {
	return endpoint.Fields{
		"accessor": endpoint.Text("The accessor of the token."),
	}
}

func withIncrement(fields endpoint.Fields) endpoint.Fields {
	fields["increment"] = &framework.FieldSchema{
		Type: framework.TypeDurationSecond, Description: "How long the token shall live from now.",
	}
	return fields
}

func (b *backend) lookupPaths() []*framework.Path {
	return []*framework.Path{
		endpoint.New("lookup", "Describes a token.", tokenField(), endpoint.Operations{
			logical.ReadOperation:   b.lookupSelf,
			logical.UpdateOperation: b.lookup,
		}),
		endpoint.New("lookup-self", "Describes the token of the request.", tokenField(), endpoint.Operations{
			logical.ReadOperation:   b.lookupSelf,
			logical.UpdateOperation: b.lookupSelf,
		}),
		endpoint.Update("lookup-accessor", "Describes the token with an accessor.", accessorField(), b.lookupAccessor),
		endpoint.New("accessors/?", "Lists the accessors of all tokens.", nil, endpoint.Operations{
			logical.ListOperation: b.listAccessors,
		}),
	}
}

func (b *backend) renewPaths() []*framework.Path {
	return []*framework.Path{
		endpoint.Update("renew", "Prolongs a token.", withIncrement(tokenField()), b.renew),
		endpoint.Update("renew-self", "Prolongs the token of the request.", withIncrement(tokenField()), b.renewSelf),
		endpoint.Update("renew-accessor", "Prolongs the token with an accessor.", withIncrement(accessorField()), b.renewAccessor),
	}
}

func (b *backend) revokePaths() []*framework.Path {
	return []*framework.Path{
		endpoint.Update("revoke", "Revokes a token and its children.", tokenField(), b.revoke),
		endpoint.Update("revoke-self", "Revokes the token of the request.", tokenField(), b.revokeSelf),
		endpoint.Update("revoke-accessor", "Revokes the token with an accessor.", accessorField(), b.revokeAccessor),
		endpoint.Update("revoke-orphan", "Revokes a token and lets its children live.", tokenField(), b.revokeOrphan),
		endpoint.Update("tidy", "Removes what broken revocations left in storage.", nil, b.tidy),
	}
}

// named returns the secret part that the request asks about, or an answer that
// says that it is missing.
func named(d *framework.FieldData) (string, *logical.Response) {
	secret := d.Get("token").(string)
	if secret == "" {
		return "", logical.ErrorResponse("missing token: say which token is meant")
	}
	return secret, nil
}

// byAccessor finds the token that the request names by its accessor.
func (b *backend) byAccessor(d *framework.FieldData) (*Token, error) {
	t, err := b.store.ByAccessor(d.Get("accessor").(string))
	if err != nil {
		return nil, logical.CodedError(http.StatusForbidden, "invalid accessor")
	}
	return t, nil
}

func (b *backend) bySecret(secret string) (*Token, error) {
	t, err := b.store.Lookup(secret)
	if err != nil {
		return nil, logical.CodedError(http.StatusForbidden, "bad token")
	}
	return t, nil
}

func (b *backend) lookup(_ context.Context, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	secret, missing := named(d)
	if missing != nil {
		return missing, nil
	}
	return b.describe(secret)
}

func (b *backend) lookupSelf(_ context.Context, req *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	return b.describe(req.ClientToken)
}

func (b *backend) describe(secret string) (*logical.Response, error) {
	t, err := b.bySecret(secret)
	if err != nil {
		return nil, err
	}
	return &logical.Response{Data: description(t, secret)}, nil
}

func (b *backend) lookupAccessor(_ context.Context, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	t, err := b.byAccessor(d)
	if err != nil {
		return nil, err
	}
	return &logical.Response{Data: description(t, "")}, nil
}

func (b *backend) listAccessors(context.Context, *logical.Request, *framework.FieldData) (*logical.Response, error) {
	accessors := b.store.Accessors()
	slices.Sort(accessors)
	return logical.ListResponse(accessors), nil
}

// description is what a lookup shows. Durations are in seconds.
func description(t *Token, secret string) map[string]any {
	data := map[string]any{
		"id":               secret,
		"accessor":         t.Accessor,
		"policies":         t.Policies,
		"path":             t.Path,
		"meta":             t.Meta,
		"display_name":     t.DisplayName,
		"num_uses":         max(0, t.NumUses),
		"orphan":           t.Orphan(),
		"creation_time":    t.IssueTime.Unix(),
		"creation_ttl":     int64(t.TTL.Seconds()),
		"expire_time":      nil,
		"ttl":              int64(t.Remaining().Seconds()),
		"explicit_max_ttl": int64(t.ExplicitMaxTTL.Seconds()),
		"entity_id":        "",
		"type":             t.Type().String(),
		"renewable":        t.Renewable,
		"issue_time":       t.IssueTime,
	}
	if !t.ExpireTime.IsZero() {
		data["expire_time"] = t.ExpireTime
	}
	if t.Role != "" {
		data["role"] = t.Role
	}
	if t.Period > 0 {
		data["period"] = int64(t.Period.Seconds())
	}
	if !t.LastRenewal.IsZero() {
		data["last_renewal"] = t.LastRenewal
		data["last_renewal_time"] = t.LastRenewal.Unix()
	}
	if len(t.BoundCIDRs) > 0 {
		data["bound_cidrs"] = t.BoundCIDRs
	}
	return data
}

func (b *backend) renew(ctx context.Context, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	secret, missing := named(d)
	if missing != nil {
		return missing, nil
	}
	t, err := b.bySecret(secret)
	if err != nil {
		return nil, err
	}
	return b.prolong(ctx, req, t, secret, d)
}

func (b *backend) renewSelf(ctx context.Context, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	t, err := b.bySecret(req.ClientToken)
	if err != nil {
		return nil, err
	}
	return b.prolong(ctx, req, t, req.ClientToken, d)
}

func (b *backend) renewAccessor(ctx context.Context, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	t, err := b.byAccessor(d)
	if err != nil {
		return nil, err
	}
	return b.prolong(ctx, req, t, "", d)
}

func (b *backend) prolong(ctx context.Context, req *logical.Request, t *Token, secret string, d *framework.FieldData) (*logical.Response, error) {
	if t.Role != "" {
		r, err := b.loadRole(ctx, t.Role)
		if err != nil {
			return nil, err
		}
		if r == nil {
			return logical.ErrorResponse(fmt.Sprintf("token role %q no longer exists, its tokens cannot be renewed: create a new one", t.Role)), nil
		}
	}
	increment := time.Duration(d.Get("increment").(int)) * time.Second
	t, warnings, err := b.authority.RenewToken(ctx, req.Connection, t, increment)
	if err != nil {
		return nil, err
	}
	auth := t.Auth()
	auth.ClientToken = secret
	auth.TTL = auth.TTL.Round(time.Second)
	return &logical.Response{Auth: auth, Warnings: warnings}, nil
}

func (b *backend) revoke(ctx context.Context, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	secret, missing := named(d)
	if missing != nil {
		return missing, nil
	}
	return b.end(ctx, secret)
}

func (b *backend) revokeSelf(ctx context.Context, req *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	return b.end(ctx, req.ClientToken)
}

func (b *backend) end(ctx context.Context, secret string) (*logical.Response, error) {
	if strings.HasPrefix(secret, BatchPrefix) {
		return notKept(), nil
	}
	return nil, b.store.Revoke(ctx, b.store.Key(secret))
}

// notKept refuses to revoke a batch token, rather than seem to have done it.
func notKept() *logical.Response {
	return logical.ErrorResponse("batch tokens cannot be revoked; they end with their time or with their parent")
}

func (b *backend) revokeAccessor(ctx context.Context, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	t, err := b.byAccessor(d)
	if err != nil {
		return nil, err
	}
	return nil, b.store.Revoke(ctx, t.Key)
}

func (b *backend) revokeOrphan(ctx context.Context, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	secret, missing := named(d)
	if missing != nil {
		return missing, nil
	}
	if strings.HasPrefix(secret, BatchPrefix) {
		return notKept(), nil
	}
	return nil, b.store.RevokeOrphan(ctx, b.store.Key(secret))
}

// tidy answers at once and works on.
func (b *backend) tidy(ctx context.Context, req *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	ctx = context.WithoutCancel(ctx)
	b.store.ends.Go(func() {
		removed, err := b.store.Tidy(ctx)
		if err != nil {
			b.Logger().Error("tidying tokens", "error", err)
		}
		b.Logger().Info("tokens tidied", "removed", removed)
	})
	return endpoint.Begun(req)
}

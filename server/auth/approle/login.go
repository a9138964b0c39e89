package approle

import (
	"context"
	"errors"
	"maps"

	sockaddr "github.com/hashicorp/go-sockaddr"
	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/helper/cidrutil"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/auth/grant"
	"github.com/novatech/securevault/server/core/endpoint"
	"github.com/novatech/securevault/server/store"
)

// errRefused is the one answer to a wrong role id, to a wrong, expired or used-up
// secret id and to right ones from elsewhere: whoever guesses learns nothing
// from it.
var errRefused = errors.New("invalid role or secret ID")

type tokenCIDRs = []*sockaddr.SockAddrMarshaler

func (b *backend) loginPaths() []*framework.Path {
	return []*framework.Path{
		endpoint.New("login", "Trades a role id and a secret id for a token.", endpoint.Fields{
			"role_id":   endpoint.Text("Id of the role."),
			"secret_id": endpoint.Text("A secret id of the role."),
		}, endpoint.Operations{
			logical.UpdateOperation:         b.login,
			logical.AliasLookaheadOperation: b.name,
		}),
	}
}

func (b *backend) name(_ context.Context, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	return grant.Name(d.Get("role_id").(string))
}

func (b *backend) login(ctx context.Context, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	roleID, secret := d.Get("role_id").(string), d.Get("secret_id").(string)
	if roleID == "" {
		return logical.ErrorResponse("missing role_id"), nil
	}
	r, key, err := b.identify(ctx, req.Storage, roleID, secret)
	if err != nil {
		return refuse(err)
	}
	if err := fromWithin(req, r.SecretIDCIDRs); err != nil {
		return refuse(err)
	}
	var used *secretID
	if r.BindSecretID {
		if used, err = b.spend(ctx, req, r, key); err != nil {
			return refuse(err)
		}
	}
	cidrs, err := narrowed(r, used)
	if err != nil {
		return nil, err
	}
	auth := &logical.Auth{
		InternalData: map[string]any{"role_name": r.Name},
		Metadata:     map[string]string{"role_name": r.Name},
		Alias:        &logical.Alias{Name: r.RoleID},
	}
	if used != nil {
		maps.Copy(auth.Metadata, used.Metadata)
		auth.Metadata["role_name"] = r.Name
	}
	granted := r.TokenParams
	granted.TokenBoundCIDRs = cidrs
	return grant.Login(req, &granted, auth, errRefused.Error())
}

// refuse makes the refusals of a login a client's error.
func refuse(err error) (*logical.Response, error) {
	if errors.Is(err, errRefused) {
		return grant.Refuse(errRefused.Error())
	}
	return nil, err
}

// identify finds the role with that id, and the key of the secret id. Both
// hashes are computed whatever the outcome, so that the time taken tells
// little.
func (b *backend) identify(ctx context.Context, s logical.Storage, roleID, secret string) (*role, string, error) {
	index, err := b.roleIDKey(ctx, s, roleID)
	if err != nil {
		return nil, "", err
	}
	hash, err := b.hash(ctx, s, secret)
	if err != nil {
		return nil, "", err
	}
	name, err := store.GetJSON[string](ctx, s, index)
	if err != nil {
		return nil, "", err
	}
	if name == nil {
		return nil, "", errRefused
	}
	r, err := b.role(ctx, s, *name)
	if err != nil {
		return nil, "", err
	}
	if r == nil || r.RoleID != roleID {
		return nil, "", errRefused
	}
	return r, secretsOf(r) + hash, nil
}

// spend checks a secret id and counts its use; the last use removes it.
func (b *backend) spend(ctx context.Context, req *logical.Request, r *role, key string) (*secretID, error) {
	lock := b.lock(r.Name)
	lock.Lock()
	defer lock.Unlock()
	s, err := store.GetJSON[secretID](ctx, req.Storage, key)
	if err != nil {
		return nil, err
	}
	if s == nil || s.expired() {
		return nil, errRefused
	}
	if err := fromWithin(req, s.CIDRs); err != nil {
		return nil, err
	}
	switch s.NumUses {
	case 0:
		return s, nil
	case 1:
		return s, b.drop(ctx, req.Storage, found{secretID: s, role: r, key: key})
	}
	s.NumUses--
	return s, store.PutJSON(ctx, req.Storage, key, s)
}

// fromWithin refuses a login from outside the blocks, if there are any.
func fromWithin(req *logical.Request, blocks []string) error {
	if len(blocks) == 0 {
		return nil
	}
	if ok, err := cidrutil.IPBelongsToCIDRBlocksSlice(endpoint.RemoteAddr(req), blocks); err != nil || !ok {
		return errRefused
	}
	return nil
}

// renew prolongs a token after what its role says now.
func (b *backend) renew(ctx context.Context, req *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	name, _ := req.Auth.InternalData["role_name"].(string)
	r, err := b.role(ctx, req.Storage, name)
	if err != nil {
		return nil, err
	}
	if r == nil {
		return logical.ErrorResponse("role %q does not exist any more; its tokens cannot be renewed", name), nil
	}
	auth := *req.Auth
	auth.TTL, auth.MaxTTL, auth.Period = r.TokenTTL, r.TokenMaxTTL, r.TokenPeriod
	return &logical.Response{Auth: &auth}, nil
}

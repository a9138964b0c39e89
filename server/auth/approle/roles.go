package approle

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/go-uuid"
	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/helper/cidrutil"
	"github.com/hashicorp/vault/sdk/helper/locksutil"
	"github.com/hashicorp/vault/sdk/helper/tokenutil"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/core/endpoint"
	"github.com/novatech/securevault/server/store"
)

// role is what is kept about a role.
type role struct {
	tokenutil.TokenParams
	Name            string        `json:"name"`
	RoleID          string        `json:"role_id"`
	BindSecretID    bool          `json:"bind_secret_id"`
	SecretIDCIDRs   []string      `json:"secret_id_bound_cidrs"`
	SecretIDNumUses int           `json:"secret_id_num_uses"` // 0: without limit
	SecretIDTTL     time.Duration `json:"secret_id_ttl"`      // 0: for ever
}

func (b *backend) rolePaths() []*framework.Path {
	fields := endpoint.Fields{
		"role_name":             {Type: framework.TypeLowerCaseString, Description: "Name of the role."},
		"role_id":               endpoint.Text("Id of the role; made up if empty."),
		"bind_secret_id":        {Type: framework.TypeBool, Default: true, Description: "Whether a login needs a secret id."},
		"secret_id_bound_cidrs": {Type: framework.TypeCommaStringSlice, Description: "Addresses from which secret ids are good."},
		"secret_id_num_uses":    {Type: framework.TypeInt, Description: "Logins that a secret id is good for; 0 without limit."},
		"secret_id_ttl":         {Type: framework.TypeDurationSecond, Description: "Lifetime of secret ids; 0 without end."},
		"local_secret_ids":      endpoint.Flag("Kept for clients that send it: there is but one cluster."),
		"policies":              {Type: framework.TypeCommaStringSlice, Description: tokenutil.DeprecationText("token_policies")},
		"period":                {Type: framework.TypeDurationSecond, Description: tokenutil.DeprecationText("token_period")},
	}
	tokenutil.AddTokenFields(fields)
	whole := endpoint.New("role/"+framework.GenericNameRegex("role_name"), "Reads, writes or deletes a role.", fields,
		endpoint.Operations{
			logical.ReadOperation:   b.readRole,
			logical.CreateOperation: b.writeRole,
			logical.UpdateOperation: b.writeRole,
			logical.DeleteOperation: b.deleteRole,
		})
	whole.ExistenceCheck = b.roleExists
	paths := []*framework.Path{
		endpoint.New("role/?", "Lists the roles.", nil, endpoint.Operations{
			logical.ListOperation: b.listRoles,
		}),
		whole,
		endpoint.New("role/"+framework.GenericNameRegex("role_name")+"/role-id", "Reads or sets the id of a role.",
			endpoint.Fields{"role_name": fields["role_name"], "role_id": fields["role_id"]},
			endpoint.Operations{
				logical.ReadOperation:   b.readRoleID,
				logical.UpdateOperation: b.writeRoleID,
			}),
	}
	return append(paths, b.propertyPaths(fields)...)
}

func roleKey(name string) string { return "role/" + name }

// lock orders the changes of one role.
func (b *backend) lock(name string) *locksutil.LockEntry { return locksutil.LockForKey(b.locks, name) }

func (b *backend) role(ctx context.Context, s logical.Storage, name string) (*role, error) {
	return store.GetJSON[role](ctx, s, roleKey(name))
}

// mustRole finds the role that a request names, or an answer that says that
// there is none.
func (b *backend) mustRole(ctx context.Context, req *logical.Request, d *framework.FieldData) (*role, *logical.Response, error) {
	name := d.Get("role_name").(string)
	r, err := b.role(ctx, req.Storage, name)
	if err != nil {
		return nil, nil, err
	}
	if r == nil {
		return nil, logical.ErrorResponse("role %q does not exist", name), nil
	}
	return r, nil, nil
}

func (b *backend) roleExists(ctx context.Context, req *logical.Request, d *framework.FieldData) (bool, error) {
	r, err := b.role(ctx, req.Storage, d.Get("role_name").(string))
	return r != nil, err
}

func (b *backend) listRoles(ctx context.Context, req *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	names, err := req.Storage.List(ctx, roleKey(""))
	if err != nil {
		return nil, fmt.Errorf("listing roles: %w", err)
	}
	return logical.ListResponse(names), nil
}

func (b *backend) readRole(ctx context.Context, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	r, err := b.role(ctx, req.Storage, d.Get("role_name").(string))
	if err != nil || r == nil {
		return nil, err
	}
	data := map[string]any{
		"bind_secret_id":        r.BindSecretID,
		"secret_id_bound_cidrs": r.SecretIDCIDRs,
		"secret_id_num_uses":    r.SecretIDNumUses,
		"secret_id_ttl":         int64(r.SecretIDTTL.Seconds()),
		"local_secret_ids":      false,
	}
	r.PopulateTokenData(data)
	return &logical.Response{Data: data}, nil
}

func (b *backend) writeRole(ctx context.Context, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	name := d.Get("role_name").(string)
	lock := b.lock(name)
	lock.Lock()
	defer lock.Unlock()
	r, err := b.role(ctx, req.Storage, name)
	if err != nil {
		return nil, err
	}
	if r == nil {
		r = &role{Name: name, BindSecretID: true}
	}
	before := r.RoleID
	if err := r.apply(req, d); err != nil {
		return logical.ErrorResponse(err.Error()), nil
	}
	if r.RoleID == "" {
		if r.RoleID, err = uuid.GenerateUUID(); err != nil {
			return nil, fmt.Errorf("making a role id: %w", err)
		}
	}
	return b.saveRole(ctx, req.Storage, r, before)
}

// apply takes over the fields that the request carries.
func (r *role) apply(req *logical.Request, d *framework.FieldData) error {
	if err := r.ParseTokenFields(req, d); err != nil {
		return err
	}
	if policies, ok := d.GetOk("policies"); ok && d.Raw["token_policies"] == nil {
		r.TokenPolicies = policies.([]string)
	}
	if period, ok := d.GetOk("period"); ok && d.Raw["token_period"] == nil {
		r.TokenPeriod = time.Duration(period.(int)) * time.Second
	}
	if id, ok := d.GetOk("role_id"); ok {
		r.RoleID = id.(string)
	}
	if bind, ok := d.GetOk("bind_secret_id"); ok {
		r.BindSecretID = bind.(bool)
	}
	if cidrs, ok := d.GetOk("secret_id_bound_cidrs"); ok {
		r.SecretIDCIDRs = cidrs.([]string)
	}
	if uses, ok := d.GetOk("secret_id_num_uses"); ok {
		r.SecretIDNumUses = uses.(int)
	}
	if ttl, ok := d.GetOk("secret_id_ttl"); ok {
		r.SecretIDTTL = time.Duration(ttl.(int)) * time.Second
	}
	return r.validate()
}

func (r *role) validate() error {
	switch {
	case r.SecretIDNumUses < 0:
		return errors.New("secret_id_num_uses must not be negative; use 0 for no limit")
	case !r.BindSecretID && len(r.SecretIDCIDRs) == 0 && len(r.TokenBoundCIDRs) == 0:
		return errors.New("bind_secret_id may be false only with secret_id_bound_cidrs or token_bound_cidrs: a role id alone proves nothing")
	}
	return validCIDRs("secret_id_bound_cidrs", r.SecretIDCIDRs)
}

func validCIDRs(field string, blocks []string) error {
	if len(blocks) == 0 {
		return nil
	}
	if _, err := cidrutil.ValidateCIDRListSlice(blocks); err != nil {
		return fmt.Errorf("%s: %w; write blocks like 10.0.0.0/8", field, err)
	}
	return nil
}

// saveRole writes a role and its index by role id; before is the role id that
// the index knows so far.
func (b *backend) saveRole(ctx context.Context, s logical.Storage, r *role, before string) (*logical.Response, error) {
	index, err := b.roleIDKey(ctx, s, r.RoleID)
	if err != nil {
		return nil, err
	}
	owner, err := store.GetJSON[string](ctx, s, index)
	if err != nil {
		return nil, err
	}
	if owner != nil && *owner != r.Name {
		return logical.ErrorResponse("role_id is in use by another role; choose another"), nil
	}
	if err := store.PutJSON(ctx, s, index, r.Name); err != nil {
		return nil, err
	}
	if err := store.PutJSON(ctx, s, roleKey(r.Name), r); err != nil {
		return nil, err
	}
	if before == "" || before == r.RoleID {
		return nil, nil
	}
	return nil, b.dropRoleID(ctx, s, before)
}

func (b *backend) roleIDKey(ctx context.Context, s logical.Storage, roleID string) (string, error) {
	hash, err := b.hash(ctx, s, roleID)
	return "role_id/" + hash, err
}

func (b *backend) dropRoleID(ctx context.Context, s logical.Storage, roleID string) error {
	index, err := b.roleIDKey(ctx, s, roleID)
	if err != nil {
		return err
	}
	return s.Delete(ctx, index)
}

func (b *backend) deleteRole(ctx context.Context, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	name := d.Get("role_name").(string)
	lock := b.lock(name)
	lock.Lock()
	defer lock.Unlock()
	r, err := b.role(ctx, req.Storage, name)
	if err != nil || r == nil {
		return nil, err
	}
	if err := b.dropRoleID(ctx, req.Storage, r.RoleID); err != nil {
		return nil, err
	}
	if err := b.dropSecretIDs(ctx, req.Storage, r); err != nil {
		return nil, err
	}
	return nil, req.Storage.Delete(ctx, roleKey(name))
}

func (b *backend) readRoleID(ctx context.Context, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	r, err := b.role(ctx, req.Storage, d.Get("role_name").(string))
	if err != nil || r == nil {
		return nil, err
	}
	return &logical.Response{Data: map[string]any{"role_id": r.RoleID}}, nil
}

func (b *backend) writeRoleID(ctx context.Context, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	lock := b.lock(d.Get("role_name").(string))
	lock.Lock()
	defer lock.Unlock()
	r, missing, err := b.mustRole(ctx, req, d)
	if r == nil {
		return missing, err
	}
	before := r.RoleID
	if r.RoleID = d.Get("role_id").(string); r.RoleID == "" {
		return logical.ErrorResponse("missing role_id: send the id that the role shall have"), nil
	}
	return b.saveRole(ctx, req.Storage, r, before)
}

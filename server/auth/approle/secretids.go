package approle

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/hashicorp/go-secure-stdlib/parseutil"
	"github.com/hashicorp/go-uuid"
	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/helper/cidrutil"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/core/endpoint"
	"github.com/novatech/securevault/server/store"
)

// secretID is what is kept about a secret id; its value is not.
type secretID struct {
	Accessor   string            `json:"accessor"`
	NumUses    int               `json:"num_uses"` // logins left; 0 without limit
	TTL        time.Duration     `json:"ttl"`      // 0 without end
	Created    time.Time         `json:"created"`
	Updated    time.Time         `json:"updated"`
	Metadata   map[string]string `json:"metadata"`
	CIDRs      []string          `json:"cidr_list"`
	TokenCIDRs []string          `json:"token_bound_cidrs"`
}

func (s *secretID) expires() time.Time { return s.Created.Add(s.TTL) }

func (s *secretID) expired() bool { return s.TTL > 0 && !time.Now().Before(s.expires()) }

func (b *backend) secretIDPaths() []*framework.Path {
	base := "role/" + framework.GenericNameRegex("role_name") + "/"
	named := func(more endpoint.Fields) endpoint.Fields {
		fields := endpoint.Fields{
			"role_name": {Type: framework.TypeLowerCaseString, Description: "Name of the role."},
		}
		maps.Copy(fields, more)
		return fields
	}
	wishes := named(endpoint.Fields{
		"secret_id":         endpoint.Text("The secret id, for custom-secret-id."),
		"metadata":          endpoint.Text("A JSON object of strings kept with the tokens."),
		"cidr_list":         {Type: framework.TypeCommaStringSlice, Description: "Addresses from which the secret id is good."},
		"token_bound_cidrs": {Type: framework.TypeCommaStringSlice, Description: "Addresses from which its tokens are good."},
		"num_uses":          {Type: framework.TypeInt, Description: "Logins that it is good for; 0 without limit."},
		"ttl":               {Type: framework.TypeDurationSecond, Description: "Its lifetime."},
	})
	bySecret := named(endpoint.Fields{"secret_id": endpoint.Text("The secret id.")})
	byAccessor := named(endpoint.Fields{"secret_id_accessor": endpoint.Text("Accessor of the secret id.")})
	return []*framework.Path{
		endpoint.New(base+"secret-id/?", "Makes a secret id, or lists their accessors.", wishes, endpoint.Operations{
			logical.UpdateOperation: b.generateSecretID,
			logical.ListOperation:   b.listAccessors,
		}),
		endpoint.Update(base+"custom-secret-id", "Takes over a secret id of your own.", wishes, b.customSecretID),
		endpoint.Update(base+"secret-id/lookup/?", "Describes a secret id.", bySecret, b.lookupSecretID),
		endpoint.Update(base+"secret-id/destroy/?", "Removes a secret id.", bySecret, b.destroySecretID),
		endpoint.Update(base+"secret-id-accessor/lookup/?", "Describes the secret id with an accessor.", byAccessor, b.lookupAccessor),
		endpoint.Update(base+"secret-id-accessor/destroy/?", "Removes the secret id with an accessor.", byAccessor, b.destroyAccessor),
	}
}

// secretsOf is the folder of a role's secret ids; accessorsOf that of their
// accessors, each naming the key of its secret id.
func secretsOf(r *role) string   { return "secret_id/" + r.Name + "/" }
func accessorsOf(r *role) string { return "accessor/" + r.Name + "/" }

func (b *backend) secretKey(ctx context.Context, s logical.Storage, r *role, secret string) (string, error) {
	hash, err := b.hash(ctx, s, secret)
	return secretsOf(r) + hash, err
}

func (b *backend) generateSecretID(ctx context.Context, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	secret, err := uuid.GenerateUUID()
	if err != nil {
		return nil, fmt.Errorf("making a secret id: %w", err)
	}
	return b.createSecretID(ctx, req, d, secret)
}

func (b *backend) customSecretID(ctx context.Context, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	secret := d.Get("secret_id").(string)
	if secret == "" {
		return logical.ErrorResponse("missing secret_id: send the secret id to take over"), nil
	}
	return b.createSecretID(ctx, req, d, secret)
}

func (b *backend) createSecretID(ctx context.Context, req *logical.Request, d *framework.FieldData, secret string) (*logical.Response, error) {
	lock := b.lock(d.Get("role_name").(string))
	lock.Lock()
	defer lock.Unlock()
	r, missing, err := b.mustRole(ctx, req, d)
	if r == nil {
		return missing, err
	}
	made, err := newSecretID(r, d)
	if err != nil {
		return logical.ErrorResponse(err.Error()), nil
	}
	if made.Accessor, err = uuid.GenerateUUID(); err != nil {
		return nil, fmt.Errorf("making an accessor: %w", err)
	}
	key, err := b.secretKey(ctx, req.Storage, r, secret)
	if err != nil {
		return nil, err
	}
	taken, err := req.Storage.Get(ctx, key)
	switch {
	case err != nil:
		return nil, err
	case taken != nil:
		return logical.ErrorResponse("this secret_id exists already; choose another"), nil
	}
	if err := store.PutJSON(ctx, req.Storage, accessorsOf(r)+made.Accessor, key); err != nil {
		return nil, err
	}
	if err := store.PutJSON(ctx, req.Storage, key, made); err != nil {
		return nil, err
	}
	return &logical.Response{Data: map[string]any{
		"secret_id":          secret,
		"secret_id_accessor": made.Accessor,
		"secret_id_ttl":      int64(made.TTL.Seconds()),
		"secret_id_num_uses": made.NumUses,
	}}, nil
}

// newSecretID is what the request asks for, within what the role allows.
func newSecretID(r *role, d *framework.FieldData) (*secretID, error) {
	now := time.Now()
	made := &secretID{
		NumUses: r.SecretIDNumUses, TTL: r.SecretIDTTL, Created: now, Updated: now,
		CIDRs: d.Get("cidr_list").([]string), TokenCIDRs: d.Get("token_bound_cidrs").([]string),
	}
	if !r.BindSecretID {
		return nil, errors.New("bind_secret_id is false on this role: it takes no secret ids")
	}
	if uses, ok := d.GetOk("num_uses"); ok {
		made.NumUses = uses.(int)
		if made.NumUses < 0 || r.SecretIDNumUses > 0 && (made.NumUses == 0 || made.NumUses > r.SecretIDNumUses) {
			return nil, fmt.Errorf("num_uses must be between 1 and the role's secret_id_num_uses, %d", r.SecretIDNumUses)
		}
	}
	if ttl, ok := d.GetOk("ttl"); ok {
		made.TTL = time.Duration(ttl.(int)) * time.Second
		if r.SecretIDTTL > 0 && (made.TTL == 0 || made.TTL > r.SecretIDTTL) {
			return nil, fmt.Errorf("ttl must not be longer than the role's secret_id_ttl, %s", r.SecretIDTTL)
		}
	}
	if err := validCIDRs("cidr_list", made.CIDRs); err != nil {
		return nil, err
	}
	if err := validCIDRs("token_bound_cidrs", made.TokenCIDRs); err != nil {
		return nil, err
	}
	if err := withinRole(r, made); err != nil {
		return nil, err
	}
	if metadata := d.Get("metadata").(string); metadata != "" {
		if err := json.Unmarshal([]byte(metadata), &made.Metadata); err != nil {
			return nil, errors.New(`metadata must be a string that holds a JSON object of strings, like "{\"team\":\"payments\"}"`)
		}
	}
	return made, nil
}

// withinRole refuses a secret id that would be good from where its role is not.
func withinRole(r *role, s *secretID) error {
	tokenCIDRs := make([]string, len(r.TokenBoundCIDRs))
	for i, block := range r.TokenBoundCIDRs {
		tokenCIDRs[i] = block.String()
	}
	for _, c := range []struct {
		field         string
		outer, within []string
	}{
		{"cidr_list", r.SecretIDCIDRs, s.CIDRs},
		{"token_bound_cidrs", tokenCIDRs, s.TokenCIDRs},
	} {
		if len(c.outer) == 0 || len(c.within) == 0 {
			continue
		}
		if ok, err := cidrutil.SubsetBlocks(c.outer, c.within); err != nil || !ok {
			return fmt.Errorf("%s must lie within the role's own blocks", c.field)
		}
	}
	return nil
}

func (b *backend) listAccessors(ctx context.Context, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	r, missing, err := b.mustRole(ctx, req, d)
	if r == nil {
		return missing, err
	}
	accessors, err := req.Storage.List(ctx, accessorsOf(r))
	if err != nil {
		return nil, fmt.Errorf("listing accessors: %w", err)
	}
	return logical.ListResponse(accessors), nil
}

// found is a secret id with the key under which it is kept.
type found struct {
	*secretID
	role *role
	key  string
}

// find finds the secret id that a request names, by itself or by accessor; the
// secret id inside is nil when there is none. An expired one is none.
func (b *backend) find(ctx context.Context, req *logical.Request, d *framework.FieldData, byAccessor bool) (found, *logical.Response, error) {
	r, missing, err := b.mustRole(ctx, req, d)
	if r == nil {
		return found{}, missing, err
	}
	f := found{role: r}
	if byAccessor {
		key, err := store.GetJSON[string](ctx, req.Storage, accessorsOf(r)+d.Get("secret_id_accessor").(string))
		if err != nil || key == nil {
			return f, nil, err
		}
		f.key = *key
	} else if f.key, err = b.secretKey(ctx, req.Storage, r, d.Get("secret_id").(string)); err != nil {
		return f, nil, err
	}
	f.secretID, err = store.GetJSON[secretID](ctx, req.Storage, f.key)
	if err == nil && f.secretID != nil && f.expired() {
		f.secretID, err = nil, b.drop(ctx, req.Storage, f)
	}
	return f, nil, err
}

// drop removes a secret id and its accessor.
func (b *backend) drop(ctx context.Context, s logical.Storage, f found) error {
	if err := s.Delete(ctx, f.key); err != nil {
		return fmt.Errorf("removing a secret id: %w", err)
	}
	return s.Delete(ctx, accessorsOf(f.role)+f.Accessor)
}

func (b *backend) lookupSecretID(ctx context.Context, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	return b.describe(ctx, req, d, false)
}

func (b *backend) lookupAccessor(ctx context.Context, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	return b.describe(ctx, req, d, true)
}

func (b *backend) describe(ctx context.Context, req *logical.Request, d *framework.FieldData, byAccessor bool) (*logical.Response, error) {
	lock := b.lock(d.Get("role_name").(string))
	lock.Lock()
	defer lock.Unlock()
	f, answer, err := b.find(ctx, req, d, byAccessor)
	if err != nil || answer != nil {
		return answer, err
	}
	if f.secretID == nil && byAccessor {
		return nil, logical.ErrNotFound
	}
	if f.secretID == nil {
		return nil, nil
	}
	data := map[string]any{
		"secret_id_accessor": f.Accessor,
		"secret_id_num_uses": f.NumUses,
		"secret_id_ttl":      int64(f.TTL.Seconds()),
		"creation_time":      f.Created,
		"last_updated_time":  f.Updated,
		"expiration_time":    time.Time{},
		"metadata":           f.Metadata,
		"cidr_list":          f.CIDRs,
		"token_bound_cidrs":  f.TokenCIDRs,
	}
	if f.TTL > 0 {
		data["expiration_time"] = f.expires()
	}
	return &logical.Response{Data: data}, nil
}

func (b *backend) destroySecretID(ctx context.Context, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	return b.destroy(ctx, req, d, false)
}

func (b *backend) destroyAccessor(ctx context.Context, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	return b.destroy(ctx, req, d, true)
}

func (b *backend) destroy(ctx context.Context, req *logical.Request, d *framework.FieldData, byAccessor bool) (*logical.Response, error) {
	lock := b.lock(d.Get("role_name").(string))
	lock.Lock()
	defer lock.Unlock()
	f, answer, err := b.find(ctx, req, d, byAccessor)
	if err != nil || answer != nil || f.secretID == nil {
		return answer, err
	}
	return nil, b.drop(ctx, req.Storage, f)
}

// dropSecretIDs removes every secret id of a role; the caller holds its lock.
func (b *backend) dropSecretIDs(ctx context.Context, s logical.Storage, r *role) error {
	for _, folder := range []string{secretsOf(r), accessorsOf(r)} {
		names, err := s.List(ctx, folder)
		if err != nil {
			return fmt.Errorf("listing secret ids: %w", err)
		}
		for _, name := range names {
			if err := s.Delete(ctx, folder+name); err != nil {
				return fmt.Errorf("removing a secret id: %w", err)
			}
		}
	}
	return nil
}

// tidy removes the expired secret ids of every role.
func (b *backend) tidy(ctx context.Context, req *logical.Request) error {
	roles, err := req.Storage.List(ctx, roleKey(""))
	if err != nil {
		return fmt.Errorf("listing roles: %w", err)
	}
	for _, name := range roles {
		if err := b.tidyRole(ctx, req.Storage, name); err != nil {
			return err
		}
	}
	return nil
}

func (b *backend) tidyRole(ctx context.Context, s logical.Storage, name string) error {
	lock := b.lock(name)
	lock.Lock()
	defer lock.Unlock()
	r, err := b.role(ctx, s, name)
	if err != nil || r == nil {
		return err
	}
	hashes, err := s.List(ctx, secretsOf(r))
	if err != nil {
		return fmt.Errorf("listing secret ids: %w", err)
	}
	for _, hash := range hashes {
		f := found{role: r, key: secretsOf(r) + hash}
		if f.secretID, err = store.GetJSON[secretID](ctx, s, f.key); err != nil {
			return err
		}
		if f.secretID != nil && f.expired() {
			if err := b.drop(ctx, s, f); err != nil {
				return err
			}
		}
	}
	return nil
}

// narrowed returns the addresses from which a login's token is good.
func narrowed(r *role, s *secretID) (tokenCIDRs, error) {
	if s == nil || len(s.TokenCIDRs) == 0 {
		return r.TokenBoundCIDRs, nil
	}
	parsed, err := parseutil.ParseAddrs(slices.Clone(s.TokenCIDRs))
	if err != nil {
		return nil, fmt.Errorf("reading token_bound_cidrs: %w", err)
	}
	return parsed, nil
}

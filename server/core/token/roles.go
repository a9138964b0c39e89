package token

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-secure-stdlib/parseutil"
	"github.com/hashicorp/go-secure-stdlib/strutil"
	sockaddr "github.com/hashicorp/go-sockaddr"
	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/helper/policyutil"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/core/endpoint"
	"github.com/novatech/securevault/server/store"
)

// rolePrefix is where roles are stored.
const rolePrefix = "role/"

// The kinds of token that a role makes. The last two leave the choice to the
// client.
const (
	kindService        = "service"
	kindBatch          = "batch"
	kindDefaultService = "default-service"
	kindDefaultBatch   = "default-batch"
)

// role says which tokens auth/token/create/NAME makes.
type role struct {
	Name            string                        `json:"name"`
	Allowed         []string                      `json:"allowed_policies"`
	AllowedGlobs    []string                      `json:"allowed_policies_glob"`
	Disallowed      []string                      `json:"disallowed_policies"`
	DisallowedGlobs []string                      `json:"disallowed_policies_glob"`
	Orphan          bool                          `json:"orphan"`
	Renewable       bool                          `json:"renewable"`
	PathSuffix      string                        `json:"path_suffix"`
	Period          time.Duration                 `json:"period"`
	ExplicitMaxTTL  time.Duration                 `json:"explicit_max_ttl"`
	BoundCIDRs      []*sockaddr.SockAddrMarshaler `json:"bound_cidrs"`
	NumUses         int                           `json:"num_uses"`
	NoDefaultPolicy bool                          `json:"no_default_policy"`
	Kind            string                        `json:"token_type"`
}

func (b *backend) rolePaths() []*framework.Path {
	duration := func(what string) *framework.FieldSchema {
		return &framework.FieldSchema{Type: framework.TypeDurationSecond, Description: what}
	}
	names := func(what string) *framework.FieldSchema {
		return &framework.FieldSchema{Type: framework.TypeCommaStringSlice, Description: what}
	}
	one := endpoint.New("roles/"+framework.GenericNameRegex("role_name"), "Reads, writes or deletes a token role.", endpoint.Fields{
		"role_name":                endpoint.Text("Name of the role."),
		"allowed_policies":         names("Policies that tokens of the role may have, instead of the parent's."),
		"allowed_policies_glob":    names("Patterns of such policies."),
		"disallowed_policies":      names("Policies that tokens of the role may not have."),
		"disallowed_policies_glob": names("Patterns of such policies."),
		"orphan":                   endpoint.Flag("Tokens of the role have no parent."),
		"renewable":                {Type: framework.TypeBool, Default: true, Description: "Whether tokens of the role can be prolonged."},
		"path_suffix":              endpoint.Text("End of the path of tokens, to revoke them by prefix."),
		"token_period":             duration("Each renewal grants this, without end."),
		"period":                   duration("Older name of token_period."),
		"token_explicit_max_ttl":   duration("How long tokens live at most."),
		"explicit_max_ttl":         duration("Older name of token_explicit_max_ttl."),
		"token_bound_cidrs":        names("Networks from which tokens may be used."),
		"bound_cidrs":              names("Older name of token_bound_cidrs."),
		"token_num_uses":           {Type: framework.TypeInt, Description: "How many requests tokens are good for; 0 without limit."},
		"token_no_default_policy":  endpoint.Flag("Leave the default policy out."),
		"token_type":               endpoint.Text("service, batch, default-service or default-batch."),
	}, endpoint.Operations{
		logical.ReadOperation:   b.readRole,
		logical.CreateOperation: b.writeRole,
		logical.UpdateOperation: b.writeRole,
		logical.DeleteOperation: b.deleteRole,
	})
	one.ExistenceCheck = b.roleExists
	return []*framework.Path{
		endpoint.New("roles/?", "Lists the token roles.", nil, endpoint.Operations{logical.ListOperation: b.listRoles}),
		one,
	}
}

// loadRole returns nil when there is no such role.
func (b *backend) loadRole(ctx context.Context, name string) (*role, error) {
	return store.GetJSON[role](ctx, b.store.storage, rolePrefix+strings.ToLower(name))
}

func (b *backend) roleExists(ctx context.Context, _ *logical.Request, d *framework.FieldData) (bool, error) {
	r, err := b.loadRole(ctx, d.Get("role_name").(string))
	return r != nil, err
}

func (b *backend) listRoles(ctx context.Context, _ *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	names, err := b.store.storage.List(ctx, rolePrefix)
	if err != nil {
		return nil, fmt.Errorf("listing token roles: %w", err)
	}
	return logical.ListResponse(names), nil
}

// readRole shows a role. Durations are in seconds, some under both their names.
func (b *backend) readRole(ctx context.Context, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	r, err := b.loadRole(ctx, d.Get("role_name").(string))
	if err != nil || r == nil {
		return nil, err
	}
	period, most := int64(r.Period.Seconds()), int64(r.ExplicitMaxTTL.Seconds())
	return &logical.Response{Data: map[string]any{
		"name":                     r.Name,
		"allowed_policies":         listed(r.Allowed),
		"allowed_policies_glob":    listed(r.AllowedGlobs),
		"disallowed_policies":      listed(r.Disallowed),
		"disallowed_policies_glob": listed(r.DisallowedGlobs),
		"allowed_entity_aliases":   []string{},
		"orphan":                   r.Orphan,
		"renewable":                r.Renewable,
		"path_suffix":              r.PathSuffix,
		"period":                   period,
		"token_period":             period,
		"explicit_max_ttl":         most,
		"token_explicit_max_ttl":   most,
		"bound_cidrs":              r.BoundCIDRs,
		"token_bound_cidrs":        r.BoundCIDRs,
		"token_num_uses":           r.NumUses,
		"token_no_default_policy":  r.NoDefaultPolicy,
		"token_type":               r.Kind,
	}}, nil
}

// listed makes no names an empty list, as clients expect it.
func listed(names []string) []string {
	if names == nil {
		return []string{}
	}
	return names
}

// writeRole makes a role, or changes what is sent of it.
func (b *backend) writeRole(ctx context.Context, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	name := strings.ToLower(d.Get("role_name").(string))
	r, err := b.loadRole(ctx, name)
	if err != nil {
		return nil, err
	}
	if r == nil {
		r = &role{Name: name, Renewable: true, Kind: kindDefaultService}
	}
	if err := r.change(d); err != nil {
		return logical.ErrorResponse(err.Error()), nil
	}
	return nil, store.PutJSON(ctx, b.store.storage, rolePrefix+name, r)
}

func (b *backend) deleteRole(ctx context.Context, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	return nil, b.store.storage.Delete(ctx, rolePrefix+strings.ToLower(d.Get("role_name").(string)))
}

// change applies what a client sent, and says what is wrong with it.
func (r *role) change(d *framework.FieldData) error {
	sent(d, &r.Allowed, "allowed_policies")
	sent(d, &r.AllowedGlobs, "allowed_policies_glob")
	sent(d, &r.Disallowed, "disallowed_policies")
	sent(d, &r.DisallowedGlobs, "disallowed_policies_glob")
	sent(d, &r.Orphan, "orphan")
	sent(d, &r.Renewable, "renewable")
	sent(d, &r.PathSuffix, "path_suffix")
	sent(d, &r.NumUses, "token_num_uses")
	sent(d, &r.NoDefaultPolicy, "token_no_default_policy")
	sent(d, &r.Kind, "token_type")
	sentSeconds(d, &r.Period, "period", "token_period")
	sentSeconds(d, &r.ExplicitMaxTTL, "explicit_max_ttl", "token_explicit_max_ttl")
	for _, field := range []string{"bound_cidrs", "token_bound_cidrs"} {
		if raw, ok := d.GetOk(field); ok {
			parsed, err := parseutil.ParseAddrs(raw)
			if err != nil {
				return fmt.Errorf("%s: %w; write networks like 10.0.0.0/8", field, err)
			}
			r.BoundCIDRs = parsed
		}
	}
	return r.check()
}

func (r *role) check() error {
	r.Allowed = policyutil.SanitizePolicies(r.Allowed, policyutil.DoNotAddDefaultPolicy)
	for _, names := range []*[]string{&r.AllowedGlobs, &r.Disallowed, &r.DisallowedGlobs} {
		*names = strutil.RemoveDuplicates(*names, true) // in lower case, as the names of policies are
	}
	switch r.Kind {
	case "", "default":
		r.Kind = kindDefaultService
	case kindService, kindDefaultService:
	case kindBatch, kindDefaultBatch:
		if r.Kind == kindBatch && (r.Period > 0 || r.ExplicitMaxTTL > 0 || r.NumUses > 0) {
			return errors.New("batch tokens have neither period, explicit_max_ttl nor num_uses; set them to 0")
		}
	default:
		return fmt.Errorf("token_type %q is unknown; use service, batch, default-service or default-batch", r.Kind)
	}
	switch {
	case r.NumUses < 0:
		return errors.New("token_num_uses must not be negative; use 0 for no limit")
	case strings.Contains(r.PathSuffix, ".."):
		return errors.New(`path_suffix must not contain ".."`)
	}
	return nil
}

func sent[T any](d *framework.FieldData, target *T, field string) {
	if value, ok := d.GetOk(field); ok {
		*target = value.(T)
	}
}

func sentSeconds(d *framework.FieldData, target *time.Duration, fields ...string) {
	for _, field := range fields {
		if value, ok := d.GetOk(field); ok {
			*target = time.Duration(value.(int)) * time.Second
		}
	}
}

// shape makes a token asked for one of the role's.
func (r *role) shape(t *Token) {
	t.Role = r.Name
	t.Path = strings.TrimSuffix(t.Path+"/"+strings.Trim(r.PathSuffix, "/"), "/")
	t.Renewable = t.Renewable && r.Renewable
	if len(r.BoundCIDRs) > 0 {
		t.BoundCIDRs = r.BoundCIDRs
	}
	t.Period = cmp.Or(r.Period, t.Period)
	t.ExplicitMaxTTL = least(t.ExplicitMaxTTL, r.ExplicitMaxTTL)
	t.NumUses = least(t.NumUses, r.NumUses)
	if r.Orphan {
		t.Parent = ""
	}
}

// least returns the smaller of two limits, of which 0 is none.
func least[T int | time.Duration](a, b T) T {
	if a == 0 || b == 0 {
		return max(a, b)
	}
	return min(a, b)
}

// restricts reports whether the role, and not the parent, decides on policies.
func (r *role) restricts() bool {
	return len(r.Allowed)+len(r.AllowedGlobs)+len(r.Disallowed)+len(r.DisallowedGlobs) > 0
}

// policies returns what a token of the role has: those asked for, if the role
// lets them pass; else those that the role names; else the parent's.
func (r *role) policies(parent *Token, asked []string, addDefault bool) ([]string, error) {
	addDefault = addDefault && !r.NoDefaultPolicy && !r.disallows("default")
	granted := asked
	switch {
	case len(asked) > 0:
	case len(r.Allowed) > 0:
		granted = r.Allowed
	case len(r.AllowedGlobs) == 0:
		granted = parent.Policies
	}
	granted = policyutil.SanitizePolicies(slices.Clone(granted), addDefault)
	for _, name := range granted {
		switch {
		case name == "root" && !slices.Contains(parent.Policies, "root"):
			return nil, errors.New("only a root token can create a root token")
		case r.disallows(name):
			return nil, fmt.Errorf("token role %q disallows policy %q: ask for others", r.Name, name)
		case !r.allows(name) && (name != "default" || !addDefault):
			return nil, fmt.Errorf("token role %q does not allow policy %q: ask for others, or add it to allowed_policies", r.Name, name)
		}
	}
	return granted, nil
}

func (r *role) disallows(name string) bool {
	return slices.Contains(r.Disallowed, name) || strutil.StrListContainsGlob(r.DisallowedGlobs, name)
}

func (r *role) allows(name string) bool {
	return len(r.Allowed)+len(r.AllowedGlobs) == 0 ||
		slices.Contains(r.Allowed, name) || strutil.StrListContainsGlob(r.AllowedGlobs, name)
}

// roleOf returns the role that a creation names, nil if it names none.
func (b *backend) roleOf(ctx context.Context, d *framework.FieldData) (*role, error) {
	named, ok := d.GetOk("role_name")
	if !ok {
		return nil, nil
	}
	name := named.(string)
	r, err := b.loadRole(ctx, name)
	if err == nil && r == nil {
		err = logical.CodedError(http.StatusBadRequest,
			fmt.Sprintf("unknown token role %q: write auth/token/roles/%s first", name, name))
	}
	return r, err
}

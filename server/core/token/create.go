package token

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/helper/policyutil"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/core/endpoint"
)

func (b *backend) createPaths() []*framework.Path {
	fields := endpoint.Fields{
		"id":                {Type: framework.TypeString, Description: "The token itself; needs sudo."},
		"policies":          {Type: framework.TypeCommaStringSlice, Description: "Names of policies; those of the parent if empty."},
		"no_default_policy": {Type: framework.TypeBool, Description: "Leave the default policy out."},
		"meta":              {Type: framework.TypeKVPairs, Description: "Names and values kept with the token."},
		"no_parent":         {Type: framework.TypeBool, Description: "Make an orphan; needs sudo."},
		"renewable":         {Type: framework.TypeBool, Default: true, Description: "Whether the token can be prolonged."},
		"ttl":               {Type: framework.TypeDurationSecond, Description: "How long the token lives."},
		"lease":             {Type: framework.TypeDurationSecond, Description: "Older name of ttl."},
		"explicit_max_ttl":  {Type: framework.TypeDurationSecond, Description: "How long the token lives at most, whatever its renewals."},
		"period":            {Type: framework.TypeDurationSecond, Description: "Each renewal grants this, without end; needs sudo."},
		"num_uses":          {Type: framework.TypeInt, Description: "How many requests the token is good for; 0 without limit."},
		"display_name":      {Type: framework.TypeString, Description: "A name for logs and for the users that engines create."},
		"type":              {Type: framework.TypeString, Description: "service or batch; if empty, what the role says, or service."},
	}
	// Only the path may name the role: policies guard it by the path.
	ofRole := maps.Clone(fields)
	ofRole["role_name"] = &framework.FieldSchema{Type: framework.TypeString, Description: "Name of the token role."}
	return []*framework.Path{
		endpoint.Update("create", "Creates a token.", fields, b.create),
		endpoint.Update("create-orphan", "Creates a token without a parent.", fields, b.create),
		endpoint.Update("create/"+framework.GenericNameRegex("role_name"), "Creates a token of a role.", ofRole, b.create),
	}
}

func (b *backend) create(ctx context.Context, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	parent, err := b.store.Lookup(req.ClientToken)
	if err != nil {
		return nil, err
	}
	r, err := b.roleOf(ctx, d)
	if err != nil {
		return nil, err
	}
	t, err := b.plan(parent, r, req.Path, d)
	if err != nil {
		return logical.ErrorResponse(err.Error()), nil //nolint:nilerr // what the client sent is wrong, and says so in the answer
	}
	warnings, err := b.decideTTL(parent, t)
	if err != nil {
		return logical.ErrorResponse(err.Error()), nil //nolint:nilerr // likewise
	}
	secret, made, err := b.store.Create(ctx, d.Get("id").(string), *t)
	if err != nil {
		return nil, err
	}
	auth := made.Auth()
	auth.ClientToken, auth.TTL = secret, made.TTL
	return &logical.Response{Auth: auth, Warnings: warnings}, nil
}

// plan returns the token that the caller asks for, short of its lifetime, or
// says why the caller may not have it.
func (b *backend) plan(parent *Token, r *role, path string, d *framework.FieldData) (*Token, error) {
	t := &Token{
		Parent:         parent.Key,
		Alias:          parent.Alias,
		Path:           mountPath + path,
		BoundCIDRs:     parent.BoundCIDRs,
		DisplayName:    displayName(d.Get("display_name").(string)),
		Meta:           d.Get("meta").(map[string]string),
		Renewable:      d.Get("renewable").(bool),
		NumUses:        d.Get("num_uses").(int),
		TTL:            cmp.Or(seconds(d, "ttl"), seconds(d, "lease")),
		ExplicitMaxTTL: seconds(d, "explicit_max_ttl"),
		Period:         seconds(d, "period"),
	}
	if len(t.Meta) == 0 {
		t.Meta = nil // null to clients, as it is once the token was stored and read
	}
	sudo := b.authority.Sudo(parent, t.Path)
	if err := permit(parent, t, d, sudo); err != nil {
		return nil, err
	}
	if path == "create-orphan" || d.Get("no_parent").(bool) {
		t.Parent = ""
	}
	if r != nil {
		r.shape(t)
	}
	var err error
	asked, addDefault := d.Get("policies").([]string), !d.Get("no_default_policy").(bool)
	if r != nil && r.restricts() {
		t.Policies, err = r.policies(parent, asked, addDefault)
	} else {
		addDefault = addDefault && (r == nil || !r.NoDefaultPolicy)
		t.Policies, err = childPolicies(parent, asked, addDefault, sudo)
	}
	if err != nil {
		return nil, err
	}
	return t, t.decideKind(d, r)
}

// permit says why the caller may not have the token it asks for, if so.
func permit(parent, t *Token, d *framework.FieldData, sudo bool) error {
	switch {
	case parent.Batch:
		return errors.New("a batch token cannot create tokens; use a service token")
	case parent.NumUses != 0:
		return errors.New("a token with limited uses cannot create tokens; use one without num_uses")
	case t.NumUses < 0:
		return errors.New("num_uses must not be negative; use 0 for no limit")
	case strings.HasPrefix(d.Get("id").(string), BatchPrefix):
		return fmt.Errorf("the id of a token must not begin with %q", BatchPrefix)
	case sudo:
		return nil
	case d.Get("id").(string) != "":
		return errors.New("choosing the id of a token needs sudo on auth/token/create; leave id out")
	case d.Get("no_parent").(bool):
		return errors.New("no_parent needs sudo on auth/token/create; auth/token/create-orphan does not")
	case t.Period > 0:
		return errors.New("period needs sudo on auth/token/create; use ttl")
	}
	return nil
}

// decideKind makes t a batch token where the client or the role asks for one.
func (t *Token) decideKind(d *framework.FieldData, r *role) error {
	kind := d.Get("type").(string)
	if r != nil && (r.Kind == kindService || r.Kind == kindBatch || kind == "" || kind == "default") {
		kind = strings.TrimPrefix(r.Kind, "default-")
	}
	switch {
	case kind == "", kind == "default", kind == kindService:
		return nil
	case kind != kindBatch:
		return fmt.Errorf("token type %q is unknown; use service or batch", kind)
	case t.NumUses > 0, t.Period > 0, t.ExplicitMaxTTL > 0:
		return errors.New("batch tokens have neither num_uses, period nor explicit_max_ttl; leave them out")
	case d.Get("id").(string) != "":
		return errors.New("the id of a batch token cannot be chosen; leave id out")
	case slices.Contains(t.Policies, "root"):
		return errors.New("batch tokens cannot be root tokens; ask for other policies")
	}
	t.Batch, t.Renewable = true, false
	return nil
}

// childPolicies returns the policies of a child: those asked for, which must be
// the parent's own unless it has sudo, or else the parent's.
func childPolicies(parent *Token, asked []string, addDefault, sudo bool) ([]string, error) {
	if len(asked) == 0 {
		return parent.Policies, nil
	}
	addDefault = addDefault && (sudo || slices.Contains(parent.Policies, "default"))
	policies := policyutil.SanitizePolicies(slices.Clone(asked), addDefault)
	if slices.Contains(parent.Policies, "root") {
		return policies, nil
	}
	for _, name := range policies {
		switch {
		case name == "root":
			return nil, errors.New("only a root token can create a root token")
		case !sudo && !slices.Contains(parent.Policies, name):
			return nil, fmt.Errorf("child policies must be subset of parent: %q is not a policy of the token that asks", name)
		}
	}
	return policies, nil
}

// decideTTL replaces the TTL asked for by the one granted.
func (b *backend) decideTTL(parent, t *Token) ([]string, error) {
	endless := t.TTL == 0 && t.Period == 0 && t.ExplicitMaxTTL == 0
	if endless && slices.Contains(t.Policies, "root") {
		if !parent.ExpireTime.IsZero() {
			return nil, errors.New("a root token that expires cannot create one that does not; give a ttl")
		}
		t.Renewable = false
		return nil, nil
	}
	ttl, warnings, err := framework.CalculateTTL(b.System(), 0, t.TTL, t.Period, 0, t.ExplicitMaxTTL, time.Time{})
	t.TTL = ttl
	return warnings, err
}

// displayName makes a name of letters, digits and dashes, for engines put it
// into user names.
func displayName(asked string) string {
	fit := func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			return r
		}
		return '-'
	}
	return strings.TrimSuffix("token-"+strings.Map(fit, asked), "-")
}

func seconds(d *framework.FieldData, field string) time.Duration {
	return time.Duration(d.Get(field).(int)) * time.Second
}

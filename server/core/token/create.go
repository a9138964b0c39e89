package token

import (
	"cmp"
	"context"
	"errors"
	"fmt"
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
		"type":              {Type: framework.TypeString, Default: "service", Description: "The only type is service."},
	}
	return []*framework.Path{
		endpoint.Update("create", "Creates a token.", fields, b.create),
		endpoint.Update("create-orphan", "Creates a token without a parent.", fields, b.create),
	}
}

func (b *backend) create(ctx context.Context, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	parent, err := b.store.Lookup(req.ClientToken)
	if err != nil {
		return nil, err
	}
	t := Token{
		Parent:         parent.Key,
		Path:           mountPath + req.Path,
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
	sudo := b.authority.Sudo(parent.Policies, t.Path)
	if err := permit(parent, t, d, sudo); err != nil {
		return logical.ErrorResponse(err.Error()), nil
	}
	if req.Path == "create-orphan" || d.Get("no_parent").(bool) {
		t.Parent = ""
	}
	addDefault := !d.Get("no_default_policy").(bool)
	if t.Policies, err = childPolicies(parent, d.Get("policies").([]string), addDefault, sudo); err != nil {
		return logical.ErrorResponse(err.Error()), nil
	}
	warnings, err := b.decideTTL(parent, &t)
	if err != nil {
		return logical.ErrorResponse(err.Error()), nil
	}
	secret, made, err := b.store.Create(ctx, d.Get("id").(string), t)
	if err != nil {
		return nil, err
	}
	auth := made.Auth()
	auth.ClientToken, auth.TTL = secret, made.TTL
	return &logical.Response{Auth: auth, Warnings: warnings}, nil
}

// permit says why the caller may not have the token it asks for, if so.
func permit(parent *Token, t Token, d *framework.FieldData, sudo bool) error {
	switch kind := d.Get("type").(string); {
	case parent.NumUses != 0:
		return errors.New("a token with limited uses cannot create tokens; use one without num_uses")
	case kind != "service" && kind != "" && kind != "default":
		return fmt.Errorf("token type %q is not supported; use service", kind)
	case t.NumUses < 0:
		return errors.New("num_uses must not be negative; use 0 for no limit")
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

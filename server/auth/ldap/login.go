package ldap

import (
	"context"
	"errors"
	"strings"
	"unicode"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"
	"golang.org/x/text/unicode/norm"

	"github.com/novatech/securevault/server/auth/grant"
	"github.com/novatech/securevault/server/auth/record"
	"github.com/novatech/securevault/server/core/endpoint"
)

// between separates the groups that are kept with a token: no name of a group
// holds it.
const between = "\n"

func (b *backend) loginPaths() []*framework.Path {
	return []*framework.Path{
		endpoint.New("login/"+record.Names("username"), "Trades a password of the directory for a token.", endpoint.Fields{
			"username": {Type: framework.TypeLowerCaseString, Description: "Name of the user."},
			"password": endpoint.Text("Password of the user."),
		}, endpoint.Operations{
			logical.UpdateOperation:         b.login,
			logical.AliasLookaheadOperation: b.name,
		}),
	}
}

func (b *backend) name(_ context.Context, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	return grant.Name(d.Get("username").(string))
}

func (b *backend) login(ctx context.Context, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	name, password := d.Get("username").(string), d.Get("password").(string)
	c, err := b.config.Get(ctx, req.Storage, "")
	if err != nil {
		return nil, err
	}
	if c == nil {
		return logical.ErrorResponse("the directory is not configured: write %sconfig", req.MountPoint), nil
	}
	groups, err := b.authenticate(c, name, password)
	if errors.Is(err, errRefused) {
		return grant.Refuse(errRefused.Error())
	}
	if err != nil {
		return nil, err
	}
	if c.TokenPolicies, err = b.policies(ctx, req.Storage, c.TokenPolicies, name, groups); err != nil {
		return nil, err
	}
	return grant.Login(req, &c.TokenParams, &logical.Auth{
		InternalData: map[string]any{"username": name, "groups": strings.Join(groups, between)},
		Metadata:     map[string]string{"username": name},
		DisplayName:  name,
		Alias:        &logical.Alias{Name: name},
	}, errRefused.Error())
}

// plain reports whether a name is in the one spelling that may log in. A
// directory passes over width, invisible characters and superfluous spaces:
// failed logins would be counted for each spelling by itself, and nobody who
// guesses would ever be locked out.
func plain(name string) bool {
	invisible := func(r rune) bool {
		return unicode.In(r, unicode.Cf, unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point) || r == '\u1806' || r == '\ufffc'
	}
	return norm.NFKC.IsNormalString(name) && name == strings.Join(strings.Fields(name), " ") && !strings.ContainsFunc(name, invisible)
}

// authenticate returns the groups of a user with that password. An empty one
// is refused here: directories take it for an anonymous login.
func (b *backend) authenticate(c *config, name, password string) ([]string, error) {
	if password == "" || !plain(name) {
		return nil, errRefused
	}
	d, err := connect(c, b.Logger())
	if err != nil {
		return nil, err
	}
	defer d.close()
	return d.logIn(name, password)
}

// renew prolongs a token if its user would still get the same policies. With a
// service account the directory is asked again, else the groups of the login
// count: there is no password to ask with.
func (b *backend) renew(ctx context.Context, req *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	name, _ := req.Auth.InternalData["username"].(string)
	known, _ := req.Auth.InternalData["groups"].(string)
	groups := strings.Split(known, between)
	c, err := b.config.Get(ctx, req.Storage, "")
	if err != nil {
		return nil, err
	}
	if c == nil {
		return logical.ErrorResponse("the directory is not configured any more; the token cannot be renewed"), nil
	}
	if c.hasService() {
		groups, err = b.reconsider(c, name)
	}
	if errors.Is(err, errRefused) {
		return logical.ErrorResponse("user %q is not in the directory any more; the token cannot be renewed", name), nil
	}
	if err != nil {
		return nil, err
	}
	if c.TokenPolicies, err = b.policies(ctx, req.Storage, c.TokenPolicies, name, groups); err != nil {
		return nil, err
	}
	return grant.Renew(req, &c.TokenParams)
}

// reconsider returns the groups that a user is in now.
func (b *backend) reconsider(c *config, name string) ([]string, error) {
	d, err := connect(c, b.Logger())
	if err != nil {
		return nil, err
	}
	defer d.close()
	dn, err := d.find(name)
	if err != nil {
		return nil, err
	}
	return d.groups(dn, name)
}

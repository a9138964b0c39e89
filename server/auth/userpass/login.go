package userpass

import (
	"context"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"
	"golang.org/x/crypto/bcrypt"

	"github.com/novatech/securevault/server/auth/grant"
	"github.com/novatech/securevault/server/core/endpoint"
)

// refusal is the one answer to every login that fails.
const refusal = "invalid username or password"

func (b *backend) loginPaths() []*framework.Path {
	return []*framework.Path{
		endpoint.New("login/"+framework.GenericNameRegex("username"), "Trades a password for a token.", endpoint.Fields{
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

// login takes as long for a user who does not exist as for a wrong password,
// so that nobody learns who exists.
func (b *backend) login(ctx context.Context, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	name, password := d.Get("username").(string), d.Get("password").(string)
	u, err := b.users.Get(ctx, req.Storage, name)
	if err != nil {
		return nil, err
	}
	hash := b.decoy
	if u != nil {
		hash = u.PasswordHash
	}
	if err := bcrypt.CompareHashAndPassword(hash, []byte(password)); err != nil || u == nil {
		return grant.Refuse(refusal)
	}
	return grant.Login(req, &u.TokenParams, &logical.Auth{
		InternalData: map[string]any{"username": name},
		Metadata:     map[string]string{"username": name},
		DisplayName:  name,
		Alias:        &logical.Alias{Name: name},
	}, refusal)
}

// renew prolongs a token after what its user may do now.
func (b *backend) renew(ctx context.Context, req *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	name, _ := req.Auth.InternalData["username"].(string)
	u, err := b.users.Get(ctx, req.Storage, name)
	if err != nil {
		return nil, err
	}
	if u == nil {
		return logical.ErrorResponse("user %q does not exist any more; the token cannot be renewed", name), nil
	}
	return grant.Renew(req, &u.TokenParams)
}

package aws

import (
	"context"
	"errors"
	"maps"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/auth/grant"
	"github.com/novatech/securevault/server/core/endpoint"
)

func (b *backend) loginPaths() []*framework.Path {
	return []*framework.Path{
		endpoint.Update("login", "Trades a signed request for a token.", endpoint.Fields{
			"role":                    {Type: framework.TypeLowerCaseString, Description: "Role; that of the principal's own name if empty."},
			"iam_http_request_method": endpoint.Text("POST."),
			"iam_request_url":         endpoint.Text("URL of the signed request, in base64."),
			"iam_request_body":        endpoint.Text("Its body, in base64."),
			"iam_request_headers":     {Type: framework.TypeHeader, Description: "Its headers, as a JSON object, in base64 or not."},
			"pkcs7":                   endpoint.Text("Of the type ec2, which is not supported."),
			"identity":                endpoint.Text("Of the type ec2, which is not supported."),
		}, b.login),
	}
}

func (b *backend) login(ctx context.Context, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	if d.Get("pkcs7").(string) != "" || d.Get("identity").(string) != "" {
		return logical.ErrorResponse("the type ec2 is not supported: log in with type iam, which works on EC2 instances too"), nil
	}
	p, err := b.identify(ctx, req.Storage, d)
	var wrong refused
	switch {
	case errors.As(err, &wrong):
		return grant.Refuse(wrong.reason)
	case err != nil:
		return nil, err
	}
	name := roleName(d, p)
	r, err := b.roles.Get(ctx, req.Storage, name)
	if err != nil {
		return nil, err
	}
	refusal := "the role does not exist, or " + p.Canonical + " may not log in by it"
	if r == nil || !r.admits(p) {
		return grant.Refuse(refusal)
	}
	i, err := b.naming.Get(ctx, req.Storage, "")
	if err != nil {
		return nil, err
	}
	told := i.describe(p)
	metadata := map[string]string{"role": name, "role_id": r.ID}
	maps.Copy(metadata, told)
	return grant.Login(req, &r.TokenParams, &logical.Auth{
		InternalData: map[string]any{"role": name, "client_arn": p.ARN},
		Metadata:     metadata,
		DisplayName:  p.Name,
		Alias:        &logical.Alias{Name: i.name(r, p), Metadata: told},
	}, refusal)
}

// identify has AWS say who the client is.
func (b *backend) identify(ctx context.Context, s logical.Storage, d *framework.FieldData) (principal, error) {
	c, err := b.client.Get(ctx, s, "")
	if err != nil {
		return principal{}, err
	}
	if c == nil {
		c = new(client)
	}
	q, err := read(d)
	if err != nil {
		return principal{}, err
	}
	if err := q.check(c); err != nil {
		return principal{}, err
	}
	address, err := c.address(q.region())
	if err != nil {
		return principal{}, err
	}
	return b.ask(ctx, q, address)
}

// renew prolongs a token if its role still admits the principal.
func (b *backend) renew(ctx context.Context, req *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	name, _ := req.Auth.InternalData["role"].(string)
	arn, _ := req.Auth.InternalData["client_arn"].(string)
	r, err := b.roles.Get(ctx, req.Storage, name)
	if err != nil {
		return nil, err
	}
	p, err := parsePrincipal(arn)
	if err != nil || r == nil || !r.admits(p) {
		return logical.ErrorResponse("role %q does not admit %s any more; the token cannot be renewed", name, arn), nil //nolint:nilerr // it is the answer
	}
	return grant.Renew(req, &r.TokenParams)
}

package system

import (
	"context"
	"net/http"
	"strings"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/core/endpoint"
	"github.com/novatech/securevault/server/core/policy"
	"github.com/novatech/securevault/server/core/token"
)

func (b *backend) capabilityPaths() []*framework.Path {
	one := func(pattern, synopsis string, find func(*logical.Request, *framework.FieldData) (*token.Token, error)) *framework.Path {
		return endpoint.New(pattern, synopsis, endpoint.Fields{
			"paths":    {Type: framework.TypeCommaStringSlice, Description: "Paths to ask about."},
			"path":     {Type: framework.TypeCommaStringSlice, Description: "Older name of paths."},
			"token":    endpoint.Text("The token to ask about."),
			"accessor": endpoint.Text("The accessor of the token to ask about."),
		}, endpoint.Operations{
			logical.UpdateOperation: func(_ context.Context, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
				t, err := find(req, d)
				if err != nil {
					return nil, logical.CodedError(http.StatusBadRequest, err.Error())
				}
				return b.capabilities(t, d), nil
			},
		})
	}
	return []*framework.Path{
		one("capabilities-self", "Says what the request's token may do.", func(req *logical.Request, _ *framework.FieldData) (*token.Token, error) {
			return b.Tokens.Lookup(req.ClientToken)
		}),
		one("capabilities-accessor", "Says what the token with an accessor may do.", func(_ *logical.Request, d *framework.FieldData) (*token.Token, error) {
			return b.Tokens.ByAccessor(d.Get("accessor").(string))
		}),
		one("capabilities", "Says what a token may do.", func(_ *logical.Request, d *framework.FieldData) (*token.Token, error) {
			return b.Tokens.Lookup(d.Get("token").(string))
		}),
	}
}

// acl returns what a token may do.
func (b *backend) acl(t *token.Token) *policy.ACL {
	return b.Policies.ACL(t.Policies, policy.Identity(t.Alias))
}

// capabilities answers for every path asked about; a single one is also given
// under "capabilities".
func (b *backend) capabilities(t *token.Token, d *framework.FieldData) *logical.Response {
	paths := d.Get("paths").([]string)
	if len(paths) == 0 {
		paths = d.Get("path").([]string)
	}
	if len(paths) == 0 {
		return logical.ErrorResponse("missing paths: send the paths to ask about")
	}
	acl := b.acl(t)
	data := map[string]any{}
	for _, path := range paths {
		data[path] = acl.Names(strings.TrimPrefix(path, "/"))
	}
	if len(paths) == 1 {
		data["capabilities"] = data[paths[0]]
	}
	return &logical.Response{Data: data}
}

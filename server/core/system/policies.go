package system

import (
	"context"
	"errors"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/core/endpoint"
	"github.com/novatech/securevault/server/core/policy"
)

// namePattern is what policies may be called.
const namePattern = `(?P<name>[\w@.+-]+)`

func (b *backend) policyPaths() []*framework.Path {
	list := endpoint.Operations{logical.ReadOperation: b.listPolicies, logical.ListOperation: b.listPolicies}
	one := func(route, shownAs string) *framework.Path {
		return endpoint.New(route+namePattern, "Reads, writes or deletes a policy.", endpoint.Fields{
			"name":   endpoint.Text("Name of the policy."),
			"policy": endpoint.Text("The policy, in HCL or JSON."),
			"rules":  endpoint.Text("Older name of policy."),
		}, endpoint.Operations{
			logical.ReadOperation:   b.readPolicy(shownAs),
			logical.UpdateOperation: b.writePolicy,
			logical.DeleteOperation: b.deletePolicy,
		})
	}
	return []*framework.Path{
		endpoint.New("policy/?", "Lists the policies.", nil, list),
		one("policy/", "rules"),
		endpoint.New("policies/acl/?", "Lists the policies.", nil, list),
		one("policies/acl/", "policy"),
	}
}

func (b *backend) listPolicies(context.Context, *logical.Request, *framework.FieldData) (*logical.Response, error) {
	resp := logical.ListResponse(b.Policies.Names())
	resp.Data["policies"] = resp.Data["keys"]
	return resp, nil
}

func (b *backend) readPolicy(shownAs string) framework.OperationFunc {
	return func(_ context.Context, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
		p, ok := b.Policies.Get(d.Get("name").(string))
		if !ok {
			return nil, nil
		}
		return &logical.Response{Data: map[string]any{"name": p.Name, shownAs: p.Text}}, nil
	}
}

func (b *backend) writePolicy(ctx context.Context, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	rules := d.Get("policy").(string)
	if rules == "" {
		rules = d.Get("rules").(string)
	}
	if rules == "" {
		return logical.ErrorResponse("missing policy: send the text of the policy in the field policy"), nil
	}
	return refusal(b.Policies.Put(ctx, d.Get("name").(string), rules))
}

func (b *backend) deletePolicy(ctx context.Context, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	return refusal(b.Policies.Delete(ctx, d.Get("name").(string)))
}

// refusal tells a client's mistake from a failure of the server.
func refusal(err error) (*logical.Response, error) {
	var bad *policy.ParseError
	if errors.As(err, &bad) || errors.Is(err, policy.ErrBuiltIn) {
		return logical.ErrorResponse(err.Error()), nil
	}
	return nil, err
}

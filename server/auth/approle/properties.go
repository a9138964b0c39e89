package approle

import (
	"context"
	"net/http"
	"strings"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/core/endpoint"
)

// propertyPaths read, change or reset one field of a role each, for those who
// may do no more. The path has dashes where the field has underscores.
func (b *backend) propertyPaths(fields endpoint.Fields) []*framework.Path {
	var paths []*framework.Path
	for _, field := range []string{
		"policies", "period", "bind_secret_id", "secret_id_bound_cidrs", "secret_id_num_uses", "secret_id_ttl",
		"local_secret_ids", "token_bound_cidrs", "token_num_uses", "token_ttl", "token_max_ttl",
	} {
		paths = append(paths, endpoint.New(
			"role/"+framework.GenericNameRegex("role_name")+"/"+strings.ReplaceAll(field, "_", "-"),
			"Reads, changes or resets "+field+" of a role.", fields, endpoint.Operations{
				logical.ReadOperation:   b.readProperty(field),
				logical.UpdateOperation: b.writeProperty(field),
				logical.DeleteOperation: b.resetProperty(field),
			}))
	}
	return paths
}

// shownAs returns the field of a role's description that tells of a property.
func shownAs(field string) string {
	if field == "policies" || field == "period" {
		return "token_" + field
	}
	return field
}

func (b *backend) readProperty(field string) framework.OperationFunc {
	return func(ctx context.Context, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
		resp, err := b.readRole(ctx, req, d)
		if err != nil || resp == nil {
			return nil, err
		}
		return &logical.Response{Data: map[string]any{field: resp.Data[shownAs(field)]}}, nil
	}
}

func (b *backend) writeProperty(field string) framework.OperationFunc {
	return func(ctx context.Context, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
		value, ok := d.Raw[field]
		if !ok {
			return logical.ErrorResponse("missing %s: send the value that the role shall have", field), nil
		}
		return b.changeProperty(ctx, req, d, field, value)
	}
}

func (b *backend) resetProperty(field string) framework.OperationFunc {
	return func(ctx context.Context, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
		return b.changeProperty(ctx, req, d, field, d.Schema[field].DefaultOrZero())
	}
}

// changeProperty writes one field; whatever else the request carries is left
// out.
func (b *backend) changeProperty(ctx context.Context, req *logical.Request, d *framework.FieldData, field string, value any) (*logical.Response, error) {
	only := &framework.FieldData{
		Raw:    map[string]any{"role_name": d.Get("role_name"), field: value},
		Schema: d.Schema,
	}
	r, missing, err := b.mustRole(ctx, req, only)
	if r == nil {
		return missing, err
	}
	return b.writeRole(ctx, req, only)
}

// tidyPaths remove what has expired, which also happens by itself each minute.
func (b *backend) tidyPaths() []*framework.Path {
	return []*framework.Path{
		endpoint.Update("tidy/secret-id/?", "Removes expired secret ids.", nil,
			func(ctx context.Context, req *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
				if err := b.tidy(ctx, req); err != nil {
					return nil, err
				}
				return logical.RespondWithStatusCode(nil, req, http.StatusAccepted)
			}),
	}
}

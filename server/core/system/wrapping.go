package system

import (
	"context"
	"net/http"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/core/endpoint"
)

// openWrappingPaths need no policy: whoever holds a wrapping token may use it.
var openWrappingPaths = []string{"wrapping/lookup", "wrapping/unwrap", "wrapping/rewrap"}

func (b *backend) wrappingPaths() []*framework.Path {
	token := endpoint.Fields{"token": endpoint.Text("The wrapping token; that of the request if empty.")}
	wrap := endpoint.New("wrapping/wrap", "Wraps what is sent.", nil, endpoint.Operations{
		logical.UpdateOperation: b.wrap,
	})
	wrap.TakesArbitraryInput = true
	return []*framework.Path{
		wrap,
		endpoint.New("wrapping/lookup", "Describes a wrapped answer.", token, endpoint.Operations{
			logical.ReadOperation: b.lookupWrapped, logical.UpdateOperation: b.lookupWrapped,
		}),
		endpoint.Update("wrapping/unwrap", "Takes a wrapped answer.", token, b.unwrap),
		endpoint.Update("wrapping/rewrap", "Puts a wrapped answer under another token.", token, b.rewrap),
	}
}

// wrappingToken returns the token that the request is about.
func wrappingToken(req *logical.Request, d *framework.FieldData) string {
	if named := d.Get("token").(string); named != "" {
		return named
	}
	return req.ClientToken
}

// wrap answers with what was sent, which the core wraps as it does any answer.
func (b *backend) wrap(_ context.Context, req *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	if req.WrapInfo == nil || req.WrapInfo.TTL == 0 {
		return logical.ErrorResponse("endpoint requires response wrapping to be used: send the header X-Vault-Wrap-TTL (-wrap-ttl)"), nil
	}
	return &logical.Response{Data: req.Data}, nil
}

func (b *backend) lookupWrapped(_ context.Context, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	found, err := b.Wraps.Lookup(wrappingToken(req, d))
	if err != nil {
		return nil, err
	}
	return &logical.Response{Data: map[string]any{
		"creation_path": found.CreationPath,
		"creation_time": found.CreationTime.Format(time.RFC3339Nano),
		"creation_ttl":  int64(found.TTL.Seconds()),
	}}, nil
}

func (b *backend) unwrap(ctx context.Context, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	body, err := b.Wraps.Unwrap(ctx, wrappingToken(req, d))
	if err != nil {
		return nil, err
	}
	return &logical.Response{Data: map[string]any{
		logical.HTTPStatusCode: http.StatusOK, logical.HTTPContentType: "application/json",
		logical.HTTPRawBody: string(body),
	}}, nil
}

func (b *backend) rewrap(ctx context.Context, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	info, err := b.Wraps.Rewrap(ctx, wrappingToken(req, d))
	if err != nil {
		return nil, err
	}
	return &logical.Response{WrapInfo: info}, nil
}

package system

import (
	"context"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/core/endpoint"
	"github.com/novatech/securevault/server/core/seal"
)

// Seal is what can be done about the keys with a token.
type Seal interface {
	// Seal makes the server refuse requests from now on and returns; what is
	// under way ends, then the keys are forgotten.
	Seal() error
	// Rotate begins a new data key; older entries stay readable.
	Rotate(ctx context.Context) error
	KeyStatus() (seal.KeyStatus, error)
}

func (b *backend) sealPaths() []*framework.Path {
	return []*framework.Path{
		endpoint.Update("seal", "Seals the server.", nil, b.seal),
		endpoint.Update("rotate", "Begins a new data key.", nil, b.rotate),
		endpoint.New("key-status", "Tells of the data key in use.", nil, endpoint.Operations{logical.ReadOperation: b.keyStatus}),
	}
}

func (b *backend) seal(context.Context, *logical.Request, *framework.FieldData) (*logical.Response, error) {
	return nil, b.Seal.Seal()
}

func (b *backend) rotate(ctx context.Context, _ *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	return nil, b.Seal.Rotate(ctx)
}

func (b *backend) keyStatus(context.Context, *logical.Request, *framework.FieldData) (*logical.Response, error) {
	status, err := b.Seal.KeyStatus()
	if err != nil {
		return nil, err
	}
	return &logical.Response{Data: map[string]any{
		"term":         status.Term,
		"install_time": status.InstallTime.Format(time.RFC3339Nano),
		"encryptions":  status.Encryptions,
	}}, nil
}

package system

import (
	"context"
	"net/http"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/core/endpoint"
)

// remountPaths move mounts. Clients take a move for something that goes on after
// the answer, and ask how far it is. Here it is over by then, so that the id of
// a move is that of its mount, and nothing is kept.
func (b *backend) remountPaths() []*framework.Path {
	return []*framework.Path{
		endpoint.Update("remount", "Moves a mount to another path.", endpoint.Fields{
			"from": endpoint.Text("Where the mount is; auth/ and its path for an auth method."),
			"to":   endpoint.Text("Where the mount shall be."),
		}, b.remount),
		endpoint.New("remount/status/(?P<migration_id>.+)", "Tells whether a mount was moved.", endpoint.Fields{
			"migration_id": endpoint.Text("What remount answered."),
		}, endpoint.Operations{logical.ReadOperation: b.remountStatus}),
	}
}

func (b *backend) remount(ctx context.Context, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	from, to := d.Get("from").(string), d.Get("to").(string)
	if from == "" || to == "" {
		return logical.ErrorResponse("missing from or to: send the path of the mount, and where it shall be"), nil
	}
	if err := b.Mounts.Move(ctx, from, to); err != nil {
		return nil, err
	}
	m, err := b.Mounts.Get(to)
	if err != nil {
		return nil, err
	}
	return &logical.Response{Data: map[string]any{"migration_id": m.Entry().UUID}}, nil
}

func (b *backend) remountStatus(_ context.Context, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	id := d.Get("migration_id").(string)
	m, ok := b.Mounts.ByUUID(id)
	if !ok {
		return nil, nil // nothing there: 404
	}
	return &logical.Response{Data: map[string]any{
		"migration_id":   id,
		"migration_info": map[string]any{"target_mount": m.Entry().Path, "status": "success"},
	}}, nil
}

// namespacePaths refuse what the server has not, for clients that ask by path
// and not by header.
func namespacePaths() []*framework.Path {
	refuse := func(context.Context, *logical.Request, *framework.FieldData) (*logical.Response, error) {
		return nil, logical.CodedError(http.StatusBadRequest, "namespaces are not supported: use mounts and policies of different paths")
	}
	return []*framework.Path{
		endpoint.New("namespaces(/(?P<path>.*))?", "Says that there are no namespaces.", endpoint.Fields{
			"path": endpoint.Text("Any path."),
		}, endpoint.Operations{
			logical.ReadOperation: refuse, logical.ListOperation: refuse,
			logical.UpdateOperation: refuse, logical.DeleteOperation: refuse,
		}),
	}
}

package system

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/core/audit"
	"github.com/novatech/securevault/server/core/endpoint"
)

func (b *backend) auditPaths() []*framework.Path {
	return []*framework.Path{
		endpoint.New("audit/?", "Lists the audit devices.", nil, endpoint.Operations{logical.ReadOperation: b.listAudit}),
		endpoint.New("audit/(?P<path>.+)", "Enables or disables an audit device.", endpoint.Fields{
			"path":        endpoint.Text("Name of the device."),
			"type":        endpoint.Text("file, syslog or socket."),
			"description": endpoint.Text("What the device is for."),
			"options":     {Type: framework.TypeKVPairs, Description: "Options of the device."},
			"local":       endpoint.Flag("Kept for clients that send it."),
		}, endpoint.Operations{
			logical.UpdateOperation: b.enableAudit,
			logical.DeleteOperation: b.disableAudit,
		}),
		endpoint.Update("audit-hash/(?P<path>.+)", "Says what a device writes in place of a secret.", endpoint.Fields{
			"path":  endpoint.Text("Name of the device."),
			"input": endpoint.Text("The secret."),
		}, b.hashAudit),
	}
}

func (b *backend) listAudit(context.Context, *logical.Request, *framework.FieldData) (*logical.Response, error) {
	data := map[string]any{}
	for _, d := range b.Audit.Devices() {
		data[d.Path] = map[string]any{
			"path": d.Path, "type": d.Type, "description": d.Description, "options": d.Options, "local": d.Local,
		}
	}
	return &logical.Response{Data: data}, nil
}

func (b *backend) enableAudit(ctx context.Context, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	err := b.Audit.Enable(ctx, audit.Device{
		Path:        d.Get("path").(string),
		Type:        d.Get("type").(string),
		Description: d.Get("description").(string),
		Options:     d.Get("options").(map[string]string),
		Local:       d.Get("local").(bool),
	})
	return nil, auditError(err)
}

func (b *backend) disableAudit(ctx context.Context, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	return nil, b.Audit.Disable(ctx, d.Get("path").(string))
}

func (b *backend) hashAudit(_ context.Context, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	input := d.Get("input").(string)
	if input == "" {
		return logical.ErrorResponse("missing input: send the secret to hash"), nil
	}
	hash, err := b.Audit.Hash(d.Get("path").(string), input)
	if err != nil {
		return nil, auditError(err)
	}
	return &logical.Response{Data: map[string]any{"hash": hash}}, nil
}

// auditError marks what the client can mend.
func auditError(err error) error {
	if errors.Is(err, audit.ErrInvalid) {
		return logical.CodedError(http.StatusBadRequest, strings.TrimPrefix(err.Error(), audit.ErrInvalid.Error()+": "))
	}
	return err
}

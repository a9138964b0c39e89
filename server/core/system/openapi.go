package system

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/core/endpoint"
	"github.com/novatech/securevault/server/core/mount"
)

func (b *backend) openAPIPaths() []*framework.Path {
	return []*framework.Path{
		endpoint.New("internal/specs/openapi", "Describes, as OpenAPI, the paths of the mounts that the token can use.", endpoint.Fields{
			"generic_mount_paths": endpoint.Flag("Kept for clients that send it."),
		}, endpoint.Operations{logical.ReadOperation: b.readOpenAPI, logical.UpdateOperation: b.readOpenAPI}),
	}
}

func (b *backend) readOpenAPI(ctx context.Context, req *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	caller, err := b.Tokens.Lookup(req.ClientToken)
	if err != nil {
		return nil, err
	}
	acl := b.acl(caller)
	environment, err := b.System().PluginEnv(ctx)
	if err != nil {
		return nil, err
	}
	whole := framework.NewOASDocument(environment.VaultVersion)
	whole.Info.Title = "SecureVault API"
	whole.Info.Description = "All paths begin with `/v1/`. Requests carry their token in `X-Vault-Token`."
	for _, m := range b.Mounts.Mounts() {
		if !acl.Touches(m.Entry().Path) {
			continue
		}
		if err := describePaths(ctx, m, whole); err != nil {
			return nil, fmt.Errorf("describing the paths of %q: %w", m.Entry().Path, err)
		}
	}
	body, err := json.Marshal(whole)
	if err != nil {
		return nil, fmt.Errorf("encoding the description: %w", err)
	}
	return &logical.Response{Data: map[string]any{
		logical.HTTPStatusCode: http.StatusOK, logical.HTTPContentType: "application/json", logical.HTTPRawBody: body,
	}}, nil
}

// describePaths adds what a mount says of itself to the whole.
func describePaths(ctx context.Context, m *mount.Mount, whole *framework.OASDocument) error {
	entry := m.Entry()
	resp, err := m.Backend.HandleRequest(ctx, &logical.Request{
		Operation: logical.HelpOperation, Storage: m.Storage,
		Data: map[string]any{"requestResponsePrefix": entry.Type},
	})
	if err != nil {
		return err
	}
	doc, ok := resp.Data["openapi"].(*framework.OASDocument)
	if !ok {
		return nil // an engine that says nothing
	}
	for path, item := range doc.Paths {
		item.Sudo = item.Sudo || m.NeedsSudo(path[1:])
		item.Unauthenticated = item.Unauthenticated || m.Open(path[1:])
		whole.Paths["/"+entry.Path+path[1:]] = item
	}
	for name, schema := range doc.Components.Schemas {
		whole.Components.Schemas[name] = schema
	}
	return nil
}

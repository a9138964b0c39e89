package system

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/core/endpoint"
)

// builtIn is the version of what the server is built with, as catalogs write it.
const builtIn = "+builtin"

func (b *backend) catalogPaths() []*framework.Path {
	kind := endpoint.Text("secret, auth or database.")
	return []*framework.Path{
		endpoint.New("plugins/catalog/?", "Lists all engines and auth methods that the server is built with.", nil, endpoint.Operations{
			logical.ReadOperation: b.readCatalog,
			logical.ListOperation: b.readCatalog,
		}),
		endpoint.New("plugins/catalog/(?P<type>secret|auth|database)/?", "Lists those of one kind.", endpoint.Fields{"type": kind}, endpoint.Operations{
			logical.ListOperation: b.listCatalog,
		}),
		endpoint.New("plugins/catalog/(?P<type>secret|auth|database)/"+namePattern, "Shows one of them.", endpoint.Fields{
			"type": kind, "name": endpoint.Text("Its type."),
		}, endpoint.Operations{
			logical.ReadOperation:   b.showPlugin,
			logical.UpdateOperation: b.refusePlugin,
			logical.DeleteOperation: b.refusePlugin,
		}),
	}
}

// catalog returns the types of one kind, sorted.
func (b *backend) catalog(kind string) []string {
	engines, methods := b.Mounts.Types()
	switch kind {
	case "secret":
		return engines
	case "auth":
		return methods
	}
	return b.Databases
}

func (b *backend) readCatalog(context.Context, *logical.Request, *framework.FieldData) (*logical.Response, error) {
	data := map[string]any{}
	detailed := []map[string]any{}
	for _, kind := range []string{"auth", "database", "secret"} {
		names := b.catalog(kind)
		data[kind] = names
		for _, name := range names {
			detailed = append(detailed, map[string]any{"name": name, "type": kind, "builtin": true, "version": builtIn, "deprecation_status": "supported"})
		}
	}
	data["detailed"] = detailed
	return &logical.Response{Data: data}, nil
}

func (b *backend) listCatalog(_ context.Context, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	return logical.ListResponse(b.catalog(d.Get("type").(string))), nil
}

func (b *backend) showPlugin(_ context.Context, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	kind, name := d.Get("type").(string), d.Get("name").(string)
	if !slices.Contains(b.catalog(kind), name) {
		return nil, nil
	}
	return &logical.Response{Data: map[string]any{
		"name": name, "builtin": true, "command": "", "args": []string{}, "sha256": "", "version": builtIn, "deprecation_status": "supported",
	}}, nil
}

func (b *backend) refusePlugin(_ context.Context, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	return nil, logical.CodedError(http.StatusBadRequest,
		fmt.Sprintf("%q cannot be changed: engines are part of the server, plugins from outside are not run", d.Get("name").(string)))
}

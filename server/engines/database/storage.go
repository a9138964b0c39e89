package database

import (
	"context"
	"fmt"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"
)

// load returns the record under key, nil if there is none.
func load[T any](ctx context.Context, storage logical.Storage, key string) (*T, error) {
	entry, err := storage.Get(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("loading %q: %w", key, err)
	}
	if entry == nil {
		return nil, nil
	}
	record := new(T)
	if err := entry.DecodeJSON(record); err != nil {
		return nil, fmt.Errorf("decoding %q: %w", key, err)
	}
	return record, nil
}

func store(ctx context.Context, storage logical.Storage, key string, record any) error {
	entry, err := logical.StorageEntryJSON(key, record)
	if err != nil {
		return fmt.Errorf("encoding %q: %w", key, err)
	}
	if err := storage.Put(ctx, entry); err != nil {
		return fmt.Errorf("storing %q: %w", key, err)
	}
	return nil
}

// listPath lists the names under a path that is also a storage prefix.
func listPath(prefix, synopsis string) *framework.Path {
	list := func(ctx context.Context, req *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
		names, err := req.Storage.List(ctx, prefix)
		if err != nil {
			return nil, fmt.Errorf("listing %q: %w", prefix, err)
		}
		return logical.ListResponse(names), nil
	}
	return &framework.Path{
		Pattern:      prefix + "?$",
		Operations:   map[logical.Operation]framework.OperationHandler{logical.ListOperation: &framework.PathOperation{Callback: list}},
		HelpSynopsis: synopsis,
	}
}

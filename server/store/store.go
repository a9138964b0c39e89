// Package store is where the server keeps its state.
//
// A Store maps slash-separated keys to bytes; it knows nothing of tokens or
// leases. View gives one owner (a mount, the token store, the policies) the
// part of a Store under its own prefix, in the form the plugin SDK wants.
// GetJSON and PutJSON are the one way records are encoded.
//
// Implementations live in folders of their own: inmem is the one of -dev, file
// that of a single server, postgresql and etcd those of several (Elector, in
// elect.go). Each passes the contract in storetest.
package store

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/hashicorp/vault/sdk/logical"
)

// Store keeps values by key. Methods are safe for concurrent use.
//
// There is no write of several keys at once: every record of the server stands
// by itself, so that a crash between two writes leaves nothing half done, and
// a durable store lets concurrent writers share an fsync anyway.
//
// The caller owns the slices it hands in and gets back.
type Store interface {
	// Get returns the value of key, or nil and no error when there is none.
	Get(ctx context.Context, key string) ([]byte, error)
	// Put stores value under key; when it returns nil, the value survives.
	Put(ctx context.Context, key string, value []byte) error
	// Delete removes key; removing what is not there is not an error.
	Delete(ctx context.Context, key string) error
	// List returns, sorted and relative to prefix, the keys one level below
	// prefix; a deeper level is shown once, with a trailing slash.
	List(ctx context.Context, prefix string) ([]string, error)
}

// View returns the part of s under prefix. Keys that try to leave it by ".."
// are refused with logical.ErrRelativePath.
func View(s Store, prefix string) logical.Storage {
	return &view{store: s, prefix: prefix}
}

type view struct {
	store  Store
	prefix string
}

func (v *view) expand(key string) (string, error) {
	if strings.Contains(key, "..") {
		return "", logical.ErrRelativePath
	}
	return v.prefix + key, nil
}

// Get implements logical.Storage.
func (v *view) Get(ctx context.Context, key string) (*logical.StorageEntry, error) {
	full, err := v.expand(key)
	if err != nil {
		return nil, err
	}
	value, err := v.store.Get(ctx, full)
	if err != nil || value == nil {
		return nil, err
	}
	return &logical.StorageEntry{Key: key, Value: value}, nil
}

// Put implements logical.Storage.
func (v *view) Put(ctx context.Context, entry *logical.StorageEntry) error {
	if entry == nil {
		return fmt.Errorf("storing an entry: it is nil")
	}
	full, err := v.expand(entry.Key)
	if err != nil {
		return err
	}
	return v.store.Put(ctx, full, entry.Value)
}

// Delete implements logical.Storage.
func (v *view) Delete(ctx context.Context, key string) error {
	full, err := v.expand(key)
	if err != nil {
		return err
	}
	return v.store.Delete(ctx, full)
}

// List implements logical.Storage.
func (v *view) List(ctx context.Context, prefix string) ([]string, error) {
	full, err := v.expand(prefix)
	if err != nil {
		return nil, err
	}
	return v.store.List(ctx, full)
}

// GetJSON reads the record under key, or returns nil when there is none.
// Numbers inside untyped fields stay exact (json.Number).
func GetJSON[T any](ctx context.Context, s logical.Storage, key string) (*T, error) {
	entry, err := s.Get(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("reading %q: %w", key, err)
	}
	if entry == nil {
		return nil, nil
	}
	record := new(T)
	decoder := json.NewDecoder(bytes.NewReader(entry.Value))
	decoder.UseNumber()
	if err := decoder.Decode(record); err != nil {
		return nil, fmt.Errorf("decoding %q: %w", key, err)
	}
	return record, nil
}

// PutJSON writes record under key.
func PutJSON(ctx context.Context, s logical.Storage, key string, record any) error {
	value, err := json.Marshal(record)
	if err != nil {
		return fmt.Errorf("encoding %q: %w", key, err)
	}
	if err := s.Put(ctx, &logical.StorageEntry{Key: key, Value: value}); err != nil {
		return fmt.Errorf("writing %q: %w", key, err)
	}
	return nil
}

// Package record keeps what an auth method is told: its users, roles, groups,
// certificates and its configuration.
//
// A Family is one kind of record. It makes the paths that list, read, write
// and delete its records; the method itself uses Get. What a record holds is
// the method's business: it implements Record.
package record

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/core/endpoint"
	"github.com/novatech/securevault/server/store"
)

// Record is kept as JSON.
type Record interface {
	// Apply takes over the fields that a request carries, and checks the whole.
	// Its error is the client's to mend.
	Apply(req *logical.Request, d *framework.FieldData) error
	// Describe is what a read shows, which must hold no secret.
	Describe() map[string]any
}

// Family is one kind of record. It must not be copied once in use.
type Family[T any, R interface {
	*T
	Record
}] struct {
	Folder   string          // of the paths, and of the storage: "users"
	Plural   string          // another folder that lists the names; none if empty
	Name     string          // field that names a record: "username"; empty if there is but one
	Pattern  string          // of that name, as a group called like Name
	Synopsis string          // of the path, for its help
	Fields   endpoint.Fields // what Apply reads
	Always   bool            // one that was never written is there, and empty

	changing sync.Mutex // orders reading, applying and writing
}

// Names is the pattern of names that are one segment of a path, whatever it
// holds.
func Names(field string) string { return fmt.Sprintf("(?P<%s>[^/]+)", field) }

// Paths describes the paths of the family.
func (f *Family[T, R]) Paths() []*framework.Path {
	pattern := f.Folder
	if f.Name != "" {
		pattern += "/" + f.Pattern
	}
	one := endpoint.New(pattern, f.Synopsis, f.schema(), endpoint.Operations{
		logical.ReadOperation:   f.read,
		logical.CreateOperation: f.write,
		logical.UpdateOperation: f.write,
		logical.DeleteOperation: f.remove,
	})
	one.ExistenceCheck = f.exists
	if f.Name == "" {
		return []*framework.Path{one}
	}
	paths := []*framework.Path{one}
	for _, folder := range []string{f.Folder, f.Plural} {
		if folder != "" {
			paths = append(paths, endpoint.New(folder+"/?", "Lists the names.", nil, endpoint.Operations{logical.ListOperation: f.list}))
		}
	}
	return paths
}

// Get returns the record of that name, or nil when there is none.
func (f *Family[T, R]) Get(ctx context.Context, s logical.Storage, name string) (R, error) {
	return f.at(ctx, s, f.key(name))
}

// at returns the record that is kept under key.
func (f *Family[T, R]) at(ctx context.Context, s logical.Storage, key string) (R, error) {
	found, err := store.GetJSON[T](ctx, s, key)
	if found == nil && err == nil && f.Always {
		found = new(T)
	}
	return R(found), err
}

// All returns every record of the family: name → record.
func (f *Family[T, R]) All(ctx context.Context, s logical.Storage) (map[string]R, error) {
	names, err := s.List(ctx, f.key(""))
	if err != nil {
		return nil, fmt.Errorf("listing %s: %w", f.Folder, err)
	}
	all := make(map[string]R, len(names))
	for _, name := range names {
		one, err := f.Get(ctx, s, name)
		if err != nil {
			return nil, err
		}
		if one != nil { // else it was deleted meanwhile
			all[name] = one
		}
	}
	return all, nil
}

// Part describes a path below a record that changes some of its fields, for
// those who may change no more.
func (f *Family[T, R]) Part(name, synopsis string, fields ...string) *framework.Path {
	schema := f.schema()
	return endpoint.Update(f.Folder+"/"+f.Pattern+"/"+name, synopsis, schema,
		func(ctx context.Context, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
			raw := maps.Clone(d.Raw)
			maps.DeleteFunc(raw, func(field string, _ any) bool {
				return field != f.Name && !slices.Contains(fields, field)
			})
			return f.apply(ctx, req, &framework.FieldData{Raw: raw, Schema: schema}, false)
		})
}

func (f *Family[T, R]) write(ctx context.Context, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	return f.apply(ctx, req, d, true)
}

// apply applies a request to the record that it names, or to a new one.
func (f *Family[T, R]) apply(ctx context.Context, req *logical.Request, d *framework.FieldData, create bool) (*logical.Response, error) {
	f.changing.Lock()
	defer f.changing.Unlock()
	one, err := f.named(ctx, req, d)
	switch {
	case err != nil:
		return nil, err
	case one == nil && !create:
		return nil, logical.CodedError(http.StatusNotFound, fmt.Sprintf("there is no %q: write it first", f.keyOf(d)))
	case one == nil:
		one = new(T)
	}
	if err := one.Apply(req, d); err != nil {
		return logical.ErrorResponse(err.Error()), nil //nolint:nilerr // what the client sent is wrong, and says so in the answer
	}
	return nil, store.PutJSON(ctx, req.Storage, f.keyOf(d), one)
}

// schema is Fields and the name.
func (f *Family[T, R]) schema() endpoint.Fields {
	fields := maps.Clone(f.Fields)
	if f.Name != "" {
		fields[f.Name] = &framework.FieldSchema{Type: framework.TypeLowerCaseString, Description: "Name of the record."}
	}
	return fields
}

func (f *Family[T, R]) key(name string) string {
	if f.Name == "" {
		return f.Folder
	}
	return f.Folder + "/" + name
}

func (f *Family[T, R]) keyOf(d *framework.FieldData) string {
	if f.Name == "" {
		return f.key("")
	}
	return f.key(d.Get(f.Name).(string))
}

func (f *Family[T, R]) named(ctx context.Context, req *logical.Request, d *framework.FieldData) (R, error) {
	return f.at(ctx, req.Storage, f.keyOf(d))
}

func (f *Family[T, R]) exists(ctx context.Context, req *logical.Request, d *framework.FieldData) (bool, error) {
	one, err := f.named(ctx, req, d)
	return one != nil, err
}

func (f *Family[T, R]) read(ctx context.Context, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	one, err := f.named(ctx, req, d)
	if err != nil || one == nil {
		return nil, err
	}
	return &logical.Response{Data: one.Describe()}, nil
}

func (f *Family[T, R]) remove(ctx context.Context, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	f.changing.Lock()
	defer f.changing.Unlock()
	return nil, req.Storage.Delete(ctx, f.keyOf(d))
}

func (f *Family[T, R]) list(ctx context.Context, req *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	names, err := req.Storage.List(ctx, f.key(""))
	if err != nil {
		return nil, fmt.Errorf("listing %s: %w", f.Folder, err)
	}
	return logical.ListResponse(names), nil
}

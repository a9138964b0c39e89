// Package coretest gives tests a core with an engine whose credentials can be
// counted and made to fail.
package coretest

import (
	"context"
	"crypto/rand"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/core/endpoint"
)

// Engine is a secrets engine whose credentials live in memory. Its paths:
//
//	creds/NAME   read: a credential; ttl, max_ttl, fixed as query
//	notes/NAME   read, write, list, delete: existence is checked
//	open         read without token
//	guarded      read with sudo
//
// Its hooks are called with no lock held and may be nil; set them before use.
type Engine struct {
	OnIssue  func()
	OnRenew  func() error
	OnRevoke func(name string) error

	MaxLeases atomic.Int64 // of a role; 0 for any number

	mu      sync.Mutex
	issued  int             // guarded by mu; credentials there ever were
	live    map[string]bool // guarded by mu; credentials that work
	revoked int             // guarded by mu; revocations that succeeded
	ticks   int             // guarded by mu; periodic calls
}

// NewEngine returns an engine without credentials.
func NewEngine() *Engine { return &Engine{live: map[string]bool{}} }

// Live returns how many credentials work now.
func (e *Engine) Live() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.live)
}

// Issued returns how many credentials there ever were.
func (e *Engine) Issued() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.issued
}

// Revoked returns how many revocations have succeeded.
func (e *Engine) Revoked() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.revoked
}

// Ticks returns how often the periodic work has run.
func (e *Engine) Ticks() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.ticks
}

// Factory mounts the engine.
func (e *Engine) Factory(ctx context.Context, conf *logical.BackendConfig) (logical.Backend, error) {
	lifetime := func(name string) *framework.FieldSchema {
		return &framework.FieldSchema{Type: framework.TypeDurationSecond, Description: name}
	}
	notes := endpoint.New("notes/(?P<name>.+)", "A note.", endpoint.Fields{
		"name": endpoint.Text("Its name."), "note": endpoint.Text("Its text."),
	}, endpoint.Operations{
		logical.ReadOperation:   readNote,
		logical.CreateOperation: writeNote,
		logical.UpdateOperation: writeNote,
		logical.DeleteOperation: deleteNote,
	})
	notes.ExistenceCheck = noteExists
	b := &framework.Backend{
		Help:         "Counts credentials.",
		BackendType:  logical.TypeLogical,
		PathsSpecial: &logical.Paths{Root: []string{"guarded"}, Unauthenticated: []string{"open"}},
		PeriodicFunc: e.tick,
		Secrets:      []*framework.Secret{{Type: "fake", Renew: e.renew, Revoke: e.revoke}},
		Paths: []*framework.Path{
			endpoint.New("creds/(?P<name>.+)", "A credential.", endpoint.Fields{
				"name": endpoint.Text("Its role."), "ttl": lifetime("ttl"), "max_ttl": lifetime("max_ttl"),
				"fixed": endpoint.Flag("Not renewable."),
			}, endpoint.Operations{logical.ReadOperation: e.issue}),
			endpoint.New("notes/?", "The notes.", nil, endpoint.Operations{logical.ListOperation: listNotes}),
			notes,
			endpoint.New("open", "For everybody.", nil, endpoint.Operations{logical.ReadOperation: answer}),
			endpoint.New("guarded", "For the trusted.", nil, endpoint.Operations{logical.ReadOperation: answer}),
		},
	}
	return b, b.Setup(ctx, conf)
}

func (e *Engine) issue(_ context.Context, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	name := "user-" + rand.Text()
	e.mu.Lock()
	e.live[name] = true
	e.issued++
	e.mu.Unlock()
	if e.OnIssue != nil {
		e.OnIssue()
	}
	seconds := func(field string) time.Duration { return time.Duration(d.Get(field).(int)) * time.Second }
	return &logical.Response{
		Data: map[string]any{"username": name, "password": "s3cret"},
		Secret: &logical.Secret{
			LeaseOptions: logical.LeaseOptions{
				TTL: seconds("ttl"), MaxTTL: seconds("max_ttl"), Renewable: !d.Get("fixed").(bool),
			},
			InternalData: map[string]any{"secret_type": "fake", "username": name, "ttl": d.Get("ttl"), "max_ttl": d.Get("max_ttl")},
		},
	}, nil
}

func (e *Engine) renew(_ context.Context, req *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	if e.OnRenew != nil {
		if err := e.OnRenew(); err != nil {
			return nil, err
		}
	}
	return &logical.Response{Secret: req.Secret}, nil
}

func (e *Engine) revoke(_ context.Context, req *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	name, _ := req.Secret.InternalData["username"].(string)
	if e.OnRevoke != nil {
		if err := e.OnRevoke(name); err != nil {
			return nil, err
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.live, name)
	e.revoked++
	return nil, nil
}

func (e *Engine) tick(context.Context, *logical.Request) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ticks++
	return nil
}

func answer(_ context.Context, req *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	return &logical.Response{Data: map[string]any{"token_seen": req.ClientToken}}, nil
}

func listNotes(ctx context.Context, req *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	names, err := req.Storage.List(ctx, "notes/")
	return logical.ListResponse(names), err
}

func noteExists(ctx context.Context, req *logical.Request, d *framework.FieldData) (bool, error) {
	entry, err := req.Storage.Get(ctx, "notes/"+d.Get("name").(string))
	return entry != nil, err
}

func readNote(ctx context.Context, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	entry, err := req.Storage.Get(ctx, "notes/"+d.Get("name").(string))
	if err != nil || entry == nil {
		return nil, err
	}
	return &logical.Response{Data: map[string]any{"note": string(entry.Value)}}, nil
}

func writeNote(ctx context.Context, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	return nil, req.Storage.Put(ctx, &logical.StorageEntry{
		Key: "notes/" + d.Get("name").(string), Value: []byte(d.Get("note").(string)),
	})
}

func deleteNote(ctx context.Context, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	return nil, req.Storage.Delete(ctx, "notes/"+d.Get("name").(string))
}

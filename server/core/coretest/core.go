package coretest

import (
	"context"
	"errors"
	"maps"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/core"
	"github.com/novatech/securevault/server/core/metric"
	"github.com/novatech/securevault/server/core/seal"
	"github.com/novatech/securevault/server/store"
	"github.com/novatech/securevault/server/store/inmem"
)

// Root is the root token of every server that Start starts.
const Root = "root-token"

// Server is a running core and what it stands on.
type Server struct {
	*core.Core
	Sealed *core.Server // the same behind its seal, as the API sees it
	Engine *Engine
	Store  *Store
	stop   func()
}

// Start runs a core on an empty store, with the engine mounted at "fake/" and
// the auth methods of methods at "auth/<type>/". It ends with the test.
func Start(t testing.TB, methods map[string]logical.Factory) *Server {
	t.Helper()
	s := Restart(t, NewEngine(), &Store{Store: inmem.New()}, methods)
	if _, err := s.CreateRootToken(t.Context(), Root); err != nil {
		t.Fatal(err)
	}
	s.Must(t, Root, logical.UpdateOperation, "sys/mounts/fake", map[string]any{"type": "fake"})
	for method := range methods {
		if err := s.EnableAuth(t.Context(), method, method); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// Restart runs a core on the store of another.
func Restart(t testing.TB, engine *Engine, on *Store, methods map[string]logical.Factory) *Server {
	t.Helper()
	metrics, err := metric.New(metric.Config{})
	if err != nil {
		t.Fatal(err)
	}
	sealed := core.NewServer(core.Config{
		Metrics:   metrics,
		StoreType: "inmem", Name: "securevault", Engines: map[string]logical.Factory{"fake": engine.Factory}, Methods: maps.Clone(methods),
		MaxLeases: func(string) int { return int(engine.MaxLeases.Load()) },
		Logger:    hclog.NewNullLogger(), Version: "test",
	}, seal.New(seal.Settings{Store: on}))
	on.unseal(t, sealed)
	c, err := sealed.Core()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = sealed.Run(ctx) // ends with the cause that stop gives it
	}()
	s := &Server{Core: c, Sealed: sealed, Engine: engine, Store: on}
	var stopped atomic.Bool
	s.stop = func() {
		if !stopped.Swap(true) {
			cancel()
			<-done
		}
	}
	t.Cleanup(s.stop)
	return s
}

// Stop ends the core as a crash would: nothing is revoked.
func (s *Server) Stop() { s.stop() }

// Do sends one request.
func (s *Server) Do(t testing.TB, token string, op logical.Operation, path string, data map[string]any) (*logical.Response, error) {
	t.Helper()
	return s.Handle(t.Context(), &logical.Request{
		Operation: op, Path: path, Data: data, ClientToken: token,
		Connection: &logical.Connection{RemoteAddr: "127.0.0.1"},
	})
}

// Must sends one request that has to succeed.
func (s *Server) Must(t testing.TB, token string, op logical.Operation, path string, data map[string]any) *logical.Response {
	t.Helper()
	resp, err := s.Do(t, token, op, path, data)
	if err == nil {
		err = resp.Error()
	}
	if err != nil {
		t.Fatalf("%s %s: %v", op, path, err)
	}
	return resp
}

// Store is a store whose writes can be made to fail.
type Store struct {
	store.Store
	Share   []byte                 // the one share of its unseal key, once it is initialized
	failing atomic.Pointer[string] // prefix of the keys whose writes fail
}

// unseal unseals a server on the store, initialized if it is new.
func (s *Store) unseal(t testing.TB, server *core.Server) {
	t.Helper()
	if s.Share == nil {
		made, err := server.Init(t.Context(), seal.Split{Shares: 1, Threshold: 1}, "")
		if err != nil {
			t.Fatal(err)
		}
		s.Share = made.Shares[0]
	}
	if err := server.Unseal(t.Context(), s.Share); err != nil {
		t.Fatal(err)
	}
}

// ErrStore is how a failing store fails.
var ErrStore = errors.New("the disk is full")

// Fail makes writes of keys with that prefix fail; "" ends it.
func (s *Store) Fail(prefix string) { s.failing.Store(&prefix) }

// Put implements store.Store.
func (s *Store) Put(ctx context.Context, key string, value []byte) error {
	if prefix := s.failing.Load(); prefix != nil && *prefix != "" && strings.HasPrefix(key, *prefix) {
		return ErrStore
	}
	return s.Store.Put(ctx, key, value)
}

package core

import (
	"context"
	"sync"

	"github.com/novatech/securevault/server/store"
)

// tenure is the store of one core among several servers: it is there as long as
// its server is active. What a core has left to do when it is not, in requests
// and revocations under way, finds the store closed, even if the same server
// has become active again meanwhile, with another core.
type tenure struct {
	store store.Store
	term  store.Term

	mu   sync.RWMutex // read-held by what uses the store
	over bool         // guarded by mu
}

// use runs do unless the tenure is over.
func (t *tenure) use(do func() error) error {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if t.over {
		return store.ErrNotActive
	}
	return do()
}

// end waits for what uses the store.
func (t *tenure) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.over = true
}

// holds reports whether no other server can be active. A core that is not
// among several holds always.
func (t *tenure) holds() bool {
	return t == nil || t.use(func() error { return nil }) == nil && t.term.Valid()
}

// Get implements store.Store.
func (t *tenure) Get(ctx context.Context, key string) (value []byte, err error) {
	err = t.use(func() error {
		value, err = t.store.Get(ctx, key)
		return err
	})
	return value, err
}

// Put implements store.Store.
func (t *tenure) Put(ctx context.Context, key string, value []byte) error {
	return t.use(func() error { return t.store.Put(ctx, key, value) })
}

// Delete implements store.Store.
func (t *tenure) Delete(ctx context.Context, key string) error {
	return t.use(func() error { return t.store.Delete(ctx, key) })
}

// List implements store.Store.
func (t *tenure) List(ctx context.Context, prefix string) (keys []string, err error) {
	err = t.use(func() error {
		keys, err = t.store.List(ctx, prefix)
		return err
	})
	return keys, err
}

package lockout

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/novatech/securevault/server/store"
)

// maxKept bounds how many locks are stored, so that guessing at random names
// neither fills the store nor delays the next start.
const maxKept = 1000

// lock is how a lock is stored.
type lock struct {
	Name
	Until time.Time
}

// key names a lock in the store: names of users do not belong there unencrypted.
func key(n Name) string {
	sum := sha256.Sum256([]byte(n.Mount + "\x00" + n.Alias))
	return hex.EncodeToString(sum[:])
}

// Restore reads the locks that another server, or this one, has left behind.
func (g *Guard) Restore(ctx context.Context) error {
	keys, err := g.storage.List(ctx, "")
	if err != nil {
		return fmt.Errorf("listing locks: %w", err)
	}
	g.keeping.Lock()
	defer g.keeping.Unlock()
	for _, key := range keys {
		l, err := store.GetJSON[lock](ctx, g.storage, key)
		if err != nil {
			return fmt.Errorf("reading a lock: %w", err)
		}
		if l == nil {
			continue
		}
		g.kept[l.Name] = true
		if time.Now().Before(l.Until) {
			g.mu.Lock()
			g.records[l.Name] = &record{lockedUntil: l.Until, forgottenAt: l.Until}
			g.mu.Unlock()
		}
	}
	return nil
}

// keep makes the store know of a name what the memory does. Whoever changes a
// lock calls it afterwards, so that the last of them is right.
func (g *Guard) keep(ctx context.Context, n Name) error {
	g.keeping.Lock()
	defer g.keeping.Unlock()
	until, locked := g.until(n)
	switch {
	case locked && !g.kept[n] && len(g.kept) >= maxKept:
		if err := g.sweep(ctx); err != nil || len(g.kept) >= maxKept {
			return err
		}
	case !locked && g.kept[n]:
		return g.drop(ctx, n)
	}
	if !locked {
		return nil
	}
	g.kept[n] = true
	return store.PutJSON(ctx, g.storage, key(n), lock{Name: n, Until: until})
}

// until returns for how long a name is locked out.
func (g *Guard) until(n Name) (time.Time, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	r, ok := g.records[n]
	if !ok || !r.locked(time.Now()) {
		return time.Time{}, false
	}
	return r.lockedUntil, true
}

// sweep removes the locks that are over. The caller holds keeping.
func (g *Guard) sweep(ctx context.Context) error {
	for n := range g.kept {
		if _, locked := g.until(n); locked {
			continue
		}
		if err := g.drop(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

// drop removes a lock from the store. The caller holds keeping.
func (g *Guard) drop(ctx context.Context, n Name) error {
	if err := g.storage.Delete(ctx, key(n)); err != nil {
		return fmt.Errorf("deleting a lock: %w", err)
	}
	delete(g.kept, n)
	return nil
}

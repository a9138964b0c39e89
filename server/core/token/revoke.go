package token

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"
)

// revocations is how many tokens are revoked at a time, with their leases.
const revocations = 32

// Revoke ends the token with that key, its children and all their leases, and
// waits for the leases. A token that is unknown is gone, which is not an error;
// nor is a lease whose engine fails now: its revocation is tried again.
func (s *Store) Revoke(ctx context.Context, key string) error {
	return s.end(ctx, s.cut(key), true)
}

// RevokeOrphan ends the token with that key and its leases; its children live
// on without a parent.
func (s *Store) RevokeOrphan(ctx context.Context, key string) error {
	for _, child := range s.childrenOf(key) {
		if _, err := s.update(ctx, child, func(t *Token) error { t.Parent = ""; return nil }); err != nil {
			return fmt.Errorf("making a child token an orphan: %w", err)
		}
	}
	s.disown(key)
	return s.Revoke(ctx, key)
}

// RevokePrefix ends every token that a request below prefix made, such as the
// logins of one auth mount.
func (s *Store) RevokePrefix(ctx context.Context, prefix string) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(revocations)
	for _, key := range s.under(prefix) {
		group.Go(func() error { return s.Revoke(ctx, key) })
	}
	return group.Wait()
}

// Expire clears an expired token away; it is invalid already.
func (e *entry) Expire() {
	e.store.ends.Go(func() {
		s := e.store
		if err := s.end(context.Background(), s.cut(e.key), false); err != nil {
			s.logger.Error("clearing an expired token away", "error", err)
		}
	})
}

// cut makes a token and its descendants unknown at once, so that none of them
// can be used or have children any more, and returns them, the token first: a
// crash from here on leaves children without parent, which Restore revokes.
func (s *Store) cut(key string) []*entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	root := s.entries[key]
	if root == nil {
		return nil
	}
	var family []*entry
	var visit func(*entry)
	visit = func(e *entry) {
		family = append(family, e)
		for child := range e.children {
			visit(child)
		}
	}
	visit(root)
	for _, e := range family {
		s.remove(e)
	}
	return family
}

// remove takes e out of the maps; the caller holds s.mu.
func (s *Store) remove(e *entry) {
	delete(s.entries, e.key)
	delete(s.byAccessor, e.accessor)
	if parent := s.entries[e.token.Parent]; parent != nil {
		delete(parent.children, e)
	}
	s.queue.Stop(&e.Timer)
}

// end revokes the leases of tokens that have been cut and removes the records.
func (s *Store) end(ctx context.Context, family []*entry, sync bool) error {
	for _, e := range family {
		e.change.Lock() // an update under way must not write the record again
		err := s.storage.Delete(ctx, idPrefix+e.key)
		e.change.Unlock()
		if err != nil {
			return fmt.Errorf("removing a token: %w", err)
		}
		if err := s.leases.RevokeToken(ctx, e.key, sync); err != nil {
			s.logger.Warn("leases of a revoked token are still being revoked", "accessor", e.accessor, "error", err)
		}
	}
	return nil
}

func (s *Store) childrenOf(key string) []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var keys []string
	if e := s.entries[key]; e != nil {
		for child := range e.children {
			keys = append(keys, child.key)
		}
	}
	return keys
}

// disown forgets which children a token has.
func (s *Store) disown(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.entries[key]; e != nil {
		clear(e.children)
	}
}

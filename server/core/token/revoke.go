package token

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
)

// revocations is how many tokens are revoked at a time, with their leases.
const revocations = 32

// retryDelay is when the removal of a record that failed is tried again.
const retryDelay = 10 * time.Second

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
		_, err := s.update(ctx, child, func(t *Token) error { t.Parent = ""; return nil })
		switch {
		case errors.Is(err, ErrInvalid): // it has ended meanwhile
		case err != nil:
			return fmt.Errorf("making a child token an orphan: %w", err)
		default:
			s.disown(key, child)
		}
	}
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

// Expire clears an expired token away, which is invalid already, or goes on with
// a revocation that storage has refused.
func (e *entry) Expire() {
	e.store.ends.Go(func() {
		s := e.store
		if err := s.end(context.Background(), s.cutEntry(e), false); err != nil {
			s.logger.Error("clearing a token away", "accessor", e.accessor, "error", err)
		}
	})
}

// cut makes a token and its descendants unknown at once, so that none of them
// can be used or have children any more, and returns them, the token first: a
// crash from here on leaves children without parent, which Restore revokes.
func (s *Store) cut(key string) []*entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.takeOut(s.entries[key])
}

// cutEntry is cut for a token that may be unknown already: then it is returned
// alone, unless its id has been given to another meanwhile.
func (s *Store) cutEntry(e *entry) []*entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch s.entries[e.key] {
	case e:
		return s.takeOut(e)
	case nil:
		return []*entry{e}
	}
	return nil
}

// takeOut removes a token, if it is one, and its descendants from the maps; the
// caller holds s.mu.
func (s *Store) takeOut(root *entry) []*entry {
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

// end removes the records of tokens that have been cut and revokes their
// leases. A record that storage does not let go is tried again, for with it the
// token would come back at the next start.
func (s *Store) end(ctx context.Context, family []*entry, sync bool) error {
	var failed error
	for _, e := range family {
		e.change.Lock() // an update under way must not write the record again
		err := s.storage.Delete(ctx, idPrefix+e.key)
		e.change.Unlock()
		if err != nil {
			failed = fmt.Errorf("removing a token (it will be tried again): %w", err)
			s.queue.Set(&e.Timer, time.Now().Add(retryDelay), e)
		}
		if err := s.leases.RevokeToken(ctx, e.key, sync); err != nil {
			s.logger.Warn("leases of a revoked token are still being revoked", "accessor", e.accessor, "error", err)
		}
	}
	return failed
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

// disown forgets that a token has that child.
func (s *Store) disown(key, child string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.entries[key]; e != nil {
		delete(e.children, s.entries[child])
	}
}

package seal

import (
	"context"
	"crypto/subtle"
	"fmt"
)

// Unseal takes one share of the unseal key. It returns whether the server is
// unsealed now. Wrong shares are all forgotten again.
func (s *Seal) Unseal(ctx context.Context, share []byte) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.root != nil {
		return true, nil
	}
	if s.settings.Wrapper != nil {
		return false, fmt.Errorf("%w: this server is unsealed by its %q seal; recovery keys approve, they do not unseal", ErrInvalid, s.settings.Type)
	}
	if err := s.reload(ctx); err != nil {
		return false, err
	}
	if s.unsealing.nonce == "" {
		if err := s.unsealing.begin(); err != nil {
			return false, err
		}
	}
	secret, err := s.unsealing.add(share, s.record.Threshold)
	if err != nil || secret == nil {
		return false, err
	}
	s.unsealing.cancel()
	defer clear(secret)
	root, err := decryptKey(secret, s.record.Root)
	if err != nil {
		return false, errWrongShares()
	}
	if err := s.open(ctx, root); err != nil {
		return false, fmt.Errorf("unsealing: %w", err)
	}
	return true, nil
}

// ResetUnseal forgets the shares given so far.
func (s *Seal) ResetUnseal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unsealing.cancel()
}

// AutoUnseal opens the seal with its Wrapper. Where shares do that it does
// nothing.
func (s *Seal) AutoUnseal(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.settings.Wrapper == nil || s.root != nil {
		return nil
	}
	if err := s.reload(ctx); err != nil {
		return err
	}
	root, err := s.settings.Wrapper.Unwrap(ctx, s.record.Root)
	if err != nil {
		return fmt.Errorf("unsealing with the seal %q: %w", s.settings.Type, err)
	}
	if err := s.open(ctx, root); err != nil {
		return fmt.Errorf("unsealing with the seal %q: %w", s.settings.Type, err)
	}
	return nil
}

// reload reads the record anew: another process may have changed the keys
// since. The caller holds s.mu.
func (s *Seal) reload(ctx context.Context) error {
	s.record = nil
	return s.load(ctx)
}

// open opens the barrier with the root key. The caller holds s.mu.
func (s *Seal) open(ctx context.Context, root []byte) error {
	ring, err := s.record.openRing(root)
	if err == nil {
		s.barrier.keys.Store(ring)
		err = s.barrier.start(ctx)
	}
	if err != nil {
		s.barrier.stop()
		clear(root)
		return err
	}
	s.root = root
	return nil
}

// authorize tells whether secret is what the shares were split from. The
// caller holds s.mu and the server is unsealed.
func (s *Seal) authorize(secret []byte) error {
	if s.settings.Wrapper != nil {
		if !s.barrier.keys.Load().isRecovery(secret) {
			return errWrongShares()
		}
		return nil
	}
	root, err := decryptKey(secret, s.record.Root)
	defer clear(root)
	if err != nil || subtle.ConstantTimeCompare(root, s.root) != 1 {
		return errWrongShares()
	}
	return nil
}

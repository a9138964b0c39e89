package seal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
)

// Reopen reads keys and ledger anew, with what opened the seal before: another
// server may have changed them while this one stood by. When that does not open
// them any more, the seal is closed and the error wraps ErrDamaged; after any
// other error it may be tried again.
func (s *Seal) Reopen(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.root == nil {
		return ErrSealed
	}
	if err := s.reload(ctx); err != nil {
		return err
	}
	root := bytes.Clone(s.root)
	if s.settings.Wrapper != nil {
		var err error
		if root, err = s.settings.Wrapper.Unwrap(ctx, s.record.Root); err != nil {
			return fmt.Errorf("unsealing with the seal %q: %w", s.settings.Type, err)
		}
	}
	s.barrier.stop()
	former := s.root
	err := s.open(ctx, root)
	switch {
	case errors.Is(err, ErrDamaged):
		s.shut()
		return fmt.Errorf("the keys were changed since this server was unsealed, or are damaged: unseal it again: %w", err)
	case err != nil:
		return err
	}
	clear(former)
	return nil
}

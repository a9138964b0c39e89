package seal

import (
	"context"
	"crypto/rand"
	"fmt"
)

// rooting is a root token that the holders of shares are asked to approve. The
// token will only leave the server encrypted by the one-time password, which
// whoever started the generation has.
type rooting struct {
	approval
	password string
}

func (r *rooting) cancel() {
	r.approval.cancel()
	r.password = ""
}

// StartRoot asks the holders of shares to approve a new root token, and returns
// a one-time password of that many bytes.
func (s *Seal) StartRoot(size int) (string, Attempt, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.root == nil:
		return "", Attempt{}, ErrSealed
	case s.rooting.nonce != "":
		return "", Attempt{}, fmt.Errorf("%w: the generation of a root token is under way; cancel it first", ErrInvalid)
	}
	if err := s.rooting.begin(); err != nil {
		return "", Attempt{}, err
	}
	for len(s.rooting.password) < size {
		s.rooting.password += rand.Text()
	}
	s.rooting.password = s.rooting.password[:size]
	return s.rooting.password, s.attempt(&s.rooting.approval), nil
}

// RootStatus describes the generation under way.
func (s *Seal) RootStatus() (Attempt, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.root == nil {
		return Attempt{}, ErrSealed
	}
	return s.attempt(&s.rooting.approval), nil
}

// CancelRoot ends the generation under way.
func (s *Seal) CancelRoot() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.root == nil {
		return ErrSealed
	}
	s.rooting.cancel()
	return nil
}

// ApproveRoot takes one share. With the last one needed it calls create for the
// token and returns it, each byte combined with one of the password by
// exclusive or.
func (s *Seal) ApproveRoot(ctx context.Context, nonce string, share []byte, create func(context.Context) (string, error)) ([]byte, Attempt, error) {
	s.mu.Lock()
	approved, err := s.approve(&s.rooting.approval, "generation of a root token", nonce, share)
	attempt := s.attempt(&s.rooting.approval)
	password := s.rooting.password
	if approved && err == nil {
		s.rooting.cancel()
	}
	s.mu.Unlock() // create writes, and a write may need the keys extended
	if err != nil || !approved {
		return nil, attempt, err
	}
	token, err := create(ctx)
	if err != nil {
		return nil, attempt, fmt.Errorf("creating the root token: %w", err)
	}
	if len(token) != len(password) {
		return nil, attempt, fmt.Errorf("creating the root token: it has %d bytes, its one-time password %d", len(token), len(password))
	}
	encoded := make([]byte, len(token))
	for i := range encoded {
		encoded[i] = token[i] ^ password[i]
	}
	return encoded, attempt, nil
}

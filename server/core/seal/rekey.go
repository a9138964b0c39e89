package seal

import (
	"context"
	"fmt"
)

// rekey is a change of the shares that their holders are asked to approve.
type rekey struct {
	approval
	split Split
}

func (r *rekey) cancel() {
	r.approval.cancel()
	r.split = Split{}
}

func (s *Seal) rekeyAttempt() Attempt {
	attempt := s.attempt(&s.rekeying.approval)
	attempt.Split = s.rekeying.split
	return attempt
}

// attempt describes a decision. The caller holds s.mu.
func (s *Seal) attempt(a *approval) Attempt {
	attempt := Attempt{Nonce: a.nonce, Started: a.nonce != "", Progress: len(a.shares)}
	if s.record != nil {
		attempt.Required = s.record.Threshold
	}
	return attempt
}

// StartRekey asks the holders of shares to approve new ones: unseal keys, or
// recovery keys if that is what the seal has.
func (s *Seal) StartRekey(split Split) (Attempt, error) {
	if err := split.check(); err != nil {
		return Attempt{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.root == nil:
		return Attempt{}, ErrSealed
	case s.rekeying.nonce != "":
		return Attempt{}, fmt.Errorf("%w: a rekey is under way; cancel it first", ErrInvalid)
	}
	if err := s.rekeying.begin(); err != nil {
		return Attempt{}, err
	}
	s.rekeying.split = split
	return s.rekeyAttempt(), nil
}

// RekeyStatus describes the rekey under way.
func (s *Seal) RekeyStatus() (Attempt, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.root == nil {
		return Attempt{}, ErrSealed
	}
	return s.rekeyAttempt(), nil
}

// CancelRekey ends the rekey under way; the shares stay as they are.
func (s *Seal) CancelRekey() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.root == nil {
		return ErrSealed
	}
	s.rekeying.cancel()
	return nil
}

// Rekey takes one share of the present key. With the last one needed the root
// key changes, the new shares are returned, and the old ones are worth nothing.
func (s *Seal) Rekey(ctx context.Context, nonce string, share []byte) ([][]byte, Attempt, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	approved, err := s.approve(&s.rekeying.approval, "rekey", nonce, share)
	if err != nil || !approved {
		return nil, s.rekeyAttempt(), err
	}
	done := s.rekeyAttempt()
	old := s.root
	shares, err := s.renew(ctx, s.barrier.keys.Load(), s.rekeying.split)
	if err != nil {
		return nil, s.rekeyAttempt(), fmt.Errorf("rekeying: %w", err)
	}
	clear(old)
	s.rekeying.cancel()
	return shares, done, nil
}

// approve takes one share for the decision a. The caller holds s.mu.
func (s *Seal) approve(a *approval, what, nonce string, share []byte) (bool, error) {
	if s.root == nil {
		return false, ErrSealed
	}
	if err := a.check(nonce, what); err != nil {
		return false, err
	}
	secret, err := a.add(share, s.record.Threshold)
	if err != nil || secret == nil {
		return false, err
	}
	defer clear(secret)
	return true, s.authorize(secret)
}

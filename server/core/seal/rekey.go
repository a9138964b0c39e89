package seal

import (
	"context"
	"fmt"

	"github.com/novatech/securevault/server/core/seal/shamir"
)

// rekey is a change of the shares that their holders are asked to approve. One
// that is to be verified takes effect when the new shares have been handed in
// as well (verify.go).
type rekey struct {
	approval
	split     Split
	verify    bool
	made      []byte   // what the new shares are of, until they are verified; nil before they are made
	verifying approval // by the new shares
}

func (r *rekey) cancel() {
	r.approval.cancel()
	r.verifying.cancel()
	clear(r.made)
	*r = rekey{}
}

func (s *Seal) rekeyAttempt() Attempt {
	attempt := s.attempt(&s.rekeying.approval)
	attempt.Split, attempt.Verify, attempt.Verification = s.rekeying.split, s.rekeying.verify, s.rekeying.verifying.nonce
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
// recovery keys if that is what the seal has. With verify the old shares are
// good until VerifyRekey has seen enough of the new ones.
func (s *Seal) StartRekey(split Split, verify bool) (Attempt, error) {
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
	s.rekeying.split, s.rekeying.verify = split, verify
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

// Rekey takes one share of the present key. With the last one needed the new
// shares are returned. Unless they are to be verified, the root key has changed
// then, and the old shares are worth nothing.
func (s *Seal) Rekey(ctx context.Context, nonce string, share []byte) ([][]byte, Attempt, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.rekeying.made != nil {
		return nil, s.rekeyAttempt(), fmt.Errorf("%w: the new shares are made: hand them in to verify them, or cancel the rekey", ErrInvalid)
	}
	approved, err := s.approve(&s.rekeying.approval, "rekey", nonce, share)
	if err != nil || !approved {
		return nil, s.rekeyAttempt(), err
	}
	shares, err := s.makeShares()
	if err != nil {
		return nil, s.rekeyAttempt(), fmt.Errorf("rekeying: %w", err)
	}
	done := s.rekeyAttempt()
	if s.rekeying.verify {
		return shares, done, nil
	}
	if err := s.finishRekey(ctx); err != nil {
		clear(s.rekeying.made)
		s.rekeying.made = nil
		return nil, s.rekeyAttempt(), err
	}
	return shares, done, nil
}

// makeShares makes the new key of a rekey. The caller holds s.mu.
func (s *Seal) makeShares() ([][]byte, error) {
	made := newKey()
	shares, err := shamir.Split(made, s.rekeying.split.Shares, s.rekeying.split.Threshold)
	if err == nil && s.rekeying.verify {
		err = s.rekeying.verifying.begin()
	}
	if err != nil {
		clear(made)
		return nil, err
	}
	s.rekeying.made = made
	return shares, nil
}

// finishRekey puts the new key into effect. The caller holds s.mu.
func (s *Seal) finishRekey(ctx context.Context) error {
	old := s.root
	if err := s.adopt(ctx, s.barrier.keys.Load(), s.rekeying.split, s.rekeying.made); err != nil {
		return fmt.Errorf("rekeying: %w", err)
	}
	clear(old)
	s.rekeying.cancel()
	return nil
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

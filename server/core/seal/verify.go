package seal

import (
	"context"
	"crypto/subtle"
	"fmt"
)

// errNothingToVerify tells that no rekey waits for its new shares.
func errNothingToVerify() error {
	return fmt.Errorf("%w: no rekey waits for its new shares: start one that is to be verified, and approve it", ErrInvalid)
}

// verification describes the new shares handed in so far. The caller holds s.mu.
func (s *Seal) verification() Attempt {
	r := &s.rekeying
	return Attempt{
		Nonce: r.verifying.nonce, Started: true, Progress: len(r.verifying.shares), Required: r.split.Threshold,
		Split: r.split, Verify: true, Verification: r.verifying.nonce,
	}
}

// verifiable returns an error unless a rekey waits for its new shares. The
// caller holds s.mu.
func (s *Seal) verifiable() error {
	switch {
	case s.root == nil:
		return ErrSealed
	case s.rekeying.made == nil:
		return errNothingToVerify()
	}
	return nil
}

// VerificationStatus describes the new shares handed in so far.
func (s *Seal) VerificationStatus() (Attempt, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.verifiable(); err != nil {
		return Attempt{}, err
	}
	return s.verification(), nil
}

// RestartVerification forgets the new shares handed in so far; the rekey goes
// on waiting for them, under another nonce.
func (s *Seal) RestartVerification() (Attempt, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.verifiable(); err != nil {
		return Attempt{}, err
	}
	s.rekeying.verifying.cancel()
	if err := s.rekeying.verifying.begin(); err != nil {
		return Attempt{}, err
	}
	return s.verification(), nil
}

// VerifyRekey takes one of the new shares. With the last one needed the rekey
// takes effect, and done is true. Wrong shares are all forgotten again, and
// change nothing.
func (s *Seal) VerifyRekey(ctx context.Context, nonce string, share []byte) (done bool, status Attempt, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.verifiable(); err != nil {
		return false, Attempt{}, err
	}
	verifying := &s.rekeying.verifying
	if err := verifying.check(nonce, "verification"); err != nil {
		return false, s.verification(), err
	}
	secret, err := verifying.add(share, s.rekeying.split.Threshold)
	if err != nil || secret == nil {
		return false, s.verification(), err
	}
	defer clear(secret)
	status = s.verification()
	if subtle.ConstantTimeCompare(secret, s.rekeying.made) != 1 {
		return false, status, errUnverified()
	}
	if err := s.finishRekey(ctx); err != nil {
		return false, status, fmt.Errorf("%w; the old key shares are still good: hand in the new ones again", err)
	}
	return true, status, nil
}

// errUnverified tells that shares were combined to another key than the new one.
func errUnverified() error {
	return fmt.Errorf("%w: these are not the new key shares: at least one is wrong; none is kept, start again with the first. The old ones are still good", ErrInvalid)
}

package seal

import (
	"bytes"
	"crypto/subtle"
	"fmt"

	"github.com/hashicorp/go-uuid"

	"github.com/novatech/securevault/server/core/seal/shamir"
)

// approval collects the shares of one decision until there are enough.
type approval struct {
	nonce  string // "": not begun
	shares [][]byte
}

// begin starts collecting for a new decision.
func (a *approval) begin() error {
	nonce, err := uuid.GenerateUUID()
	if err != nil {
		return fmt.Errorf("making a nonce: %w", err)
	}
	a.nonce = nonce
	return nil
}

// cancel forgets what was collected.
func (a *approval) cancel() {
	for _, share := range a.shares {
		clear(share)
	}
	*a = approval{}
}

// check refuses a share that is meant for another decision, or for none.
func (a *approval) check(nonce, what string) error {
	switch {
	case a.nonce == "":
		return fmt.Errorf("%w: no %s is under way; start one first", ErrInvalid, what)
	case subtle.ConstantTimeCompare([]byte(a.nonce), []byte(nonce)) != 1:
		return fmt.Errorf("%w: the nonce is not that of the %s under way, which has %q", ErrInvalid, what, a.nonce)
	}
	return nil
}

// add takes a share. With the threshold's last one it returns the secret that
// they make, right or wrong, and forgets them; before that it returns nil. A
// share given twice counts once.
func (a *approval) add(share []byte, threshold int) ([]byte, error) {
	if len(share) != keySize+1 {
		return nil, fmt.Errorf("%w: a key share has %d bytes, not %d: check that it was copied whole", ErrInvalid, keySize+1, len(share))
	}
	for _, given := range a.shares {
		switch {
		case subtle.ConstantTimeCompare(given, share) == 1:
			return nil, nil
		case given[keySize] == share[keySize]:
			return nil, fmt.Errorf("%w: another key share with the number %d was given before, so one of the two is wrong: start again", ErrInvalid, share[keySize])
		}
	}
	a.shares = append(a.shares, bytes.Clone(share))
	if len(a.shares) < threshold {
		return nil, nil
	}
	secret, err := shamir.Combine(a.shares)
	for _, share := range a.shares {
		clear(share)
	}
	a.shares = nil
	if err != nil {
		return nil, fmt.Errorf("%w: %w; none of the key shares is kept, start again", ErrInvalid, err)
	}
	return secret, nil
}

// errWrongShares tells that shares were combined to a key that fits nothing.
func errWrongShares() error {
	return fmt.Errorf("%w: the key shares do not fit: at least one is wrong or belongs to another server; none is kept, start again with the first", ErrInvalid)
}

// Attempt is how far a decision of the key holders has come.
type Attempt struct {
	Nonce    string // to be sent with every share; "" when none is under way
	Started  bool
	Progress int   // shares given so far
	Required int   // shares needed
	Split    Split // of the shares to come, for a rekey

	Verify       bool   // the rekey takes effect only when its new shares are handed in
	Verification string // nonce to be sent with them, once they are made
}

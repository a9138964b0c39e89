package seal

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/novatech/securevault/server/store"
)

const (
	// ownFolder holds what the seal itself keeps in the store, beside the
	// entries; the barrier does not show it.
	ownFolder    = "seal/"
	recordKey    = ownFolder + "keys"
	recordFormat = 1
)

// record is all that a store holds about its keys.
type record struct {
	Format int    `json:"format"`
	Type   string `json:"type"` // of the seal
	Split
	Root    []byte `json:"root_key"` // as the seal wrapped it
	Keyring []byte `json:"keyring"`  // encrypted by the root key
}

// readRecord returns the record of a store, or ErrNotInitialized.
func readRecord(ctx context.Context, s store.Store) (*record, error) {
	value, err := s.Get(ctx, recordKey)
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading %q: %w", recordKey, err)
	case value == nil:
		return nil, ErrNotInitialized
	}
	return decodeRecord(value)
}

func decodeRecord(value []byte) (*record, error) {
	r := new(record)
	if err := json.Unmarshal(value, r); err != nil {
		return nil, damagedRecord("it is no JSON: %v", err)
	}
	switch {
	case r.Format != recordFormat:
		return nil, damagedRecord("its format is %d, this server knows %d", r.Format, recordFormat)
	case r.Type == "" || r.check() != nil || len(r.Root) == 0 || len(r.Keyring) == 0:
		return nil, damagedRecord("it is incomplete")
	}
	return r, nil
}

// damagedRecord explains why the record cannot be used.
func damagedRecord(format string, args ...any) error {
	return fmt.Errorf("%w: entry %q, which holds the keys: %s; restore it from a backup", ErrDamaged, recordKey, fmt.Sprintf(format, args...))
}

func (r *record) write(ctx context.Context, s store.Store) error {
	value, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encoding %q: %w", recordKey, err)
	}
	if err := s.Put(ctx, recordKey, value); err != nil {
		return fmt.Errorf("writing %q: %w", recordKey, err)
	}
	return nil
}

// bound is what the keyring's encryption is bound to: nobody can change the
// seal's type or its threshold unnoticed.
func (r *record) bound() []byte {
	return fmt.Appendf(nil, "securevault keyring %d\x00%s\x00%d\x00%d", r.Format, r.Type, r.Shares, r.Threshold)
}

// sealRing returns ring encrypted by the root key.
func (r *record) sealRing(root []byte, ring *keyring) ([]byte, error) {
	aead, err := newCipher(root)
	if err != nil {
		return nil, err
	}
	plain, err := json.Marshal(ring)
	if err != nil {
		return nil, fmt.Errorf("encoding the keyring: %w", err)
	}
	defer clear(plain)
	return encrypt(aead, nil, plain, r.bound()), nil
}

// openRing undoes sealRing.
func (r *record) openRing(root []byte) (*keyring, error) {
	aead, err := newCipher(root)
	if err != nil {
		return nil, damagedRecord("%v", err)
	}
	plain, err := decrypt(aead, r.Keyring, r.bound())
	if err != nil {
		return nil, damagedRecord("the keyring does not decrypt: it was altered, or is older than the root key")
	}
	defer clear(plain)
	return decodeKeyring(plain)
}

package seal

import (
	"encoding/binary"
	"fmt"
)

// An entry in the store:
//
//	byte  0       format
//	bytes 1–4     number of the data key
//	bytes 5–12    sequence number
//	bytes 13–24   nonce
//	the rest      ciphertext and tag
//
// Numbers are big-endian. The first 13 bytes and the entry's key are
// authenticated with the ciphertext.
const (
	entryFormat = 1
	headerSize  = 13
	minEntry    = headerSize + nonceSize + tagSize
)

// header is the readable part of an entry.
type header struct {
	key      uint32 // number of the data key
	sequence uint64
}

// sealEntry returns value as it is stored under name.
func (k *keyring) sealEntry(name string, sequence uint64, value []byte) []byte {
	newest := k.newest()
	entry := make([]byte, 0, minEntry+len(value))
	entry = append(entry, entryFormat)
	entry = binary.BigEndian.AppendUint32(entry, newest.Number)
	entry = binary.BigEndian.AppendUint64(entry, sequence)
	bound := append(entry[:headerSize:headerSize], name...)
	return encrypt(k.ciphers[newest.Number-1], entry, value, bound)
}

// openEntry undoes sealEntry and returns the sequence number as well.
func (k *keyring) openEntry(name string, entry []byte) ([]byte, uint64, error) {
	h, err := parseHeader(name, entry)
	if err != nil {
		return nil, 0, err
	}
	aead, known := k.cipher(h.key)
	if !known {
		return nil, 0, damagedEntry(name, fmt.Sprintf("data key %d encrypted it, but the keyring ends with %d: it, or %q, was rolled back",
			h.key, len(k.Keys), recordKey))
	}
	bound := append(entry[:headerSize:headerSize], name...)
	value, err := decrypt(aead, entry[headerSize:], bound)
	if err != nil {
		return nil, 0, damagedEntry(name, "it does not decrypt: it was altered, or copied from another key or server")
	}
	return value, h.sequence, nil
}

func parseHeader(name string, entry []byte) (header, error) {
	switch {
	case len(entry) < minEntry:
		return header{}, damagedEntry(name, fmt.Sprintf("%d bytes are left of it, the least is %d", len(entry), minEntry))
	case entry[0] != entryFormat:
		return header{}, damagedEntry(name, fmt.Sprintf("its format is %d, this server knows %d", entry[0], entryFormat))
	}
	return header{key: binary.BigEndian.Uint32(entry[1:]), sequence: binary.BigEndian.Uint64(entry[5:])}, nil
}

// damagedEntry names an entry that cannot be trusted.
func damagedEntry(name, why string) error {
	return fmt.Errorf("%w: entry %q: %s; restore it from a backup", ErrDamaged, name, why)
}

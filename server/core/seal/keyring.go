package seal

import (
	"crypto/cipher"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"slices"
	"time"
)

// keyring holds the data keys. It is a snapshot: changes make another.
type keyring struct {
	Keys     []dataKey `json:"keys"`               // numbered from 1, the last one encrypts
	Reserved uint64    `json:"reserved"`           // no entry has a higher sequence number
	Recovery []byte    `json:"recovery,omitempty"` // SHA-256 of the recovery key

	ciphers []cipher.AEAD // of Keys
}

// dataKey encrypts entries.
type dataKey struct {
	Number  uint32    `json:"number"`
	Key     []byte    `json:"key"`
	Created time.Time `json:"created"`
	First   uint64    `json:"first"` // sequence number after which it began
}

func newKeyring() *keyring { return (&keyring{}).rotated(0) }

// decodeKeyring decodes a keyring and checks that it can be used.
func decodeKeyring(plain []byte) (*keyring, error) {
	k := new(keyring)
	if err := json.Unmarshal(plain, k); err != nil {
		return nil, damagedRecord("the keyring is no JSON")
	}
	if len(k.Keys) == 0 {
		return nil, damagedRecord("the keyring is empty")
	}
	first := uint64(0)
	for i, key := range k.Keys {
		aead, err := newCipher(key.Key)
		if err != nil || key.Number != uint32(i+1) || key.First < first || key.First > k.Reserved {
			return nil, damagedRecord("data key %d of the keyring makes no sense", i+1)
		}
		first = key.First
		k.ciphers = append(k.ciphers, aead)
	}
	return k, nil
}

func (k *keyring) newest() dataKey { return k.Keys[len(k.Keys)-1] }

// cipher returns the cipher of a data key.
func (k *keyring) cipher(number uint32) (cipher.AEAD, bool) {
	if number == 0 || uint64(number) > uint64(len(k.ciphers)) {
		return nil, false
	}
	return k.ciphers[number-1], true
}

// rotated returns k with one more data key, which encrypts what comes after
// the given sequence number.
func (k *keyring) rotated(after uint64) *keyring {
	next := *k
	key := dataKey{Number: uint32(len(k.Keys) + 1), Key: newKey(), Created: time.Now().UTC(), First: after}
	aead, err := newCipher(key.Key)
	if err != nil {
		panic(err) // the size of a new key is a constant
	}
	next.Keys = append(slices.Clip(k.Keys), key)
	next.ciphers = append(slices.Clip(k.ciphers), aead)
	next.Reserved = max(k.Reserved, after)
	return &next
}

// reserving returns k with sequence numbers up to n in use.
func (k *keyring) reserving(n uint64) *keyring {
	next := *k
	next.Reserved = n
	return &next
}

// withRecovery returns k with another recovery key.
func (k *keyring) withRecovery(key []byte) *keyring {
	next := *k
	sum := sha256.Sum256(key) // 256 random bits: there is nothing to guess
	next.Recovery = sum[:]
	return &next
}

// isRecovery tells in constant time whether key is the recovery key.
func (k *keyring) isRecovery(key []byte) bool {
	sum := sha256.Sum256(key)
	return subtle.ConstantTimeCompare(sum[:], k.Recovery) == 1
}

// wipe overwrites the keys. The ciphers hold copies that only the garbage
// collector can take back.
func (k *keyring) wipe() {
	for _, key := range k.Keys {
		clear(key.Key)
	}
}

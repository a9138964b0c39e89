package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
)

const (
	nonceSize = 12 // bytes
	tagSize   = 16 // bytes
)

// keyPurpose is what the encryption of one key by another is bound to.
const keyPurpose = "securevault root key"

// newCipher returns AES-256-GCM with key, which it copies.
func newCipher(key []byte) (cipher.AEAD, error) {
	if len(key) != keySize {
		return nil, fmt.Errorf("a key has %d bytes, not %d", len(key), keySize)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// encrypt appends a random nonce and the ciphertext of plain to start.
func encrypt(aead cipher.AEAD, start, plain, bound []byte) []byte {
	nonceAt := len(start)
	out := append(start, make([]byte, nonceSize)...)
	rand.Read(out[nonceAt:])
	return aead.Seal(out, out[nonceAt:], plain, bound)
}

// decrypt undoes encrypt, without start.
func decrypt(aead cipher.AEAD, sealed, bound []byte) ([]byte, error) {
	if len(sealed) < nonceSize+tagSize {
		return nil, errors.New("it is cut short")
	}
	return aead.Open([]byte{}, sealed[:nonceSize], sealed[nonceSize:], bound)
}

// encryptKey returns inner encrypted by outer; both are keys made here.
func encryptKey(outer, inner []byte) []byte {
	aead, err := newCipher(outer)
	if err != nil {
		panic(err) // the size of outer is a constant
	}
	return encrypt(aead, nil, inner, []byte(keyPurpose))
}

// decryptKey undoes encryptKey; it fails if outer is another key.
func decryptKey(outer, sealed []byte) ([]byte, error) {
	aead, err := newCipher(outer)
	if err != nil {
		return nil, err
	}
	return decrypt(aead, sealed, []byte(keyPurpose))
}

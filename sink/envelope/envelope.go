// Package envelope encrypts what a sink writes, so that only one reader can
// use it.
//
// The reader makes an X25519 key pair and puts the public half into a file, as
// {"curve25519_public_key": BASE64}. [Recipient.Seal] makes a key pair of its
// own for each message, agrees with the reader's key upon a secret, and writes
//
//	{"curve25519_public_key": …, "nonce": …, "encrypted_payload": …}
//
// with every value in base64. The payload is sealed with AES-256-GCM, its tag
// at the end. The key is the agreed secret itself or, with DeriveKey, 32 bytes
// of HKDF-SHA256 over it: of the two public keys the one that is smaller as
// bytes is the salt, the other the info. That is the format of Vault Agent and
// OpenBao Agent: what reads their sinks reads these.
//
// Start reading at [Recipient.Seal].
package envelope

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"
)

const (
	keySize    = 32      // bytes, of AES-256
	maxKeyFile = 4 << 10 // bytes; a key takes less than a hundred
)

// Recipient is who may read a message.
type Recipient struct {
	KeyFile   string // of the reader's public key; read for each message
	DeriveKey bool   // derive the key from the agreed secret instead of using that
	AAD       string // additional data, which the reader must know; "" for none
}

// message is what is written. JSON has bytes in base64.
type message struct {
	PublicKey []byte `json:"curve25519_public_key"` // made for this message
	Nonce     []byte `json:"nonce"`
	Payload   []byte `json:"encrypted_payload"`
}

// Seal returns a message for the recipient. No two are alike. Until the reader
// has put its key there, the error wraps [io/fs.ErrNotExist].
func (r Recipient) Seal(plain []byte) ([]byte, error) {
	theirs, err := r.publicKey()
	if err != nil {
		return nil, err
	}
	ours, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making a key to encrypt with: %w", err)
	}
	key, err := r.agree(ours, theirs)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("encrypting: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("encrypting: %w", err)
	}
	nonce := make([]byte, aead.NonceSize())
	_, _ = rand.Read(nonce) // never fails
	return json.Marshal(message{ours.PublicKey().Bytes(), nonce, aead.Seal(nil, nonce, plain, []byte(r.AAD))})
}

// agree returns the key that only the holders of either private key can tell.
func (r Recipient) agree(ours *ecdh.PrivateKey, theirs *ecdh.PublicKey) ([]byte, error) {
	secret, err := ours.ECDH(theirs)
	if err != nil {
		return nil, fmt.Errorf("using the reader's key %q: %w; make a new one", r.KeyFile, err)
	}
	if !r.DeriveKey {
		return secret, nil
	}
	// Sorted, so that both sides derive the same.
	salt, info := ours.PublicKey().Bytes(), theirs.Bytes()
	if bytes.Compare(salt, info) > 0 {
		salt, info = info, salt
	}
	key, err := hkdf.Key(sha256.New, secret, salt, string(info), keySize)
	if err != nil {
		return nil, fmt.Errorf("deriving the key: %w", err)
	}
	return key, nil
}

func (r Recipient) publicKey() (*ecdh.PublicKey, error) {
	file, err := os.Open(r.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("reading the reader's key: %w; have the reader put its public key there, or correct dh_path", err)
	}
	defer func() { _ = file.Close() }()
	text, err := io.ReadAll(io.LimitReader(file, maxKeyFile+1))
	if err != nil {
		return nil, fmt.Errorf("reading the reader's key: %w", err)
	}
	key, err := parseKey(text)
	if err != nil {
		return nil, fmt.Errorf("reading the reader's key %q: %w; want {\"curve25519_public_key\": \"…\"} with 32 bytes in base64", r.KeyFile, err)
	}
	return key, nil
}

// parseKey decodes the content of a key file.
func parseKey(text []byte) (*ecdh.PublicKey, error) {
	if len(text) > maxKeyFile {
		return nil, fmt.Errorf("it has more than %d bytes", maxKeyFile)
	}
	var file struct {
		PublicKey []byte `json:"curve25519_public_key"`
	}
	if err := json.Unmarshal(text, &file); err != nil {
		return nil, err
	}
	return ecdh.X25519().NewPublicKey(file.PublicKey)
}

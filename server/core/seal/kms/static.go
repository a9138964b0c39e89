package kms

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"os"

	"github.com/novatech/securevault/server/core/seal"
)

const (
	staticType = "static"
	// keySize is the size of a static key, in bytes.
	keySize = 32
	// purpose is what the encryption of the root key is bound to.
	purpose = "securevault static seal"
)

// static implements seal.Wrapper by a key that the operator keeps: whoever has
// it and the store has everything.
type static struct {
	current  cipher.AEAD
	previous cipher.AEAD // nil: none
}

func newStatic(c seal.Config) (seal.Wrapper, error) {
	params := []string{"current_key_id", "current_key", "current_key_file", "previous_key_id", "previous_key", "previous_key_file"}
	if err := checkParams(c, kind{params: params}); err != nil {
		return nil, err
	}
	current, err := staticKey(c.Params, "current_key")
	if err != nil {
		return nil, err
	}
	if current == nil {
		return nil, fmt.Errorf("seal %q has no key: set current_key_file to a file that holds %d random bytes, also as base64 or hexadecimal", c.Type, keySize)
	}
	previous, err := staticKey(c.Params, "previous_key")
	if err != nil {
		return nil, err
	}
	return static{current: current, previous: previous}, nil
}

// staticKey returns the cipher of the key in params, or nil when there is none.
func staticKey(params map[string]string, name string) (cipher.AEAD, error) {
	text, inline := params[name]
	path, filed := params[name+"_file"]
	content := []byte(text)
	switch {
	case inline && filed:
		return nil, fmt.Errorf("seal %q has both %s and %s_file: keep one", staticType, name, name)
	case !inline && !filed:
		return nil, nil
	case filed:
		var err error
		if content, err = readSecret(path); err != nil {
			return nil, fmt.Errorf("seal %q: reading %s_file: %w", staticType, name, err)
		}
	}
	key, err := decodeKey(content)
	if err != nil {
		return nil, fmt.Errorf("seal %q, %s: %w", staticType, name, err)
	}
	defer clear(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("seal %q, %s: %w", staticType, name, err)
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// decodeKey reads a key that is written raw, as base64 or in hexadecimal.
func decodeKey(content []byte) ([]byte, error) {
	if len(content) == keySize {
		return content, nil
	}
	text := string(bytes.TrimSpace(content))
	for _, decode := range []func(string) ([]byte, error){hex.DecodeString, base64.StdEncoding.DecodeString} {
		if key, err := decode(text); err == nil && len(key) == keySize {
			return key, nil
		}
	}
	return nil, fmt.Errorf("it is not a key: write %d random bytes, also as base64 or hexadecimal", keySize)
}

// readSecret reads a file whose owner alone may read it.
func readSecret(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o007 != 0 {
		return nil, fmt.Errorf("%q can be read by everybody (mode %v): chmod 600 it", path, info.Mode().Perm())
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if len(content) == keySize {
		return content, nil // raw bytes may end in anything
	}
	return bytes.TrimSpace(content), nil
}

// Wrap implements seal.Wrapper.
func (s static) Wrap(_ context.Context, key []byte) ([]byte, error) {
	return s.current.Seal(nil, nil, key, []byte(purpose)), nil
}

// Unwrap implements seal.Wrapper; what the previous key wrapped it reads too.
func (s static) Unwrap(_ context.Context, wrapped []byte) ([]byte, error) {
	key, err := s.current.Open(nil, nil, wrapped, []byte(purpose))
	if err != nil && s.previous != nil {
		key, err = s.previous.Open(nil, nil, wrapped, []byte(purpose))
	}
	if err != nil {
		return nil, errors.New("the static key is not the one that the store was initialized with: put that back, or set it as previous_key_file")
	}
	return key, nil
}

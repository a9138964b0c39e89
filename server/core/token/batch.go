package token

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/helper/consts"
)

// BatchPrefix starts every batch token.
//
// A batch token is no record: it carries what the server would have kept of it,
// sealed with a key that only the server has. It costs no storage and cannot be
// renewed, revoked or counted; it ends with its time or with its parent.
const BatchPrefix = consts.BatchTokenPrefix

// batchKeyKey is where the key that seals batch tokens is stored.
const batchKeyKey = "batch-key"

func (s *Store) loadBatchKey(ctx context.Context) error {
	key, err := s.loadRandom(ctx, batchKeyKey)
	if err != nil {
		return err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return fmt.Errorf("reading the key of batch tokens: %w", err)
	}
	// Random nonces are safe for four thousand million tokens of one key.
	if s.batch, err = cipher.NewGCMWithRandomNonce(block); err != nil {
		return fmt.Errorf("reading the key of batch tokens: %w", err)
	}
	return nil
}

// createBatch makes a token of what t says; its parent, when set, must live.
func (s *Store) createBatch(t *Token) (string, error) {
	if !t.Orphan() {
		if _, err := s.ByKey(t.Parent); err != nil {
			return "", err
		}
	}
	t.Accessor, t.IssueTime = "", time.Now().Truncate(time.Second)
	t.ExpireTime = t.IssueTime.Add(t.TTL)
	plain, err := json.Marshal(t)
	if err != nil {
		return "", fmt.Errorf("sealing a batch token: %w", err)
	}
	secret := BatchPrefix + base64.RawURLEncoding.EncodeToString(s.batch.Seal(nil, nil, plain, []byte(BatchPrefix)))
	t.Key = s.Key(secret)
	return secret, nil
}

// openBatch reads a batch token; one that was tampered with is as unknown as one
// whose time, or whose parent, has ended.
func (s *Store) openBatch(secret string) (*Token, error) {
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(strings.TrimPrefix(secret, BatchPrefix))
	if err != nil {
		return nil, ErrInvalid
	}
	plain, err := s.batch.Open(nil, nil, sealed, []byte(BatchPrefix))
	if err != nil {
		return nil, ErrInvalid
	}
	t := &Token{}
	if err := json.Unmarshal(plain, t); err != nil || t.expired() {
		return nil, ErrInvalid
	}
	if !t.Orphan() {
		if _, err := s.ByKey(t.Parent); err != nil {
			return nil, err
		}
	}
	t.Key, t.Batch = s.Key(secret), true
	return t, nil
}

// Package approle is the auth method for machines: a role id says who, a secret
// id proves it.
//
// roles.go keeps the roles, properties.go changes their fields one by one,
// secretids.go keeps the secret ids, login.go trades both for a token. Secret
// ids exist only in their owners' hands: storage holds them under a keyed hash
// with a salt of the mount.
package approle

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"sync"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/helper/locksutil"
	"github.com/hashicorp/vault/sdk/logical"
)

const saltSize = 32 // bytes

type backend struct {
	*framework.Backend
	locks []*locksutil.LockEntry // by role: order changes of a role and its secret ids

	saltOnce sync.Mutex
	salt     []byte // guarded by saltOnce
}

// Factory makes the method for one mount.
func Factory(ctx context.Context, conf *logical.BackendConfig) (logical.Backend, error) {
	b := &backend{locks: locksutil.CreateLocks()}
	b.Backend = &framework.Backend{
		Help:         "Logs machines in with a role id and a secret id.",
		BackendType:  logical.TypeCredential,
		PathsSpecial: &logical.Paths{Unauthenticated: []string{"login"}},
		Paths:        slices.Concat(b.rolePaths(), b.secretIDPaths(), b.tidyPaths(), b.loginPaths()),
		AuthRenew:    b.renew,
		PeriodicFunc: b.tidy,
	}
	return b, b.Setup(ctx, conf)
}

// hash returns the name under which storage knows a secret value. Comparing
// such names tells an attacker nothing about the value, in whatever time.
func (b *backend) hash(ctx context.Context, s logical.Storage, value string) (string, error) {
	salt, err := b.loadSalt(ctx, s)
	if err != nil {
		return "", err
	}
	mac := hmac.New(sha256.New, salt)
	mac.Write([]byte(value))
	return hex.EncodeToString(mac.Sum(nil)), nil
}

func (b *backend) loadSalt(ctx context.Context, s logical.Storage) ([]byte, error) {
	b.saltOnce.Lock()
	defer b.saltOnce.Unlock()
	if b.salt != nil {
		return b.salt, nil
	}
	entry, err := s.Get(ctx, "salt")
	if err != nil {
		return nil, fmt.Errorf("reading the salt: %w", err)
	}
	if entry == nil {
		entry = &logical.StorageEntry{Key: "salt", Value: make([]byte, saltSize)}
		rand.Read(entry.Value)
		if err := s.Put(ctx, entry); err != nil {
			return nil, fmt.Errorf("writing the salt: %w", err)
		}
	}
	b.salt = entry.Value
	return b.salt, nil
}

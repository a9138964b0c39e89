package token

import (
	"context"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/core/expiry"
	"github.com/novatech/securevault/server/core/work"
	"github.com/novatech/securevault/server/store"
)

const (
	saltKey    = "salt"
	idPrefix   = "id/"
	randomSize = 32 // bytes of the salt, and of the key of batch tokens
	// expirations is how many expired tokens are cleared away at a time.
	expirations = 8
)

// Leases ends what tokens own.
type Leases interface {
	// RevokeToken revokes the leases of the token with that key, waiting for
	// the outcome if sync; what fails must be tried again by the callee.
	RevokeToken(ctx context.Context, key string, sync bool) error
}

// Config is what a Store works with.
type Config struct {
	Storage logical.Storage // the tokens' own view
	Queue   *expiry.Queue   // run by its owner
	Leases  Leases
	Logger  hclog.Logger
}

// Store keeps the tokens. Its methods are safe for concurrent use.
type Store struct {
	storage logical.Storage
	queue   *expiry.Queue
	leases  Leases
	logger  hclog.Logger
	ends    *work.Pool
	salt    []byte      // set by Restore
	batch   cipher.AEAD // set by Restore

	mu         sync.RWMutex
	entries    map[string]*entry // guarded by mu; key → entry
	byAccessor map[string]*entry // guarded by mu
}

// entry is one live token.
type entry struct {
	expiry.Timer
	store    *Store
	key      string
	accessor string
	token    *Token              // guarded by Store.mu; replaced, never changed
	children map[*entry]struct{} // guarded by Store.mu

	change sync.Mutex // orders changes of the record
}

// New returns a store; Restore must be called before use.
func New(c Config) *Store {
	return &Store{
		storage:    c.Storage,
		queue:      c.Queue,
		leases:     c.Leases,
		logger:     c.Logger,
		ends:       work.NewPool(expirations),
		entries:    map[string]*entry{},
		byAccessor: map[string]*entry{},
	}
}

func (s *Store) newEntry(t *Token) *entry {
	return &entry{store: s, key: t.Key, accessor: t.Accessor, token: t, children: map[*entry]struct{}{}}
}

// Restore reads every token. Children whose parent is gone, which a crash in
// the middle of a revocation leaves, are revoked.
func (s *Store) Restore(ctx context.Context) error {
	var err error
	if s.salt, err = s.loadRandom(ctx, saltKey); err != nil {
		return err
	}
	if err := s.loadBatchKey(ctx); err != nil {
		return err
	}
	keys, err := s.storage.List(ctx, idPrefix)
	if err != nil {
		return fmt.Errorf("listing tokens: %w", err)
	}
	for _, key := range keys {
		t, err := store.GetJSON[Token](ctx, s.storage, idPrefix+key)
		if err != nil {
			return fmt.Errorf("restoring a token: %w", err)
		}
		if t != nil {
			t.Key = key
			s.entries[key] = s.newEntry(t)
			s.byAccessor[t.Accessor] = s.entries[key]
		}
	}
	for _, e := range s.entries {
		parent := s.entries[e.token.Parent]
		switch {
		case parent != nil:
			parent.children[e] = struct{}{}
			s.schedule(e, e.token)
		case e.token.Orphan():
			s.schedule(e, e.token)
		default:
			s.queue.Set(&e.Timer, time.Now(), e)
		}
	}
	return nil
}

// loadRandom returns the random bytes stored under key, made when there are
// none.
func (s *Store) loadRandom(ctx context.Context, key string) ([]byte, error) {
	entry, err := s.storage.Get(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("reading the tokens' %s: %w", key, err)
	}
	if entry == nil {
		entry = &logical.StorageEntry{Key: key, Value: make([]byte, randomSize)}
		rand.Read(entry.Value)
		if err := s.storage.Put(ctx, entry); err != nil {
			return nil, fmt.Errorf("writing the tokens' %s: %w", key, err)
		}
	}
	return entry.Value, nil
}

// Key returns the key under which the token with that secret part is kept.
func (s *Store) Key(secret string) string {
	mac := hmac.New(sha256.New, s.salt)
	mac.Write([]byte(secret))
	return hex.EncodeToString(mac.Sum(nil))
}

// Create keeps a new token and returns its secret part with what was kept. An
// empty secret is made up, as that of a batch token always is. Parent, when set,
// must be a live token.
func (s *Store) Create(ctx context.Context, secret string, t Token) (string, *Token, error) {
	if t.Batch {
		secret, err := s.createBatch(&t)
		return secret, &t, err
	}
	if secret == "" {
		secret = Prefix + rand.Text()
	}
	t.Key, t.Accessor, t.IssueTime = s.Key(secret), rand.Text(), time.Now()
	if t.TTL > 0 {
		t.ExpireTime = t.IssueTime.Add(t.TTL)
	}
	e := s.newEntry(&t)

	e.change.Lock() // before anyone can see it, so that its record comes first
	defer e.change.Unlock()
	if err := s.insert(e); err != nil {
		return "", nil, err
	}
	if err := s.save(ctx, &t); err != nil {
		s.mu.Lock()
		s.remove(e)
		s.mu.Unlock()
		return "", nil, err
	}
	s.schedule(e, &t)
	return secret, &t, nil
}

// insert makes e known, unless its key is taken or its parent has ended.
func (s *Store) insert(e *entry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := e.token
	if _, taken := s.entries[t.Key]; taken {
		return fmt.Errorf("%w: a token with this id exists already", logical.ErrInvalidRequest)
	}
	if !t.Orphan() {
		parent, ok := s.entries[t.Parent]
		if !ok {
			return ErrInvalid
		}
		parent.children[e] = struct{}{}
	}
	s.entries[t.Key] = e
	s.byAccessor[t.Accessor] = e
	return nil
}

// Lookup finds a token by its secret part, without using it up.
func (s *Store) Lookup(secret string) (*Token, error) {
	if strings.HasPrefix(secret, BatchPrefix) {
		return s.openBatch(secret)
	}
	return s.ByKey(s.Key(secret))
}

// ByKey finds a token by its key.
func (s *Store) ByKey(key string) (*Token, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return snapshot(s.entries[key])
}

// Alive reports whether there is a token with that key.
func (s *Store) Alive(key string) bool {
	_, err := s.ByKey(key)
	return err == nil
}

// ByAccessor finds a token by its accessor.
func (s *Store) ByAccessor(accessor string) (*Token, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return snapshot(s.byAccessor[accessor])
}

func snapshot(e *entry) (*Token, error) {
	if e == nil || e.token.expired() {
		return nil, ErrInvalid
	}
	return e.token, nil
}

// Accessors returns the accessors of all tokens, in no order.
func (s *Store) Accessors() []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	all := make([]string, 0, len(s.byAccessor))
	for accessor := range s.byAccessor {
		all = append(all, accessor)
	}
	return all
}

// Use finds the token of a request and counts the use. The caller revokes a
// token that comes back used up once the request is answered.
func (s *Store) Use(ctx context.Context, secret string) (*Token, error) {
	t, err := s.Lookup(secret)
	if err != nil || t.NumUses == 0 {
		return t, err
	}
	return s.update(ctx, t.Key, func(t *Token) error {
		switch {
		case t.UsedUp():
			return ErrInvalid
		case t.NumUses == 1:
			t.NumUses = usedUp
		default:
			t.NumUses--
		}
		return nil
	})
}

// Extend makes the token with that key end in ttl from now, and returns it.
func (s *Store) Extend(ctx context.Context, key string, ttl time.Duration) (*Token, error) {
	return s.update(ctx, key, func(t *Token) error {
		t.LastRenewal = time.Now()
		t.ExpireTime = t.LastRenewal.Add(ttl)
		return nil
	})
}

// update changes the record of a token, in storage first.
func (s *Store) update(ctx context.Context, key string, change func(*Token) error) (*Token, error) {
	s.mu.RLock()
	e := s.entries[key]
	s.mu.RUnlock()
	if e == nil {
		return nil, ErrInvalid
	}
	e.change.Lock()
	defer e.change.Unlock()
	before, err := s.ByKey(key) // it may have ended while we waited
	if err != nil {
		return nil, err
	}
	t := *before
	if err := change(&t); err != nil {
		return nil, err
	}
	if err := s.save(ctx, &t); err != nil {
		return nil, err
	}
	s.mu.Lock()
	e.token = &t
	s.mu.Unlock()
	s.schedule(e, &t)
	return &t, nil
}

func (s *Store) save(ctx context.Context, t *Token) error {
	return store.PutJSON(ctx, s.storage, idPrefix+t.Key, t)
}

func (s *Store) schedule(e *entry, t *Token) {
	if !t.ExpireTime.IsZero() {
		s.queue.Set(&e.Timer, t.ExpireTime, e)
	}
}

// Tidy removes records that no token stands behind any more, which a storage
// that failed in the middle of a revocation leaves, and returns their number.
func (s *Store) Tidy(ctx context.Context) (removed int, err error) {
	keys, err := s.storage.List(ctx, idPrefix)
	if err != nil {
		return 0, fmt.Errorf("listing tokens: %w", err)
	}
	for _, key := range keys {
		s.mu.RLock()
		_, known := s.entries[key] // a record is written after its token is known
		s.mu.RUnlock()
		if known {
			continue
		}
		if err := s.storage.Delete(ctx, idPrefix+key); err != nil {
			return removed, fmt.Errorf("removing the record of a token: %w", err)
		}
		removed++
	}
	return removed, nil
}

// under returns the keys of the tokens made by requests below prefix.
func (s *Store) under(prefix string) []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var keys []string
	for key, e := range s.entries {
		if strings.HasPrefix(e.token.Path+"/", prefix) {
			keys = append(keys, key)
		}
	}
	return keys
}

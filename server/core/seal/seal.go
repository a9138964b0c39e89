// Package seal keeps everything that the server stores encrypted, and the keys
// from those who only have the store.
//
//	entries     encrypted by data keys, AES-256-GCM        barrier.go, entry.go
//	data keys   the keyring, encrypted by the root key     keyring.go
//	root key    wrapped by the seal                        record.go
//	the seal    a key split into shares (package shamir),
//	            or a Wrapper: a key file, a key service    package kms
//
// A Seal opens its Barrier, a store.Store, when enough shares have been given
// (unseal.go) or when its Wrapper unwraps the root key. The holders of shares
// also approve new shares (rekey.go, verify.go) and a new root token
// (generate.go). Servers with the same keys know each other by vouchers
// (vouch.go). Where a Wrapper opens the seal, the shares that Init hands out are
// recovery keys: they approve, but do not open.
//
// The root key and the keyring are one record in the store, so every change of
// keys is one atomic write. An entry cannot be altered, moved to another key
// or, as far as ledger.go explains, be replaced by an older one without being
// noticed and named.
package seal

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/novatech/securevault/server/core/seal/shamir"
	"github.com/novatech/securevault/server/store"
)

// Shamir is the type of a seal that is opened by shares.
const Shamir = "shamir"

// keySize is the size of every key here, in bytes.
const keySize = 32

// The errors of this package; they are wrapped with what to do.
var (
	// ErrSealed is returned for whatever needs an unsealed server.
	ErrSealed = errors.New("the server is sealed")
	// ErrNotInitialized is returned for whatever needs an initialized server.
	ErrNotInitialized = errors.New("the server is not initialized; run operator init")
	// ErrInvalid is returned for what the caller has to mend.
	ErrInvalid = errors.New("invalid request")
	// ErrDamaged is returned for what the store holds but cannot be right.
	ErrDamaged = errors.New("the store is damaged")
)

// Config chooses how the root key is guarded.
type Config struct {
	Type   string            // "" is Shamir
	Params map[string]string // as the type wants them
}

// Wrapper guards the root key where no shares do.
type Wrapper interface {
	// Wrap returns key encrypted, in a form that only Unwrap understands.
	Wrap(ctx context.Context, key []byte) ([]byte, error)
	// Unwrap returns what Wrap was given. Any error may be tried again later.
	Unwrap(ctx context.Context, wrapped []byte) ([]byte, error)
}

// Settings is what a Seal works with.
type Settings struct {
	Store   store.Store // where everything ends up, encrypted
	Type    string      // as Config has it, for the record and for people
	Wrapper Wrapper     // nil: shares
}

// Split says into how many shares a key is split and how many are needed.
type Split struct {
	Shares    int `json:"shares"`
	Threshold int `json:"threshold"`
}

// check refuses splits that are impossible or protect nothing.
func (s Split) check() error {
	switch {
	case s.Shares < 1 || s.Shares > shamir.MaxShares:
		return fmt.Errorf("%w: %d key shares: use 1 to %d", ErrInvalid, s.Shares, shamir.MaxShares)
	case s.Threshold < 1 || s.Threshold > s.Shares:
		return fmt.Errorf("%w: a threshold of %d of %d key shares: use 1 to %d", ErrInvalid, s.Threshold, s.Shares, s.Shares)
	case s.Threshold == 1 && s.Shares > 1:
		return fmt.Errorf("%w: with a threshold of 1 every single share opens the seal: use at least 2, or one share", ErrInvalid)
	}
	return nil
}

// Status is what may be told to everybody.
type Status struct {
	Type        string
	Initialized bool
	Sealed      bool
	Split              // of the unseal keys, or of the recovery keys
	Progress    int    // shares given so far to unseal
	Nonce       string // of the unsealing under way
	Recovery    bool   // the shares are recovery keys
}

// Seal guards one store. Its methods are safe for concurrent use.
type Seal struct {
	settings Settings
	barrier  *Barrier
	vouchers vouchers

	mu        sync.Mutex
	record    *record  // guarded by mu; nil: not read, or not initialized
	root      []byte   // guarded by mu; the root key, nil while sealed
	unsealing approval // guarded by mu
	rekeying  rekey    // guarded by mu
	rooting   rooting  // guarded by mu
}

// New returns a sealed seal; it reads nothing.
func New(settings Settings) *Seal {
	if settings.Wrapper == nil || settings.Type == "" {
		settings.Type = Shamir
	}
	s := &Seal{settings: settings}
	s.barrier = newBarrier(settings.Store, s.extend)
	return s
}

// Store returns the store below the barrier, whose entries are encrypted.
func (s *Seal) Store() store.Store { return s.settings.Store }

// Barrier returns the store that encrypts. While the server is sealed, its
// methods return ErrSealed.
func (s *Seal) Barrier() *Barrier { return s.barrier }

// Status describes the seal. It reads the store until the server is known to
// be initialized.
func (s *Seal) Status(ctx context.Context) (Status, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	status := Status{Type: s.settings.Type, Sealed: s.root == nil, Recovery: s.settings.Wrapper != nil}
	err := s.load(ctx)
	switch {
	case errors.Is(err, ErrNotInitialized):
		return status, nil
	case err != nil:
		return status, err
	}
	status.Initialized, status.Split = true, s.record.Split
	status.Progress, status.Nonce = len(s.unsealing.shares), s.unsealing.nonce
	return status, nil
}

// load makes the record known, once. The caller holds s.mu.
func (s *Seal) load(ctx context.Context) error {
	if s.record != nil {
		return nil
	}
	r, err := readRecord(ctx, s.settings.Store)
	if err != nil {
		return err
	}
	if r.Type != s.settings.Type {
		return fmt.Errorf("%w: the store was initialized with the seal %q, but the configuration says %q: set the seal back to %q",
			ErrInvalid, r.Type, s.settings.Type, r.Type)
	}
	s.record = r
	return nil
}

// Init makes the keys of a new store and returns the shares: unseal keys, or
// recovery keys where a Wrapper opens the seal. The server is unsealed then.
func (s *Seal) Init(ctx context.Context, split Split) ([][]byte, error) {
	if err := split.check(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch err := s.load(ctx); {
	case err == nil:
		return nil, fmt.Errorf("%w: the server is initialized already; unseal it", ErrInvalid)
	case !errors.Is(err, ErrNotInitialized):
		return nil, err
	}
	if keys, err := s.settings.Store.List(ctx, ""); err != nil || len(keys) > 0 {
		return nil, errors.Join(err, fmt.Errorf("%w: the store holds entries but no keys (%q is missing): use an empty store, or restore a backup",
			ErrDamaged, recordKey))
	}
	shares, err := s.renew(ctx, newKeyring(), split)
	if err != nil {
		return nil, fmt.Errorf("initializing: %w", err)
	}
	if err := s.barrier.start(ctx); err != nil {
		s.shut()
		return nil, fmt.Errorf("initializing: %w", err)
	}
	return shares, nil
}

// renew puts ring under a new root key and that under a new seal key, in one
// write, and returns the shares of the latter; with a Wrapper the shares are
// those of a new recovery key. The caller holds s.mu.
func (s *Seal) renew(ctx context.Context, ring *keyring, split Split) ([][]byte, error) {
	shared := newKey()
	defer clear(shared)
	shares, err := shamir.Split(shared, split.Shares, split.Threshold)
	if err != nil {
		return nil, err
	}
	if err := s.adopt(ctx, ring, split, shared); err != nil {
		return nil, err
	}
	return shares, nil
}

// adopt does it for a key that has been split. The caller holds s.mu.
func (s *Seal) adopt(ctx context.Context, ring *keyring, split Split, shared []byte) error {
	root := newKey()
	r := &record{Format: recordFormat, Type: s.settings.Type, Split: split}
	if s.settings.Wrapper == nil {
		r.Root = encryptKey(shared, root)
	} else {
		ring = ring.withRecovery(shared)
		var err error
		if r.Root, err = s.settings.Wrapper.Wrap(ctx, root); err != nil {
			return fmt.Errorf("wrapping the root key with the seal %q: %w", r.Type, err)
		}
	}
	if err := s.save(ctx, r, ring, root); err != nil {
		clear(root)
		return err
	}
	return nil
}

// save writes record and keyring and only then puts them into effect. The
// caller holds s.mu.
func (s *Seal) save(ctx context.Context, r *record, ring *keyring, root []byte) error {
	kept := *r
	var err error
	if kept.Keyring, err = kept.sealRing(root, ring); err != nil {
		return err
	}
	if err := kept.write(ctx, s.settings.Store); err != nil {
		return err
	}
	s.record, s.root = &kept, root
	s.barrier.keys.Store(ring)
	return nil
}

// extend reserves sequence numbers up to a block beyond n, and begins a new
// data key when the present one has encrypted enough. The barrier calls it.
func (s *Seal) extend(ctx context.Context, n uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	ring := s.barrier.keys.Load()
	switch {
	case ring == nil:
		return ErrSealed
	case n <= ring.Reserved:
		return nil // someone else has been here
	}
	next := ring.reserving(n + s.barrier.block)
	if n-ring.newest().First >= s.barrier.limit {
		next = next.rotated(n - 1)
	}
	if err := s.save(ctx, s.record, next, s.root); err != nil {
		return fmt.Errorf("reserving sequence numbers: %w", err)
	}
	return nil
}

// Rotate begins a new data key. What the older ones encrypted stays readable.
func (s *Seal) Rotate(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	ring := s.barrier.keys.Load()
	if ring == nil {
		return ErrSealed
	}
	if err := s.save(ctx, s.record, ring.rotated(s.barrier.sequence.Load()), s.root); err != nil {
		return fmt.Errorf("rotating the data key: %w", err)
	}
	return nil
}

// KeyStatus tells of the data key that encrypts now.
type KeyStatus struct {
	Term        int       // its number, from 1
	InstallTime time.Time // when it began
	Encryptions uint64    // entries encrypted by it, at most
}

// KeyStatus describes the data key in use.
func (s *Seal) KeyStatus() (KeyStatus, error) {
	ring := s.barrier.keys.Load()
	if ring == nil {
		return KeyStatus{}, ErrSealed
	}
	newest := ring.newest()
	return KeyStatus{
		Term: int(newest.Number), InstallTime: newest.Created, Encryptions: s.barrier.sequence.Load() - newest.First,
	}, nil
}

// Seal waits for the writes under way and forgets every key.
func (s *Seal) Seal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shut()
}

// shut does it. The caller holds s.mu.
func (s *Seal) shut() {
	s.barrier.stop()
	clear(s.root)
	s.root, s.record = nil, nil // what is in the store may change
	s.unsealing.cancel()
	s.rekeying.cancel()
	s.rooting.cancel()
}

func newKey() []byte {
	key := make([]byte, keySize)
	rand.Read(key)
	return key
}

package seal

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/novatech/securevault/server/store"
)

const (
	// sequenceBlock is how many sequence numbers are reserved at a time: one
	// write of the record for a million entries.
	sequenceBlock = 1 << 20
	// encryptionLimit is how many entries one data key encrypts before the next
	// begins by itself. With random nonces of 96 bits the odds that one repeats
	// stay below 2⁻³⁴, within the 2³² that NIST SP 800-38D allows.
	encryptionLimit = 1 << 31
	// writers is how many keys can be written at a time without waiting.
	writers = 1024
)

// Barrier is a store.Store that encrypts what it is given before it reaches
// the store below. Its methods are safe for concurrent use.
type Barrier struct {
	store  store.Store
	extend func(ctx context.Context, n uint64) error // makes sequence number n usable
	block  uint64                                    // sequence numbers reserved at a time
	limit  uint64                                    // entries of one data key

	keys     atomic.Pointer[keyring] // nil while sealed
	sequence atomic.Uint64           // the last one given out
	ledger   atomic.Pointer[ledger]  // nil while sealed

	gate    sync.RWMutex        // read-held from a sequence number to its place in the ledger
	writing [writers]sync.Mutex // by hash of the key: its writes happen one by one
}

func newBarrier(s store.Store, extend func(context.Context, uint64) error) *Barrier {
	return &Barrier{store: s, extend: extend, block: sequenceBlock, limit: encryptionLimit}
}

// start opens the barrier, whose keys are set.
func (b *Barrier) start(ctx context.Context) error {
	ring := b.keys.Load()
	l := newLedger(ring.Reserved)
	if err := l.load(ctx, b.store, ring); err != nil {
		return err
	}
	b.sequence.Store(ring.Reserved)
	b.ledger.Store(l)
	return nil
}

// stop waits for the writes under way and forgets the keys.
func (b *Barrier) stop() {
	b.gate.Lock()
	defer b.gate.Unlock()
	b.ledger.Store(nil)
	if ring := b.keys.Swap(nil); ring != nil {
		ring.wipe()
	}
}

func (b *Barrier) lock(hash uint64) *sync.Mutex { return &b.writing[hash%writers] }

// Get implements store.Store. An entry that is damaged, or older than the
// ledger knows, gives an error wrapping ErrDamaged.
func (b *Barrier) Get(ctx context.Context, key string) ([]byte, error) {
	l := b.ledger.Load()
	if l == nil {
		return nil, ErrSealed
	}
	hash := hashOf(key)
	newest, known := l.find(hash) // before reading: a write meanwhile only makes it newer
	value, sequence, err := b.read(ctx, key)
	if err != nil || value == nil || known && sequence >= newest {
		return value, err
	}

	// New to the ledger, being written just now, or old: find out in peace.
	lock := b.lock(hash)
	lock.Lock()
	defer lock.Unlock()
	value, sequence, err = b.read(ctx, key)
	if err != nil || value == nil {
		return value, err
	}
	if !l.accept(hash, sequence) {
		return nil, damagedEntry(key, "it is older than what was written last: it was rolled back")
	}
	return value, nil
}

// read returns an entry decrypted, with its sequence number.
func (b *Barrier) read(ctx context.Context, key string) ([]byte, uint64, error) {
	entry, err := b.store.Get(ctx, key)
	if err != nil || entry == nil {
		return nil, 0, err
	}
	ring := b.keys.Load() // after reading: it may have been encrypted by a new key
	if ring == nil {
		return nil, 0, ErrSealed
	}
	return ring.openEntry(key, entry)
}

// Put implements store.Store.
func (b *Barrier) Put(ctx context.Context, key string, value []byte) error {
	if strings.HasPrefix(key, ownFolder) {
		return fmt.Errorf("writing %q: keys below %q belong to the seal", key, ownFolder)
	}
	hash := hashOf(key)
	lock := b.lock(hash)
	lock.Lock()
	defer lock.Unlock()
	return b.write(ctx, key, value, func(l *ledger, sequence uint64, err error) { l.wrote(hash, sequence, err) })
}

// write encrypts and stores, and tells the ledger how it went.
func (b *Barrier) write(ctx context.Context, key string, value []byte, record func(*ledger, uint64, error)) error {
	for {
		n, err := b.tryWrite(ctx, key, value, record)
		if err != nil || n == 0 {
			return err
		}
		if err := b.extend(ctx, n); err != nil {
			return err
		}
	}
}

// tryWrite does nothing but return the sequence number that is missing when
// none is left; extending needs the gate open.
func (b *Barrier) tryWrite(ctx context.Context, key string, value []byte, record func(*ledger, uint64, error)) (missing uint64, err error) {
	b.gate.RLock()
	defer b.gate.RUnlock()
	l, ring := b.ledger.Load(), b.keys.Load()
	if l == nil || ring == nil {
		return 0, ErrSealed
	}
	n := b.sequence.Add(1)
	if n > ring.Reserved {
		return n, nil
	}
	err = b.store.Put(ctx, key, ring.sealEntry(key, n, value))
	record(l, n, err)
	return 0, err
}

// Delete implements store.Store.
func (b *Barrier) Delete(ctx context.Context, key string) error {
	hash := hashOf(key)
	lock := b.lock(hash)
	lock.Lock()
	defer lock.Unlock()
	b.gate.RLock()
	defer b.gate.RUnlock()
	l := b.ledger.Load()
	if l == nil {
		return ErrSealed
	}
	err := b.store.Delete(ctx, key)
	if err == nil {
		l.deleted(hash)
	}
	return err
}

// List implements store.Store.
func (b *Barrier) List(ctx context.Context, prefix string) ([]string, error) {
	if b.ledger.Load() == nil {
		return nil, ErrSealed
	}
	keys, err := b.store.List(ctx, prefix)
	if strings.HasPrefix(prefix, ownFolder) || strings.HasPrefix(ownFolder, prefix) {
		keys = slices.DeleteFunc(keys, func(key string) bool { return strings.HasPrefix(prefix+key, ownFolder) })
	}
	return keys, err
}

// Survey reads every entry once, so that the ledger knows them all, and calls
// found with each that is damaged. Until it has returned nil, Checkpoint does
// nothing.
func (b *Barrier) Survey(ctx context.Context, found func(error)) error {
	l := b.ledger.Load()
	if l == nil {
		return ErrSealed
	}
	if l.complete.Load() {
		return nil
	}
	if err := b.survey(ctx, "", found); err != nil {
		return fmt.Errorf("surveying the store: %w", err)
	}
	l.complete.Store(true)
	return nil
}

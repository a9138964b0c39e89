package seal

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/novatech/securevault/server/store"
)

const (
	ledgerFolder = ownFolder + "ledger/"
	// stripes is into how many records the ledger is divided, so that none of
	// them is too large for any store.
	stripes     = 64
	stripeShift = 58    // of a hash: its highest 6 bits choose the stripe
	lineSize    = 8 + 8 // bytes: hash, sequence number
	anySequence = 1     // accepts whatever the store turns out to hold
)

// ledger notices entries that were replaced by older ones. It remembers for
// every key the sequence number of its newest entry; a checkpoint keeps that
// in the store for the next start.
//
// What it promises: while the server runs, an entry that was put back, or
// brought back after its deletion, is noticed. After a restart that holds for
// everything written before the last checkpoint (a clean seal makes one; a
// crash loses a minute). What no store can tell of itself: that all of it,
// ledger and keys included, was put back together. That needs a counter
// outside of it, which a file or a database has not.
//
// A copy of a store in use that is no snapshot must take the ledger first, the
// entries next and the record of the keys last: then nothing in it is older
// than its ledger, nor newer than its keys.
type ledger struct {
	// first is the last sequence number of earlier processes.
	first    uint64
	complete atomic.Bool // every entry of earlier processes is known
	stripes  [stripes]stripe
}

// stripe is the part of the ledger that one record holds.
type stripe struct {
	saved uint64 // entries of earlier processes up to it are known

	mu      sync.Mutex
	newest  map[uint64]uint64 // guarded by mu; hash of key → sequence number
	changed bool              // guarded by mu; since the last checkpoint
}

func newLedger(first uint64) *ledger {
	l := &ledger{first: first}
	l.complete.Store(first == 0) // a new store
	for i := range l.stripes {
		l.stripes[i].newest = map[uint64]uint64{}
	}
	return l
}

// hashOf stands for a key in the ledger.
func hashOf(key string) uint64 {
	sum := sha256.Sum256([]byte(key))
	return binary.BigEndian.Uint64(sum[:])
}

func (l *ledger) stripe(hash uint64) *stripe { return &l.stripes[hash>>stripeShift] }

// find returns the sequence number of the newest entry of a key.
func (l *ledger) find(hash uint64) (sequence uint64, known bool) {
	s := l.stripe(hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	sequence, known = s.newest[hash]
	return sequence, known
}

// accept tells whether an entry is as new as it must be. One that the ledger
// did not know is accepted if an earlier process may have written it after its
// last checkpoint. The caller holds the key's lock.
func (l *ledger) accept(hash, sequence uint64) bool {
	s := l.stripe(hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	if newest, known := s.newest[hash]; known {
		return sequence >= newest
	}
	if l.complete.Load() || sequence <= s.saved || sequence > l.first {
		return false
	}
	s.newest[hash], s.changed = sequence, true
	return true
}

// wrote records a write. One that failed may have reached the store all the
// same. The caller holds the key's lock.
func (l *ledger) wrote(hash, sequence uint64, failed error) {
	s := l.stripe(hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	if failed != nil {
		if _, known := s.newest[hash]; known {
			return
		}
		sequence = anySequence
	}
	s.newest[hash], s.changed = sequence, true
}

// deleted records a deletion. The caller holds the key's lock.
func (l *ledger) deleted(hash uint64) {
	s := l.stripe(hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.newest, hash)
	s.changed = true
}

// encode returns a stripe as it is kept; up to now everything is in it.
func (s *stripe) encode(now uint64) []byte {
	plain := make([]byte, 0, 8+len(s.newest)*lineSize)
	plain = binary.BigEndian.AppendUint64(plain, now)
	for hash, sequence := range s.newest {
		plain = binary.BigEndian.AppendUint64(plain, hash)
		plain = binary.BigEndian.AppendUint64(plain, sequence)
	}
	return plain
}

// decode undoes encode.
func (s *stripe) decode(plain []byte) error {
	if len(plain) < 8 || (len(plain)-8)%lineSize != 0 {
		return errors.New("its length makes no sense")
	}
	s.saved = binary.BigEndian.Uint64(plain)
	for line := plain[8:]; len(line) > 0; line = line[lineSize:] {
		s.newest[binary.BigEndian.Uint64(line)] = binary.BigEndian.Uint64(line[8:])
	}
	return nil
}

func stripeName(i int) string { return fmt.Sprintf("%s%02d", ledgerFolder, i) }

// load reads the last checkpoint.
func (l *ledger) load(ctx context.Context, from store.Store, ring *keyring) error {
	for i := range l.stripes {
		name := stripeName(i)
		entry, err := from.Get(ctx, name)
		if err != nil {
			return fmt.Errorf("reading %q: %w", name, err)
		}
		if entry == nil {
			continue
		}
		plain, _, err := ring.openEntry(name, entry)
		if err != nil {
			return err
		}
		if err := l.stripes[i].decode(plain); err != nil {
			return damagedEntry(name, err.Error())
		}
	}
	return nil
}

// snapshot encodes the stripes that have changed; nobody may be writing.
func (l *ledger) snapshot(now uint64) map[int][]byte {
	changed := map[int][]byte{}
	for i := range l.stripes {
		s := &l.stripes[i]
		s.mu.Lock()
		if s.changed {
			changed[i], s.changed = s.encode(now), false
		}
		s.mu.Unlock()
	}
	return changed
}

// Checkpoint keeps the ledger for the next start, as far as it has changed.
func (b *Barrier) Checkpoint(ctx context.Context) error {
	b.gate.Lock() // what has a sequence number is in the ledger now
	l := b.ledger.Load()
	if l == nil || !l.complete.Load() {
		b.gate.Unlock()
		return nil
	}
	changed := l.snapshot(b.sequence.Load())
	b.gate.Unlock()
	for i, plain := range changed {
		if err := b.write(ctx, stripeName(i), plain, func(*ledger, uint64, error) {}); err != nil {
			l.mark(changed)
			return fmt.Errorf("keeping the ledger: %w", err)
		}
	}
	return nil
}

// mark makes stripes part of the next checkpoint again.
func (l *ledger) mark(missed map[int][]byte) {
	for i := range missed {
		s := &l.stripes[i]
		s.mu.Lock()
		s.changed = true
		s.mu.Unlock()
	}
}

// survey reads the entries below prefix; the folders are walked one by one.
func (b *Barrier) survey(ctx context.Context, prefix string, found func(error)) error {
	keys, err := b.List(ctx, prefix)
	if err != nil {
		return err
	}
	for _, key := range keys {
		name := prefix + key
		if len(key) > 0 && key[len(key)-1] == '/' {
			if err := b.survey(ctx, name, found); err != nil {
				return err
			}
			continue
		}
		switch _, err := b.Get(ctx, name); {
		case errors.Is(err, ErrDamaged):
			found(err)
		case err != nil:
			return err
		}
	}
	return nil
}

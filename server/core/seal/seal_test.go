package seal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/novatech/securevault/server/store"
	"github.com/novatech/securevault/server/store/file"
	"github.com/novatech/securevault/server/store/inmem"
	"github.com/novatech/securevault/server/store/storetest"
)

// initialized returns an unsealed seal over s and its shares.
func initialized(t testing.TB, s store.Store, split Split) (*Seal, [][]byte) {
	t.Helper()
	sealed := New(Settings{Store: s})
	shares, err := sealed.Init(t.Context(), split)
	if err != nil {
		t.Fatal(err)
	}
	return sealed, shares
}

// reopened unseals the store of another process with one share.
func reopened(t testing.TB, s store.Store, share []byte) *Seal {
	t.Helper()
	sealed := New(Settings{Store: s})
	if opened, err := sealed.Unseal(t.Context(), share); err != nil || !opened {
		t.Fatalf("unsealing: %v, %v", opened, err)
	}
	return sealed
}

func put(t testing.TB, s store.Store, key, value string) {
	t.Helper()
	if err := s.Put(t.Context(), key, []byte(value)); err != nil {
		t.Fatalf("Put(%q): %v", key, err)
	}
}

func mustGet(t testing.TB, s store.Store, key, want string) {
	t.Helper()
	if got, err := s.Get(t.Context(), key); err != nil || string(got) != want {
		t.Fatalf("Get(%q) = %q, %v; want %q", key, got, err, want)
	}
}

// raw returns the bytes below the barrier.
func raw(t testing.TB, s store.Store, key string) []byte {
	t.Helper()
	value, err := s.Get(t.Context(), key)
	if err != nil || value == nil {
		t.Fatalf("nothing below the barrier at %q: %v", key, err)
	}
	return value
}

// damaged fails unless reading key names it and says what to do.
func damaged(t testing.TB, s store.Store, key, why string) {
	t.Helper()
	value, err := s.Get(t.Context(), key)
	if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), fmt.Sprintf("%q", key)) || !strings.Contains(err.Error(), why) {
		t.Errorf("Get(%q) = %q, %v; want one that says %q", key, value, err, why)
	}
}

var single = Split{Shares: 1, Threshold: 1}

func TestABarrierMeetsTheContractOfStores(t *testing.T) {
	storetest.Run(t, func(t testing.TB) store.Store {
		sealed, _ := initialized(t, inmem.New(), single)
		return sealed.Barrier()
	})
}

func TestWhatABarrierHoldsSurvives(t *testing.T) {
	below := inmem.New()
	var shares [][]byte
	storetest.Survives(t, func(t testing.TB) (store.Store, func() error) {
		var sealed *Seal
		if shares == nil {
			sealed, shares = initialized(t, below, single)
		} else {
			sealed = reopened(t, below, shares[0])
		}
		return sealed.Barrier(), func() error { sealed.Seal(); return nil }
	})
}

func BenchmarkBarrier(b *testing.B) {
	storetest.Bench(b, func(t testing.TB) store.Store {
		sealed, _ := initialized(t, inmem.New(), single)
		return sealed.Barrier()
	})
}

func TestNothingIsReadableBelowTheBarrier(t *testing.T) {
	below := inmem.New()
	sealed, shares := initialized(t, below, single)
	put(t, sealed.Barrier(), "secret", "the plain text of a secret")
	put(t, sealed.Barrier(), "twin", "the plain text of a secret")
	secret, twin := raw(t, below, "secret"), raw(t, below, "twin")
	if bytes.Contains(secret, []byte("plain text")) || bytes.Equal(secret[headerSize:], twin[headerSize:]) {
		t.Error("the store shows what an entry holds")
	}
	record := raw(t, below, recordKey)
	for _, key := range [][]byte{sealed.root, sealed.barrier.keys.Load().newest().Key, shares[0][:keySize]} {
		if bytes.Contains(record, key) {
			t.Error("the record shows a key")
		}
	}
}

func TestThresholdSharesUnsealAndTheOrderDoesNotMatter(t *testing.T) {
	below := inmem.New()
	first, shares := initialized(t, below, Split{Shares: 5, Threshold: 3})
	put(t, first.Barrier(), "k", "v")
	first.Seal()
	if _, err := first.Barrier().Get(t.Context(), "k"); !errors.Is(err, ErrSealed) {
		t.Fatalf("sealed, but Get gives %v", err)
	}
	for i, chosen := range [][]int{{0, 1, 2}, {4, 2, 0}, {3, 4, 1}} {
		sealed := New(Settings{Store: below})
		for n, share := range chosen {
			opened, err := sealed.Unseal(t.Context(), shares[share])
			if err != nil || opened != (n == 2) {
				t.Fatalf("round %d, share %d: opened %v, %v", i, n+1, opened, err)
			}
			status, err := sealed.Status(t.Context())
			if err != nil || status.Sealed == opened || !opened && (status.Progress != n+1 || status.Nonce == "") || status.Threshold != 3 || status.Shares != 5 {
				t.Fatalf("status after share %d: %+v, %v", n+1, status, err)
			}
		}
		mustGet(t, sealed.Barrier(), "k", "v")
		sealed.Seal()
	}
}

func TestWrongSharesAreRefusedAndForgotten(t *testing.T) {
	below := inmem.New()
	first, shares := initialized(t, below, Split{Shares: 3, Threshold: 2})
	first.Seal()
	_, foreign := initialized(t, inmem.New(), Split{Shares: 3, Threshold: 2})
	sealed := New(Settings{Store: below})
	steps := []struct {
		name     string
		share    []byte
		progress int
		want     string
	}{
		{"one that is cut short", shares[0][:20], 0, "33 bytes, not 20: check that it was copied whole"},
		{"an empty one", nil, 0, "33 bytes, not 0"},
		{"a right one", shares[0], 1, ""},
		{"the same again", shares[0], 1, ""},
		{"another with the same number", foreign[0], 1, "another key share with the number 1"},
		{"one of another server", foreign[1], 0, "the key shares do not fit"},
		{"a right one, afresh", shares[2], 1, ""},
	}
	for _, step := range steps {
		opened, err := sealed.Unseal(t.Context(), step.share)
		switch {
		case opened:
			t.Fatalf("%s: it opened", step.name)
		case step.want == "" && err != nil, step.want != "" && (!errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), step.want)):
			t.Errorf("%s: %v; want %q", step.name, err, step.want)
		}
		if status, _ := sealed.Status(t.Context()); status.Progress != step.progress {
			t.Errorf("%s: progress %d, want %d", step.name, status.Progress, step.progress)
		}
	}
	sealed.ResetUnseal()
	if status, _ := sealed.Status(t.Context()); status.Progress != 0 || status.Nonce != "" {
		t.Errorf("after a reset: %+v", status)
	}
}

func TestInitIsRefusedWhereItWouldDoHarm(t *testing.T) {
	used, orphaned := inmem.New(), inmem.New()
	initialized(t, used, single)
	put(t, orphaned, "core/mounts/x", "encrypted by lost keys")
	cases := []struct {
		name  string
		below store.Store
		split Split
		want  error
		text  string
	}{
		{"a second time", used, single, ErrInvalid, "initialized already"},
		{"over entries whose keys are lost", orphaned, single, ErrDamaged, `"seal/keys" is missing`},
		{"without shares", inmem.New(), Split{}, ErrInvalid, "use 1 to 255"},
		{"with more needed than there are", inmem.New(), Split{Shares: 2, Threshold: 3}, ErrInvalid, "use 1 to 2"},
		{"with shares of which each opens", inmem.New(), Split{Shares: 2, Threshold: 1}, ErrInvalid, "use at least 2"},
		{"with too many", inmem.New(), Split{Shares: 256, Threshold: 3}, ErrInvalid, "use 1 to 255"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			before, _ := c.below.Get(t.Context(), recordKey)
			shares, err := New(Settings{Store: c.below}).Init(t.Context(), c.split)
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) || shares != nil {
				t.Errorf("%d shares, %v; want %q", len(shares), err, c.text)
			}
			if after, _ := c.below.Get(t.Context(), recordKey); !bytes.Equal(before, after) {
				t.Error("the keys were changed")
			}
		})
	}
	if _, err := New(Settings{Store: inmem.New()}).Unseal(t.Context(), make([]byte, 33)); !errors.Is(err, ErrNotInitialized) {
		t.Errorf("unsealing an empty store: %v", err)
	}
}

func TestOlderEntriesStayReadableAfterRotation(t *testing.T) {
	below := inmem.New()
	sealed, shares := initialized(t, below, single)
	for i := range 4 {
		put(t, sealed.Barrier(), fmt.Sprint("k", i), fmt.Sprint("v", i))
		if err := sealed.Rotate(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	status, err := sealed.KeyStatus()
	if err != nil || status.Term != 5 || status.Encryptions != 0 {
		t.Fatalf("key status %+v, %v; want term 5", status, err)
	}
	sealed.Seal()
	sealed = reopened(t, below, shares[0])
	for i := range 4 {
		mustGet(t, sealed.Barrier(), fmt.Sprint("k", i), fmt.Sprint("v", i))
		if h, err := parseHeader("k", raw(t, below, fmt.Sprint("k", i))); err != nil || h.key != uint32(i+1) {
			t.Errorf("entry %d is encrypted by key %d, %v", i, h.key, err)
		}
	}
}

func TestADataKeyIsReplacedWhenItHasEncryptedEnough(t *testing.T) {
	below := inmem.New()
	sealed, shares := initialized(t, below, single)
	sealed.barrier.block, sealed.barrier.limit = 10, 25
	for i := range 100 {
		put(t, sealed.Barrier(), fmt.Sprint("k", i), "v")
	}
	status, err := sealed.KeyStatus()
	if err != nil || status.Term < 3 || status.Term > 5 {
		t.Fatalf("after 100 entries with a limit of 25: %+v, %v", status, err)
	}
	last := sealed.barrier.sequence.Load()
	sealed = reopened(t, below, shares[0]) // as after a crash: nothing was sealed
	if now := sealed.barrier.sequence.Load(); now < last || now > last+11 {
		t.Errorf("sequence numbers go on at %d after %d", now, last)
	}
	for i := range 100 {
		mustGet(t, sealed.Barrier(), fmt.Sprint("k", i), "v")
	}
}

func TestWritersRotationAndCheckpointsDoNotDisturbEachOther(t *testing.T) {
	below := inmem.New()
	sealed, shares := initialized(t, below, single)
	sealed.barrier.block, sealed.barrier.limit = 7, 50
	var writing, meddling sync.WaitGroup
	stop := make(chan struct{})
	for w := range 8 {
		writing.Go(func() {
			for i := range 100 {
				key := fmt.Sprintf("%d/%d", w%4, i%10)
				if err := sealed.Barrier().Put(t.Context(), key, []byte(key)); err != nil {
					t.Error(err)
				}
				if got, err := sealed.Barrier().Get(t.Context(), key); err != nil || got != nil && string(got) != key {
					t.Errorf("Get(%q) = %q, %v", key, got, err)
				}
				if i%10 == 3 {
					if err := sealed.Barrier().Delete(t.Context(), key); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	meddling.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if err := errors.Join(sealed.Rotate(t.Context()), sealed.Barrier().Checkpoint(t.Context())); err != nil {
				t.Error(err)
			}
		}
	})
	writing.Wait()
	close(stop)
	meddling.Wait()
	sealed.Seal()
	sealed = reopened(t, below, shares[0])
	err := sealed.Barrier().Survey(t.Context(), func(err error) { t.Error(err) })
	if keys, listErr := sealed.Barrier().List(t.Context(), "2/"); err != nil || listErr != nil || len(keys) < 9 {
		t.Errorf("survey %v, list %q, %v", err, keys, listErr)
	}
}

// failing is a store whose puts below a prefix fail.
type failing struct {
	store.Store
	prefix string
}

func (f *failing) Put(ctx context.Context, key string, value []byte) error {
	if f.prefix != "" && strings.HasPrefix(key, f.prefix) {
		return errors.New("the disk is full")
	}
	return f.Store.Put(ctx, key, value)
}

func TestAKeyThatCannotBeSavedIsNotUsed(t *testing.T) {
	below := &failing{Store: inmem.New()}
	sealed, shares := initialized(t, below, single)
	put(t, sealed.Barrier(), "k", "v")
	below.prefix = recordKey
	if err := sealed.Rotate(t.Context()); err == nil {
		t.Fatal("rotated, but not on record")
	}
	attempt, err := sealed.StartRekey(single, false)
	if err != nil {
		t.Fatal(err)
	}
	if made, _, err := sealed.Rekey(t.Context(), attempt.Nonce, shares[0]); err == nil || made != nil {
		t.Fatalf("rekeyed, but not on record: %v", err)
	}
	put(t, sealed.Barrier(), "k", "w")
	sealed.Seal()
	mustGet(t, reopened(t, below, shares[0]).Barrier(), "k", "w")
}

func TestSealingClearsTheKeys(t *testing.T) {
	sealed, _ := initialized(t, inmem.New(), single)
	root, data := sealed.root, sealed.barrier.keys.Load().newest().Key
	sealed.Seal()
	if slices.Max(root) != 0 || slices.Max(data) != 0 || sealed.root != nil {
		t.Error("a key is still in memory")
	}
	for name, err := range map[string]error{
		"Put":         sealed.Barrier().Put(t.Context(), "k", nil),
		"Delete":      sealed.Barrier().Delete(t.Context(), "k"),
		"Rotate":      sealed.Rotate(t.Context()),
		"Survey":      sealed.Barrier().Survey(t.Context(), nil),
		"CancelRekey": sealed.CancelRekey(),
	} {
		if !errors.Is(err, ErrSealed) {
			t.Errorf("%s on a sealed server: %v", name, err)
		}
	}
	if _, err := sealed.Barrier().List(t.Context(), ""); !errors.Is(err, ErrSealed) {
		t.Errorf("List on a sealed server: %v", err)
	}
}

func BenchmarkBarrierOverAFile(b *testing.B) {
	storetest.Bench(b, func(t testing.TB) store.Store {
		below, err := file.Open(filepath.Join(t.TempDir(), "vault.db"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = below.Close() })
		sealed, _ := initialized(t, below, single)
		return sealed.Barrier()
	})
}

// BenchmarkUnseal measures how much later a server starts because of what its
// store holds.
func BenchmarkUnseal(b *testing.B) {
	below := inmem.New()
	sealed, shares := initialized(b, below, single)
	for i := range 100_000 {
		put(b, sealed.Barrier(), fmt.Sprint("core/lease/", i), "v")
	}
	if err := sealed.Barrier().Checkpoint(b.Context()); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		reopened(b, below, shares[0])
	}
}

package seal_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/novatech/securevault/server/core/seal"
	"github.com/novatech/securevault/server/store/inmem"
)

// filled returns a store with an entry and a ledger, and the share of its key.
func filled(t *testing.T) (*inmem.Store, []byte) {
	t.Helper()
	s := inmem.New()
	guard := seal.New(seal.Settings{Store: s})
	shares, err := guard.Init(t.Context(), seal.Split{Shares: 1, Threshold: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(guard.Barrier().Put(t.Context(), "zoo/entry", []byte("value")), guard.Barrier().Checkpoint(t.Context())); err != nil {
		t.Fatal(err)
	}
	return s, shares[0]
}

func TestACopyTakesTheLedgerFirstAndTheKeysLast(t *testing.T) {
	from, share := filled(t)
	var keys []string
	var entries [][]byte
	err := seal.Copy(t.Context(), from, func(key string, entry []byte) error {
		keys, entries = append(keys, key), append(entries, entry)
		return nil
	})
	last := len(keys) - 1
	if err != nil || !strings.HasPrefix(keys[0], "seal/ledger/") || keys[last] != "seal/keys" || keys[last-1] != "zoo/entry" {
		t.Fatalf("copied %q, %v", keys, err)
	}

	into, _ := filled(t)
	if err := into.Put(t.Context(), "other", []byte("goes")); err != nil {
		t.Fatal(err)
	}
	at := -1
	err = seal.Replace(t.Context(), into, func() (string, []byte, error) {
		if at++; at > last {
			return "", nil, io.EOF
		}
		return keys[at], entries[at], nil
	})
	if err != nil {
		t.Fatal(err)
	}
	again := seal.New(seal.Settings{Store: into})
	if _, err := again.Unseal(t.Context(), share); err != nil {
		t.Fatal(err)
	}
	value, err := again.Barrier().Get(t.Context(), "zoo/entry")
	left, listErr := again.Barrier().List(t.Context(), "")
	if string(value) != "value" || !slices.Equal(left, []string{"zoo/"}) || errors.Join(err, listErr) != nil {
		t.Errorf("restored %q of %q, %v", value, left, errors.Join(err, listErr))
	}
}

func TestAStoreThatWasReplacedByHalfIsNotServed(t *testing.T) {
	into, share := filled(t)
	cut := errors.New("cut off")
	if err := seal.Replace(t.Context(), into, func() (string, []byte, error) { return "", nil, cut }); !errors.Is(err, cut) {
		t.Fatal(err)
	}
	half := seal.New(seal.Settings{Store: into})
	if _, err := half.Unseal(context.Background(), share); !errors.Is(err, seal.ErrNotInitialized) {
		t.Errorf("unsealing: %v", err)
	}
	if _, err := half.Init(t.Context(), seal.Split{Shares: 1, Threshold: 1}); !errors.Is(err, seal.ErrDamaged) || !strings.Contains(err.Error(), "restore a backup") {
		t.Errorf("initializing: %v", err)
	}
}

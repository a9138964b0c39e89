package seal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/novatech/securevault/server/store"
)

// Copy hands every entry of a store to put, encrypted as it is. The store may be
// in use: what is copied is none of its states, but one that is consistent (see
// ledger), because of the order: first the ledger, then what it knows of, the
// keys last.
func Copy(ctx context.Context, from store.Store, put func(key string, entry []byte) error) error {
	one := func(key string) error {
		entry, err := from.Get(ctx, key)
		if err != nil {
			return fmt.Errorf("reading %q: %w", key, err)
		}
		if entry == nil {
			return nil // deleted since it was listed
		}
		return put(key, entry)
	}
	if err := store.Walk(ctx, from, ledgerFolder, one); err != nil {
		return fmt.Errorf("copying the ledger: %w", err)
	}
	err := store.Walk(ctx, from, "", func(key string) error {
		if strings.HasPrefix(key, ownFolder) {
			return nil
		}
		return one(key)
	})
	if err != nil {
		return fmt.Errorf("copying entries: %w", err)
	}
	if err := one(recordKey); err != nil {
		return fmt.Errorf("copying the keys: %w", err)
	}
	return nil
}

// Replace makes a store hold the entries that next returns, until it returns
// io.EOF, and no others. Its server must be sealed. The record of the keys goes
// first and comes last: a store that was replaced by half has no keys and is
// not served.
func Replace(ctx context.Context, in store.Store, next func() (key string, entry []byte, err error)) error {
	if err := in.Delete(ctx, recordKey); err != nil {
		return fmt.Errorf("removing the former keys: %w", err)
	}
	var keys []byte
	kept := map[string]bool{}
	for {
		key, entry, err := next()
		switch {
		case errors.Is(err, io.EOF):
			if err := removeOthers(ctx, in, kept); err != nil {
				return err
			}
			if keys == nil {
				return nil // a store that was not initialized
			}
			if err := in.Put(ctx, recordKey, keys); err != nil {
				return fmt.Errorf("writing %q: %w", recordKey, err)
			}
			return nil
		case err != nil:
			return err
		case key == recordKey:
			keys = entry
			continue
		}
		if err := in.Put(ctx, key, entry); err != nil {
			return fmt.Errorf("writing %q: %w", key, err)
		}
		kept[key] = true
	}
}

// removeOthers deletes what is not to be kept.
func removeOthers(ctx context.Context, in store.Store, kept map[string]bool) error {
	return store.Walk(ctx, in, "", func(key string) error {
		if kept[key] {
			return nil
		}
		if err := in.Delete(ctx, key); err != nil {
			return fmt.Errorf("removing %q: %w", key, err)
		}
		return nil
	})
}

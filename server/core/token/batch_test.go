package token

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/store"
	"github.com/novatech/securevault/server/store/inmem"
)

func TestABatchTokenIsNotKeptAndSurvivesARestart(t *testing.T) {
	storage := store.View(inmem.New(), "")
	s, _, _ := open(t, storage)
	secret, _ := create(t, s, Token{Batch: true, Policies: []string{"app"}, TTL: time.Hour, Meta: map[string]string{"a": "b"}})
	if keys, _ := storage.List(t.Context(), idPrefix); len(keys) != 0 || len(s.Accessors()) != 0 {
		t.Fatalf("records %q, %d accessors", keys, len(s.Accessors()))
	}
	s, _, _ = open(t, storage)
	got, err := s.Use(t.Context(), secret)
	if err != nil || !got.Batch || got.Policies[0] != "app" || got.Meta["a"] != "b" || got.Renewable || got.Accessor != "" || got.Owner() != "" {
		t.Fatalf("%+v, %v", got, err)
	}
}

func TestABatchTokenEndsWithItsTimeAndWithItsParent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, _ := open(t, store.View(inmem.New(), ""))
		_, parent := create(t, s, Token{TTL: time.Hour})
		child, made := create(t, s, Token{Batch: true, Parent: parent.Key, TTL: time.Hour})
		short, _ := create(t, s, Token{Batch: true, TTL: time.Minute})
		if made.Owner() != parent.Key {
			t.Error("its leases are not its parent's")
		}
		time.Sleep(time.Minute - time.Second)
		if _, err := s.Lookup(short); err != nil {
			t.Errorf("before its end: %v", err)
		}
		time.Sleep(time.Second)
		if _, err := s.Lookup(short); !errors.Is(err, ErrInvalid) {
			t.Errorf("after its end: %v", err)
		}
		if _, err := s.Lookup(child); err != nil {
			t.Errorf("while its parent lives: %v", err)
		}
		if err := s.Revoke(t.Context(), parent.Key); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Lookup(child); !errors.Is(err, ErrInvalid) {
			t.Errorf("after its parent: %v", err)
		}
		if _, _, err := s.Create(t.Context(), "", Token{Batch: true, Parent: parent.Key, TTL: time.Hour}); !errors.Is(err, ErrInvalid) {
			t.Errorf("made by a token that ended: %v", err)
		}
	})
}

func TestATamperedBatchTokenIsUnknown(t *testing.T) {
	s, _, _ := open(t, store.View(inmem.New(), ""))
	other, _, _ := open(t, store.View(inmem.New(), ""))
	secret, _ := create(t, s, Token{Batch: true, TTL: time.Hour})
	flipped := []byte(secret)
	flipped[len(flipped)/2] ^= 1
	for name, tampered := range map[string]string{
		"changed": string(flipped), "cut": secret[:len(secret)-4], "empty": BatchPrefix, "no base64": BatchPrefix + "+",
	} {
		if _, err := s.Lookup(tampered); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := other.Lookup(secret); !errors.Is(err, ErrInvalid) {
		t.Errorf("another server's: %v", err)
	}
}

func TestTidyRemovesRecordsWithoutToken(t *testing.T) {
	storage := store.View(inmem.New(), "")
	s, _, _ := open(t, storage)
	_, kept := create(t, s, Token{TTL: time.Hour})
	if err := storage.Put(t.Context(), &logical.StorageEntry{Key: idPrefix + "lost", Value: []byte("{}")}); err != nil {
		t.Fatal(err)
	}
	if removed, err := s.Tidy(t.Context()); removed != 1 || err != nil {
		t.Fatalf("removed %d, %v", removed, err)
	}
	if keys, _ := storage.List(t.Context(), idPrefix); strings.Join(keys, ",") != kept.Key {
		t.Fatalf("left %q", keys)
	}
}

func FuzzOpenBatch(f *testing.F) {
	s := New(Config{Storage: store.View(inmem.New(), "")})
	if err := s.Restore(f.Context()); err != nil {
		f.Fatal(err)
	}
	secret, _, err := s.Create(f.Context(), "", Token{Batch: true, TTL: time.Hour})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(strings.TrimPrefix(secret, BatchPrefix)[1:])
	f.Add("")
	f.Add("AAAA")
	f.Fuzz(func(t *testing.T, text string) {
		if BatchPrefix+text == secret {
			return
		}
		if got, err := s.Lookup(BatchPrefix + text); err == nil {
			t.Fatalf("%q opens as %+v", text, got)
		}
	})
}

package token

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/core/expiry"
	"github.com/novatech/securevault/server/store"
	"github.com/novatech/securevault/server/store/inmem"
)

// owners remembers whose leases were revoked.
type owners struct {
	mu   sync.Mutex
	keys []string
}

func (o *owners) RevokeToken(_ context.Context, key string, _ bool) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.keys = append(o.keys, key)
	return nil
}

func (o *owners) count() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.keys)
}

func open(t *testing.T, storage logical.Storage) (*Store, *owners, *expiry.Queue) {
	t.Helper()
	ended, queue := &owners{}, expiry.New()
	s := New(Config{Storage: storage, Queue: queue, Leases: ended, Logger: hclog.NewNullLogger()})
	if err := s.Restore(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s, ended, queue
}

func create(t *testing.T, s *Store, token Token) (string, *Token) {
	t.Helper()
	secret, made, err := s.Create(t.Context(), "", token)
	if err != nil {
		t.Fatal(err)
	}
	return secret, made
}

func TestStorageDoesNotHoldTheSecretPart(t *testing.T) {
	under := inmem.New()
	s, _, _ := open(t, store.View(under, ""))
	secret, _ := create(t, s, Token{Policies: []string{"app"}, TTL: time.Hour})
	keys, err := logical.CollectKeys(t.Context(), store.View(under, ""))
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		value, _ := under.Get(t.Context(), key)
		if strings.Contains(key+string(value), strings.TrimPrefix(secret, Prefix)) {
			t.Errorf("%q holds the token", key)
		}
	}
	if len(secret) < len(Prefix)+26 {
		t.Errorf("token %q is short of 128 bits", secret)
	}
}

func TestAnOrphanedChildLivesOn(t *testing.T) {
	storage := store.View(inmem.New(), "")
	s, ended, _ := open(t, storage)
	_, parent := create(t, s, Token{})
	_, child := create(t, s, Token{Parent: parent.Key})
	_, grandchild := create(t, s, Token{Parent: child.Key})
	if err := s.RevokeOrphan(t.Context(), parent.Key); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(ended.keys, []string{parent.Key}) {
		t.Fatalf("leases ended of %d tokens; want the parent's alone", len(ended.keys))
	}
	if left, err := s.ByKey(child.Key); err != nil || !left.Orphan() {
		t.Fatalf("the child: %+v, %v", left, err)
	}
	if err := s.Revoke(t.Context(), child.Key); err != nil {
		t.Fatal(err)
	}
	if _, err := s.ByKey(grandchild.Key); !errors.Is(err, ErrInvalid) {
		t.Fatalf("the grandchild outlives the child: %v", err)
	}
}

func TestARevocationCutShortIsFinishedAtTheNextStart(t *testing.T) {
	storage := store.View(inmem.New(), "")
	s, _, _ := open(t, storage)
	_, parent := create(t, s, Token{TTL: time.Hour})
	_, child := create(t, s, Token{Parent: parent.Key, TTL: time.Hour})
	if err := storage.Delete(t.Context(), idPrefix+parent.Key); err != nil { // and then the crash
		t.Fatal(err)
	}
	s, ended, queue := open(t, storage)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { _ = queue.Run(ctx) }()
	deadline := time.Now().Add(10 * time.Second)
	for len(s.Accessors()) > 0 && time.Now().Before(deadline) {
		time.Sleep(time.Millisecond)
	}
	if _, err := s.ByKey(child.Key); !errors.Is(err, ErrInvalid) {
		t.Fatalf("the child is still good: %v", err)
	}
	for time.Now().Before(deadline) {
		ended.mu.Lock()
		done := slices.Equal(ended.keys, []string{child.Key})
		ended.mu.Unlock()
		if done {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatal("the child's leases were not ended")
}

// stubborn is a storage that does not delete while it is told so.
type stubborn struct {
	logical.Storage
	refuses atomic.Bool
}

func (s *stubborn) Delete(ctx context.Context, key string) error {
	if s.refuses.Load() {
		return errors.New("the disk is full")
	}
	return s.Storage.Delete(ctx, key)
}

// The record stayed when its removal failed, and a second revocation found no
// token and said that all was well: the next start brought the token back.
func TestARevocationThatStorageRefusesIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		storage := &stubborn{Storage: store.View(inmem.New(), "")}
		s, ended, queue := open(t, storage)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() { _ = queue.Run(ctx) }()
		secret, parent := create(t, s, Token{TTL: time.Hour})
		create(t, s, Token{Parent: parent.Key, TTL: time.Hour})

		storage.refuses.Store(true)
		if err := s.Revoke(t.Context(), parent.Key); err == nil {
			t.Error("storage refused, and nobody was told")
		}
		if _, err := s.Lookup(secret); !errors.Is(err, ErrInvalid) {
			t.Errorf("the token is still good: %v", err)
		}
		if n := ended.count(); n != 2 {
			t.Errorf("the leases of %d tokens were ended; want both's", n)
		}
		time.Sleep(retryDelay)
		synctest.Wait()
		storage.refuses.Store(false)
		time.Sleep(retryDelay)
		synctest.Wait()
		if left, err := storage.List(t.Context(), idPrefix); err != nil || len(left) != 0 {
			t.Errorf("records %q are left, %v", left, err)
		}
	})
}

func TestAnIDThatWasGivenAgainIsNotRevokedForTheLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		storage := &stubborn{Storage: store.View(inmem.New(), "")}
		s, _, queue := open(t, storage)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() { _ = queue.Run(ctx) }()
		if _, _, err := s.Create(t.Context(), "mine", Token{}); err != nil {
			t.Fatal(err)
		}
		storage.refuses.Store(true)
		if err := s.Revoke(t.Context(), s.Key("mine")); err == nil {
			t.Fatal("storage refused, and nobody was told")
		}
		storage.refuses.Store(false)
		if _, _, err := s.Create(t.Context(), "mine", Token{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * retryDelay)
		synctest.Wait()
		if _, err := s.Lookup("mine"); err != nil {
			t.Errorf("the second token was ended in place of the first: %v", err)
		}
		if left, _ := storage.List(t.Context(), idPrefix); len(left) != 1 {
			t.Errorf("records %q", left)
		}
	})
}

func TestAParentIsRevokedAloneAlthoughAChildHasJustEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, _ := open(t, store.View(inmem.New(), ""))
		_, parent := create(t, s, Token{})
		create(t, s, Token{Parent: parent.Key, TTL: time.Second})
		_, lasting := create(t, s, Token{Parent: parent.Key})
		time.Sleep(time.Minute) // and the queue has not come round to it
		if err := s.RevokeOrphan(t.Context(), parent.Key); err != nil {
			t.Fatal(err)
		}
		if left, err := s.ByKey(lasting.Key); err != nil || !left.Orphan() {
			t.Errorf("the other child: %+v, %v", left, err)
		}
		if len(s.Accessors()) != 1 {
			t.Errorf("%d tokens are left; want the one child", len(s.Accessors()))
		}
	})
}

func TestAParentThatEndedHasNoMoreChildren(t *testing.T) {
	s, _, _ := open(t, store.View(inmem.New(), ""))
	_, parent := create(t, s, Token{})
	if err := s.Revoke(t.Context(), parent.Key); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Create(t.Context(), "", Token{Parent: parent.Key}); !errors.Is(err, ErrInvalid) {
		t.Fatalf("error %v", err)
	}
	if err := s.Revoke(t.Context(), parent.Key); err != nil {
		t.Fatalf("revoking again: %v", err)
	}
}

func TestAnIDIsGivenOnce(t *testing.T) {
	s, _, _ := open(t, store.View(inmem.New(), ""))
	if _, _, err := s.Create(t.Context(), "mine", Token{}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Create(t.Context(), "mine", Token{}); !errors.Is(err, logical.ErrInvalidRequest) {
		t.Fatalf("error %v", err)
	}
	if found, err := s.Lookup("mine"); err != nil || found.Key != s.Key("mine") {
		t.Fatalf("lookup: %v, %v", found, err)
	}
}

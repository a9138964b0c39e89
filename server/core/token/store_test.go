package token

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
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

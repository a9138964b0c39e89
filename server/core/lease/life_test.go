package lease

import (
	"context"
	"errors"
	"fmt"
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

// target is what leases are good for, and their engine.
type target struct {
	revoke  func(*Lease) error // nil: it succeeds
	revoked atomic.Int64
}

func (e *target) Renew(context.Context, *Lease, time.Duration) (*logical.Response, error) {
	return nil, errors.New("not asked for here")
}

func (e *target) Revoke(_ context.Context, l *Lease) error {
	if e.revoke != nil {
		if err := e.revoke(l); err != nil {
			return err
		}
	}
	e.revoked.Add(1)
	return nil
}

// world is a manager and what stands around it.
type world struct {
	*Manager
	target *target
}

// newWorld returns a manager over storage that has not restored anything.
func newWorld(storage logical.Storage, limit int) *world {
	w := &world{target: &target{}}
	w.Manager = New(Config{
		Storage: storage, Queue: expiry.New(), Engine: w.target, Logger: hclog.NewNullLogger(),
		Limit: func(Group) int { return limit },
	})
	return w
}

// run restores the leases and keeps time until the test ends.
func (w *world) run(t *testing.T) {
	t.Helper()
	if err := w.Restore(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = w.queue.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
}

func aLease(id string) *Lease {
	return &Lease{
		ID: "db/creds/app/" + id, Mount: "m", Role: "app", Token: "t", Secret: &logical.Secret{},
		IssueTime: time.Now(), ExpireTime: time.Now().Add(time.Hour),
	}
}

func TestALimitHoldsHoweverManyAskAtOnce(t *testing.T) {
	w := newWorld(store.View(inmem.New(), ""), 10)
	w.run(t)
	var refused, kept atomic.Int64
	var all sync.WaitGroup
	for i := range 200 {
		all.Go(func() {
			place, err := w.Reserve(t.Context(), Group{"m", "app"})
			var over *LimitError
			if errors.As(err, &over) {
				if over.Count != 10 || over.Limit != 10 {
					t.Errorf("refused with %v", over)
				}
				refused.Add(1)
				return
			}
			defer place.Release()
			l := aLease(fmt.Sprint(i))
			if i%2 == 0 {
				if err := w.Intend(t.Context(), l, place); err != nil {
					t.Error(err)
				}
			}
			if err := w.Register(t.Context(), l, place); err != nil {
				t.Error(err)
			}
			kept.Add(1)
		})
	}
	all.Wait()
	if kept.Load() != 10 || refused.Load() != 190 || w.Count() != 10 {
		t.Fatalf("%d kept, %d refused, %d leases; want 10, 190, 10", kept.Load(), refused.Load(), w.Count())
	}
	if _, err := w.Reserve(t.Context(), Group{"m", "other"}); err != nil {
		t.Fatalf("another role: %v", err)
	}
	if err := w.RevokePrefix(t.Context(), "db/creds/app", true); err != nil {
		t.Fatal(err)
	}
	for range 3 { // a place that no lease took is free again
		place, err := w.Reserve(t.Context(), Group{"m", "app"})
		if err != nil {
			t.Fatal(err)
		}
		place.Release()
		place.Release()
	}
	if counts := w.Counts(); len(counts) != 1 || counts[0].Role != "other" {
		t.Fatalf("counts %v; want the place of the other role alone", counts)
	}
}

func TestAnIntentOutlivesACrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		storage := store.View(inmem.New(), "")
		before := newWorld(storage, 0)
		if err := before.Intend(t.Context(), aLease("half-made"), nil); err != nil {
			t.Fatal(err)
		}
		whole := aLease("whole")
		if err := before.Intend(t.Context(), whole, nil); err != nil {
			t.Fatal(err)
		}
		if err := before.Register(t.Context(), whole, nil); err != nil {
			t.Fatal(err)
		}
		withdrawn := aLease("withdrawn")
		if err := before.Intend(t.Context(), withdrawn, nil); err != nil {
			t.Fatal(err)
		}
		before.Withdraw(t.Context(), withdrawn)

		after := newWorld(storage, 0)
		after.target.revoke = func(l *Lease) error {
			if !strings.HasSuffix(l.ID, "half-made") {
				t.Errorf("%s was revoked", l.ID)
			}
			return nil
		}
		after.run(t)
		synctest.Wait()
		if after.target.revoked.Load() != 1 || after.Count() != 1 {
			t.Fatalf("%d revoked, %d leases; want 1 and 1", after.target.revoked.Load(), after.Count())
		}
	})
}

func TestAnIntentIsNotRevokedUnderTheEnginesHands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(store.View(inmem.New(), ""), 0)
		w.run(t)
		l := aLease("1")
		if err := w.Intend(t.Context(), l, nil); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- w.RevokeToken(t.Context(), "t", true) }()
		synctest.Wait()
		if w.target.revoked.Load() != 0 {
			t.Fatal("revoked while the engine was creating it")
		}
		if err := w.Register(t.Context(), l, nil); err != nil {
			t.Fatal(err)
		}
		if err := <-ended; err != nil || w.target.revoked.Load() != 1 || w.Count() != 0 {
			t.Fatalf("%v; %d revoked, %d left; want 1 and 0", err, w.target.revoked.Load(), w.Count())
		}
	})
}

// What went wrong without: a credential was revoked, the server died before it
// removed the lease, and the next start kept a lease without credential.
func TestARevocationCutShortIsFinishedAtTheNextStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		storage := store.View(inmem.New(), "")
		before := newWorld(storage, 0)
		release := make(chan struct{})
		before.target.revoke = func(*Lease) error { <-release; return errors.New("the server has died") }
		before.run(t)
		if err := before.Register(t.Context(), aLease("1"), nil); err != nil {
			t.Fatal(err)
		}
		before.RevokeLater(t.Context(), "db/creds/app/1")
		synctest.Wait()

		after := newWorld(storage, 0)
		after.run(t)
		synctest.Wait()
		if after.target.revoked.Load() != 1 || after.Count() != 0 {
			t.Fatalf("%d revoked, %d left; want 1 and 0", after.target.revoked.Load(), after.Count())
		}
		close(release)
		synctest.Wait()
	})
}

func TestALeaseIsKnownBeforeAllAreRestored(t *testing.T) {
	storage := store.View(inmem.New(), "")
	before := newWorld(storage, 0)
	for _, id := range []string{"1", "2"} {
		if err := before.Register(t.Context(), aLease(id), nil); err != nil {
			t.Fatal(err)
		}
	}
	after := newWorld(storage, 0)
	if l, err := after.Lookup(t.Context(), "db/creds/app/1"); err != nil || l.Role != "app" {
		t.Fatalf("lookup: %v, %v", l, err)
	}
	for _, id := range []string{"db/creds/app/none", "../core/token/salt"} {
		if _, err := after.Lookup(t.Context(), id); !errors.Is(err, ErrNotFound) {
			t.Errorf("%s: %v", id, err)
		}
	}
	if err := after.Revoke(t.Context(), "db/creds/app/1"); err != nil {
		t.Fatal(err)
	}
	hurry, cancel := context.WithCancel(t.Context())
	cancel()
	if err := after.RevokePrefix(hurry, "db", true); !errors.Is(err, context.Canceled) {
		t.Fatalf("a prefix before all are known: %v", err)
	}
	after.run(t)
	if after.Count() != 1 {
		t.Fatalf("%d leases; want the one that was not revoked", after.Count())
	}
}

func TestALeaseThatCannotBeRevokedIsSeenAndStillTried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		storage := store.View(inmem.New(), "")
		w := newWorld(storage, 0)
		var down atomic.Bool
		down.Store(true)
		fails := func(*Lease) error {
			if down.Load() {
				return errors.New("connection refused")
			}
			return nil
		}
		w.target.revoke = fails
		w.run(t)
		if err := w.Register(t.Context(), aLease("1"), nil); err != nil {
			t.Fatal(err)
		}
		w.RevokeLater(t.Context(), "db/creds/app/1")
		time.Sleep(time.Minute)
		if len(w.Irrevocables()) != 0 {
			t.Fatal("irrevocable after a minute")
		}
		time.Sleep(9 * time.Minute)
		got := w.Irrevocables()
		if len(got) != 1 || got[0].ID != "db/creds/app/1" || got[0].Mount != "m" || got[0].Reason != "connection refused" {
			t.Fatalf("irrevocable: %v", got)
		}

		next := newWorld(storage, 0) // it is not forgotten by a restart
		next.target.revoke = fails
		next.run(t)
		if len(next.Irrevocables()) != 1 {
			t.Fatalf("after a restart: %v", next.Irrevocables())
		}
		down.Store(false)
		if err := w.Revoke(t.Context(), "db/creds/app/1"); err != nil || len(w.Irrevocables()) != 0 {
			t.Fatalf("retried by hand: %v, %v", err, w.Irrevocables())
		}
		time.Sleep(7 * time.Minute)
		synctest.Wait()
		if next.Count() != 0 {
			t.Fatal("no longer tried")
		}
	})
}

func TestASlowDatabaseKeepsNoOtherMountWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(store.View(inmem.New(), ""), 0)
		var under, most atomic.Int64
		w.target.revoke = func(l *Lease) error {
			if l.Mount == "slow" {
				now := under.Add(1)
				defer under.Add(-1)
				for before := most.Load(); now > before && !most.CompareAndSwap(before, now); before = most.Load() {
				}
				time.Sleep(30 * time.Second)
			}
			return nil
		}
		w.run(t)
		for i := range 2 * revocations {
			l := aLease(fmt.Sprint(i))
			l.ID, l.Mount = fmt.Sprintf("slow/creds/app/%d", i), "slow"
			if err := w.Register(t.Context(), l, nil); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Register(t.Context(), aLease("1"), nil); err != nil {
			t.Fatal(err)
		}
		if err := w.RevokePrefix(t.Context(), "slow", false); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		begun := time.Now()
		if err := w.Revoke(t.Context(), "db/creds/app/1"); err != nil || time.Since(begun) > 0 {
			t.Errorf("another mount waited %s, %v", time.Since(begun), err)
		}
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if most.Load() != revocations || w.Count() != 0 {
			t.Errorf("%d at a time, %d leases left; want %d and none", most.Load(), w.Count(), revocations)
		}
	})
}

func TestTidyFindsWhatMemoryHasLost(t *testing.T) {
	storage := store.View(inmem.New(), "")
	w := newWorld(storage, 0)
	w.run(t)
	if err := newWorld(storage, 0).Register(t.Context(), aLease("lost"), nil); err != nil {
		t.Fatal(err)
	}
	if found, err := w.Tidy(t.Context()); found != 1 || err != nil || w.Count() != 1 {
		t.Fatalf("found %d, %v; %d leases", found, err, w.Count())
	}
	if err := w.RevokeOwnerless(t.Context(), func(string) bool { return false }); err != nil {
		t.Fatal(err)
	}
	if err := w.RevokePrefix(t.Context(), "db", true); err != nil || w.target.revoked.Load() != 1 {
		t.Fatalf("%v; %d revoked", err, w.target.revoked.Load())
	}
}

func TestTheRoleOfAPath(t *testing.T) {
	for path, want := range map[string]struct {
		role   string
		issues bool
	}{
		"creds/app": {"app", true}, "sts/deploy": {"deploy", true}, "issue/web": {"web", true},
		"roleset/one/key": {"one", false}, "roles/app": {"app", false}, "key": {"key", false}, "": {"", false},
		"creds/app/": {"app", true},
	} {
		if role, issues := RoleOf(path); role != want.role || issues != want.issues {
			t.Errorf("%q: %q, %v; want %q, %v", path, role, issues, want.role, want.issues)
		}
	}
}

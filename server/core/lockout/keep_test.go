package lockout

import (
	"errors"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
)

// again returns a guard as the next server has it.
func again(t *testing.T, s logical.Storage) *Guard {
	t.Helper()
	g := New(s)
	if err := g.Restore(t.Context()); err != nil {
		t.Fatal(err)
	}
	return g
}

func stored(t *testing.T, s logical.Storage) []string {
	t.Helper()
	keys, err := s.List(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func TestALockOutlivesTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		storage := &logical.InmemStorage{}
		g := New(storage)
		fail(t, g, alice, 4)
		if keys := stored(t, storage); len(keys) > 0 {
			t.Fatalf("stored before it locks: %q", keys)
		}
		fail(t, g, alice, 1)
		if keys := stored(t, storage); len(keys) != 1 || strings.Contains(keys[0], "alice") {
			t.Fatalf("stored %q", keys)
		}
		time.Sleep(10 * time.Minute)
		next := again(t, storage)
		if !errors.Is(allow(t, next, alice), ErrLocked) || len(next.Locked()) != 1 {
			t.Fatal("the lock is forgotten")
		}
		time.Sleep(5 * time.Minute)
		if err := allow(t, next, alice); err != nil {
			t.Fatalf("the lock does not end: %v", err)
		}
		if allow(t, again(t, storage), alice) != nil {
			t.Fatal("a lock that is over is restored")
		}
		if fail(t, next, alice, 4) || !fail(t, next, alice, 1) {
			t.Fatal("after a restored lock, counting does not start anew")
		}
	})
}

func TestWhoIsLetInAgainStaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, letIn := range map[string]func(*Guard) error{
			"by an operator": func(g *Guard) error { return g.Unlock(t.Context(), alice) },
			"by a login after the lock": func(g *Guard) error {
				time.Sleep(15 * time.Minute)
				return g.Succeeded(t.Context(), alice)
			},
		} {
			storage := &logical.InmemStorage{}
			fail(t, New(storage), alice, 5)
			g := again(t, storage)
			if err := letIn(g); err != nil {
				t.Fatal(err)
			}
			if keys := stored(t, storage); len(keys) > 0 || allow(t, again(t, storage), alice) != nil {
				t.Errorf("%s: %q are left", name, keys)
			}
		}
	})
}

func TestRandomNamesDoNotFillTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		storage := &logical.InmemStorage{}
		g := New(storage)
		name := func(i int) Name { return Name{Mount: "userpass_1", Alias: strconv.Itoa(i)} }
		for i := range maxKept + 10 {
			fail(t, g, name(i), 5)
		}
		if n := len(stored(t, storage)); n != maxKept || allow(t, g, name(maxKept+5)) == nil {
			t.Fatalf("%d stored; beyond them: %v", n, allow(t, g, name(maxKept+5)))
		}
		time.Sleep(15 * time.Minute)
		fail(t, g, alice, 5)
		if n := len(stored(t, storage)); n != 1 {
			t.Errorf("%d stored when all but one are over", n)
		}
	})
}

func TestALockThatCannotBeStoredHolds(t *testing.T) {
	storage := &logical.InmemStorage{}
	g := New(storage)
	fail(t, g, alice, 4)
	storage.Underlying().FailPut(true)
	locked, err := g.Failed(t.Context(), alice, Default())
	if !locked || err == nil || !errors.Is(allow(t, g, alice), ErrLocked) {
		t.Errorf("locked: %v, %v, %v", locked, err, allow(t, g, alice))
	}
}

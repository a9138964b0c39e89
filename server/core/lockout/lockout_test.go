package lockout

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
)

var alice = Name{Mount: "userpass_1", Alias: "alice"}

func fail(t *testing.T, g *Guard, n Name, times int) (locked bool) {
	t.Helper()
	for range times {
		var err error
		if locked, err = g.Failed(t.Context(), n, Default()); err != nil {
			t.Fatal(err)
		}
	}
	return locked
}

// allow begins a login that comes to nothing.
func allow(t *testing.T, g *Guard, n Name) error {
	t.Helper()
	end, err := g.Begin(t.Context(), n, Default())
	if err == nil {
		end()
	}
	return err
}

func TestTheFifthFailureLocksForAQuarterOfAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New(&logical.InmemStorage{})
		if fail(t, g, alice, 4) || allow(t, g, alice) != nil {
			t.Fatal("four failures locked")
		}
		if !fail(t, g, alice, 1) || !errors.Is(allow(t, g, alice), ErrLocked) {
			t.Fatal("five failures did not lock")
		}
		if err := allow(t, g, Name{Mount: "userpass_2", Alias: "alice"}); err != nil {
			t.Fatalf("the same name on another mount: %v", err)
		}
		time.Sleep(15*time.Minute - time.Nanosecond)
		if allow(t, g, alice) == nil || len(g.Locked()) != 1 {
			t.Fatal("the lock ended early")
		}
		time.Sleep(time.Nanosecond)
		if allow(t, g, alice) != nil || len(g.Locked()) != 0 {
			t.Fatal("the lock did not end")
		}
		if fail(t, g, alice, 4) || !fail(t, g, alice, 1) {
			t.Fatal("after a lock, counting does not start anew")
		}
	})
}

func TestFailuresAreForgotten(t *testing.T) {
	for name, forget := range map[string]func(context.Context, *Guard) error{
		"by a login that succeeds": func(ctx context.Context, g *Guard) error { return g.Succeeded(ctx, alice) },
		"with the time": func(context.Context, *Guard) error {
			time.Sleep(15 * time.Minute)
			return nil
		},
		"when an operator unlocks them": func(ctx context.Context, g *Guard) error { return g.Unlock(ctx, alice) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := New(&logical.InmemStorage{})
				fail(t, g, alice, 4)
				if err := forget(t.Context(), g); err != nil {
					t.Fatal(err)
				}
				if fail(t, g, alice, 4) {
					t.Fatal("old failures count")
				}
			})
		})
	}
}

func TestAnOperatorUnlocks(t *testing.T) {
	g := New(&logical.InmemStorage{})
	fail(t, g, alice, 5)
	if err := g.Unlock(t.Context(), alice); err != nil {
		t.Fatal(err)
	}
	if err := allow(t, g, alice); err != nil {
		t.Fatal(err)
	}
}

func TestSettingsOfAMountCompleteThemselves(t *testing.T) {
	got := Settings{Threshold: 2, Disabled: true}.Or(Settings{Threshold: 3, Duration: time.Hour}).Or(Default())
	if want := (Settings{Threshold: 2, Duration: time.Hour, CounterReset: 15 * time.Minute, Disabled: true}); got != want {
		t.Fatalf("got %+v; want %+v", got, want)
	}
	g := New(&logical.InmemStorage{})
	for range 20 {
		if _, err := g.Failed(t.Context(), alice, got); err != nil {
			t.Fatal(err)
		}
	}
	if allow(t, g, alice) != nil {
		t.Fatal("locked although it is disabled")
	}
}

func TestRandomNamesNeitherFillTheMemoryNorFreeTheLocked(t *testing.T) {
	g := New(&logical.InmemStorage{})
	fail(t, g, alice, 5)
	for i := range maxNames + 1000 {
		fail(t, g, Name{Mount: "userpass_1", Alias: strconv.Itoa(i)}, 1)
	}
	if len(g.records) > maxNames || allow(t, g, alice) == nil {
		t.Fatalf("%d names remembered, alice: %v", len(g.records), allow(t, g, alice))
	}
}

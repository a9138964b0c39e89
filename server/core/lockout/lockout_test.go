package lockout

import (
	"errors"
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

var alice = Name{Mount: "userpass_1", Alias: "alice"}

func fail(g *Guard, n Name, times int) (locked bool) {
	for range times {
		locked = g.Failed(n, Default())
	}
	return locked
}

func TestTheFifthFailureLocksForAQuarterOfAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New()
		if fail(g, alice, 4) || g.Allow(alice) != nil {
			t.Fatal("four failures locked")
		}
		if !fail(g, alice, 1) || !errors.Is(g.Allow(alice), ErrLocked) {
			t.Fatal("five failures did not lock")
		}
		if err := g.Allow(Name{Mount: "userpass_2", Alias: "alice"}); err != nil {
			t.Fatalf("the same name on another mount: %v", err)
		}
		time.Sleep(15*time.Minute - time.Nanosecond)
		if g.Allow(alice) == nil || len(g.Locked()) != 1 {
			t.Fatal("the lock ended early")
		}
		time.Sleep(time.Nanosecond)
		if g.Allow(alice) != nil || len(g.Locked()) != 0 {
			t.Fatal("the lock did not end")
		}
		if fail(g, alice, 4) || !fail(g, alice, 1) {
			t.Fatal("after a lock, counting does not start anew")
		}
	})
}

func TestFailuresAreForgotten(t *testing.T) {
	for name, forget := range map[string]func(*Guard){
		"by a login that succeeds":      func(g *Guard) { g.Succeeded(alice) },
		"with the time":                 func(*Guard) { time.Sleep(15 * time.Minute) },
		"when an operator unlocks them": func(g *Guard) { g.Unlock(alice) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := New()
				fail(g, alice, 4)
				forget(g)
				if fail(g, alice, 4) {
					t.Fatal("old failures count")
				}
			})
		})
	}
}

func TestAnOperatorUnlocks(t *testing.T) {
	g := New()
	fail(g, alice, 5)
	g.Unlock(alice)
	if err := g.Allow(alice); err != nil {
		t.Fatal(err)
	}
}

func TestSettingsOfAMountCompleteThemselves(t *testing.T) {
	got := Settings{Threshold: 2, Disabled: true}.Or(Settings{Threshold: 3, Duration: time.Hour}).Or(Default())
	if want := (Settings{Threshold: 2, Duration: time.Hour, CounterReset: 15 * time.Minute, Disabled: true}); got != want {
		t.Fatalf("got %+v; want %+v", got, want)
	}
	g := New()
	for range 20 {
		g.Failed(alice, got)
	}
	if g.Allow(alice) != nil {
		t.Fatal("locked although it is disabled")
	}
}

func TestRandomNamesNeitherFillTheMemoryNorFreeTheLocked(t *testing.T) {
	g := New()
	fail(g, alice, 5)
	for i := range maxNames + 1000 {
		g.Failed(Name{Mount: "userpass_1", Alias: strconv.Itoa(i)}, Default())
	}
	if len(g.records) > maxNames || g.Allow(alice) == nil {
		t.Fatalf("%d names remembered, alice: %v", len(g.records), g.Allow(alice))
	}
}

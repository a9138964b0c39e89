package lockout

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
)

// rush has a hundred clients log in at once, each for a second, and returns how
// many had their turn, how many were refused and how many were under way at a
// time.
func rush(t *testing.T, g *Guard, then func()) (turns, refused, most int) {
	t.Helper()
	underWay, done := 0, make(chan error)
	tell := make(chan int)
	for range 100 {
		go func() {
			end, err := g.Begin(t.Context(), alice, Default())
			if err == nil {
				tell <- 1
				time.Sleep(time.Second)
				then()
				tell <- -1
				end()
			}
			done <- err
		}()
	}
	for turns+refused < 100 {
		select {
		case change := <-tell:
			underWay += change
			most = max(most, underWay)
		case err := <-done:
			switch {
			case err == nil:
				turns++
			case errors.Is(err, ErrLocked):
				refused++
			default:
				t.Fatal(err)
			}
		}
	}
	return turns, refused, most
}

func TestGuessesSentAtOnceAreNoMoreThanTheThreshold(t *testing.T) {
	for before, want := range map[int]int{0: 5, 3: 2, 4: 1} {
		synctest.Test(t, func(t *testing.T) {
			g := New(&logical.InmemStorage{})
			fail(t, g, alice, before)
			turns, refused, _ := rush(t, g, func() { fail(t, g, alice, 1) })
			if turns != want || refused != 100-want {
				t.Errorf("after %d failures: %d guesses passed, %d were refused; want %d to pass", before, turns, refused, want)
			}
		})
	}
}

func TestAFleetThatLogsInAtOnceIsNotRefused(t *testing.T) {
	for name, then := range map[string]func(*Guard){
		"all succeed":      func(g *Guard) { _ = g.Succeeded(t.Context(), alice) },
		"none comes to it": func(*Guard) {}, // as when the directory is down
	} {
		synctest.Test(t, func(t *testing.T) {
			g := New(&logical.InmemStorage{})
			turns, _, most := rush(t, g, func() { then(g) })
			if turns != 100 || most > 5 {
				t.Errorf("%s: %d had their turn, up to %d at a time", name, turns, most)
			}
			if len(g.queues) > 0 || len(g.Locked()) > 0 {
				t.Errorf("%s: left are %d queues, locked %v", name, len(g.queues), g.Locked())
			}
		})
	}
}

func TestWhoGivesUpWaitingHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New(&logical.InmemStorage{})
		fail(t, g, alice, 4)
		end, err := g.Begin(t.Context(), alice, Default())
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := g.Begin(ctx, alice, Default()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("it waited until %v", err)
		}
		end()
		if err := allow(t, g, alice); err != nil || len(g.queues) > 0 {
			t.Errorf("afterwards: %v, %d queues", err, len(g.queues))
		}
	})
}

func TestALoweredThresholdLeavesOneTry(t *testing.T) {
	g := New(&logical.InmemStorage{})
	fail(t, g, alice, 4)
	end, err := g.Begin(t.Context(), alice, Settings{Threshold: 2}.Or(Default()))
	if err != nil {
		t.Fatal(err)
	}
	end()
}

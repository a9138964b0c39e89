package database

import (
	"context"
	"strings"
	"sync"
	"testing"
)

func TestOneAtATimeHasATurnAndNoneIsKept(t *testing.T) {
	var all turns
	var group sync.WaitGroup
	var working, most int // guarded by the turn
	for range 50 {
		group.Go(func() {
			done, err := all.take(t.Context(), "report")
			if err != nil {
				t.Error(err)
				return
			}
			working++
			most = max(most, working)
			working--
			done()
		})
	}
	group.Wait()
	if most != 1 || len(all.byName) != 0 {
		t.Errorf("%d at a time, and %d turns are kept", most, len(all.byName))
	}
}

func TestWhoStopsWaitingTakesNoTurn(t *testing.T) {
	var all turns
	done, err := all.take(t.Context(), "report")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := all.take(ctx, "report"); err == nil || !strings.Contains(err.Error(), `about "report"`) {
		t.Errorf("got %v", err)
	}
	done()
	if done, err = all.take(t.Context(), "report"); err != nil {
		t.Fatal(err)
	}
	done()
	if len(all.byName) != 0 {
		t.Errorf("%d turns are kept", len(all.byName))
	}
}

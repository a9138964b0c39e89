package batch

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// add calls Do with the numbers from first to last, in order, and returns their
// outcomes.
func add(q *Queue[int], first, last int) func() []error {
	errs := make([]error, last-first+1)
	var group sync.WaitGroup
	for i := range errs {
		group.Go(func() { errs[i] = q.Do(context.Background(), first+i) })
		synctest.Wait()
	}
	return func() []error {
		group.Wait()
		return errs
	}
}

func TestWhoComesWhileOthersAreServedIsServedTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var batches [][]int
		q := New(1, 3, func(items []int) error {
			batches = append(batches, slices.Clone(items))
			time.Sleep(time.Second)
			return nil
		})
		for _, err := range add(q, 1, 8)() {
			if err != nil {
				t.Error(err)
			}
		}
		want := [][]int{{1}, {2, 3, 4}, {5, 6, 7}, {8}}
		if !slices.EqualFunc(batches, want, slices.Equal) {
			t.Errorf("got %v, want %v", batches, want)
		}
	})
}

func TestAtMostTheLimitIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		q := New(2, 1, func([]int) error { time.Sleep(time.Second); return nil })
		add(q, 1, 10)()
		if took := time.Since(begun); took != 5*time.Second {
			t.Errorf("ten items by two took %s, want 5s", took)
		}
	})
}

func TestAFailureIsThatOfItsBatchAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("broken")
		q := New(1, 2, func(items []int) error {
			time.Sleep(time.Second)
			if slices.Contains(items, 3) {
				return broken
			}
			return nil
		})
		for i, err := range add(q, 1, 5)() {
			if failed := i+1 == 2 || i+1 == 3; failed != errors.Is(err, broken) {
				t.Errorf("item %d: %v", i+1, err)
			}
		}
	})
}

func TestWhoGivesUpDoesNotStopTheWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var worked atomic.Bool
		q := New(1, 1, func([]int) error { time.Sleep(time.Second); worked.Store(true); return nil })
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if err := q.Do(ctx, 1); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		time.Sleep(2 * time.Second)
		if !worked.Load() {
			t.Error("the work has ended with its client")
		}
	})
}

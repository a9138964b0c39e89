package work

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestAtMostTheLimitRunsAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPool(4)
		var now, most, done atomic.Int64
		var all sync.WaitGroup
		start := time.Now()
		for range 40 {
			all.Add(1)
			p.Go(func() {
				defer all.Done()
				most.Store(max(most.Load(), now.Add(1)))
				time.Sleep(time.Second)
				now.Add(-1)
				done.Add(1)
			})
		}
		all.Wait()
		if most.Load() != 4 || done.Load() != 40 {
			t.Fatalf("%d jobs done, %d at a time; want 40 and 4", done.Load(), most.Load())
		}
		if took := time.Since(start); took != 10*time.Second {
			t.Fatalf("took %v; want 10s", took)
		}
	})
}

func TestJobsRunInOrder(t *testing.T) {
	p := NewPool(1)
	var got []int
	var all sync.WaitGroup
	for i := range 100 {
		all.Add(1)
		p.Go(func() { defer all.Done(); got = append(got, i) })
	}
	all.Wait()
	for i, n := range got {
		if i != n {
			t.Fatalf("job %d ran in place %d", n, i)
		}
	}
}

package expiry

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// alarm counts how often it fired and remembers when.
type alarm struct {
	Timer
	fired atomic.Int64
	at    atomic.Int64 // nanoseconds since the test began
	start time.Time
}

func (a *alarm) Expire() {
	a.fired.Add(1)
	a.at.Store(int64(time.Since(a.start)))
}

func run(t *testing.T, q *Queue) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- q.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Run returned %v", err)
		}
	})
}

func TestEachDeadlineFiresOnceAtItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := New()
		run(t, q)
		start := time.Now()
		alarms := make([]*alarm, 500)
		for i := range alarms {
			alarms[i] = &alarm{start: start}
			q.Set(&alarms[i].Timer, start.Add(time.Duration(rand.IntN(10_000))*time.Millisecond), alarms[i])
		}
		want := make([]time.Duration, len(alarms))
		for i, a := range alarms {
			want[i] = a.Timer.at.Sub(start)
		}
		time.Sleep(11 * time.Second)
		synctest.Wait()
		for i, a := range alarms {
			if a.fired.Load() != 1 || time.Duration(a.at.Load()) != want[i] {
				t.Fatalf("alarm %d fired %d times, at %v; want once at %v", i, a.fired.Load(), time.Duration(a.at.Load()), want[i])
			}
		}
	})
}

func TestADeadlineCanBeMovedAndStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := New()
		run(t, q)
		start := time.Now()
		later, earlier, stopped := &alarm{start: start}, &alarm{start: start}, &alarm{start: start}
		for _, a := range []*alarm{later, earlier, stopped} {
			q.Set(&a.Timer, start.Add(10*time.Second), a)
		}
		q.Set(&later.Timer, start.Add(20*time.Second), later)
		q.Set(&earlier.Timer, start.Add(time.Second), earlier)
		q.Stop(&stopped.Timer)
		q.Stop(&stopped.Timer)
		time.Sleep(time.Minute)
		synctest.Wait()
		got := []int64{later.at.Load(), earlier.at.Load(), stopped.fired.Load()}
		if !slices.Equal(got, []int64{int64(20 * time.Second), int64(time.Second), 0}) {
			t.Fatalf("later, earlier, stopped = %v", got)
		}
	})
}

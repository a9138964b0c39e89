// Package expiry wakes what has come to its end: leases and tokens.
//
// One Queue is one heap of deadlines and one goroutine (Run) that sleeps until
// the first of them; ten thousand deadlines cost no goroutine each. Whatever
// expires embeds a Timer, so that setting, moving and stopping a deadline
// allocate nothing.
package expiry

import (
	"container/heap"
	"context"
	"sync"
	"time"
)

// Expirer is told once that its time has come. Expire is called from the
// queue's only goroutine: it must hand long work on, and may set its timer
// again.
type Expirer interface {
	Expire()
}

// Timer is the place of one deadline in a queue. The zero Timer is stopped.
type Timer struct {
	at    time.Time
	owner Expirer
	index int // place in the heap + 1; 0 when stopped
}

// Queue holds deadlines. Make one with New.
type Queue struct {
	wake chan struct{} // the first deadline may have changed

	mu     sync.Mutex
	timers timers // guarded by mu, as are the timers in it
}

// New returns an empty queue; it fires nothing until Run is called.
func New() *Queue { return &Queue{wake: make(chan struct{}, 1)} }

// Set makes t fire at the given time for owner, wherever it stood before.
func (q *Queue) Set(t *Timer, at time.Time, owner Expirer) {
	q.mu.Lock()
	t.at, t.owner = at, owner
	if t.index == 0 {
		heap.Push(&q.timers, t)
	} else {
		heap.Fix(&q.timers, t.index-1)
	}
	first := t.index == 1
	q.mu.Unlock()

	if first {
		select {
		case q.wake <- struct{}{}:
		default:
		}
	}
}

// Stop takes t out of the queue; stopping a stopped timer does nothing.
func (q *Queue) Stop(t *Timer) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if t.index != 0 {
		heap.Remove(&q.timers, t.index-1)
	}
}

// Run fires deadlines until ctx ends, and returns ctx's error.
func (q *Queue) Run(ctx context.Context) error {
	sleep := time.NewTimer(time.Hour)
	defer sleep.Stop()
	for {
		sleep.Reset(q.fire())
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-q.wake:
		case <-sleep.C:
		}
	}
}

// fire tells every owner whose time has come and returns how long there is
// nothing to do.
func (q *Queue) fire() time.Duration {
	for {
		owner, wait := q.next()
		if owner == nil {
			return wait
		}
		owner.Expire()
	}
}

// next takes the first timer out when it is due; else it returns the time
// until the first is due.
func (q *Queue) next() (Expirer, time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.timers) == 0 {
		return nil, time.Hour
	}
	first := q.timers[0]
	if wait := time.Until(first.at); wait > 0 {
		return nil, wait
	}
	heap.Pop(&q.timers)
	return first.owner, 0
}

// timers implements heap.Interface, earliest deadline first.
type timers []*Timer

func (h timers) Len() int           { return len(h) }
func (h timers) Less(i, j int) bool { return h[i].at.Before(h[j].at) }
func (h timers) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i+1, j+1
}

func (h *timers) Push(x any) {
	t := x.(*Timer)
	*h = append(*h, t)
	t.index = len(*h)
}

func (h *timers) Pop() any {
	last := len(*h) - 1
	t := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	t.index = 0
	return t
}

// Package batch lets those who come at the same time share one piece of work:
// an fsync, a transaction.
//
// Nobody waits for others to come. The first item is worked on alone; whatever
// comes meanwhile is the next batch. So the batches grow with the load, and an
// item that comes alone loses no time.
package batch

import (
	"context"
	"fmt"
	"sync"
)

// Queue hands items on in batches. Make one with New.
type Queue[T any] struct {
	work  func([]T) error
	limit int
	most  int

	mu      sync.Mutex
	waiting []place[T] // guarded by mu; oldest first
	running int        // guarded by mu
}

// place is an item and who waits for it.
type place[T any] struct {
	item T
	done chan<- error
}

// New returns a queue that calls work with at most so many items, and has at
// most limit calls under way. What work returns is the outcome of every item of
// its batch.
func New[T any](limit, most int, work func([]T) error) *Queue[T] {
	return &Queue[T]{work: work, limit: limit, most: most}
}

// Do adds an item and returns the outcome of its batch. When ctx ends before, it
// returns ctx's error, and the work goes on.
func (q *Queue[T]) Do(ctx context.Context, item T) error {
	done := make(chan error, 1)
	q.mu.Lock()
	q.waiting = append(q.waiting, place[T]{item, done})
	if q.running < q.limit {
		q.running++
		go q.run()
	}
	q.mu.Unlock()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("waiting for work that is shared: %w", context.Cause(ctx))
	}
}

// run works until nobody waits any more.
func (q *Queue[T]) run() {
	for places := q.next(); places != nil; places = q.next() {
		items := make([]T, len(places))
		for i, p := range places {
			items[i] = p.item
		}
		err := q.work(items)
		for _, p := range places {
			p.done <- err
		}
	}
}

// next returns the oldest items, or nil when this goroutine may end.
func (q *Queue[T]) next() []place[T] {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		q.running--
		return nil
	}
	n := min(q.most, len(q.waiting))
	next := q.waiting[:n:n]
	q.waiting = q.waiting[n:]
	return next
}

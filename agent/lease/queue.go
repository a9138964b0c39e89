package lease

import (
	"container/heap"
	"time"

	"github.com/novatech/securevault/agent/schedule"
	"github.com/novatech/securevault/internal/vault"
)

// task is a place in the queue: an entry whose next action is due at a time,
// or a replaced credential that is to be revoked then.
type task struct {
	at    time.Time
	index int // in the queue; -1 outside
	entry *entry
	drain *drain
}

// drain is a credential on its way out.
type drain struct {
	credential *credential
	want       vault.Want
	policy     schedule.Policy
	task       task
	failures   int
}

// queue is a heap of tasks, the soonest first.
type queue []*task

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].at.Before(q[j].at) }
func (q queue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i, j
}

// Push implements [heap.Interface].
func (q *queue) Push(x any) {
	t := x.(*task)
	t.index = len(*q)
	*q = append(*q, t)
}

// Pop implements [heap.Interface].
func (q *queue) Pop() any {
	old := *q
	t := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	t.index = -1
	return t
}

// put places or moves t in the queue.
func (q *queue) put(t *task, at time.Time) {
	t.at = at
	if t.index >= 0 {
		heap.Fix(q, t.index)
		return
	}
	heap.Push(q, t)
}

// remove takes t out, if it is in.
func (q *queue) remove(t *task) {
	if t.index >= 0 {
		heap.Remove(q, t.index)
	}
}

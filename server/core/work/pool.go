// Package work runs jobs on a bounded number of goroutines that live only as
// long as there is something to do: an idle pool costs nothing, and a pool
// stuck on a slow system stalls nobody else's.
package work

import "sync"

// Pool runs jobs in the order they came, at most limit at a time.
type Pool struct {
	limit int

	mu      sync.Mutex
	waiting []func() // guarded by mu; oldest first
	running int      // guarded by mu
}

// NewPool returns a pool that runs at most limit jobs at a time.
func NewPool(limit int) *Pool { return &Pool{limit: limit} }

// Go queues job and returns at once.
func (p *Pool) Go(job func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running < p.limit {
		p.running++
		go p.run(job)
		return
	}
	p.waiting = append(p.waiting, job)
}

func (p *Pool) run(job func()) {
	for job != nil {
		job()
		job = p.next()
	}
}

// next returns the oldest waiting job, or nil when this goroutine may end.
func (p *Pool) next() func() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.waiting) == 0 {
		p.waiting = nil
		p.running--
		return nil
	}
	job := p.waiting[0]
	p.waiting[0] = nil
	p.waiting = p.waiting[1:]
	return job
}

package lockout

import (
	"context"
	"slices"
	"time"
)

// queue is the logins of one name that have begun.
type queue struct {
	threshold int          // of the settings that came last
	underWay  int          // logins that have their turn
	waiting   []chan error // those that wait for it, in the order they came; told nil, or ErrLocked
}

// Begin waits for the turn of a login, which its caller ends by end, after
// Failed or Succeeded. It returns ErrLocked while the logins of the name are to
// be refused, and the cause of ctx when that ends first. Settings must be
// complete.
//
// All logins under way may fail, so there are never more of them than failures
// are left before the lock: guesses that are sent at once are no more than
// guesses sent in turn. The others wait and are not refused, for a whole fleet
// may log in at once by one AppRole.
func (g *Guard) Begin(ctx context.Context, n Name, s Settings) (end func(), err error) {
	turn := make(chan error, 1)
	q := g.queueUp(n, s, turn)
	select {
	case err = <-turn:
	case <-ctx.Done():
		if g.leave(q, turn) {
			return nil, context.Cause(ctx)
		}
		err = <-turn
	}
	if err != nil {
		return nil, err
	}
	return func() { g.finish(n, q) }, nil
}

func (g *Guard) queueUp(n Name, s Settings, turn chan error) *queue {
	g.mu.Lock()
	defer g.mu.Unlock()
	q, ok := g.queues[n]
	if !ok {
		q = &queue{}
		g.queues[n] = q
	}
	q.threshold = s.Threshold
	q.waiting = append(q.waiting, turn)
	g.advance(n, q)
	return q
}

// leave reports whether turn was still waited for, which it is not any more.
func (g *Guard) leave(q *queue, turn chan error) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	at := slices.Index(q.waiting, turn)
	if at < 0 {
		return false
	}
	q.waiting = slices.Delete(q.waiting, at, at+1)
	return true
}

func (g *Guard) finish(n Name, q *queue) {
	g.mu.Lock()
	defer g.mu.Unlock()
	q.underWay--
	g.advance(n, q)
}

// advance gives those who wait their turn, or the refusal, as far as it is
// certain. The caller holds mu.
func (g *Guard) advance(n Name, q *queue) {
	locked, left := g.standing(n, q.threshold)
	for len(q.waiting) > 0 && (locked || q.underWay < left) {
		var refusal error
		if locked {
			refusal = ErrLocked
		} else {
			q.underWay++
		}
		q.waiting[0] <- refusal
		q.waiting = q.waiting[1:]
	}
	if q.underWay == 0 { // then nobody waits
		delete(g.queues, n)
	}
}

// standing reports whether a name is locked, and how many failures are left
// before it is: at least one, also when the threshold was lowered meanwhile.
// The caller holds mu.
func (g *Guard) standing(n Name, threshold int) (locked bool, left int) {
	now := time.Now()
	r, ok := g.records[n]
	switch {
	case !ok || r.stale(now):
		return false, threshold
	case r.locked(now):
		return true, 0
	}
	return false, max(1, threshold-r.failures)
}

package database

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
)

// rotatorPeriod is how late a rotation may begin.
const rotatorPeriod = time.Second

// rotator knows when which static role is due, and rotates them. The zero value
// plans, and does nothing until it is started.
//
// It looks at the clock on the wall again and again, instead of waiting for the
// next deadline: schedules are in wall time, and machines are put to sleep. The
// mounts' periodic work runs once a minute, which is too seldom for it.
type rotator struct {
	cancel context.CancelFunc // nil: not started
	ended  sync.WaitGroup     // of everything it has started

	mu   sync.Mutex
	dues map[string]due  // static role → its next rotation
	busy map[string]bool // configs whose roles are being rotated
}

// due is a rotation to come.
type due struct {
	config string
	at     time.Time
}

// plan sets when the role is rotated next.
func (r *rotator) plan(name, config string, at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.dues == nil {
		r.dues = map[string]due{}
	}
	r.dues[name] = due{config, at}
}

// postpone moves a rotation that is planned.
func (r *rotator) postpone(name string, at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if next, ok := r.dues[name]; ok {
		next.at = at
		r.dues[name] = next
	}
}

func (r *rotator) forget(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.dues, name)
}

// claim returns the static roles that are due, by config, without those of configs
// that are busy; the others become so until they are freed. So a database that
// hangs delays its own roles only.
func (r *rotator) claim(now time.Time) map[string][]string {
	r.mu.Lock()
	defer r.mu.Unlock()
	byConfig := map[string][]string{}
	for name, next := range r.dues {
		if !next.at.After(now) && !r.busy[next.config] {
			byConfig[next.config] = append(byConfig[next.config], name)
		}
	}
	if r.busy == nil {
		r.busy = map[string]bool{}
	}
	for config := range byConfig {
		r.busy[config] = true
	}
	return byConfig
}

func (r *rotator) free(config string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.busy, config)
}

// start runs the rotator until stop.
func (r *rotator) start(rotate func(ctx context.Context, name string)) {
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	r.ended.Go(func() {
		ticker := time.NewTicker(rotatorPeriod)
		defer ticker.Stop()
		for {
			for config, names := range r.claim(time.Now()) {
				r.ended.Go(func() {
					defer r.free(config)
					for _, name := range names {
						rotate(ctx, name)
					}
				})
			}
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
		}
	})
}

// stop ends rotations under way, and waits for that. What they leave behind is
// settled at the next start.
func (r *rotator) stop() {
	if r.cancel != nil {
		r.cancel()
		r.ended.Wait()
	}
}

// startRotator plans the static roles there are. One that cannot be read stands in
// nobody's way.
func (b *backend) startRotator(ctx context.Context, req *logical.InitializationRequest) error {
	names, err := req.Storage.List(ctx, staticPrefix)
	if err != nil {
		return fmt.Errorf("listing static roles: %w", err)
	}
	for _, name := range names {
		role, err := loadStatic(ctx, req.Storage, name)
		if err != nil {
			b.Logger().Error("a static role cannot be read and is not rotated", "role", name, "error", err)
			continue
		}
		if role != nil {
			b.rotator.plan(name, role.Config, role.due(time.Now()))
		}
	}
	b.rotator.start(func(ctx context.Context, name string) { b.rotateDue(ctx, req.Storage, name) })
	return nil
}

// rotateDue rotates the role if it still has to be. Failures are stored and logged.
func (b *backend) rotateDue(ctx context.Context, storage logical.Storage, name string) {
	done, err := b.turns.take(ctx, name)
	if err != nil {
		return // the engine stops
	}
	defer done()
	role, err := loadStatic(ctx, storage, name)
	switch {
	case err != nil:
		b.Logger().Error("loading a static role that is due", "role", name, "error", err)
		b.rotator.postpone(name, time.Now().Add(longestRetry))
	case role == nil:
		b.rotator.forget(name)
	case !role.due(time.Now()).After(time.Now()):
		_ = b.rotateStatic(ctx, storage, name, role)
	default:
		b.rotator.plan(name, role.Config, role.due(time.Now()))
	}
}

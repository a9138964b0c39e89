package lease

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/novatech/securevault/internal/vault"
)

// drain schedules the end of a credential that nothing uses any more. One
// that ends by itself, or that the server has lost, is only forgotten.
func (m *Manager) drain(e *entry, c *credential, now time.Time) {
	if !c.leased() || c.gone || !c.ends().After(now) {
		return
	}
	d := &drain{credential: c, name: e.want.String(), policy: e.policy}
	d.task = task{index: -1, drain: d}
	m.drains[d] = struct{}{}
	at := now.Add(e.policy.OverlapFor(c.full))
	m.queue.put(&d.task, at)
}

// revoke ends a drained credential. It runs without the lock.
func (m *Manager) revoke(ctx context.Context, d *drain, token vault.Token) {
	var err error
	if d.credential.ends().After(time.Now()) {
		err = m.cfg.Server.Revoke(ctx, token, d.credential.secret.LeaseID)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	defer signal(m.wake)
	m.inflight--
	fields := []zap.Field{zap.String("secret", d.name), zap.String("lease", d.credential.secret.LeaseID)}
	switch vault.Classify(err) {
	case vault.None:
		m.stats.Revoked++
		m.cfg.Log.Info("replaced lease revoked", fields...)
		delete(m.drains, d)
	case vault.Refused:
		m.stats.Failed++
		m.cfg.Log.Warn("revoking a replaced lease was refused: it lives on until its own end; "+
			"allow \"update\" on sys/leases/revoke in the token's policy",
			append(fields, zap.Time("ends", d.credential.ends()), zap.Error(err))...)
		delete(m.drains, d)
	default:
		m.stats.Failed++
		d.failures++
		retry := d.policy.Backoff(vault.Classify(err), d.failures, d.credential.version)
		m.queue.put(&d.task, time.Now().Add(retry))
		m.cfg.Log.Debug("revoking a replaced lease failed", append(fields, zap.Duration("retry", retry), zap.Error(err))...)
	}
}

// Revoke ends every lease that is held, after the requests in flight have
// settled, since their answers may bring another one. It is the last call,
// made once Run has returned; ctx bounds it. The error says how many leases
// may still be alive.
func (m *Manager) Revoke(ctx context.Context) error {
	if err := m.settled(ctx); err != nil {
		m.cfg.Log.Warn("requests were still in flight at shutdown", zap.Error(err))
	}
	m.mu.Lock()
	held, token := m.heldLocked(), m.token
	m.mu.Unlock()
	var left atomic.Int64
	var group errgroup.Group
	group.SetLimit(m.cfg.Connections)
	for _, c := range held {
		group.Go(func() error {
			err := m.cfg.Server.Revoke(ctx, token, c.secret.LeaseID)
			if err != nil {
				left.Add(1)
				return err
			}
			m.forget(c)
			m.cfg.Log.Info("lease revoked at shutdown", zap.String("lease", c.secret.LeaseID))
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("revoking the leases held at shutdown: %d of %d may live until their TTL: %w", left.Load(), len(held), err)
	}
	return nil
}

// settled waits until no request is in flight.
func (m *Manager) settled(ctx context.Context) error {
	for {
		m.mu.Lock()
		inflight := m.inflight
		m.mu.Unlock()
		if inflight == 0 {
			return nil
		}
		select {
		case <-m.wake:
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), fmt.Errorf("%d requests", inflight))
		}
	}
}

// forget counts a credential as revoked, so that a second Revoke tries only
// the rest.
func (m *Manager) forget(revoked *credential) {
	m.mu.Lock()
	defer m.mu.Unlock()
	revoked.gone = true
	m.stats.Revoked++
}

// heldLocked returns every credential with a lease that may be alive.
func (m *Manager) heldLocked() []*credential {
	var held []*credential
	add := func(c *credential) {
		if c != nil && c.leased() && !c.gone && c.ends().After(time.Now()) {
			held = append(held, c)
		}
	}
	for _, e := range m.entries {
		add(e.current)
		for _, c := range e.replaced {
			add(c)
		}
	}
	for d := range m.drains {
		add(d.credential)
	}
	return held
}

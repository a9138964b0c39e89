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

// revokeTries is how often the revocation of a lease at shutdown is sent.
const revokeTries = 4

// drain schedules the end of a credential that nothing uses any more. One
// that ends by itself, or that the server has lost, is only forgotten.
func (m *Manager) drain(e *entry, c *credential, now time.Time) {
	if !c.leased() || c.gone || !c.ends().After(now) {
		if c.leased() && !c.gone {
			m.stats.Expired++
		}
		m.unnote(e.want, c)
		return
	}
	d := &drain{credential: c, want: e.want, policy: e.policy}
	d.task = task{index: -1, drain: d}
	m.drains[d] = struct{}{}
	at := now.Add(e.policy.OverlapFor(c.full))
	m.queue.put(&d.task, at)
}

// revoke ends a drained credential. It runs without the lock.
func (m *Manager) revoke(ctx context.Context, d *drain, token vault.Token) {
	var err error
	expired := !d.credential.ends().After(time.Now())
	if !expired {
		err = m.cfg.Server.Revoke(ctx, token, d.credential.secret.LeaseID)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	defer signal(m.wake)
	m.answered(token)
	if expired {
		m.stats.Expired++
		m.cfg.Log.Info("replaced lease ended by itself", fieldsOf(d.want, d.credential)...)
		m.forget(d)
		return
	}
	fields := fieldsOf(d.want, d.credential)
	switch vault.Classify(err) {
	case vault.None:
		m.stats.Revoked++
		m.cfg.Log.Info("replaced lease revoked", fields...)
		m.forget(d)
	case vault.Refused:
		m.stats.Failed++
		m.cfg.Log.Warn("revoking a replaced lease was refused: it lives on until its own end; "+
			"allow \"update\" on sys/leases/revoke in the token's policy",
			append(fields, zap.Time("ends", d.credential.ends()), zap.Error(err))...)
		m.forget(d)
	default:
		m.stats.Failed++
		d.failures++
		retry := d.policy.Backoff(vault.Classify(err), d.failures, d.credential.version)
		m.queue.put(&d.task, time.Now().Add(retry))
		m.cfg.Log.Debug("revoking a replaced lease failed", append(fields, zap.Duration("retry", retry), zap.Error(err))...)
	}
}

func fieldsOf(want vault.Want, c *credential) []zap.Field {
	return []zap.Field{zap.Stringer("secret", want), zap.String("lease", c.secret.LeaseID)}
}

func (m *Manager) forget(d *drain) {
	delete(m.drains, d)
	m.unnote(d.want, d.credential)
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
			err := vault.Insist(ctx, revokeTries, func(ctx context.Context) error {
				return m.cfg.Server.Revoke(ctx, token, c.secret.LeaseID)
			})
			if err != nil {
				left.Add(1)
				return err
			}
			m.ended(c)
			m.cfg.Log.Info("lease revoked at shutdown", zap.String("lease", c.secret.LeaseID))
			return nil
		})
	}
	err := group.Wait()
	m.mu.Lock()
	saving := m.save(time.Now())
	m.mu.Unlock()
	if err = errors.Join(err, saving); err != nil {
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

// ended counts a credential as revoked, so that a second Revoke tries only
// the rest.
func (m *Manager) ended(revoked *credential) {
	m.mu.Lock()
	defer m.mu.Unlock()
	revoked.gone = true
	m.unnote(vault.Want{}, revoked) // a leased one is known by its lease alone
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

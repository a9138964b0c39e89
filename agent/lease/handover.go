package lease

import (
	"context"

	"go.uber.org/zap"

	"github.com/novatech/securevault/agent/state"
	"github.com/novatech/securevault/internal/vault"
)

// Held returns all that is held, for another manager to go on with, after the
// requests in flight have settled. It is called once Run has returned; ctx
// bounds the wait.
func (m *Manager) Held(ctx context.Context) []state.Record {
	if err := m.settled(ctx); err != nil {
		m.cfg.Log.Warn("requests were still in flight when the leases were handed on", zap.Error(err))
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []state.Record
	add := func(w vault.Want, credentials ...*credential) {
		for _, c := range credentials {
			if c == nil || c.gone {
				continue
			}
			if r, ok := m.record(w, c); ok {
				all = append(all, r)
			}
		}
	}
	for w, credentials := range m.adopted {
		add(w, credentials...)
	}
	for d := range m.drains {
		add(d.want, d.credential)
	}
	for w, e := range m.entries {
		add(w, append(e.replaced, e.current)...)
	}
	return all
}

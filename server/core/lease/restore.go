package lease

import (
	"context"
	"errors"
	"fmt"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/store"
)

// Restore reads every lease and sets its deadline; those that ended meanwhile,
// and those that were intended but never registered, are revoked as soon as the
// queue runs. Everything else may be called before it is done. A record that
// cannot be read is named in the log and left where it is.
func (m *Manager) Restore(ctx context.Context) error {
	ids, err := logical.CollectKeys(ctx, m.storage)
	if err != nil {
		return fmt.Errorf("listing leases: %w", err)
	}
	for _, id := range ids {
		_, err := m.recall(ctx, id)
		switch {
		case ctx.Err() != nil:
			return fmt.Errorf("restoring leases: %w", ctx.Err())
		case err != nil && !errors.Is(err, ErrNotFound):
			m.logger.Error("a lease cannot be restored", "lease_id", id, "error", err)
		}
	}
	m.mu.Lock()
	m.ended = nil
	m.mu.Unlock()
	close(m.restored)
	return nil
}

// wait returns when memory knows every lease, or ctx ends.
func (m *Manager) wait(ctx context.Context) error {
	select {
	case <-m.restored:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting until the leases are restored: %w", ctx.Err())
	}
}

// find returns the entry of a lease, from storage if need be.
func (m *Manager) find(ctx context.Context, id string) (*entry, error) {
	m.mu.Lock()
	e, known := m.entries[id]
	m.mu.Unlock()
	if known {
		return e, nil
	}
	select {
	case <-m.restored:
		return nil, ErrNotFound
	default:
		return m.recall(ctx, id)
	}
}

// recall makes a lease in storage known, unless it is known or has been ended.
func (m *Manager) recall(ctx context.Context, id string) (*entry, error) {
	h, err := store.GetJSON[header](ctx, m.storage, id)
	if errors.Is(err, logical.ErrRelativePath) || err == nil && h == nil {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if e, known := m.entries[id]; known {
		return e, nil
	}
	if _, ended := m.ended[id]; ended {
		return nil, ErrNotFound
	}
	e := &entry{manager: m, id: id, token: h.Token}
	if h.Failure != "" {
		e.trouble = &trouble{failures: irrevocableAfter, reason: h.Failure}
	}
	m.index(e, Group{h.Mount, h.Role}, nil)
	m.queue.Set(&e.Timer, h.ExpireTime, e)
	return e, nil
}

// Tidy makes records known that memory has lost, so that they end as leases do,
// and returns their number.
func (m *Manager) Tidy(ctx context.Context) (found int, err error) {
	if err := m.wait(ctx); err != nil {
		return 0, err
	}
	ids, err := logical.CollectKeys(ctx, m.storage)
	if err != nil {
		return 0, fmt.Errorf("listing leases: %w", err)
	}
	for _, id := range ids {
		m.mu.Lock()
		_, known := m.entries[id] // a record is removed before its entry, and written after
		m.mu.Unlock()
		if known {
			continue
		}
		switch _, err := m.recall(ctx, id); {
		case err == nil:
			found++
		case !errors.Is(err, ErrNotFound):
			return found, err
		}
	}
	return found, nil
}

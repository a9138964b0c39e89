package mount

import (
	"context"
	"fmt"
	"maps"

	"github.com/novatech/securevault/server/store"
)

// Move ends what the mount at from has given out, whose ids begin with its path,
// and lets it answer at to with all it stored. If something cannot be ended, the
// mount stays where it is.
func (t *Table) Move(ctx context.Context, from, to string) error {
	to, err := cleanPath(to)
	if err != nil {
		return err
	}
	t.changing.Lock()
	defer t.changing.Unlock()
	m, err := t.Get(from)
	if err != nil {
		return err
	}
	e := *m.Entry()
	e.Path = to
	switch {
	case m.builtIn:
		return fmt.Errorf("%w: %q is part of the server and cannot be moved", ErrInvalid, from)
	case e.IsAuth() != m.Entry().IsAuth():
		return fmt.Errorf("%w: secrets engines and auth methods do not become each other: begin both paths with %q, or neither", ErrInvalid, AuthPrefix)
	}
	if err := t.vacant(to); err != nil {
		return err
	}
	m.close()
	defer m.closing.Store(false)
	if err := t.settings.Drain(ctx, m); err != nil {
		return fmt.Errorf("moving %q: %w", from, err)
	}
	if err := store.PutJSON(ctx, t.records, e.UUID, &e); err != nil {
		return fmt.Errorf("moving %q: %w", from, err)
	}
	routes := maps.Clone(*t.routes.Load())
	delete(routes, m.Entry().Path)
	routes[to] = m
	t.settings.Logger.Info("moved", "from", m.Entry().Path, "path", to, "type", e.Type)
	m.entry.Store(&e)
	t.routes.Store(&routes)
	return nil
}

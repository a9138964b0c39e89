package mount

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-uuid"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/store"
)

// rollbackPeriod is how often the periodic work of every mount runs.
const rollbackPeriod = time.Minute

// The errors of changing the table; they are wrapped with what to do.
var (
	ErrInvalid  = errors.New("invalid mount")
	ErrNotFound = errors.New("no such mount")
)

// Settings is what a Table works with.
type Settings struct {
	Store   store.Store
	Engines map[string]logical.Factory // type → secrets engine
	Methods map[string]logical.Factory // type → auth method
	Server  Server
	Logger  hclog.Logger
	// Drain ends everything that a mount has given out, before it goes.
	Drain func(ctx context.Context, m *Mount) error
}

// Table holds the mounts. Its methods are safe for concurrent use.
type Table struct {
	settings Settings
	records  logical.Storage // mount uuid → Entry

	changing sync.Mutex                        // held by those who change routes
	routes   atomic.Pointer[map[string]*Mount] // path → mount; replaced, never changed
}

// NewTable returns a table without mounts.
func NewTable(s Settings) *Table {
	t := &Table{settings: s, records: store.View(s.Store, "core/mounts/")}
	t.routes.Store(&map[string]*Mount{})
	return t
}

// Attach mounts a part of the server itself. Only how it was tuned is kept.
func (t *Table) Attach(ctx context.Context, e Entry, factory logical.Factory) error {
	e.UUID = e.Type
	e.Accessor = e.Type + "_builtin"
	tuned, err := store.GetJSON[Entry](ctx, t.records, e.UUID)
	if err != nil {
		return err
	}
	if tuned != nil {
		e = *tuned
	}
	m, err := t.start(ctx, &e, factory)
	if err != nil {
		return err
	}
	m.builtIn = true
	t.changing.Lock()
	defer t.changing.Unlock()
	t.route(m)
	return nil
}

// Restore starts every mount that was enabled; the server's own parts are
// attached before.
func (t *Table) Restore(ctx context.Context) error {
	t.changing.Lock()
	defer t.changing.Unlock()
	uuids, err := t.records.List(ctx, "")
	if err != nil {
		return fmt.Errorf("listing mounts: %w", err)
	}
	for _, id := range uuids {
		e, err := store.GetJSON[Entry](ctx, t.records, id)
		if err != nil {
			return err
		}
		if _, attached := t.ByUUID(id); attached || e == nil {
			continue
		}
		factory, err := t.factory(e)
		if err != nil {
			return err
		}
		m, err := t.start(ctx, e, factory)
		if err != nil {
			return err
		}
		t.route(m)
	}
	return nil
}

// Enable mounts an engine or auth method; UUID and Accessor are made up.
func (t *Table) Enable(ctx context.Context, e Entry) error {
	path, err := cleanPath(e.Path)
	if err != nil {
		return err
	}
	e.Path = path
	factory, err := t.factory(&e)
	if err != nil {
		return err
	}
	t.changing.Lock()
	defer t.changing.Unlock()
	if err := t.vacant(e.Path); err != nil {
		return err
	}
	if e.UUID, err = uuid.GenerateUUID(); err != nil {
		return fmt.Errorf("enabling %q: %w", e.Path, err)
	}
	e.Accessor = e.Type + "_" + e.UUID[:8]
	m, err := t.start(ctx, &e, factory)
	if err != nil {
		return err
	}
	if err := store.PutJSON(ctx, t.records, e.UUID, &e); err != nil {
		m.Backend.Cleanup(ctx)
		return err
	}
	t.route(m)
	t.settings.Logger.Info("enabled", "path", e.Path, "type", e.Type)
	return nil
}

// Disable ends what the mount at path has given out, then the mount itself and
// all it stored. If something cannot be ended, the mount stays in service.
func (t *Table) Disable(ctx context.Context, path string) error {
	t.changing.Lock()
	defer t.changing.Unlock()
	m, err := t.Get(path)
	if err != nil {
		return err
	}
	if m.builtIn {
		return fmt.Errorf("%w: %q is part of the server and cannot be disabled", ErrInvalid, path)
	}
	m.close()
	if err := t.settings.Drain(ctx, m); err != nil {
		m.closing.Store(false)
		return fmt.Errorf("disabling %q: %w", path, err)
	}
	e := m.Entry()
	if err := t.records.Delete(ctx, e.UUID); err != nil {
		m.closing.Store(false)
		return fmt.Errorf("disabling %q: %w", path, err)
	}
	routes := maps.Clone(*t.routes.Load())
	delete(routes, e.Path)
	t.routes.Store(&routes)
	m.Backend.Cleanup(ctx)
	t.settings.Logger.Info("disabled", "path", e.Path, "type", e.Type)
	if err := logical.ClearView(ctx, m.Storage); err != nil {
		return fmt.Errorf("clearing the storage of %q: %w", path, err)
	}
	return nil
}

// Tune changes what is kept about the mount at path.
func (t *Table) Tune(ctx context.Context, path string, change func(*Entry) error) error {
	t.changing.Lock()
	defer t.changing.Unlock()
	m, err := t.Get(path)
	if err != nil {
		return err
	}
	e := *m.Entry()
	if err := change(&e); err != nil {
		return err
	}
	if c := e.Config; c.MaxLeaseTTL > 0 && c.DefaultLeaseTTL > c.MaxLeaseTTL {
		return fmt.Errorf("%w: default_lease_ttl %s is longer than max_lease_ttl %s", ErrInvalid, c.DefaultLeaseTTL, c.MaxLeaseTTL)
	}
	if err := store.PutJSON(ctx, t.records, e.UUID, &e); err != nil {
		return err
	}
	m.entry.Store(&e)
	return nil
}

// Route returns the mount that answers for path, and the path relative to it.
func (t *Table) Route(path string) (*Mount, string, bool) {
	routes := *t.routes.Load()
	for end := len(path); end > 0; end-- {
		if path[end-1] != '/' {
			continue
		}
		if m, ok := routes[path[:end]]; ok {
			return m, path[end:], true
		}
	}
	m, ok := routes[path+"/"] // the mount's own root, named without the slash
	return m, "", ok
}

// ByUUID finds a mount by its id.
func (t *Table) ByUUID(id string) (*Mount, bool) {
	for _, m := range *t.routes.Load() {
		if m.Entry().UUID == id {
			return m, true
		}
	}
	return nil, false
}

// Mounts returns all mounts, sorted by path.
func (t *Table) Mounts() []*Mount {
	return slices.SortedFunc(maps.Values(*t.routes.Load()), func(a, b *Mount) int {
		return strings.Compare(a.Entry().Path, b.Entry().Path)
	})
}

// Types returns the types of secrets engines and of auth methods that can be
// mounted, sorted.
func (t *Table) Types() (engines, methods []string) {
	return slices.Sorted(maps.Keys(t.settings.Engines)), slices.Sorted(maps.Keys(t.settings.Methods))
}

// Run does the periodic work of the mounts until ctx ends. One that is slow
// delays no other.
func (t *Table) Run(ctx context.Context) error {
	ticker := time.NewTicker(rollbackPeriod)
	defer ticker.Stop()
	var ticks sync.WaitGroup
	defer ticks.Wait()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
		for _, m := range t.Mounts() {
			ticks.Go(func() {
				err := m.tick(ctx)
				if err != nil && !errors.Is(err, logical.ErrUnsupportedOperation) {
					t.settings.Logger.Error("periodic work failed", "mount", m.Entry().Path, "error", err)
				}
			})
		}
	}
}

// Close lets every engine release what it holds.
func (t *Table) Close(ctx context.Context) {
	for _, m := range t.Mounts() {
		m.Backend.Cleanup(ctx)
	}
}

// Get finds a mount by its whole path.
func (t *Table) Get(path string) (*Mount, error) {
	path = strings.Trim(path, "/") + "/"
	m, ok := (*t.routes.Load())[path]
	if !ok {
		return nil, fmt.Errorf("%w: nothing is mounted at %q", ErrNotFound, path)
	}
	return m, nil
}

// vacant says which mount is in the way of one at path; the caller holds
// t.changing.
func (t *Table) vacant(path string) error {
	for taken := range *t.routes.Load() {
		if strings.HasPrefix(taken, path) || strings.HasPrefix(path, taken) {
			return fmt.Errorf("%w: path is already in use at %s; choose another with -path", ErrInvalid, taken)
		}
	}
	return nil
}

// route adds m to the routes; the caller holds t.changing.
func (t *Table) route(m *Mount) {
	routes := maps.Clone(*t.routes.Load())
	routes[m.Entry().Path] = m
	t.routes.Store(&routes)
}

func (t *Table) factory(e *Entry) (logical.Factory, error) {
	factories, kind := t.settings.Engines, "secrets engine"
	if e.IsAuth() {
		factories, kind = t.settings.Methods, "auth method"
	}
	factory, ok := factories[e.Type]
	if !ok {
		known := strings.Join(slices.Sorted(maps.Keys(factories)), ", ")
		return nil, fmt.Errorf("%w: unknown %s type %q; this server has: %s", ErrInvalid, kind, e.Type, known)
	}
	return factory, nil
}

// start makes the backend of an entry and initializes it.
func (t *Table) start(ctx context.Context, e *Entry, factory logical.Factory) (*Mount, error) {
	prefix := "logical/"
	if e.IsAuth() {
		prefix = AuthPrefix
	}
	m := &Mount{Storage: store.View(t.settings.Store, prefix+e.UUID+"/")}
	m.entry.Store(e)
	m.system = &systemView{mount: m, server: &t.settings.Server}
	backend, err := factory(ctx, &logical.BackendConfig{
		StorageView: m.Storage,
		Logger:      t.settings.Logger.Named(e.Type).With("mount", e.Path),
		System:      m.system,
		BackendUUID: e.UUID,
		Config:      maps.Clone(e.Options),
	})
	if err != nil {
		return nil, fmt.Errorf("starting %s at %q: %w", e.Type, e.Path, err)
	}
	if err := backend.Initialize(ctx, &logical.InitializationRequest{Storage: m.Storage}); err != nil {
		backend.Cleanup(ctx)
		return nil, fmt.Errorf("initializing %s at %q: %w", e.Type, e.Path, err)
	}
	m.Backend = backend
	if special := backend.SpecialPaths(); special != nil {
		m.open, m.root = special.Unauthenticated, special.Root
	}
	return m, nil
}

// cleanPath returns path with exactly one slash, at the end, or says what is
// wrong with it.
func cleanPath(path string) (string, error) {
	path = strings.Trim(path, "/")
	name := strings.TrimPrefix(path, AuthPrefix)
	for segment := range strings.SplitSeq(name, "/") {
		if segment == "" || strings.Trim(segment, ".") == "" || strings.ContainsFunc(segment, unfit) {
			return "", fmt.Errorf("%w: path %q: use letters, digits, -, _ and . between slashes", ErrInvalid, path)
		}
	}
	switch first, _, _ := strings.Cut(path, "/"); {
	case first == "sys", path == "auth", first == "identity", first == "cubbyhole":
		return "", fmt.Errorf("%w: path %q is reserved; choose another with -path", ErrInvalid, path)
	}
	return path + "/", nil
}

func unfit(r rune) bool {
	return r <= ' ' || r == 0x7f || strings.ContainsRune(`*+?#%\"`, r)
}

// Package mount knows which engine answers for which path.
//
// A Mount is one engine at one path, with its storage, its settings and its
// SystemView. Table (table.go) routes a path to the mount with the longest
// prefix, enables, tunes, moves and disables mounts, and runs their periodic work.
// Secrets engines are mounted at their path, auth methods below "auth/".
package mount

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/core/lockout"
)

// AuthPrefix is where auth methods are mounted.
const AuthPrefix = "auth/"

// Entry is what is kept about a mount. Entries are snapshots: they never
// change.
type Entry struct {
	UUID        string            `json:"uuid"`
	Path        string            `json:"path"` // whole, with the final slash
	Type        string            `json:"type"`
	Description string            `json:"description"`
	Accessor    string            `json:"accessor"`
	Options     map[string]string `json:"options"`
	Local       bool              `json:"local"`
	SealWrap    bool              `json:"seal_wrap"`
	Config      Config            `json:"config"`
}

// Config is what can be tuned.
type Config struct {
	DefaultLeaseTTL   time.Duration `json:"default_lease_ttl"` // 0: the server's
	MaxLeaseTTL       time.Duration `json:"max_lease_ttl"`     // 0: the server's
	ForceNoCache      bool          `json:"force_no_cache"`
	ListingVisibility string        `json:"listing_visibility,omitempty"`
	// Lockout is of users who guess; an auth method's only.
	Lockout lockout.Settings `json:"user_lockout"`
}

// IsAuth reports whether e is an auth method.
func (e *Entry) IsAuth() bool { return strings.HasPrefix(e.Path, AuthPrefix) }

// Mount is one engine at its path.
type Mount struct {
	Backend logical.Backend
	Storage logical.Storage

	entry   atomic.Pointer[Entry]
	system  *systemView
	open    pathSet // reached without a token
	root    pathSet // need sudo
	builtIn bool

	gate    sync.RWMutex // read-held by requests, written to drain them
	closing atomic.Bool
	ticking atomic.Bool // its periodic work is under way
}

// Entry returns what is kept about the mount now.
func (m *Mount) Entry() *Entry { return m.entry.Load() }

// BuiltIn reports whether the mount is part of the server: its backend is
// trusted with the client's token.
func (m *Mount) BuiltIn() bool { return m.builtIn }

// System returns the mount's view of the server, its TTLs among others.
func (m *Mount) System() logical.SystemView { return m.system }

// Open reports whether the path, relative to the mount, needs no token.
func (m *Mount) Open(path string) bool { return m.open.match(path) }

// NeedsSudo reports whether the path, relative to the mount, needs the sudo
// capability.
func (m *Mount) NeedsSudo(path string) bool { return m.root.match(path) }

// Handle passes a client's request to the engine. A mount on its way out
// refuses it.
func (m *Mount) Handle(ctx context.Context, req *logical.Request) (*logical.Response, error) {
	m.gate.RLock()
	defer m.gate.RUnlock()
	if m.closing.Load() {
		return nil, fmt.Errorf("%w: %q is being disabled or moved", logical.ErrUnsupportedPath, m.Entry().Path)
	}
	return m.Backend.HandleRequest(ctx, req)
}

// close refuses new requests and waits for those under way.
func (m *Mount) close() {
	m.closing.Store(true)
	m.gate.Lock()
	defer m.gate.Unlock()
}

// tick runs the periodic work of the engine, unless it is still running.
func (m *Mount) tick(ctx context.Context) error {
	if !m.ticking.CompareAndSwap(false, true) {
		return nil
	}
	defer m.ticking.Store(false)
	req := logical.RollbackRequest("")
	req.Storage = m.Storage
	req.MountPoint, req.MountType = m.Entry().Path, m.Entry().Type
	resp, err := m.Backend.HandleRequest(ctx, req)
	if err == nil {
		err = resp.Error()
	}
	return err
}

// pathSet holds the special paths of a backend in the SDK's notation: "*" at
// the end, "+" for a segment.
type pathSet []string

func (s pathSet) match(path string) bool {
	for _, pattern := range s {
		if matchSpecial(pattern, path) {
			return true
		}
	}
	return false
}

func matchSpecial(pattern, path string) bool {
	body, prefix := strings.CutSuffix(pattern, "*")
	if !strings.Contains(body, "+") {
		return path == body || prefix && strings.HasPrefix(path, body)
	}
	for {
		want, patternRest, patternMore := strings.Cut(body, "/")
		got, pathRest, pathMore := strings.Cut(path, "/")
		if !patternMore && prefix {
			return strings.HasPrefix(path, want)
		}
		if want != got && (want != "+" || got == "") || patternMore != pathMore {
			return false
		}
		if !patternMore {
			return true
		}
		body, path = patternRest, pathRest
	}
}

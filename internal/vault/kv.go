package vault

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"

	"github.com/hashicorp/vault/api"
)

// mounts remembers which mounts are key-value mounts of version 2. Their
// secrets are read below data/ and listed below metadata/, but templates name
// them without, and so does the rest of the field.
//
// A path is sent as it was given first; only a refusal that a versioned mount
// would explain leads to asking the server for the mount, once. A path that
// works costs no request more.
type mounts struct {
	asking chan struct{} // full while one caller asks
	mu     sync.RWMutex
	known  map[mountKey]bool // mount → whether it is versioned
}

type mountKey struct{ namespace, path string } // path ends in a slash

func newMounts() *mounts {
	return &mounts{asking: make(chan struct{}, 1), known: map[mountKey]bool{}}
}

// find returns the mount of a want. The server allows no mount inside another.
func (m *mounts) find(w Want) (key mountKey, versioned, ok bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	for key, versioned := range m.known {
		if key.namespace == w.Namespace && strings.HasPrefix(w.Path+"/", key.path) {
			return key, versioned, true
		}
	}
	return mountKey{}, false, false
}

// rewrite returns the want as a versioned mount expects it, if it is on one.
func (m *mounts) rewrite(w Want) Want {
	mount, versioned, _ := m.find(w)
	rest := strings.TrimPrefix(w.Path+"/", mount.path)
	if !versioned || strings.HasPrefix(rest, "data/") || strings.HasPrefix(rest, "metadata/") {
		return w
	}
	folder := "data/"
	if w.Method == MethodList {
		folder = "metadata/"
	}
	w.Path = strings.TrimSuffix(mount.path+folder+rest, "/")
	if w.Method == http.MethodPut {
		w.Params = `{"data":` + orEmptyObject(w.Params) + `}`
	}
	return w
}

// suspect reports whether err may mean that w, sent as it is, is on a versioned
// mount: the server says so, or refuses a path that the policies may name with
// data/ in it.
func (m *mounts) suspect(w Want, err error) bool {
	e, ok := errors.AsType[*Error](err)
	switch {
	case !ok:
		return false
	case e.Status == http.StatusForbidden && e.Kind == Refused:
		_, _, known := m.find(w)
		return !known || m.rewrite(w) != w
	default:
		return e.Status == http.StatusNotFound && mentions(e.Messages, "versioned k/v secrets engine")
	}
}

// learnMount asks the server about the mount of w, which failed with cause,
// unless another caller just did. It returns w as the mount expects it, or as
// it is when the server does not say.
func (c *Client) learnMount(ctx context.Context, token Token, w Want, cause error) Want {
	select {
	case c.mounts.asking <- struct{}{}:
		defer func() { <-c.mounts.asking }()
	case <-ctx.Done():
		return w
	}
	if rewritten := c.mounts.rewrite(w); rewritten != w || !c.mounts.suspect(w, cause) {
		return rewritten
	}
	path := "sys/internal/ui/mounts/" + w.Path
	answer, err := c.do(ctx, "looking up the mount at", path, token.Value, w.Namespace,
		func(ctx context.Context, l *api.Logical) (*api.Response, error) {
			return l.ReadRawWithContext(ctx, path)
		})
	if err != nil || answer == nil {
		return w
	}
	c.mounts.learn(w, answer.Data)
	return c.mounts.rewrite(w)
}

func (m *mounts) learn(w Want, data map[string]any) {
	path, _ := data["path"].(string)
	// The path may begin with namespaces that the want does not name.
	for !strings.HasPrefix(w.Path+"/", path) {
		_, path, _ = strings.Cut(path, "/")
	}
	if path == "" {
		return
	}
	options, _ := data["options"].(map[string]any)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.known[mountKey{w.Namespace, path}] = data["type"] == "kv" && options["version"] == "2"
}

package admin

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/novatech/securevault/internal/vault"
)

// maxKept is how many answers are kept.
const maxKept = 1024

// cache keeps answers that came with a lease, so that callers which ask for
// the same with the same token share it. It renews nothing: that is up to
// them. An answer is dropped when most of its time has passed, and at once
// when its lease or token is revoked through the proxy; a renewal through the
// proxy gives it its time anew.
type cache struct {
	on bool

	mu     sync.Mutex
	kept   map[key]*kept
	hits   int
	misses int
}

// key stands for method, path, parameters, token and namespace of a request.
type key [sha256.Size]byte

// kept is an answer in the cache.
type kept struct {
	answer  *answer
	path    string // "/v1/database/creds/app"
	token   vault.Sensitive
	leaseID string
	granted time.Time
	ttl     time.Duration
}

func (k *kept) left(now time.Time) time.Duration { return k.granted.Add(k.ttl).Sub(now) }

// fresh reports whether whoever gets the answer still has a third of its time
// to use it, or to renew it.
func (k *kept) fresh(now time.Time) bool { return k.left(now) > k.ttl/3 }

func newCache(on bool) *cache { return &cache{on: on, kept: make(map[key]*kept)} }

// cacheKey returns the key of a request; the zero key for one whose answer is
// not to be kept: anything but a plain read.
func cacheKey(r *http.Request, token vault.Sensitive) key {
	if r.Method != http.MethodGet || token == "" || r.Header.Get("X-Vault-Wrap-TTL") != "" {
		return key{}
	}
	parts := []string{r.URL.Path, r.URL.Query().Encode(), r.Header.Get("X-Vault-Namespace"), token.Reveal()}
	return sha256.Sum256([]byte(fmt.Sprintf("%q", parts)))
}

// find returns the answer to a request, with the time that its lease has left.
func (c *cache) find(k key) (*answer, bool) {
	if !c.on || k == (key{}) {
		return nil, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	found := c.kept[k]
	if found == nil || !found.fresh(now) {
		delete(c.kept, k)
		c.misses++
		return nil, false
	}
	body, err := aged(found.answer.body, int(found.left(now).Seconds()))
	if err != nil { // it was decoded when it was kept
		return nil, false
	}
	c.hits++
	header := found.answer.header.Clone()
	header.Set("X-Cache", "HIT")
	header.Set("Age", fmt.Sprint(int(now.Sub(found.granted).Seconds())))
	return &answer{status: found.answer.status, header: header, body: body}, true
}

// learn takes from a request and its answer what there is to keep or to drop.
func (c *cache) learn(k key, r *http.Request, token vault.Sensitive, a *answer) {
	if !c.on || a.status >= 300 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	lease, ok := a.lease()
	switch action, target := leaseRequest(r); action {
	case "renew":
		if ok {
			c.renewed(lease)
		}
	case "revoke":
		c.drop(func(k *kept) bool { return k.leaseID == target })
	case "revoke-prefix", "revoke-force":
		c.drop(func(k *kept) bool { return strings.HasPrefix(k.leaseID, target) })
	case "token":
		clear(c.kept)
	case "":
		if ok && k != (key{}) {
			c.keep(k, &kept{
				answer: a.copy(), path: r.URL.Path, token: token,
				leaseID: lease.LeaseID, granted: time.Now(), ttl: lease.ttl(),
			})
			a.header.Set("X-Cache", "MISS")
		}
	}
}

// keep takes an answer in, and puts others out if there are too many.
func (c *cache) keep(k key, entry *kept) {
	c.drop(func(old *kept) bool { return !old.fresh(entry.granted) })
	for other := range c.kept {
		if len(c.kept) < maxKept {
			break
		}
		delete(c.kept, other)
	}
	c.kept[k] = entry
}

func (c *cache) renewed(lease leased) {
	for _, k := range c.kept {
		if k.leaseID == lease.LeaseID {
			k.granted, k.ttl = time.Now(), lease.ttl()
		}
	}
}

func (c *cache) drop(which func(*kept) bool) {
	for k, entry := range c.kept {
		if which(entry) {
			delete(c.kept, k)
		}
	}
}

func (c *cache) counts() (hits, misses, entries int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.hits, c.misses, len(c.kept)
}

// leaseRequest says what a request does to leases, "" for nothing, and to
// which: a lease id or the start of one. Whatever revokes a token may take any
// lease along.
func leaseRequest(r *http.Request) (action, target string) {
	path := strings.Trim(strings.TrimPrefix(r.URL.Path, "/v1/"), "/")
	if strings.HasPrefix(path, "auth/token/revoke") {
		return "token", ""
	}
	rest, ok := strings.CutPrefix(path, "sys/")
	if !ok {
		return "", ""
	}
	action, target, _ = strings.Cut(strings.TrimPrefix(rest, "leases/"), "/")
	switch action {
	case "renew", "revoke":
		if target == "" {
			target = leaseInBody(r)
		}
		return action, target
	case "revoke-prefix", "revoke-force":
		return action, target
	default:
		return "", ""
	}
}

// leaseInBody returns the lease id in the body of a request.
func leaseInBody(r *http.Request) string {
	var body struct {
		LeaseID string `json:"lease_id"`
	}
	text, err := io.ReadAll(r.Body)
	if err != nil || json.Unmarshal(text, &body) != nil {
		return ""
	}
	return body.LeaseID
}

// clearing is the body of a request to forget answers.
type clearing struct {
	Type  string `json:"type"`
	Value string `json:"value"`
}

// clear forgets the answers that a caller names. A path stands for all below
// it. Accessors are not known here, so that one clears everything.
func (p *proxy) clear(w http.ResponseWriter, r *http.Request) {
	var what clearing
	if err := json.NewDecoder(r.Body).Decode(&what); err != nil {
		refuse(w, http.StatusBadRequest, "the body must be JSON such as {\"type\": \"all\"}")
		return
	}
	which, ok := what.matches()
	if !ok {
		refuse(w, http.StatusBadRequest, "type must be all, or one of request_path, lease, token and token_accessor with a value")
		return
	}
	p.cache.mu.Lock()
	defer p.cache.mu.Unlock()
	p.cache.drop(which)
	w.WriteHeader(http.StatusOK)
}

// matches returns which answers are meant.
func (c clearing) matches() (which func(*kept) bool, ok bool) {
	path := "/v1/" + strings.TrimPrefix(strings.Trim(c.Value, "/"), "v1/")
	switch {
	case c.Type == "all":
		return func(*kept) bool { return true }, true
	case c.Value == "":
		return nil, false
	case c.Type == "request_path":
		return func(k *kept) bool { return k.path == path || strings.HasPrefix(k.path, path+"/") }, true
	case c.Type == "lease":
		return func(k *kept) bool { return k.leaseID == c.Value }, true
	case c.Type == "token":
		return func(k *kept) bool { return k.token.Reveal() == c.Value }, true
	case c.Type == "token_accessor":
		return func(*kept) bool { return true }, true
	default:
		return nil, false
	}
}

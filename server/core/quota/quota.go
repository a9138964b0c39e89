// Package quota limits how many requests an address may send.
//
// A Rule allows so many requests in an interval, for everything, for a mount,
// for a path or for all paths that begin so; of the rules that fit a request
// the closest counts. Each client address, or /64 network of IPv6, has an
// allowance of its own (ledger.go). Rules are kept, allowances are not. Settings (settings.go) exempt
// paths from all rules.
package quota

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/store"
)

// ErrInvalid is wrapped by errors that the client can mend.
var ErrInvalid = errors.New("invalid quota")

// Rule allows Rate requests in each Interval.
type Rule struct {
	Name string `json:"name"`
	// Path is empty for everything, "database/" for a mount, a whole path, or
	// its beginning before "*".
	Path     string        `json:"path"`
	Rate     float64       `json:"rate"`
	Interval time.Duration `json:"interval"`
	// Block is how long an address that went over is refused at all; 0 until
	// the interval is over.
	Block time.Duration `json:"block_interval"`
}

func (r *Rule) check() error {
	switch {
	case r.Name == "" || strings.ContainsAny(r.Name, "/ "):
		return fmt.Errorf("%w: name %q: use one word", ErrInvalid, r.Name)
	case !(r.Rate >= 1) || r.Rate > math.MaxInt32:
		return fmt.Errorf("%w: rate: want at least one request in an interval, got %g", ErrInvalid, r.Rate)
	case r.Interval < time.Second || r.Interval > 24*time.Hour:
		return fmt.Errorf("%w: interval: want 1s to 24h, got %s", ErrInvalid, r.Interval)
	case r.Block < 0:
		return fmt.Errorf("%w: block_interval cannot be negative", ErrInvalid)
	}
	return nil
}

// closeness tells how closely the rule fits a path: 0 not at all, more for more
// of it.
func (r *Rule) closeness(path string) int {
	prefix, open := strings.CutSuffix(r.Path, "*")
	switch {
	case r.Path == path:
		return math.MaxInt
	case r.Path == "", (open || strings.HasSuffix(r.Path, "/")) && strings.HasPrefix(path, prefix):
		return 1 + len(prefix)
	}
	return 0
}

// Exceeded says that an address has used up its allowance.
type Exceeded struct {
	Rule  string
	Limit int
	Reset time.Duration // until it may ask again
}

// Error implements error.
func (e *Exceeded) Error() string {
	return fmt.Sprintf("request path quota exceeded: rate limit %q allows %d requests; try again in %ds", e.Rule, e.Limit, e.seconds())
}

// Code implements logical.HTTPCodedError.
func (e *Exceeded) Code() int { return http.StatusTooManyRequests }

// Header returns the headers that tell clients when to come back.
func (e *Exceeded) Header() http.Header {
	seconds := strconv.Itoa(e.seconds())
	return http.Header{
		"Retry-After":           {seconds},
		"X-Ratelimit-Limit":     {strconv.Itoa(e.Limit)},
		"X-Ratelimit-Remaining": {"0"},
		"X-Ratelimit-Reset":     {seconds},
	}
}

func (e *Exceeded) seconds() int { return max(1, int(math.Ceil(e.Reset.Seconds()))) }

// Keeper keeps the rules and the allowances. Its methods are safe for
// concurrent use.
type Keeper struct {
	storage  logical.Storage
	rules    atomic.Pointer[map[string]*ledger] // name → rule; replaced, never changed
	settings atomic.Pointer[Settings]           // replaced, never changed

	changing sync.Mutex // held by those who change rules
}

// New returns a keeper without rules.
func New(storage logical.Storage) *Keeper {
	k := &Keeper{storage: storage}
	k.rules.Store(&map[string]*ledger{})
	k.settings.Store(&Settings{})
	return k
}

// Restore reads the rules and the settings.
func (k *Keeper) Restore(ctx context.Context) error {
	names, err := k.storage.List(ctx, "")
	if err != nil {
		return fmt.Errorf("listing quotas: %w", err)
	}
	rules := map[string]*ledger{}
	for _, name := range names {
		if strings.HasSuffix(name, "/") {
			continue // a folder: that of the settings
		}
		r, err := store.GetJSON[Rule](ctx, k.storage, name)
		if err != nil {
			return fmt.Errorf("reading quota %q: %w", name, err)
		}
		if r != nil {
			rules[name] = newLedger(*r)
		}
	}
	k.rules.Store(&rules)
	return k.restoreSettings(ctx)
}

// Put adds a rule, or changes the one of that name; allowances begin anew.
func (k *Keeper) Put(ctx context.Context, r Rule) error {
	if err := r.check(); err != nil {
		return err
	}
	k.changing.Lock()
	defer k.changing.Unlock()
	rules := maps.Clone(*k.rules.Load())
	for name, other := range rules {
		if name != r.Name && other.Path == r.Path {
			return fmt.Errorf("%w: quota %q is for the path %q already; change that one", ErrInvalid, name, r.Path)
		}
	}
	if err := store.PutJSON(ctx, k.storage, r.Name, &r); err != nil {
		return err
	}
	rules[r.Name] = newLedger(r)
	k.rules.Store(&rules)
	return nil
}

// Delete removes a rule. One that is not there is none.
func (k *Keeper) Delete(ctx context.Context, name string) error {
	k.changing.Lock()
	defer k.changing.Unlock()
	if err := k.storage.Delete(ctx, name); err != nil {
		return fmt.Errorf("deleting quota %q: %w", name, err)
	}
	rules := maps.Clone(*k.rules.Load())
	delete(rules, name)
	k.rules.Store(&rules)
	return nil
}

// Get returns a rule.
func (k *Keeper) Get(name string) (Rule, bool) {
	l, ok := (*k.rules.Load())[name]
	if !ok {
		return Rule{}, false
	}
	return l.Rule, true
}

// Names returns the names of all rules, sorted.
func (k *Keeper) Names() []string { return slices.Sorted(maps.Keys(*k.rules.Load())) }

// Allow takes a request of an address into account, or returns an *Exceeded.
func (k *Keeper) Allow(path, address string) error {
	if k.settings.Load().exempts(path) {
		return nil
	}
	var closest *ledger
	best := 0
	for _, l := range *k.rules.Load() {
		if c := l.closeness(path); c > best {
			closest, best = l, c
		}
	}
	if closest == nil {
		return nil
	}
	return closest.take(clientOf(address), time.Now())
}

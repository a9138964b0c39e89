package policy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/store"
)

// The names of policies that mean something to the server.
const (
	DefaultName = "default"
	RootName    = "root"
	// WrappingName is the policy of tokens that hold a wrapped answer. There is
	// no such policy, so that they can do nothing but be unwrapped.
	WrappingName = "response-wrapping"
)

// defaultText is what every token may do about itself.
const defaultText = `# What a token may do about itself and about the leases whose id it knows.
path "auth/token/lookup-self" { capabilities = ["read", "update"] }
path "auth/token/renew-self" { capabilities = ["update"] }
path "auth/token/revoke-self" { capabilities = ["update"] }
path "sys/capabilities-self" { capabilities = ["update"] }
path "sys/internal/ui/mounts" { capabilities = ["read"] }
path "sys/internal/ui/mounts/*" { capabilities = ["read"] }
path "sys/leases/lookup" { capabilities = ["update"] }
path "sys/leases/renew" { capabilities = ["update"] }
path "sys/leases/renew/*" { capabilities = ["update"] }
path "sys/renew" { capabilities = ["update"] }
path "sys/renew/*" { capabilities = ["update"] }
path "sys/wrapping/wrap" { capabilities = ["update"] }
`

// maxCompiled bounds how many combinations of policies are kept compiled.
const maxCompiled = 4096

// ErrBuiltIn is wrapped by attempts to change what may not be changed.
var ErrBuiltIn = errors.New("built-in policy")

// Store keeps policies by name, and every combination in use compiled.
type Store struct {
	storage logical.Storage

	mu       sync.RWMutex
	policies map[string]*Policy // guarded by mu; name → policy
	compiled map[string]*ACL    // guarded by mu; names and identity joined → ACL
}

// record is a policy at rest.
type record struct {
	Text string `json:"text"`
}

// NewStore returns a store over storage; Restore must be called before use.
func NewStore(storage logical.Storage) *Store {
	return &Store{storage: storage, policies: map[string]*Policy{}, compiled: map[string]*ACL{}}
}

// Restore reads every policy; the default policy is made when there is none.
func (s *Store) Restore(ctx context.Context) error {
	names, err := s.storage.List(ctx, "")
	if err != nil {
		return fmt.Errorf("listing policies: %w", err)
	}
	for _, name := range names {
		r, err := store.GetJSON[record](ctx, s.storage, name)
		if err != nil {
			return err
		}
		if r == nil {
			continue
		}
		policy, err := Parse(name, r.Text)
		if err != nil {
			return err
		}
		s.set(name, policy)
	}
	if _, ok := s.Get(DefaultName); !ok {
		return s.Put(ctx, DefaultName, defaultText)
	}
	return nil
}

// Get returns the policy of that name. Names do not depend on case.
func (s *Store) Get(name string) (*Policy, bool) {
	name = clean(name)
	if name == RootName {
		return &Policy{Name: RootName}, true
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	policy, ok := s.policies[name]
	return policy, ok
}

// Put parses and keeps a policy. It returns a *ParseError for a bad text.
func (s *Store) Put(ctx context.Context, name, text string) error {
	name = clean(name)
	if name == RootName || name == WrappingName {
		return fmt.Errorf("%w: %q cannot be changed", ErrBuiltIn, name)
	}
	policy, err := Parse(name, text)
	if err != nil {
		return err
	}
	if err := store.PutJSON(ctx, s.storage, name, record{Text: text}); err != nil {
		return err
	}
	s.set(name, policy)
	return nil
}

// Delete removes a policy; tokens that carry its name lose what it granted.
func (s *Store) Delete(ctx context.Context, name string) error {
	name = clean(name)
	if name == RootName || name == DefaultName {
		return fmt.Errorf("%w: %q cannot be deleted", ErrBuiltIn, name)
	}
	if err := s.storage.Delete(ctx, name); err != nil {
		return fmt.Errorf("deleting policy %q: %w", name, err)
	}
	s.set(name, nil)
	return nil
}

// Names returns the sorted names of all policies, root included.
func (s *Store) Names() []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return append(slices.Sorted(maps.Keys(s.policies)), RootName)
}

// ACL returns what the policies of these names grant together to who.
func (s *Store) ACL(names []string, who Identity) *ACL {
	if slices.Contains(names, RootName) {
		return &ACL{root: true}
	}
	key := strings.Join(names, "\n")
	s.mu.RLock()
	acl := s.compiled[key]
	if acl != nil && acl.templated {
		key += "\n\n" + who.key()
		acl = s.compiled[key]
	}
	s.mu.RUnlock()
	if acl != nil {
		return acl
	}
	return s.compile(names, who)
}

// compile makes an ACL and keeps it. One with templates is kept under the names
// alone as well, which tells the next request to ask for its own.
func (s *Store) compile(names []string, who Identity) *ACL {
	s.mu.Lock() // compiled under the lock, so that no change is missed
	defer s.mu.Unlock()
	policies := make([]*Policy, len(names))
	for i, name := range names {
		policies[i] = s.policies[name]
	}
	if len(s.compiled) >= maxCompiled {
		clear(s.compiled)
	}
	acl := compile(policies, who)
	key := strings.Join(names, "\n")
	s.compiled[key] = acl
	if acl.templated {
		s.compiled[key+"\n\n"+who.key()] = acl
	}
	return acl
}

func (s *Store) set(name string, policy *Policy) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if policy == nil {
		delete(s.policies, name)
	} else {
		s.policies[name] = policy
	}
	clear(s.compiled)
}

func clean(name string) string { return strings.ToLower(strings.TrimSpace(name)) }

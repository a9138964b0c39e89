package vaulttest

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"time"
)

// RootToken is valid on every Server and never ends.
const RootToken = "hvs.root"

// Op is what a request asks for.
type Op string

// The operations. Read, Write and List are those of secrets; a read or a
// write of a path with a [Role] issues a lease.
const (
	Read         Op = "read"
	Write        Op = "write"
	Delete       Op = "delete"
	List         Op = "list"
	Probe        Op = "probe" // of the mount of a path: sys/internal/ui/mounts/…
	Login        Op = "login"
	Renew        Op = "renew"
	Revoke       Op = "revoke"
	RevokePrefix Op = "revoke-prefix"
	LookupLease  Op = "lookup-lease"
	LookupSelf   Op = "lookup-self"
	RenewSelf    Op = "renew-self"
	RevokeSelf   Op = "revoke-self"
	System       Op = "system" // any other path below sys/
)

// Role describes the leases that a path issues.
type Role struct {
	TTL          time.Duration
	MaxTTL       time.Duration // counted from the issue; 0 for no limit
	NonRenewable bool
	// Data returns the data of the n-th credential of the server, counted
	// from 1. Nil stands for a username and a password that hold n.
	Data func(n int) map[string]any
}

// Token describes a token.
type Token struct {
	ID           string        // made up when empty
	TTL          time.Duration // 0 for a token that never ends
	MaxTTL       time.Duration // counted from the issue; 0 for no limit
	NonRenewable bool
	Policies     []string // besides "default"
	orphan       bool
	metadata     map[string]string
}

// AppRole describes one role of the auth method approle.
type AppRole struct {
	Mount        string // "auth/approle" when empty
	Name         string // told to whoever logs in
	RoleID       string
	SecretID     string
	SecretIDUses int // logins that the secret id is good for; 0 for any number
	TokenTTL     time.Duration
	TokenMaxTTL  time.Duration
	NonRenewable bool
	Policies     []string // besides "default"
	logins       int
}

// Lease is a credential that the server issued.
type Lease struct {
	ID        string
	Path      string
	Token     string // that asked for it; the lease dies with it
	Issued    time.Time
	Expires   time.Time
	Revoked   time.Time // zero when it was not revoked
	Renewable bool
	Data      map[string]any
	role      Role
}

// Event is one request, in the order of arrival.
type Event struct {
	At     time.Time
	Op     Op
	Path   string // "database/creds/app"
	Lease  string // that was issued, renewed or revoked
	Token  string // that came with the request
	Status int    // of the answer; 0 while there is none, or when it was lost
}

type token struct {
	Token
	accessor        string
	issued, expires time.Time // expires is zero for a token that never ends
}

func (t *token) alive(now time.Time) bool { return t.expires.IsZero() || now.Before(t.expires) }

// Server is the fake. It is safe for concurrent use.
type Server struct {
	mu       sync.Mutex
	roles    map[string]Role           // path, or pattern as in [path.Match] → role
	static   map[string]map[string]any // path → data, as stored
	versions map[string]int            // path → times it was stored
	kv       map[string]int            // "secret/" → version of the key-value engine
	engines  map[string]string         // "database/" → type of an engine that was enabled
	policies map[string]string         // name → text
	appRoles map[string]*AppRole       // role id → role
	methods  map[string]Method         // login path → method
	logins   []LoginCall               // every login, by time
	wrapped  map[string]wrapping       // wrapping token → what it stands for
	tokens   map[string]*token         // id → token, those that ended included
	leases   []*Lease                  // every lease ever issued, by time
	byID     map[string]*Lease         // lease id → lease
	allow    func(token string, op Op, path string) bool
	faults   []*Fault
	history  []Event
	inFlight int
	peak     int
	serial   int // of tokens
	wordy    bool
}

// New returns a server that knows [RootToken] and, as a development server
// does, a key-value mount of version 2 at "secret/".
func New() *Server {
	return &Server{
		roles: map[string]Role{}, static: map[string]map[string]any{}, versions: map[string]int{},
		kv: map[string]int{"secret/": 2}, engines: map[string]string{}, policies: map[string]string{}, appRoles: map[string]*AppRole{},
		methods: map[string]Method{}, wrapped: map[string]wrapping{}, byID: map[string]*Lease{},
		tokens: map[string]*token{RootToken: {Token: Token{ID: RootToken, NonRenewable: true, orphan: true}, accessor: "root", issued: time.Now()}},
	}
}

// Role lets a path issue leases. A path with * is a pattern: each star stands
// for one segment or a part of it.
func (s *Server) Role(path string, r Role) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.roles[path] = r
}

// KV mounts a key-value engine of version 1 or 2, "kv/" say.
func (s *Server) KV(mount string, version int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kv[strings.Trim(mount, "/")+"/"] = version
}

// Static stores data at a path, in place of what was there: "secret/data/app"
// on a mount of version 2, where a read wraps it with its metadata.
func (s *Server) Static(path string, data map[string]any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.store(path, data)
}

func (s *Server) store(path string, data map[string]any) {
	s.static[path] = maps.Clone(data)
	s.versions[path]++
}

// Token makes a token and returns its id.
func (s *Server) Token(t Token) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.newToken(t).ID
}

func (s *Server) newToken(t Token) *token {
	s.serial++
	if t.ID == "" {
		t.ID = fmt.Sprintf("hvs.token-%d", s.serial)
	}
	out := &token{Token: t, accessor: fmt.Sprintf("accessor-%d", s.serial), issued: time.Now()}
	if t.TTL > 0 {
		out.expires = clamp(out.issued, out.issued, t.TTL, t.MaxTTL)
	}
	s.tokens[t.ID] = out
	return out
}

// EndToken ends a token and its leases, as an operator would.
func (s *Server) EndToken(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endToken(id)
}

func (s *Server) endToken(id string) {
	for _, l := range s.leases {
		if l.Token == id {
			s.revoke(l)
		}
	}
	delete(s.tokens, id)
}

func (s *Server) revoke(l *Lease) {
	if s.live(l) {
		l.Revoked = time.Now()
	}
}

// AppRole makes a role to log in with.
func (s *Server) AppRole(r AppRole) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Mount == "" {
		r.Mount = "auth/approle"
	}
	s.appRoles[r.RoleID] = &r
}

// Allow sets who may do what. Without it every live token may do everything.
// The path of a renewal or a revocation is the lease id.
func (s *Server) Allow(f func(token string, op Op, path string) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.allow = f
}

// NameInvalidTokens makes the server say "invalid token" next to "permission
// denied" when the token is the reason, as newer servers do.
func (s *Server) NameInvalidTokens() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wordy = true
}

// Live returns the leases that are neither expired nor revoked, oldest first.
func (s *Server) Live() []Lease { return s.pick(s.live) }

// Leases returns every lease ever issued, oldest first.
func (s *Server) Leases() []Lease { return s.pick(func(*Lease) bool { return true }) }

// Issued returns how many leases a path has issued; "" counts all.
func (s *Server) Issued(path string) int {
	return len(s.pick(func(l *Lease) bool { return path == "" || l.Path == path }))
}

func (s *Server) pick(keep func(*Lease) bool) []Lease {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Lease
	for _, l := range s.leases {
		if keep(l) {
			out = append(out, *l)
		}
	}
	return out
}

func (s *Server) live(l *Lease) bool {
	now := time.Now()
	t, ok := s.tokens[l.Token]
	return l.Revoked.IsZero() && now.Before(l.Expires) && ok && t.alive(now)
}

// Requests returns how many requests have arrived.
func (s *Server) Requests() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.history)
}

// Count returns how many requests of a kind have arrived, failed ones included.
func (s *Server) Count(op Op) int {
	n := 0
	for _, e := range s.History() {
		if e.Op == op {
			n++
		}
	}
	return n
}

// History returns every request so far.
func (s *Server) History() []Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.history)
}

// Peak returns the largest number of requests that were in flight at once.
func (s *Server) Peak() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.peak
}

// role returns the role of a path: an exact one before a pattern.
func (s *Server) role(name string) (Role, bool) {
	if r, ok := s.roles[name]; ok {
		return r, true
	}
	for pattern, r := range s.roles {
		if matches(pattern, name) {
			return r, true
		}
	}
	return Role{}, false
}

// issue makes a lease and the credential it stands for.
func (s *Server) issue(name, tokenID string, r Role) *Lease {
	n := len(s.leases) + 1
	data := map[string]any{
		"username": fmt.Sprintf("v-%s-%d", path.Base(name), n),
		"password": fmt.Sprintf("password-%d", n),
	}
	if r.Data != nil {
		data = r.Data(n)
	}
	now := time.Now()
	l := &Lease{
		ID: fmt.Sprintf("%s/lease-%d", name, n), Path: name, Token: tokenID, Issued: now,
		Expires: clamp(now, now, r.TTL, r.MaxTTL), Renewable: !r.NonRenewable, Data: data, role: r,
	}
	s.leases = append(s.leases, l)
	s.byID[l.ID] = l
	return l
}

// clamp returns when something ends that gets ttl from now on, and was issued
// with a limit of limit (0 for none).
func clamp(issued, now time.Time, ttl, limit time.Duration) time.Time {
	end := now.Add(ttl)
	if last := issued.Add(limit); limit > 0 && end.After(last) {
		return last
	}
	return end
}

// matches reports whether a name equals a pattern or, where the pattern has
// stars, fits it.
func matches(pattern, name string) bool {
	ok, err := path.Match(pattern, name)
	return pattern == name || (err == nil && ok)
}

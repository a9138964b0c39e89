// Package lease holds the credentials of the agent: it requests every wanted
// secret once, renews its lease, replaces it before it ends, and revokes what
// was replaced, but only after the successor is in use.
//
// [Manager] owns the leases. The composition above it says what is wanted
// ([Manager.Want]) and with which token ([Manager.SetToken]), takes immutable
// [Snapshot]s whenever [Manager.Changed] fires, and reports what it has
// published and told the app ([Manager.Published]); until then the replaced
// credential stays alive. What to do next with a lease, and when, is decided
// by package schedule alone.
//
// One timer over a heap of tasks serves all leases: a lease at rest costs no
// goroutine. Start reading at [Manager.Run].
package lease

import (
	"hash/maphash"
	"maps"
	"reflect"
	"time"

	"github.com/novatech/securevault/agent/schedule"
	"github.com/novatech/securevault/internal/vault"
)

// credential is one answer of the server: a secret and the lease that keeps
// it alive.
type credential struct {
	secret     *vault.Secret
	version    uint64 // generation of the snapshot in which it first appeared
	epoch      uint64 // of the token that issued it
	issued     time.Time
	granted    time.Time
	ttl        time.Duration // granted last
	full       time.Duration // granted at issue
	renewable  bool
	end        vault.End
	gone       bool // the server no longer knows the lease
	notBefore  time.Time
	staleSince time.Time
	tokenEnds  time.Time
	inUse      bool      // Published has said so
	untold     bool      // it was taken over from an earlier run, in which Published has not said so
	adoptedAt  time.Time // when it was taken over from an earlier run; zero once renewed
}

func newCredential(w vault.Want, secret *vault.Secret, token vault.Token, asked time.Time) *credential {
	life := vault.LifeOf(w, secret, asked)
	return &credential{
		secret:    secret,
		epoch:     token.Epoch,
		issued:    asked,
		granted:   asked,
		ttl:       life.TTL,
		full:      life.TTL,
		renewable: secret.Renewable,
		end:       life.End,
	}
}

// leased reports whether the credential ends and can be revoked. A lease
// without a TTL does not end, and is read again like a static secret.
func (c *credential) leased() bool { return c.secret.LeaseID != "" && c.ttl > 0 }

// lapses reports whether the credential ends at all, with a lease or by itself.
func (c *credential) lapses() bool { return c.leased() || c.end == vault.Expiry }

func (c *credential) ends() time.Time { return c.granted.Add(c.ttl) }

// extend takes over what a renewal granted. One that gave less than a second
// says 0, which would stand for a lease without an end.
func (c *credential) extend(renewal *vault.Secret, asked time.Time) {
	c.granted, c.ttl, c.adoptedAt = asked, max(renewal.TTL, 1), time.Time{}
	c.renewable = renewal.Renewable
}

// entry is the life of one want: its current credential and those that it
// replaced, which stay alive until the current one is in use.
type entry struct {
	want     vault.Want
	policy   schedule.Policy
	current  *credential
	replaced []*credential // not yet safe to revoke
	task     task
	action   schedule.Action // that is due at task.at
	busy     bool            // a request is in flight
	dropped  bool            // no longer wanted

	failed   schedule.Action
	class    vault.Class
	failures int // in a row, of one class
	failedAt time.Time
	failing  time.Time // since when requests have failed; zero if the last succeeded
	err      error     // of the last request; nil if it succeeded
	history  []Event   // the last few, oldest first
}

func (e *entry) facts(seed maphash.Seed) schedule.Facts {
	f := schedule.Facts{
		Failed: e.failed, Class: e.class, Failures: e.failures, FailedAt: e.failedAt,
		Seed: maphash.Comparable(seed, e.want),
	}
	if c := e.current; c != nil {
		f.Held, f.Leased, f.Renewable = true, c.leased(), c.renewable
		f.Issued, f.Granted, f.TTL, f.Full = c.issued, c.granted, c.ttl, c.full
		f.Expires, f.Rotates = c.end == vault.Expiry, c.end == vault.Rotation
		f.Gone, f.NotBefore = c.gone, c.notBefore
		f.StaleSince, f.TokenEnds, f.AdoptedAt = c.staleSince, c.tokenEnds, c.adoptedAt
		f.Seed += c.version
	}
	return f
}

// fail records a failed request. It reports whether that is news: the first
// failure of its class.
func (e *entry) fail(action schedule.Action, err error, now time.Time) bool {
	class := vault.Classify(err)
	news := e.failed != action || e.class != class
	if news {
		e.failures = 0
	}
	e.failed, e.class, e.failedAt, e.err = action, class, now, err
	e.failures++
	if e.failing.IsZero() {
		e.failing = now
	}
	if action == schedule.Renew && e.current != nil {
		switch class {
		case vault.Gone:
			e.current.gone = true
		case vault.Refused:
			// A refusal is the server's last word on this lease: ask again
			// and it says so again. The successor comes when the end is near.
			e.current.renewable = false
		}
	}
	return news
}

// item is the entry as a snapshot shows it.
func (e *entry) item() Item {
	item := Item{Err: e.err, Failures: e.failures}
	if c := e.current; c != nil {
		item.Secret, item.Version = c.secret, c.version
		item.Untold = c.untold
		if c.lapses() {
			item.Ends = c.ends()
		}
	}
	return item
}

func (e *entry) succeed() {
	e.failed, e.class, e.failures, e.err = schedule.None, vault.None, 0, nil
	e.failing = time.Time{}
}

// sameData reports whether a secret that was read again still says the same.
// The time to the next rotation runs down, and says nothing new.
func sameData(a, b *credential) bool {
	before, after := a.secret.Data, b.secret.Data
	if b.end == vault.Rotation {
		before, after = maps.Clone(before), maps.Clone(after)
		delete(before, "ttl")
		delete(after, "ttl")
	}
	return a.secret.LeaseID == "" && b.secret.LeaseID == "" && reflect.DeepEqual(before, after)
}

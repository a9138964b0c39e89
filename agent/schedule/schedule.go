// Package schedule decides what to do next with something that the server
// granted for a while, a lease or a token, and when.
//
// It is one pure function, [Policy.Next]: from what is held and what failed
// last ([Facts]) to an [Action] and a time. It knows no clock, sends nothing
// and keeps nothing, so that every rule is a row of the table in its test.
// Its two promises bound what a broken server can cause: no more than one
// successor per lifetime, and no more than one request per [Policy.Floor].
package schedule

import (
	"time"

	"github.com/novatech/securevault/agent/window"
	"github.com/novatech/securevault/internal/vault"
)

// Action is what to do with a grant.
type Action int

// The actions. Issue, Rotate and Reread send the same request; they differ in
// what becomes of the grant that is held.
const (
	None   Action = iota
	Issue         // nothing is held yet
	Renew         // ask for more time on what is held
	Rotate        // get a successor while what is held still lives
	Reread        // look whether a secret without a lease has changed
)

// String returns the action as logs and status pages show it.
func (a Action) String() string {
	switch a {
	case Issue:
		return "issue"
	case Renew:
		return "renew"
	case Rotate:
		return "rotate"
	case Reread:
		return "reread"
	default:
		return "none"
	}
}

// Policy holds the knobs. Use [Policy.WithDefaults] before anything else.
type Policy struct {
	RenewAt float64 // fraction of the TTL after which to renew; 0.5 by default
	Jitter  float64 // fraction by which delays vary around their mean; 0.1 by default, negative for none
	// Overlap is how long a replaced grant lives on beside its successor
	// once that is in use. By default a fraction of the TTL (0.15), at most
	// five minutes.
	Overlap time.Duration
	Static  time.Duration // between two reads of a secret without a lease; five minutes by default, negative for never
	Floor   time.Duration // shortest delay between two requests; one second by default
	Ceiling time.Duration // longest delay after failures; one minute by default
	// Windows are the times at which what could live on is replaced; nil for
	// any. What ends before the next of them is replaced before it ends.
	Windows *window.Windows
}

const (
	defaultOverlap = 0.15            // fraction of the TTL
	longestOverlap = 5 * time.Minute // enough for any pool to let go of its connections
	staleSpread    = 30 * time.Second
	adoptionSpread = 5 * time.Second
)

// WithDefaults returns the policy with its zero fields filled in.
func (p Policy) WithDefaults() Policy {
	def := func(value *time.Duration, fallback time.Duration) {
		if *value == 0 {
			*value = fallback
		}
	}
	if p.RenewAt <= 0 || p.RenewAt >= 1 {
		p.RenewAt = 0.5
	}
	if p.Jitter == 0 {
		p.Jitter = 0.1
	}
	def(&p.Static, 5*time.Minute)
	def(&p.Floor, time.Second)
	def(&p.Ceiling, time.Minute)
	return p
}

// OverlapFor returns how long a replaced grant of the given TTL lives on
// beside its successor: never so long that the two meet half of its life.
func (p Policy) OverlapFor(ttl time.Duration) time.Duration {
	overlap := p.Overlap
	if overlap <= 0 {
		overlap = min(fraction(ttl, defaultOverlap), longestOverlap)
	}
	return min(overlap, ttl/3)
}

// lead returns how long before its end a grant is replaced: the overlap, and
// half as much again to get, check and publish the successor.
func (p Policy) lead(ttl time.Duration) time.Duration {
	return p.OverlapFor(ttl) * 3 / 2
}

// Facts are all that the decision depends on.
type Facts struct {
	Held      bool          // something was granted
	Leased    bool          // it ends, and can be renewed or replaced; else it is only read
	Expires   bool          // it ends, has no lease, and can only be replaced
	Rotates   bool          // it is only read, and the server replaces it when the TTL is over
	Renewable bool          // the server offered renewal and has not refused it since
	Issued    time.Time     // when it was asked for
	Granted   time.Time     // when the last issue or renewal was asked for
	TTL       time.Duration // granted then
	Full      time.Duration // granted at issue: what a renewal gives until the max TTL is near
	Gone      bool          // the server no longer knows it
	// NotBefore is the earliest time to replace it when it is gone: its own
	// end if its predecessor was gone as well.
	NotBefore time.Time
	// StaleSince is when a newer token replaced the one that issued it; zero
	// while that is current. TokenEnds is when the older token ends, and the
	// grant with it; zero if that is over already.
	StaleSince, TokenEnds time.Time
	// AdoptedAt is when it was taken over from an earlier run; zero once the
	// server has confirmed by a renewal that it is alive.
	AdoptedAt time.Time

	Failed   Action      // the last request, if it failed, else None
	Class    vault.Class // of its failure
	Failures int         // in a row, of one class
	FailedAt time.Time
	Seed     uint64 // of the jitter: constant for one grant, different between grants
}

// Ends returns when what is held ends, zero if it does not.
func (f Facts) Ends() time.Time {
	if !f.Leased && !f.Expires {
		return time.Time{}
	}
	return f.Granted.Add(f.TTL)
}

// Next returns the next action and the time for it. A time that has passed
// means now; None means that only new facts change anything.
func (p Policy) Next(f Facts) (Action, time.Time) {
	switch {
	case !f.Held:
		return Issue, p.retryAt(f, Issue)
	case f.Expires:
		return p.replace(f)
	case !f.Leased:
		return p.reread(f)
	case f.Gone:
		return Rotate, latest(f.NotBefore, p.retryAt(f, Rotate))
	case !f.StaleSince.IsZero():
		return Rotate, latest(p.spread(f), p.retryAt(f, Rotate))
	case p.confirms(f):
		return Renew, p.confirmAt(f)
	default:
		return p.renewOrRotate(f)
	}
}

// confirms reports whether what was adopted is to be renewed before anything
// else: it may have been revoked meanwhile, or renewed without our record of
// it, and a renewal tells. Where that fails it is tried again until a
// successor is due.
func (p Policy) confirms(f Facts) bool {
	if f.AdoptedAt.IsZero() || !f.Renewable || f.Failed == Rotate {
		return false
	}
	return f.Failed == None || p.confirmAt(f).Before(p.replaceAt(f))
}

// confirmAt returns when to renew what was adopted: soon, but not everything
// at once, and in time for a successor.
func (p Policy) confirmAt(f Facts) time.Time {
	room := max(min(p.replaceAt(f).Sub(f.AdoptedAt)/2, adoptionSpread), 0)
	return latest(f.AdoptedAt.Add(fraction(room, float64(f.Seed%1024)/1024)), p.retryAt(f, Renew))
}

// replaceAt returns when the successor of what ends is due.
func (p Policy) replaceAt(f Facts) time.Time { return f.Ends().Add(-p.lead(f.Full)) }

// Patience returns how long the answer to a renewal that is sent now is waited
// for: half of the time to the successor, so that a server which hangs keeps
// nothing alive only on paper.
func (p Policy) Patience(f Facts, now time.Time) time.Duration {
	return max(p.replaceAt(f).Sub(now)/2, p.Floor/2)
}

// renewOrRotate renews for as long as renewing brings the grant to the next
// renewal, and otherwise replaces it when its end draws near.
func (p Policy) renewOrRotate(f Facts) (Action, time.Time) {
	rotateAt := p.replaceAt(f)
	renewAt := f.Granted.Add(max(p.vary(fraction(f.Full, p.RenewAt), f.Seed), p.Floor))
	if f.grantedInFull() && f.Failed != Renew {
		// The max TTL is not near: renew, however late the renewals are set.
		renewAt = earliest(renewAt, rotateAt.Add(-1))
	}
	renewAt = latest(renewAt, p.retryAt(f, Renew))
	pause := min(p.Floor, f.TTL/2) // the last renewal may have given less than the floor
	early := latest(p.inWindow(f, rotateAt), p.retryAt(f, Rotate), f.Granted.Add(pause))
	inTime := early.Before(rotateAt) // if that fails, renewing goes on
	if f.Renewable && (f.Failed != Rotate || inTime) && renewAt.Before(rotateAt) && !early.Before(renewAt) {
		return Renew, renewAt
	}
	return Rotate, early
}

// early reports whether what could live on is replaced because of a window.
func (p Policy) early(f Facts) bool {
	deadline := p.replaceAt(f)
	return f.Leased && p.inWindow(f, deadline).Before(deadline)
}

// inWindow returns when to replace a grant by the deadline: in a window, if
// there is one in its life.
func (p Policy) inWindow(f Facts, deadline time.Time) time.Time {
	if p.Windows == nil {
		return deadline
	}
	var at time.Time
	share := float64(f.Seed%1024) / 1024
	if f.Renewable {
		// It lives for nobody knows how long: each window may be the last.
		at = p.Windows.After(f.Issued, latest(f.Granted, f.AdoptedAt), share)
	} else {
		half := f.Granted.Add(deadline.Sub(f.Granted) / 2)
		at = p.Windows.By(latest(half, f.AdoptedAt), deadline, share)
	}
	if at.IsZero() || at.After(deadline) {
		return deadline
	}
	return at
}

// grantedInFull reports whether the last renewal gave as much as the issue
// did, but for the rounding of a server that counts in seconds. Less than half
// is never that: where it lasts a second, a renewal that brings nothing is not
// asked for again.
func (f Facts) grantedInFull() bool {
	return f.Full-f.TTL <= min(max(f.Full/20, time.Second), f.Full/2)
}

// spread returns when to replace a grant whose token was replaced: soon, but
// not all of an old token's grants at once, and well before they end with it.
func (p Policy) spread(f Facts) time.Time {
	window := min(f.TokenEnds.Sub(f.StaleSince)/2, staleSpread)
	if f.TokenEnds.IsZero() || window <= 0 {
		return f.StaleSince
	}
	return f.StaleSince.Add(fraction(window, float64(f.Seed%1024)/1024))
}

// retryAt returns the earliest time to send a request after a failure: its
// backoff if it was this one that failed, else the floor.
func (p Policy) retryAt(f Facts, action Action) time.Time {
	switch {
	case f.Failed == None:
		return time.Time{}
	case f.Failed == action:
		return f.FailedAt.Add(p.Backoff(f.Class, f.Failures, f.Seed))
	case f.Failed == Renew && (f.Class == vault.Refused || f.Class == vault.Gone):
		return time.Time{} // the last word on this grant, once in its life: its end does not wait
	default:
		return f.FailedAt.Add(p.Floor)
	}
}

// Backoff returns the delay after the given number of failures of one class
// in a row. A server that said no is asked less eagerly than one that was out.
func (p Policy) Backoff(class vault.Class, failures int, seed uint64) time.Duration {
	first := p.Floor
	if class == vault.Refused || class == vault.Login {
		first *= 5
	}
	delay := p.Ceiling
	if shift := max(failures-1, 0); shift < 20 {
		delay = min(first<<shift, p.Ceiling)
	}
	return max(p.vary(delay, seed+uint64(failures)), p.Floor)
}

// vary spreads d by ±Jitter, the same way for the same seed.
func (p Policy) vary(d time.Duration, seed uint64) time.Duration {
	// A multiplicative hash (Knuth): neighbouring seeds end far apart.
	unit := float64(seed*0x9E3779B97F4A7C15>>11) / (1 << 53)
	return fraction(d, 1+max(p.Jitter, 0)*(2*unit-1))
}

func fraction(d time.Duration, f float64) time.Duration {
	return time.Duration(float64(d) * f)
}

func earliest(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func latest(times ...time.Time) time.Time {
	var out time.Time
	for _, t := range times {
		if t.After(out) {
			out = t
		}
	}
	return out
}

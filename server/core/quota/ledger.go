package quota

import (
	"maps"
	"net/netip"
	"sync"
	"time"
)

// maxClients bounds how many clients a ledger counts one by one in an interval,
// and how many it blocks, so that a network of very many cannot fill the memory.
const maxClients = 100_000

// networkBits is the size of the network that one subscriber of IPv6 has to
// choose addresses from.
const networkBits = 64

// client is who has an allowance: an address of IPv4, a network of IPv6, or
// everybody together for whom there was no room.
type client string

// theRest share one allowance until the interval ends. To forget somebody in
// their favour would give that one a second allowance, and to count none of
// them would be no limit.
const theRest client = "the rest"

// ledger is a rule and what has been used of it.
type ledger struct {
	Rule
	mu    sync.Mutex
	since time.Time            // guarded by mu; the beginning of the interval
	used  map[client]int       // guarded by mu; requests since then
	block map[client]time.Time // guarded by mu; when it may ask again
}

func newLedger(r Rule) *ledger {
	return &ledger{Rule: r, used: map[client]int{}, block: map[client]time.Time{}}
}

// clientOf returns whose allowance an address uses up.
func clientOf(address string) client {
	parsed, err := netip.ParseAddr(address)
	if err != nil { // the name of a socket, or nothing
		return client(address)
	}
	if parsed = parsed.Unmap(); parsed.Is4() {
		return client(parsed.String())
	}
	network, _ := parsed.Prefix(networkBits) // fails for more bits than there are
	return client(network.String())
}

// take takes a request into account, or returns an *Exceeded.
func (l *ledger) take(who client, now time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Sub(l.since) >= l.Interval {
		l.since = now
		clear(l.used)
		maps.DeleteFunc(l.block, func(_ client, until time.Time) bool { return !now.Before(until) })
	}
	if until, blocked := l.block[who]; blocked && now.Before(until) {
		return l.exceeded(until.Sub(now))
	}
	if _, known := l.used[who]; !known && len(l.used) >= maxClients {
		who = theRest
	}
	if l.used[who] < int(l.Rate) {
		l.used[who]++
		return nil
	}
	if l.Block > 0 && who != theRest && len(l.block) < maxClients {
		l.block[who] = now.Add(l.Block)
		return l.exceeded(l.Block)
	}
	return l.exceeded(l.Interval - now.Sub(l.since))
}

func (l *ledger) exceeded(reset time.Duration) error {
	return &Exceeded{Rule: l.Name, Limit: int(l.Rate), Reset: reset}
}

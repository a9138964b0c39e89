package lease

import (
	"time"

	"github.com/novatech/securevault/internal/vault"
)

// Snapshot is everything that was held at one moment. It does not change.
type Snapshot struct {
	Generation uint64              // rises with every change of any secret
	Err        error               // of the journal; nil if it is up to date
	items      map[vault.Want]Item // want → its current credential or failure
}

// Item is the state of one want.
type Item struct {
	Secret   *vault.Secret // nil until the first one is issued; kept when its successor cannot be had
	Version  uint64        // generation at which Secret became current
	Untold   bool          // Secret is of an earlier run, which may have ended before the app was told of it
	Ends     time.Time     // of the lease; zero for a secret without one
	Err      error         // of the last request, nil if it succeeded
	Failures int           // in a row
}

// Lookup returns the current secret of a want, if there is one.
func (s *Snapshot) Lookup(w vault.Want) (*vault.Secret, bool) {
	item := s.items[w]
	return item.Secret, item.Secret != nil
}

// Item returns the state of a want; the zero Item if it is unknown.
func (s *Snapshot) Item(w vault.Want) Item { return s.items[w] }

// Stats counts what a manager has done since it started.
type Stats struct {
	Issued      int // first credentials
	Adopted     int // credentials taken over from an earlier run
	Renewed     int
	Rotated     int // successors
	Revoked     int
	Expired     int // leases that ended by themselves before they were revoked
	Leased      int // credentials with a lease among Issued and Rotated
	Failed      int // requests, of any kind
	RenewFailed int // renewals among Failed
	Held        int // leases alive now: current, replaced and draining
	Requested   int // requests, of any kind
}

// Package lease owns every credential that the server has given out, from the
// moment it is registered until its engine has said that it is gone.
//
// A Lease is one record in storage; in memory a lease is only an entry: its
// id, its owner and its deadline. Manager is the place to start reading:
// Register, Renew, Revoke and their kin. Restore (restore.go) reads the entries
// while the server already serves: a lease not read yet is looked up in storage.
// Revocation (revoke.go) runs on a bounded pool per mount and is tried again
// until the engine succeeds, so that one slow database stalls only itself and no
// credential is forgotten; one that fails for minutes is called irrevocable, to
// be seen. Places (limit.go) keep a role within its number of leases.
//
// # No orphan credential
//
// A crash between the creation of a credential and the record of its lease would
// leave a credential that nobody ends. So an engine says what it is about to
// create (package intent), and the lease is written before the credential is
// made: as one that is over already (Intend). Register overwrites it with what
// was granted. After a crash such a record is found like any lease whose time
// has come, and revoked, with the same retries; revoking what was never created
// is no error.
//
// This is why the intent is no record of its own, like the write-ahead log of
// the plugin SDK: that would take three writes (log, lease, removal of the log),
// of which the last two would have to be one transaction, and a second way of
// ending a credential. Here it takes two, each a single key that concurrent
// requests commit together, and neither is undone by anything but a revocation.
// A revocation in turn is written down (the lease is over) before the engine is
// asked, so that a crash does not leave a lease without its credential.
package lease

import (
	"errors"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
)

// The errors that a user meets; their texts are part of the wire.
var (
	// ErrNotFound is returned for leases that are unknown, expired or being
	// revoked.
	ErrNotFound = errors.New("lease not found")
	// ErrNotRenewable is returned for leases and tokens that cannot be
	// prolonged.
	ErrNotRenewable = errors.New("lease is not renewable")
)

// Lease is one credential that was given out.
type Lease struct {
	ID    string // path and a random part
	Path  string // of the request that created it
	Mount string // id of the mount, which outlives its path
	Role  string // see RoleOf
	Token string // key of the token that owns it; empty for nobody's

	Data   map[string]any // what the client was given
	Secret *logical.Secret

	IssueTime   time.Time
	ExpireTime  time.Time
	Until       time.Time // no renewal goes beyond; zero for no such limit
	LastRenewal time.Time // zero until the first

	Failure string // why it is irrevocable; empty if it is not

	// Unrecorded tells that only this process knows of the credential: its
	// record could not be written.
	Unrecorded bool
}

// TTL returns how long the lease still has to live; never less than zero.
func (l *Lease) TTL() time.Duration { return max(0, time.Until(l.ExpireTime)) }

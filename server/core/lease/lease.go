// Package lease owns every credential that the server has given out, from the
// moment it is registered until its engine has said that it is gone.
//
// A Lease is one record in storage; in memory a lease is only an entry: its
// id, its owner and its deadline. Manager is the place to start reading:
// Register, Renew, Revoke and their kin. Revocation (revoke.go) runs on a
// bounded pool per mount and is tried again until the engine succeeds, so that
// one slow database stalls only itself and no credential is forgotten.
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

// Lease is the record of one credential. It is encoded as JSON.
type Lease struct {
	ID    string `json:"lease_id"` // path and a random part
	Path  string `json:"path"`     // of the request that created it
	Mount string `json:"mount"`    // id of the mount, which outlives its path
	Token string `json:"token"`    // key of the token that owns it

	Data   map[string]any  `json:"data"` // what the client was given
	Secret *logical.Secret `json:"secret"`

	IssueTime   time.Time `json:"issue_time"`
	ExpireTime  time.Time `json:"expire_time"`
	LastRenewal time.Time `json:"last_renewal,omitzero"`
}

// TTL returns how long the lease still has to live; never less than zero.
func (l *Lease) TTL() time.Duration { return max(0, time.Until(l.ExpireTime)) }

package admin

import (
	"context"
	"time"

	"github.com/novatech/securevault/internal/vault"
)

// Source is the agent as this package sees it.
type Source interface {
	// Status returns what the agent does at this moment. It returns an error
	// if the agent is too busy to say before ctx ends.
	Status(ctx context.Context) (Status, error)
	// Token returns the token to lend to callers of the proxy; its epoch is 0
	// while there is none.
	Token() vault.Token
}

// Status is what the agent does at one moment, and the JSON of /status. No
// field of it may ever hold a secret value.
type Status struct {
	Now         time.Time    `json:"now"`
	Started     time.Time    `json:"started"`
	Server      string       `json:"server"`  // address of the server
	Settled     bool         `json:"settled"` // everything was rendered and told at least once
	Ready       bool         `json:"ready"`   // everything is rendered and told, and nothing is too old
	Missing     []string     `json:"missing"` // what stands in the way of Ready, in words
	Generation  uint64       `json:"generation"`
	Token       Token        `json:"token"`
	Credentials []Credential `json:"credentials"`
	Outputs     []Output     `json:"outputs"`
	Hooks       Hooks        `json:"hooks"`
	Counters    Counters     `json:"counters"`
}

// Grant is what the server granted for a while, and what is to become of it.
type Grant struct {
	Granted   time.Time `json:"granted,omitzero"` // when it was issued or renewed last
	Ends      time.Time `json:"ends,omitzero"`    // zero for one that does not end
	Renewable bool      `json:"renewable"`
	Next      Next      `json:"next"`
	Error     string    `json:"error,omitempty"` // of the last request, "" if it succeeded
	Failures  int       `json:"failures"`        // in a row
}

// Next is what happens next with a grant.
type Next struct {
	Action string    `json:"action"`      // issue, renew, rotate, reread or none
	At     time.Time `json:"at,omitzero"` // zero for never
	Busy   bool      `json:"busy"`        // under way
	Why    string    `json:"why"`         // in a few words
}

// Token is the agent's own token, without its value.
type Token struct {
	Grant
	Accessor string `json:"accessor,omitempty"` // "" while there is no token
	Epoch    uint64 `json:"epoch"`              // how many tokens there were
}

// Credential is a secret that the agent holds or wants, without its value.
type Credential struct {
	Grant
	Path       string     `json:"path"` // as in a template; with the method, unless that is a read
	LeaseID    string     `json:"lease_id,omitempty"`
	Held       bool       `json:"held"`
	Generation uint64     `json:"generation"` // at which it became current
	Replaced   int        `json:"replaced"`   // predecessors that are still alive
	Failing    time.Time  `json:"failing_since,omitzero"`
	Dependents []string   `json:"dependents"` // destinations that use it
	History    []Rotation `json:"history"`    // the last few, oldest first
}

// Rotation is a credential that became current.
type Rotation struct {
	At         time.Time `json:"at"`
	Action     string    `json:"action"` // issue, rotate, reread, or adopt for one of an earlier run
	LeaseID    string    `json:"lease_id,omitempty"`
	Generation uint64    `json:"generation"`
}

// Output is a file or the like that the agent keeps up to date.
type Output struct {
	Destination string    `json:"destination"`
	Template    string    `json:"template"`
	State       string    `json:"state"` // published, waiting or failed
	Generation  uint64    `json:"generation"`
	Changed     time.Time `json:"changed,omitzero"` // when its content changed last
	Error       string    `json:"error,omitempty"`
}

// The states of an [Output].
const (
	Published = "published" // it holds the newest secrets
	Waiting   = "waiting"   // something that it needs is not there yet
	Failed    = "failed"    // it cannot be rendered or written
)

// Hooks are what the app is told by.
type Hooks struct {
	Pending  bool   `json:"pending"`  // some have not succeeded yet
	Failures int    `json:"failures"` // since the start
	Error    string `json:"error,omitempty"`
}

// Counters count since the start.
type Counters struct {
	Created       int `json:"created"` // credentials with a lease
	Read          int `json:"read"`    // secrets without one
	Adopted       int `json:"adopted"` // from an earlier run
	Renewed       int `json:"renewed"`
	RenewalFailed int `json:"renewal_failed"`
	Rotated       int `json:"rotated"`
	Expired       int `json:"expired"`
	Revoked       int `json:"revoked"`
	Requests      int `json:"requests"`
	Failed        int `json:"failed"` // of the requests
	Leases        int `json:"leases"` // alive now
}

// Package token owns the tokens by which clients are known.
//
// Store creates, finds, prolongs and revokes them (store.go, revoke.go). A
// token's secret part exists only in the client's hands: the store keys a
// token by a keyed hash of it. Factory (backend.go) is the HTTP side, the
// paths of auth/token. Revoking a token revokes its children and every lease
// that any of them owns.
package token

import (
	"errors"
	"time"

	sockaddr "github.com/hashicorp/go-sockaddr"
	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"
)

// Prefix starts every token that the store makes up itself.
const Prefix = consts.ServiceTokenPrefix

// ErrInvalid is returned for tokens that are unknown, expired, revoked or used
// up; the text does not say which.
var ErrInvalid = errors.New("invalid token")

// Token is what the server knows of a token. Values that the store hands out
// are snapshots: they never change.
type Token struct {
	Key      string `json:"-"` // keyed hash of the secret part; owner of leases
	Accessor string `json:"accessor"`
	Parent   string `json:"parent,omitempty"` // key of the parent; empty for orphans

	Policies    []string                      `json:"policies"`
	Path        string                        `json:"path"` // of the request that made it
	DisplayName string                        `json:"display_name"`
	Meta        map[string]string             `json:"meta,omitempty"`
	BoundCIDRs  []*sockaddr.SockAddrMarshaler `json:"bound_cidrs,omitempty"`
	Internal    map[string]any                `json:"internal,omitempty"` // kept for its auth method

	NumUses        int           `json:"num_uses,omitempty"` // left; 0 without limit, usedUp when none
	Renewable      bool          `json:"renewable"`
	TTL            time.Duration `json:"ttl"` // asked for at creation; 0 for one that never ends
	MaxTTL         time.Duration `json:"max_ttl,omitempty"`
	ExplicitMaxTTL time.Duration `json:"explicit_max_ttl,omitempty"`
	Period         time.Duration `json:"period,omitempty"`

	IssueTime   time.Time `json:"issue_time"`
	ExpireTime  time.Time `json:"expire_time,omitzero"` // zero for one that never ends
	LastRenewal time.Time `json:"last_renewal,omitzero"`
}

// usedUp is NumUses of a token that has begun its last request.
const usedUp = -1

// UsedUp reports whether the token has begun its last request.
func (t *Token) UsedUp() bool { return t.NumUses == usedUp }

// Orphan reports whether the token ends on its own account only.
func (t *Token) Orphan() bool { return t.Parent == "" }

// Remaining returns how long the token still lives; 0 for one that never ends.
func (t *Token) Remaining() time.Duration {
	if t.ExpireTime.IsZero() {
		return 0
	}
	return max(0, time.Until(t.ExpireTime))
}

// Auth returns t as the SDK describes it, for answers and for auth methods.
// The secret part is empty: only its owner has it.
func (t *Token) Auth() *logical.Auth {
	return &logical.Auth{
		LeaseOptions: logical.LeaseOptions{
			TTL: t.Remaining(), MaxTTL: t.MaxTTL, Renewable: t.Renewable, IssueTime: t.IssueTime,
		},
		InternalData:   t.Internal,
		DisplayName:    t.DisplayName,
		Policies:       t.Policies,
		TokenPolicies:  t.Policies,
		Metadata:       t.Meta,
		Accessor:       t.Accessor,
		Period:         t.Period,
		ExplicitMaxTTL: t.ExplicitMaxTTL,
		NumUses:        max(0, t.NumUses),
		BoundCIDRs:     t.BoundCIDRs,
		TokenType:      logical.TokenTypeService,
		Orphan:         t.Orphan(),
	}
}

func (t *Token) expired() bool {
	return !t.ExpireTime.IsZero() && !time.Now().Before(t.ExpireTime)
}

// Package token owns the tokens by which clients are known.
//
// Store creates, finds, prolongs and revokes them (store.go, revoke.go). A
// token's secret part exists only in the client's hands: the store keys a
// token by a keyed hash of it, so that neither storage nor the time that a
// comparison takes tells anything of it. Factory (backend.go) is the HTTP side,
// the paths of auth/token; roles (roles.go) say what others may create. Revoking
// a token revokes its children and every lease that any of them owns. Batch
// tokens (batch.go) are the exception to all of it: they are not kept at all.
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
	Key      string `json:"-"` // keyed hash of the secret part
	Batch    bool   `json:"-"` // carried by the client, not kept
	Accessor string `json:"accessor"`
	Parent   string `json:"parent,omitempty"` // key of the parent; empty for orphans

	Policies    []string                      `json:"policies"`
	Path        string                        `json:"path"` // of the request that made it
	DisplayName string                        `json:"display_name"`
	Meta        map[string]string             `json:"meta,omitempty"`
	BoundCIDRs  []*sockaddr.SockAddrMarshaler `json:"bound_cidrs,omitempty"`
	Internal    map[string]any                `json:"internal,omitempty"` // kept for its auth method
	Role        string                        `json:"role,omitempty"`     // the token role that it was made by
	Alias       Alias                         `json:"alias,omitzero"`

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

// Alias is how the auth method of a login knows who logged in. Children have
// that of their parent. The zero Alias is nobody's.
type Alias struct {
	Accessor string            `json:"accessor"` // of the auth mount
	Name     string            `json:"name"`
	Metadata map[string]string `json:"metadata,omitempty"`
}

// IsZero reports whether a is nobody's.
func (a Alias) IsZero() bool { return a.Accessor == "" }

// usedUp is NumUses of a token that has begun its last request.
const usedUp = -1

// UsedUp reports whether the token has begun its last request.
func (t *Token) UsedUp() bool { return t.NumUses == usedUp }

// Orphan reports whether the token ends on its own account only.
func (t *Token) Orphan() bool { return t.Parent == "" }

// Owner returns the key of the token that owns what this one is given: its
// parent for a batch token, and nobody ("") for a batch token without one.
func (t *Token) Owner() string {
	if t.Batch {
		return t.Parent
	}
	return t.Key
}

// Type returns service or batch.
func (t *Token) Type() logical.TokenType {
	if t.Batch {
		return logical.TokenTypeBatch
	}
	return logical.TokenTypeService
}

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
		TokenType:      t.Type(),
		Orphan:         t.Orphan(),
	}
}

func (t *Token) expired() bool {
	return !t.ExpireTime.IsZero() && !time.Now().Before(t.ExpireTime)
}

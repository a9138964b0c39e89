package lease

import (
	"context"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/store"
)

// record is a lease at rest: what its id does not say already, and of the
// secret what outlives a request. It is kept short: there may be very many.
type record struct {
	header
	Data      map[string]any `json:"data,omitempty"`
	Internal  map[string]any `json:"internal,omitempty"`
	TTL       time.Duration  `json:"ttl,omitempty"`
	MaxTTL    time.Duration  `json:"max_ttl,omitempty"`
	Renewable bool           `json:"renewable,omitempty"`

	IssueTime   time.Time `json:"issued"`
	Until       time.Time `json:"until,omitzero"`
	LastRenewal time.Time `json:"renewed,omitzero"`
}

// header is the part of a record that memory keeps.
type header struct {
	Mount      string    `json:"mount"`
	Role       string    `json:"role,omitempty"`
	Token      string    `json:"token,omitempty"`
	ExpireTime time.Time `json:"expires"`
	Failure    string    `json:"failure,omitempty"`
}

// write makes l durable.
func (m *Manager) write(ctx context.Context, l *Lease) error {
	return store.PutJSON(ctx, m.storage, l.ID, record{
		header:   header{Mount: l.Mount, Role: l.Role, Token: l.Token, ExpireTime: l.ExpireTime, Failure: l.Failure},
		Data:     l.Data,
		Internal: l.Secret.InternalData,
		TTL:      l.Secret.TTL, MaxTTL: l.Secret.MaxTTL, Renewable: l.Secret.Renewable,
		IssueTime: l.IssueTime, Until: l.Until, LastRenewal: l.LastRenewal,
	})
}

// read returns the lease that was last written under id.
func (m *Manager) read(ctx context.Context, id string) (*Lease, error) {
	r, err := store.GetJSON[record](ctx, m.storage, id)
	if err != nil {
		return nil, err
	}
	if r == nil {
		return nil, ErrNotFound
	}
	return &Lease{
		ID: id, Path: id[:max(0, strings.LastIndexByte(id, '/'))], Mount: r.Mount, Role: r.Role, Token: r.Token,
		Data: r.Data,
		Secret: &logical.Secret{
			LeaseOptions: logical.LeaseOptions{TTL: r.TTL, MaxTTL: r.MaxTTL, Renewable: r.Renewable, IssueTime: r.IssueTime},
			InternalData: r.Internal,
		},
		IssueTime: r.IssueTime, ExpireTime: r.ExpireTime, Until: r.Until, LastRenewal: r.LastRenewal,
		Failure: r.Failure,
	}, nil
}

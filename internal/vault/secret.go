package vault

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/hashicorp/vault/api"
)

// Secret is an answer of the server: what a template may use, and what the
// lease manager needs to keep it alive. It is immutable once returned, and
// prints without its data.
type Secret struct {
	RequestID string
	LeaseID   string         // "" for a secret without a lease
	Renewable bool           // whether the server said that the lease can be renewed
	TTL       time.Duration  // as granted by this answer; 0 means that it does not end
	Data      map[string]any // numbers are json.Number
	Warnings  []string
	Auth      *Auth // set by a login, else nil
}

// Auth is the token part of an answer to a login or a token renewal.
type Auth struct {
	Token     Sensitive
	Accessor  string
	Policies  []string
	Renewable bool
	TTL       time.Duration // 0 means that the token does not end
	Orphan    bool
	Batch     bool // a batch token can neither be renewed nor revoked
}

// Format implements [fmt.Formatter]: the lease, never the data.
func (s *Secret) Format(f fmt.State, _ rune) {
	if s == nil {
		_, _ = io.WriteString(f, "<nil>")
		return
	}
	_, _ = fmt.Fprintf(f, "secret(lease %q, ttl %s, data %s)", s.LeaseID, s.TTL, Redacted)
}

// MarshalJSON implements [json.Marshaler]: the lease, never the data.
func (s *Secret) MarshalJSON() ([]byte, error) {
	if s == nil {
		return []byte("null"), nil
	}
	return json.Marshal(map[string]any{
		"lease_id": s.LeaseID, "renewable": s.Renewable, "ttl": s.TTL.Seconds(), "data": Redacted,
	})
}

func newSecret(in *api.Secret) *Secret {
	out := &Secret{
		RequestID: in.RequestID,
		LeaseID:   in.LeaseID,
		Renewable: in.Renewable,
		TTL:       time.Duration(in.LeaseDuration) * time.Second,
		Data:      in.Data,
		Warnings:  in.Warnings,
	}
	if a := in.Auth; a != nil {
		out.Auth = &Auth{
			Token:     Sensitive(a.ClientToken),
			Accessor:  a.Accessor,
			Policies:  a.TokenPolicies,
			Renewable: a.Renewable,
			TTL:       time.Duration(a.LeaseDuration) * time.Second,
			Orphan:    a.Orphan,
			Batch:     strings.HasPrefix(a.ClientToken, "hvb.") || strings.HasPrefix(a.ClientToken, "b."),
		}
	}
	return out
}

// Token is a token in use. Its epoch rises with each login, so that a lease
// can tell whether the token that issued it is still the current one.
type Token struct {
	Value     Sensitive
	Accessor  string
	Namespace string // where it was issued; "" for the root namespace
	Epoch     uint64 // 0 means that there is no token yet
	// Ends is when the token, and every lease issued with it, ends whatever
	// is renewed; zero while it is renewable or does not end.
	Ends time.Time
}

package vault

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
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
	Auth      *Auth     // set by a login, else nil
	Wrap      *Wrapping // set when the answer was asked for wrapped, else nil
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
	// Wrap stands for the token when the login asked for it wrapped: the
	// fields above are zero then, since only who unwraps it gets to see it.
	Wrap *Wrapping
}

// Wrapping is a token for one use that stands for an answer which its holder
// may fetch once.
type Wrapping struct {
	Token           Sensitive
	Accessor        string
	TTL             time.Duration
	CreationTime    time.Time
	CreationPath    string // of the request whose answer was wrapped
	WrappedAccessor string // of the token inside, if there is one
}

// Delivery returns the wrapping as clients of existing agents read it from a
// sink: a JSON object that holds the token in clear.
func (w *Wrapping) Delivery() Sensitive {
	text, err := json.Marshal(map[string]any{
		"token": w.Token.Reveal(), "accessor": w.Accessor, "ttl": int(w.TTL.Seconds()), "creation_time": w.CreationTime,
		"creation_path": w.CreationPath, "wrapped_accessor": w.WrappedAccessor,
	})
	if err != nil {
		return "" // a year beyond 9999, which JSON does not know
	}
	return Sensitive(text)
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
		TTL:       granted(int64(in.LeaseDuration)),
		Data:      in.Data,
		Warnings:  in.Warnings,
	}
	if w := in.WrapInfo; w != nil {
		out.Wrap = &Wrapping{
			Token: Sensitive(w.Token), Accessor: w.Accessor, TTL: time.Duration(w.TTL) * time.Second,
			CreationTime: w.CreationTime, CreationPath: w.CreationPath, WrappedAccessor: w.WrappedAccessor,
		}
	}
	if a := in.Auth; a != nil {
		out.Auth = &Auth{
			Token:     Sensitive(a.ClientToken),
			Accessor:  a.Accessor,
			Policies:  a.TokenPolicies,
			Renewable: a.Renewable,
			TTL:       granted(int64(a.LeaseDuration)),
			Orphan:    a.Orphan,
			Batch:     strings.HasPrefix(a.ClientToken, "hvb.") || strings.HasPrefix(a.ClientToken, "b."),
		}
	}
	return out
}

// granted returns a TTL that the API gives in seconds, the longest that there is
// if it is longer.
func granted(ttl int64) time.Duration {
	return time.Duration(min(max(ttl, 0), int64(math.MaxInt64/time.Second))) * time.Second
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
	// PreviousEnds is when the token of the epoch before ends, and every lease
	// issued with it: nobody renews it any more. It is zero if that token has
	// ended, or if there was none.
	PreviousEnds time.Time
	// Wrapped is set instead of Value for a token that the agent may not see:
	// what to put into the sink in its place.
	Wrapped Sensitive
}

// Delivery returns what a sink is given: the token or, where the agent may not
// see it, what stands for it.
func (t Token) Delivery() Sensitive {
	if t.Wrapped != "" {
		return t.Wrapped
	}
	return t.Value
}

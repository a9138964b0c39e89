package templates

import (
	"fmt"
	"net/url"

	"github.com/novatech/securevault/internal/vault"
)

// Secret is what the function secret returns, in the shape that templates for
// consul-template expect. It is a copy: a template may change it.
type Secret struct {
	RequestID     string
	LeaseID       string
	LeaseDuration int // seconds
	Renewable     bool
	Data          map[string]any
	Warnings      []string
	Auth          *SecretAuth
}

// SecretAuth is the token part of a Secret, nil except for logins.
type SecretAuth struct {
	ClientToken   string
	Accessor      string
	Policies      []string
	LeaseDuration int // seconds
	Renewable     bool
}

func newSecret(in *vault.Secret) *Secret {
	out := &Secret{
		RequestID:     in.RequestID,
		LeaseID:       in.LeaseID,
		LeaseDuration: int(in.TTL.Seconds()),
		Renewable:     in.Renewable,
		Data:          cloneMap(in.Data),
		Warnings:      append([]string(nil), in.Warnings...),
	}
	if a := in.Auth; a != nil {
		out.Auth = &SecretAuth{
			ClientToken: a.Token.Reveal(), Accessor: a.Accessor, Policies: append([]string(nil), a.Policies...),
			LeaseDuration: int(a.TTL.Seconds()), Renewable: a.Renewable,
		}
	}
	return out
}

func cloneMap(in map[string]any) map[string]any {
	if in == nil {
		return nil
	}
	out := make(map[string]any, len(in))
	for key, value := range in {
		out[key] = clone(value)
	}
	return out
}

func clone(value any) any {
	switch v := value.(type) {
	case map[string]any:
		return cloneMap(v)
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = clone(v[i])
		}
		return out
	default:
		return value
	}
}

// absent stands for a secret that is pending, always as a nil pointer: "with"
// and "if" skip it, and its fields are empty, so that an evaluation goes on
// and finds what else the template wants.
type absent struct{}

// The fields of a Secret, as methods. Data serves .Data.x and .Data.data.x.
func (*absent) Data() map[string]any {
	return map[string]any{"data": map[string]any{}, "metadata": map[string]any{}}
}
func (*absent) Auth() SecretAuth   { return SecretAuth{} }
func (*absent) LeaseDuration() int { return 0 }
func (*absent) LeaseID() string    { return "" }
func (*absent) Renewable() bool    { return false }
func (*absent) RequestID() string  { return "" }
func (*absent) Warnings() []string { return nil }

// readParams returns the parameters of a read, given as "path?key=value".
func readParams(query string) (map[string]any, error) {
	if query == "" {
		return nil, nil
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return nil, fmt.Errorf("reading the parameters of a secret: %w", err)
	}
	params := make(map[string]any, len(values))
	for key := range values {
		params[key] = values.Get(key)
	}
	return params, nil
}

package cli

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/vault/api"
)

// fieldLeaseID is the name of the field that holds the lease.
const fieldLeaseID = "lease_id"

// field is one line of an answer's table, and what -field selects by name.
type field struct {
	name  string
	value any
}

// seconds is a duration as the API counts it. -field prints the number, a table
// the duration as people say it.
type seconds int64

// fieldsOf lists what an envelope holds in the order it is shown: wrapping,
// token, lease, then the data by name.
func fieldsOf(secret *api.Secret) []field {
	if secret == nil {
		return nil
	}
	fields := append(wrapFields(secret.WrapInfo), authFields(secret.Auth)...)
	switch {
	case secret.LeaseID != "":
		fields = append(fields,
			field{fieldLeaseID, secret.LeaseID},
			field{"lease_duration", seconds(secret.LeaseDuration)},
			field{"lease_renewable", secret.Renewable})
	case secret.LeaseDuration > 0:
		fields = append(fields, field{"refresh_interval", seconds(secret.LeaseDuration)})
	}
	for _, name := range slices.Sorted(maps.Keys(secret.Data)) {
		fields = append(fields, field{name, dataValue(name, secret.Data[name])})
	}
	return fields
}

func wrapFields(wrap *api.SecretWrapInfo) []field {
	if wrap == nil {
		return nil
	}
	fields := []field{
		{"wrapping_token", wrap.Token},
		{"wrapping_accessor", wrap.Accessor},
		{"wrapping_token_ttl", seconds(wrap.TTL)},
		{"wrapping_token_creation_time", wrap.CreationTime.Format(time.RFC3339Nano)},
		{"wrapping_token_creation_path", wrap.CreationPath},
	}
	if wrap.WrappedAccessor != "" {
		fields = append(fields, field{"wrapped_accessor", wrap.WrappedAccessor})
	}
	return fields
}

func authFields(auth *api.SecretAuth) []field {
	if auth == nil {
		return nil
	}
	fields := []field{
		{"token", auth.ClientToken},
		{"token_accessor", auth.Accessor},
		{"token_duration", seconds(auth.LeaseDuration)},
		{"token_renewable", auth.Renewable},
		{"token_policies", names(auth.TokenPolicies)},
		{"identity_policies", names(auth.IdentityPolicies)},
		{"policies", names(auth.Policies)},
	}
	for _, name := range slices.Sorted(maps.Keys(auth.Metadata)) {
		fields = append(fields, field{"token_meta_" + name, auth.Metadata[name]})
	}
	return fields
}

// names makes an absent list an empty one, which prints as [].
func names(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

// dataValue marks a number as seconds where its name tells so.
func dataValue(name string, value any) any {
	number, ok := value.(json.Number)
	if !ok || !isDuration(name) {
		return value
	}
	n, err := number.Int64()
	if err != nil {
		return value
	}
	return seconds(n)
}

func isDuration(name string) bool {
	for _, suffix := range []string{"ttl", "period", "duration"} {
		if name == suffix || strings.HasSuffix(name, "_"+suffix) {
			return true
		}
	}
	return false
}

// text is the field's value as a table shows it.
func (f field) text() string {
	if n, ok := f.value.(seconds); ok {
		return n.String()
	}
	return plainText(f.value)
}

// plainText is a value as it stands: text without quotes, the rest as JSON.
func plainText(value any) string {
	switch v := value.(type) {
	case nil:
		return "n/a"
	case string:
		return v
	case json.Number:
		return v.String()
	}
	raw, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprint(value)
	}
	return string(raw)
}

// String shortens the duration to what differs from zero: 1h, 2h30m, 45s.
func (s seconds) String() string {
	text := (time.Duration(s) * time.Second).String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

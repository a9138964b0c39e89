package elasticsearch

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/novatech/securevault/server/engines/database/fault"
	"github.com/novatech/securevault/server/engines/database/nearest"
	"github.com/novatech/securevault/server/engines/database/statement"
)

// grants is what a role's statement gives.
type grants struct {
	roles       []string                   // names of roles that the server knows
	definition  json.RawMessage            // of one role more, for this user alone; nil: none
	descriptors map[string]json.RawMessage // name → what an API key may do
	metadata    json.RawMessage            // of an API key; nil: none
}

const exampleStatement = `{"elasticsearch_roles": ["app"]}`

// decodeGrants reads creation_statements: one JSON object.
func decodeGrants(statements []string, values map[string]string) (grants, error) {
	if len(statements) != 1 {
		return grants{}, fault.New(fault.Refused, "creation_statements must be one JSON object, not %d: write %s", len(statements), exampleStatement)
	}
	text, err := statement.Render(statements[0], values)
	if err != nil {
		return grants{}, fault.New(fault.Refused, "creation_statements: %s", err)
	}
	var decoded grants
	fields := map[string]any{
		"elasticsearch_roles": &decoded.roles, "elasticsearch_role_definition": &decoded.definition,
		"opensearch_roles": &decoded.roles, "opensearch_role_definition": &decoded.definition,
		"role_descriptors": &decoded.descriptors, "metadata": &decoded.metadata,
	}
	if err := decodeObject(text, fields); err != nil {
		return grants{}, fault.New(fault.Refused, "creation_statements: %s", err)
	}
	return decoded, nil
}

// decodeObject decodes one JSON object, each field into its target.
func decodeObject(text string, fields map[string]any) error {
	var given map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &given); err != nil || given == nil {
		return fmt.Errorf("this is no JSON object: write %s", exampleStatement)
	}
	known := slices.Sorted(maps.Keys(fields))
	for _, name := range slices.Sorted(maps.Keys(given)) {
		target, ok := fields[name]
		if !ok {
			return fmt.Errorf("unknown field %q%s: there are %s", name, nearest.Hint(name, known), strings.Join(known, ", "))
		}
		if json.Unmarshal(given[name], target) != nil || bytes.Equal(given[name], []byte("null")) {
			return fmt.Errorf("field %q has the wrong shape: see the README of the elasticsearch engine", name)
		}
	}
	return nil
}

// forUser checks that the grants are those of a user.
func (g grants) forUser() error {
	switch {
	case g.descriptors != nil || g.metadata != nil:
		return fault.New(fault.Refused, "creation_statements: role_descriptors and metadata are for API keys: write credential_type=api_key, or name roles: %s", exampleStatement)
	case len(g.roles) == 0 && g.definition == nil:
		return fault.New(fault.Refused, "creation_statements give no role, the user could do nothing: write %s", exampleStatement)
	}
	return nil
}

// forKey returns what a key of that name may do. A key without descriptors could
// do all that the admin can.
func (g grants) forKey(name string) (map[string]json.RawMessage, error) {
	descriptors := map[string]json.RawMessage{}
	maps.Copy(descriptors, g.descriptors)
	if g.definition != nil {
		descriptors[name] = g.definition
	}
	switch {
	case len(g.roles) > 0:
		return nil, fault.New(fault.Refused, "creation_statements: an API key has no roles, it has role_descriptors of its own: write them out")
	case len(descriptors) == 0:
		return nil, fault.New(fault.Refused, `creation_statements have no role_descriptors, the key could do all that the admin can: write {"role_descriptors": {"app": {"indices": [{"names": ["orders"], "privileges": ["read"]}]}}}`)
	}
	return descriptors, nil
}

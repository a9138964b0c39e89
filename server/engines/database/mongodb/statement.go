package mongodb

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/vault/sdk/database/dbplugin/v5"

	"github.com/novatech/securevault/server/engines/database/fault"
	"github.com/novatech/securevault/server/engines/database/nearest"
	"github.com/novatech/securevault/server/engines/database/statement"
)

const (
	creationHint = `write JSON such as {"db": "mydb", "roles": [{"role": "readWrite"}]}`
	placeHint    = `write JSON such as {"db": "mydb"}`
)

// plan is what a statement says.
type plan struct {
	database string // empty: it does not say
	roles    []role // those without a database have that of the plan
}

// parseCreation reads creation_statements for a user of that name.
func parseCreation(statements dbplugin.Statements, name, defaultDatabase string) (plan, error) {
	const field = "creation_statements"
	text, err := single(field, statements, name)
	if err != nil {
		return plan{}, err
	}
	if text == "" {
		return plan{}, fault.New(fault.Refused, "%s is empty: %s", field, creationHint)
	}
	fields, err := object(field, []byte(text), "db", "roles")
	if err != nil {
		return plan{}, err
	}
	said := plan{database: defaultDatabase}
	if said.database, err = textOf(field, "db", fields["db"], defaultDatabase); err != nil {
		return plan{}, err
	}
	var listed []json.RawMessage
	if err := json.Unmarshal(fields["roles"], &listed); err != nil || len(listed) == 0 {
		return plan{}, fault.New(fault.Refused, "%s names no roles: %s", field, creationHint)
	}
	for _, one := range listed {
		parsed, err := parseRole(field, one, said.database)
		if err != nil {
			return plan{}, err
		}
		said.roles = append(said.roles, parsed)
	}
	return said, nil
}

// parseRole reads a role: its name, or a document with role and db.
func parseRole(field string, text json.RawMessage, database string) (role, error) {
	parsed := role{Database: database}
	if json.Unmarshal(text, &parsed.Name) != nil {
		fields, err := object(field+": roles", text, "role", "db")
		if err != nil {
			return role{}, err
		}
		if parsed.Name, err = textOf(field, "role", fields["role"], ""); err != nil {
			return role{}, err
		}
		if parsed.Database, err = textOf(field, "db", fields["db"], database); err != nil {
			return role{}, err
		}
	}
	switch {
	case parsed.Name == "":
		return role{}, fault.New(fault.Refused, "%s has a role without a name: %s", field, creationHint)
	case parsed.Database == external:
		return role{}, fault.New(fault.Refused, `%s: role %q needs a database, there are no roles in %s: write {"role": %q, "db": "mydb"}`, field, parsed.Name, external, parsed.Name)
	}
	return parsed, nil
}

// parsePlace reads statements that only say in which database a user is. Nothing
// gives otherwise.
func parsePlace(field string, statements dbplugin.Statements, name, otherwise string) (string, error) {
	text, err := single(field, statements, name)
	if text == "" || err != nil {
		return otherwise, err
	}
	fields, err := object(field, []byte(text), "db")
	if err != nil {
		return "", err
	}
	return textOf(field, "db", fields["db"], otherwise)
}

// single returns the one statement there may be, filled in.
func single(field string, statements dbplugin.Statements, name string) (string, error) {
	given := slices.DeleteFunc(slices.Clone(statements.Commands), func(text string) bool { return strings.TrimSpace(text) == "" })
	switch len(given) {
	case 0:
		return "", nil
	case 1:
	default:
		return "", fault.New(fault.Refused, "%s holds %d statements, MongoDB takes one: put all roles into one", field, len(given))
	}
	text, err := statement.Render(given[0], map[string]string{"name": name, "username": name})
	if err != nil {
		return "", fault.New(fault.Refused, "%s: %s", field, err)
	}
	return text, nil
}

// object reads a JSON object that may have the known fields alone.
func object(what string, text []byte, known ...string) (map[string]json.RawMessage, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(text, &fields); err != nil {
		return nil, fault.New(fault.Refused, "%s is no JSON object: %s: write one with %s", what, err, strings.Join(known, ", "))
	}
	for _, field := range slices.Sorted(maps.Keys(fields)) {
		if !slices.Contains(known, field) {
			return nil, fault.New(fault.Refused, "%s has the unknown field %q%s: it knows %s", what, field, nearest.Hint(field, known), strings.Join(known, ", "))
		}
	}
	return fields, nil
}

// textOf reads a text of an object; one that is missing or empty is otherwise.
func textOf(what, field string, text json.RawMessage, otherwise string) (string, error) {
	if text == nil {
		return otherwise, nil
	}
	var value string
	if err := json.Unmarshal(text, &value); err != nil {
		return "", fault.New(fault.Refused, "%s: %q is no text: %s", what, field, placeHint)
	}
	if value == "" {
		return otherwise, nil
	}
	return value, nil
}

package mongostandin

import (
	"fmt"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// action is what a privilege permits.
type action string

const (
	findDocuments   action = "find"
	insertDocuments action = "insert"
	createUsers     action = "createUser"
	dropUsers       action = "dropUser"
	viewUsers       action = "viewUser"
	changePasswords action = "changePassword"
	grantRoles      action = "grantRole"
	revokeRoles     action = "revokeRole"
	killAnySession  action = "killAnySession"
	inProgress      action = "inprog"
)

const (
	adminDatabase = "admin"
	external      = "$external" // of users with certificates
	cluster       = ""          // in the place of a database: the server as a whole
)

// role is a built-in role on a database.
type role struct{ name, database string }

// exists tells whether it is one of the built-in roles this server knows.
func (r role) exists() bool {
	switch r.name {
	case "read", "readWrite", "dbAdmin", "userAdmin", "dbOwner":
		return r.database != external
	case "readAnyDatabase", "readWriteAnyDatabase", "userAdminAnyDatabase", "hostManager", "clusterAdmin", "root":
		return r.database == adminDatabase
	}
	return false
}

// permits tells whether the role permits an action on a database.
func (r role) permits(what action, database string) bool {
	var (
		reading  = []action{findDocuments}
		writing  = []action{findDocuments, insertDocuments}
		keeping  = []action{createUsers, dropUsers, viewUsers, changePasswords, grantRoles, revokeRoles}
		managing = []action{killAnySession, inProgress}
	)
	there := database == r.database
	switch r.name {
	case "root":
		return true
	case "hostManager", "clusterAdmin":
		return slices.Contains(managing, what)
	case "read":
		return there && slices.Contains(reading, what)
	case "readWrite":
		return there && slices.Contains(writing, what)
	case "userAdmin":
		return there && slices.Contains(keeping, what)
	case "dbOwner":
		return there && !slices.Contains(managing, what)
	case "readAnyDatabase":
		return slices.Contains(reading, what)
	case "readWriteAnyDatabase":
		return slices.Contains(writing, what)
	case "userAdminAnyDatabase":
		return slices.Contains(keeping, what)
	}
	return false
}

func (a *account) may(what action, database string) bool {
	return slices.ContainsFunc(a.roles, func(r role) bool { return r.permits(what, database) })
}

// unauthorized is mongod's answer to who may not do what it asks for. mongod
// shows the command, without its password.
func (o *operation) unauthorized() error {
	return refuse(13, "Unauthorized", "not authorized on %s to execute command { %s: %s }", o.database, o.name, o.body.Index(0).Value())
}

// parseRoles reads the field roles of a command on a database: each a name, of a
// role there, or a document with role and db.
func parseRoles(command, database string, given bson.RawValue) ([]role, error) {
	array, ok := given.ArrayOK()
	if !ok {
		return nil, typeMismatch(command, "roles")
	}
	values, err := array.Values()
	if err != nil {
		return nil, refuse(22, "InvalidBSON", "%s", err)
	}
	roles := []role{}
	for _, value := range values {
		parsed, err := parseRole(database, value)
		if err != nil {
			return nil, err
		}
		if !parsed.exists() {
			return nil, refuse(31, "RoleNotFound", "Could not find role: %s@%s", parsed.name, parsed.database)
		}
		roles = append(roles, parsed)
	}
	return roles, nil
}

func parseRole(database string, value bson.RawValue) (role, error) {
	if name, ok := value.StringValueOK(); ok {
		return role{name, database}, nil
	}
	document, ok := value.DocumentOK()
	if !ok {
		return role{}, badValue("Role names must be either strings or objects")
	}
	elements, err := document.Elements()
	if err != nil {
		return role{}, refuse(22, "InvalidBSON", "%s", err)
	}
	parts := map[string]string{}
	for _, element := range elements {
		text, ok := element.Value().StringValueOK()
		if !ok || element.Key() != "role" && element.Key() != "db" {
			return role{}, unknownField("RoleName", element.Key())
		}
		parts[element.Key()] = text
	}
	for _, field := range []string{"role", "db"} {
		if parts[field] == "" {
			return role{}, missing("RoleName", field)
		}
	}
	return role{parts["role"], parts["db"]}, nil
}

func documentsOf(roles []role) bson.A {
	all := bson.A{}
	for _, r := range roles {
		all = append(all, bson.D{{Key: "role", Value: r.name}, {Key: "db", Value: r.database}})
	}
	return all
}

// principal is who somebody is: names are unique within a database.
type principal struct{ name, database string }

func (p principal) String() string { return fmt.Sprintf("%s@%s", p.name, p.database) }

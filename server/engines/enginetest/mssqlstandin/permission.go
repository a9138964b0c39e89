package mssqlstandin

import "strings"

// securable is what a permission is on: class SERVER or DATABASE without a name,
// SCHEMA with its name, OBJECT with schema.table.
type securable struct{ class, name string }

// serverPermissions are those that are granted in master, on the server.
var serverPermissions = map[string]bool{
	"ALTER ANY LOGIN": true, "ALTER ANY CONNECTION": true, "VIEW SERVER STATE": true,
	"CONTROL SERVER": true, "CONNECT ANY DATABASE": true, "VIEW ANY DEFINITION": true,
}

// databasePermissions are those on a database as a whole.
var databasePermissions = map[string]bool{
	"ALTER ANY USER": true, "ALTER ANY ROLE": true, "CREATE SCHEMA": true, "CREATE TABLE": true, "CONTROL": true,
	"VIEW DATABASE STATE": true, "KILL DATABASE CONNECTION": true,
}

// objectPermissions are those on tables, or on what holds tables.
var objectPermissions = map[string]bool{"SELECT": true, "INSERT": true, "UPDATE": true, "DELETE": true, "EXECUTE": true, "CONTROL": true}

// rolePermissions are what fixed roles give.
var rolePermissions = map[string]map[string]bool{
	"db_datareader":    {"SELECT": true},
	"db_datawriter":    {"INSERT": true, "UPDATE": true, "DELETE": true},
	"db_accessadmin":   {"ALTER ANY USER": true},
	"db_securityadmin": {"ALTER ANY ROLE": true},
	"db_ddladmin":      {"CREATE TABLE": true, "CREATE SCHEMA": true},
}

// account returns the session's login, nil for a contained user.
func (s *session) account(c *catalog) *account {
	if s.contained != "" {
		return nil
	}
	return c.logins[key(s.login)]
}

// serverAllows reports whether the session has a permission on the server.
func (s *session) serverAllows(c *catalog, permission string) bool {
	login := s.account(c)
	if login == nil {
		return false
	}
	_, granted := login.grants[permission]
	_, all := login.grants["CONTROL SERVER"]
	return login.sysadmin || granted || all
}

// userIn returns who the session is in a database, nil if it may not enter.
func (s *session) userIn(c *catalog, in *database) *principal {
	if s.contained != "" {
		if s.contained == in.name {
			return in.principals[key(s.login)]
		}
		return nil
	}
	login := c.logins[key(s.login)]
	if login == nil || login.sid != s.sid {
		return nil
	}
	if login.sysadmin || in.owner == s.sid {
		return in.principals["dbo"]
	}
	if user := in.of(s.sid); user != nil {
		return user
	}
	if in.name == "master" || in.name == "tempdb" || s.serverAllows(c, "CONNECT ANY DATABASE") {
		return in.principals["guest"]
	}
	return nil
}

// isOwner reports whether the session may do anything in a database.
func (s *session) isOwner(c *catalog, in *database) bool {
	user := s.userIn(c, in)
	return user != nil && (user.id == 1 || in.memberships(user)["db_owner"])
}

// memberships returns the roles a principal is in, also through others, and
// itself, by name.
func (d *database) memberships(of *principal) map[string]bool {
	all := map[string]bool{key(of.name): true, "public": true}
	open := []*principal{of}
	for len(open) > 0 {
		next := open[0]
		open = open[1:]
		for role := range next.memberOf {
			if found := d.principals[role]; found != nil && !all[role] {
				all[role] = true
				open = append(open, found)
			}
		}
	}
	return all
}

// allows reports whether the session has a permission on something in a
// database, or on what it is in.
func (s *session) allows(c *catalog, in *database, permission string, on securable) bool {
	return s.holds(c, in, permission, on, false)
}

// mayGrant reports whether the session may hand a permission on.
func (s *session) mayGrant(c *catalog, in *database, permission string, on securable) bool {
	return s.holds(c, in, permission, on, true)
}

func (s *session) holds(c *catalog, in *database, permission string, on securable, toGrant bool) bool {
	user := s.userIn(c, in)
	if user == nil {
		return false
	}
	if s.isOwner(c, in) {
		return true
	}
	covering := in.covering(on)
	for name := range in.memberships(user) {
		if rolePermissions[name][permission] && !toGrant {
			return true
		}
		for _, place := range covering {
			if in.owns(name, place) {
				return true
			}
			grants := in.principals[name].grants
			handOn, granted := grants[grantedOn{permission, place}]
			_, control := grants[grantedOn{"CONTROL", place}]
			if control || granted && (handOn || !toGrant) {
				return true
			}
		}
	}
	return false
}

// covering returns what a permission on something may be granted on.
func (d *database) covering(on securable) []securable {
	all := []securable{on}
	if on.class == "OBJECT" {
		schema, _, _ := strings.Cut(on.name, ".")
		all = append(all, securable{"SCHEMA", schema})
	}
	if on.class != "DATABASE" {
		all = append(all, securable{class: "DATABASE"})
	}
	return all
}

// owns reports whether a principal owns something.
func (d *database) owns(name string, on securable) bool {
	switch on.class {
	case "SCHEMA":
		return d.schemas[on.name] != nil && d.schemas[on.name].owner == name
	case "OBJECT":
		return d.tables[on.name] != nil && d.tables[on.name].owner == name
	}
	return false
}

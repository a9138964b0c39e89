package mssqlstandin

import (
	"crypto/rand"
	"maps"
	"slices"
	"strings"
)

// How a user of a database authenticates, as sys.database_principals tells.
const (
	byNothing  = 0
	byInstance = 1
	byDatabase = 2
)

// catalog is all that a server remembers. A catalog that others may see is
// never changed.
type catalog struct {
	logins    map[string]*account
	databases map[string]*database
	contained bool // 'contained database authentication'
	nextID    int
}

// account is a login.
type account struct {
	name, password, sid, defaultDatabase string
	disabled, locked, sysadmin           bool
	grants                               map[string]bool // permission → with grant option
}

type database struct {
	name       string
	id         int
	owner      string // a sid
	contained  bool
	principals map[string]*principal
	schemas    map[string]*schema
	tables     map[string]*table // schema.table
}

// principal is a user or a role of a database.
type principal struct {
	name, sid, password string
	id                  int
	role, fixed         bool
	authentication      int
	owner               string          // of a role: a principal
	memberOf            map[string]bool // roles
	grants              map[grantedOn]bool
}

// grantedOn is a permission on something; its value in a map tells whether it
// may be handed on.
type grantedOn struct {
	permission string
	on         securable
}

type schema struct {
	name  string
	id    int
	owner string
}

type table struct {
	schema, name string
	owner        string // empty: the schema's
	columns      []string
	rows         []map[string]any
}

// key makes names comparable: they have no case.
func key(name string) string { return strings.ToLower(strings.TrimRight(name, " ")) }

func newSID() string {
	sid := make([]byte, 16)
	_, _ = rand.Read(sid) // never fails
	return string(sid)
}

func newCatalog(azure bool) *catalog {
	c := &catalog{logins: map[string]*account{}, databases: map[string]*database{}, contained: azure, nextID: 100}
	c.logins[key(Admin)] = &account{name: Admin, password: Password, sid: "\x01", defaultDatabase: "master", sysadmin: true}
	c.addDatabase("master", "\x01", false)
	c.addDatabase("tempdb", "\x01", false)
	return c
}

// fixedRoles are those of every database.
var fixedRoles = []string{"db_owner", "db_accessadmin", "db_securityadmin", "db_ddladmin", "db_datareader", "db_datawriter"}

func (c *catalog) addDatabase(name, owner string, contained bool) {
	added := &database{
		name: name, id: len(c.databases) + 1, owner: owner, contained: contained,
		principals: map[string]*principal{}, schemas: map[string]*schema{}, tables: map[string]*table{},
	}
	c.databases[key(name)] = added
	added.principals["dbo"] = &principal{name: "dbo", id: 1, sid: owner, authentication: byInstance}
	added.principals["guest"] = &principal{name: "guest", id: 2}
	added.schemas["dbo"] = &schema{"dbo", 1, "dbo"}
	for _, role := range append([]string{"public"}, fixedRoles...) {
		c.nextID++
		added.principals[role] = &principal{name: role, id: c.nextID, role: true, fixed: true, owner: "dbo"}
	}
}

// clone returns a copy that shares nothing that changes.
func (c *catalog) clone() *catalog {
	copied := *c
	copied.logins = cloned(c.logins, func(a *account) { a.grants = maps.Clone(a.grants) })
	copied.databases = cloned(c.databases, func(d *database) {
		d.principals = cloned(d.principals, func(p *principal) {
			p.memberOf, p.grants = maps.Clone(p.memberOf), maps.Clone(p.grants)
		})
		d.schemas = cloned(d.schemas, func(*schema) {})
		d.tables = cloned(d.tables, func(t *table) { t.rows = slices.Clone(t.rows) })
	})
	return &copied
}

// cloned copies a map and what it points to; deeper lets go of what the copies
// still share.
func cloned[T any](all map[string]*T, deeper func(*T)) map[string]*T {
	copies := make(map[string]*T, len(all))
	for key, one := range all {
		copied := *one
		deeper(&copied)
		copies[key] = &copied
	}
	return copies
}

// newPrincipal adds a user or role to a database.
func (c *catalog) newPrincipal(to *database, added principal) {
	c.nextID++
	added.id = c.nextID
	to.principals[key(added.name)] = &added
}

// of returns the principal of that sid, nil if there is none.
func (d *database) of(sid string) *principal {
	for _, found := range d.principals {
		if found.sid == sid && sid != "" {
			return found
		}
	}
	return nil
}

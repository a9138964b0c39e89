package oraclestandin

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// lingering is how long a killed session is still there, as it is until an
// Oracle server has cleaned up after it. DROP USER fails in the meantime.
const lingering = 40 * time.Millisecond

// database is what all sessions share.
type database struct {
	mu         sync.Mutex
	principals map[string]*principal // name → user or role
	tables     map[string]*table     // OWNER.NAME → table
	sessions   map[int]*session      // SID → session
	lastSID    int
}

// principal is a user or a role.
type principal struct {
	name     string
	role     bool
	verifier verifier
	locked   bool
	system   map[string]bool            // system privilege → whether it may be granted on
	roles    map[string]bool            // role → whether it may be granted on
	objects  map[string]map[string]bool // OWNER.NAME → privilege → whether it may be granted on
}

// table is a table or a view.
type table struct {
	owner   string
	columns []column
	rows    [][]any // string or int64
}

type column struct {
	name    string
	numeric bool
}

var systemPrivileges = []string{
	"ALTER SYSTEM", "ALTER USER", "CREATE ROLE", "CREATE SESSION", "CREATE TABLE", "CREATE USER", "DROP USER",
	"GRANT ANY OBJECT PRIVILEGE", "GRANT ANY PRIVILEGE", "GRANT ANY ROLE", "SELECT ANY DICTIONARY", "SELECT ANY TABLE",
	"UNLIMITED TABLESPACE",
}

var objectPrivileges = []string{"DELETE", "INSERT", "SELECT", "UPDATE"}

// synonyms are the public names of views.
var synonyms = map[string]string{
	"V$SESSION": "SYS.V_$SESSION", "GV$SESSION": "SYS.GV_$SESSION",
	"DBA_USERS": "SYS.DBA_USERS", "ALL_USERS": "SYS.ALL_USERS", "DUAL": "SYS.DUAL",
}

func newDatabase() *database {
	d := &database{principals: map[string]*principal{}, tables: map[string]*table{}, sessions: map[int]*session{}, lastSID: 100}
	number := []column{{"ID", true}, {"NOTE", false}}
	d.tables["SHOP.ORDERS"] = &table{owner: Schema, columns: number, rows: [][]any{{int64(1), "first"}}}
	d.tables["SHOP.CUSTOMERS"] = &table{owner: Schema, columns: number}
	for _, name := range synonyms {
		d.tables[name] = &table{owner: "SYS"}
	}
	d.addRole("CONNECT", "CREATE SESSION")
	d.addRole("RESOURCE", "CREATE TABLE")
	d.addRole("DBA", systemPrivileges...)
	d.addUser("SYS", "").roles["DBA"] = true
	d.addUser(System, SystemPassword).roles["DBA"] = true
	d.addUser(Schema, "").system["UNLIMITED TABLESPACE"] = false
	admin := d.addUser(Admin, AdminPassword)
	for _, privilege := range []string{"CREATE USER", "ALTER USER", "DROP USER", "ALTER SYSTEM"} {
		admin.system[privilege] = false
	}
	admin.system["CREATE SESSION"], admin.roles["RESOURCE"] = true, true
	admin.objects["SYS.GV_$SESSION"] = map[string]bool{"SELECT": false}
	admin.objects["SYS.DBA_USERS"] = map[string]bool{"SELECT": false}
	admin.objects["SHOP.ORDERS"] = map[string]bool{"SELECT": true, "INSERT": true}
	return d
}

func (d *database) add(name string, role bool) *principal {
	added := &principal{name: name, role: role, system: map[string]bool{}, roles: map[string]bool{}, objects: map[string]map[string]bool{}}
	d.principals[name] = added
	return added
}

func (d *database) addRole(name string, privileges ...string) {
	role := d.add(name, true)
	for _, privilege := range privileges {
		role.system[privilege] = false
	}
}

// addUser makes a user who may log in unless the password is empty.
func (d *database) addUser(name, password string) *principal {
	user := d.add(name, false)
	user.locked = password == ""
	user.verifier = newVerifier(password)
	return user
}

// user returns a user, nil if there is none of that name.
func (d *database) user(name string) *principal {
	if found := d.principals[name]; found != nil && !found.role {
		return found
	}
	return nil
}

// holders returns the principal and all roles it has, directly or not.
func (d *database) holders(name string) []*principal {
	found := []*principal{}
	for pending := []string{name}; len(pending) > 0; pending = pending[1:] {
		next := d.principals[pending[0]]
		if next == nil || slices.Contains(found, next) {
			continue
		}
		found = append(found, next)
		pending = append(pending, slices.Collect(maps.Keys(next.roles))...)
	}
	return found
}

// may tells whether a user has a system privilege.
func (d *database) may(user, privilege string) bool {
	return slices.ContainsFunc(d.holders(user), func(p *principal) bool { _, ok := p.system[privilege]; return ok })
}

// mayOn tells whether a user has a privilege on an object; an empty privilege
// stands for any.
func (d *database) mayOn(user, object, privilege string) bool {
	owner, _, _ := strings.Cut(object, ".")
	switch {
	case object == "SYS.DUAL" || object == "SYS.ALL_USERS":
		return privilege != "INSERT"
	case owner == user:
		return true
	case owner == "SYS" && privilege != "INSERT" && d.may(user, "SELECT ANY DICTIONARY"):
		return true
	case owner != "SYS" && privilege != "INSERT" && d.may(user, "SELECT ANY TABLE"):
		return true
	}
	return slices.ContainsFunc(d.holders(user), func(p *principal) bool {
		if privilege == "" {
			return len(p.objects[object]) > 0
		}
		_, ok := p.objects[object][privilege]
		return ok
	})
}

// begin registers a session of a user.
func (d *database) begin(user, program string, end func()) *session {
	d.lastSID++
	s := &session{database: d, sid: d.lastSID, serial: 7*d.lastSID%65521 + 1, user: user, program: program, end: end}
	d.sessions[s.sid] = s
	return s
}

// leave removes a session.
func (d *database) leave(s *session) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.sessions, s.sid)
}

// connected tells whether a user has sessions.
func (d *database) connected(user string) bool {
	for _, s := range d.sessions {
		if s.user == user {
			return true
		}
	}
	return false
}

// content returns the columns and rows of a table, or of a view as of now.
func (d *database) content(name string) ([]column, [][]any) {
	switch name {
	case "SYS.DUAL":
		return []column{{"DUMMY", false}}, [][]any{{"X"}}
	case "SYS.ALL_USERS", "SYS.DBA_USERS":
		return d.usersView(name == "SYS.DBA_USERS")
	case "SYS.V_$SESSION", "SYS.GV_$SESSION":
		return d.sessionsView()
	}
	found := d.tables[name]
	return found.columns, found.rows
}

func (d *database) usersView(withStatus bool) (columns []column, rows [][]any) {
	columns = []column{{"USERNAME", false}}
	if withStatus {
		columns = append(columns, column{"ACCOUNT_STATUS", false})
	}
	for _, name := range slices.Sorted(maps.Keys(d.principals)) {
		found := d.principals[name]
		status := map[bool]string{true: "LOCKED", false: "OPEN"}[found.locked]
		if !found.role {
			rows = append(rows, []any{name, status}[:len(columns)])
		}
	}
	return columns, rows
}

func (d *database) sessionsView() (columns []column, rows [][]any) {
	columns = []column{{"INST_ID", true}, {"SID", true}, {"SERIAL#", true}, {"USERNAME", false}, {"PROGRAM", false}, {"STATUS", false}}
	for _, sid := range slices.Sorted(maps.Keys(d.sessions)) {
		s := d.sessions[sid]
		status := map[bool]string{true: "KILLED", false: "ACTIVE"}[s.killed]
		rows = append(rows, []any{int64(1), int64(s.sid), int64(s.serial), s.user, s.program, status})
	}
	return columns, rows
}

// drop removes a user with all that belongs to it.
func (d *database) drop(name string) {
	delete(d.principals, name)
	for object, found := range d.tables {
		if found.owner == name {
			d.dropTable(object)
		}
	}
}

// dropTable removes a table and the privileges on it.
func (d *database) dropTable(name string) {
	delete(d.tables, name)
	for _, holder := range d.principals {
		delete(holder.objects, name)
	}
}

// owns tells whether a user owns a table.
func (d *database) owns(name string) bool {
	for _, found := range d.tables {
		if found.owner == name {
			return true
		}
	}
	return false
}

// kill ends a session: its next call tells its client, who has gone by then if
// it was disconnected.
func (d *database) kill(s *session, disconnect bool) {
	s.killed = true
	if disconnect {
		s.end()
	}
	time.AfterFunc(lingering, func() { d.leave(s) })
}

// id is a session as KILL SESSION names it.
func (s *session) id() string { return fmt.Sprintf("%d,%d", s.sid, s.serial) }

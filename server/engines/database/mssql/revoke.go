package mssql

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"

	"github.com/hashicorp/vault/sdk/database/dbplugin/v5"

	"github.com/novatech/securevault/server/engines/database/fault"
)

// target is what there is of a credential on the server.
type target struct {
	name  string
	login bool
	users []user
}

// user is a user of a database, of the credential's name or of its login.
type user struct {
	database    string // empty: the connection's
	name        string
	id          int
	ownPassword bool
}

func (t target) exists() bool { return t.login || len(t.users) > 0 }

// DeleteUser ends a credential whatever the revocation statements say, and fails
// unless it is gone afterwards. One that does not exist is a success.
func (d *Database) DeleteUser(ctx context.Context, req dbplugin.DeleteUserRequest) (dbplugin.DeleteUserResponse, error) {
	var none dbplugin.DeleteUserResponse
	conn, err := d.acquire(ctx)
	if err != nil {
		return none, err
	}
	defer conn.release()
	what := fmt.Sprintf("ending user %q", req.Username)
	found, err := d.lookUp(ctx, conn, req.Username)
	if err != nil || !found.exists() {
		return none, d.explain(err, what)
	}
	err = d.end(ctx, conn, found, req.Statements)
	left, lookUpErr := d.lookUp(ctx, conn, req.Username)
	switch {
	case lookUpErr == nil && !left.exists():
		return none, nil // also if somebody else was faster
	case err != nil:
		return none, d.explain(err, what)
	case lookUpErr != nil:
		return none, d.explain(lookUpErr, what)
	}
	return none, fault.New(fault.Later, "%s: the server still has it: remove what recreates it from the statements", what)
}

// end takes the steps in the order in which they help most if the next one
// fails: no new logins, no sessions, nothing owned, no user. Dropping comes last
// and all at once, with the role's own statements before the default: they may
// do the same, and must then find what they expect.
func (d *Database) end(ctx context.Context, conn *connection, found target, statements dbplugin.Statements) error {
	if err := lockOut(ctx, conn, found); err != nil {
		return err
	}
	if err := endSessions(ctx, conn, found); err != nil {
		return err
	}
	if err := handOver(ctx, conn, found); err != nil {
		return err
	}
	// Sessions that were logging in while the login was disabled.
	if err := endSessions(ctx, conn, found); err != nil {
		return err
	}
	// Not before: statements that nobody can fill in must not keep the credential open.
	revocation, err := render("revocation_statements", statements, map[string]string{"name": found.name, "username": found.name})
	if err != nil {
		return err
	}
	err = conn.execute(ctx, slices.Concat(revocation, found.tidy()))
	if err != nil && len(revocation) > 0 {
		// They fail half-way through on what somebody dropped by hand.
		if isNumber(err, numberNoSuch) {
			return conn.execute(ctx, found.tidy())
		}
		return d.explain(err, "running revocation_statements")
	}
	return err
}

// lookUp returns what there is of a name: the login, its users in every database
// that the admin may enter, and users that lost their login.
func (d *Database) lookUp(ctx context.Context, conn *connection, name string) (target, error) {
	found := target{name: name}
	if d.contained {
		err := found.addUsers(ctx, conn, "", "NULL")
		return found, err
	}
	logins, err := conn.number(ctx, "SELECT COUNT(*) FROM sys.server_principals WHERE type = 'S' AND name = @p1", name)
	if err != nil {
		return found, err
	}
	found.login = logins > 0
	databases := []string{""}
	if !conn.azure {
		databases, err = conn.texts(ctx, "SELECT name FROM sys.databases WHERE state = 0 AND HAS_DBACCESS(name) = 1")
	}
	for _, database := range databases {
		if err == nil {
			err = found.addUsers(ctx, conn, database, "SUSER_SID(@p1)")
		}
	}
	return found, err
}

// addUsers finds users of a database by the name or by the login's sid.
func (t *target) addUsers(ctx context.Context, conn *connection, database, sid string) error {
	view := "sys.database_principals"
	if database != "" {
		view = identifier(database) + "." + view
	}
	rows, err := conn.QueryContext(ctx, "SELECT name, principal_id, authentication_type FROM "+view+" WHERE type = 'S' AND name <> N'dbo' AND (name = @p1 OR sid = "+sid+")", t.name)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		added := user{database: database}
		var authentication int
		if err := rows.Scan(&added.name, &added.id, &authentication); err != nil {
			return err
		}
		added.ownPassword = authentication == 2
		t.users = append(t.users, added)
	}
	return rows.Err()
}

// lockOut forbids new sessions. A contained user cannot be disabled: it gets a
// password that nobody knows.
func lockOut(ctx context.Context, conn *connection, found target) error {
	var batches []string
	if found.login {
		batches = append(batches, "ALTER LOGIN "+identifier(found.name)+" DISABLE")
	}
	for _, user := range found.users {
		if user.ownPassword {
			batches = append(batches, user.within("ALTER USER "+identifier(user.name)+" WITH PASSWORD = N'aA1-"+rand.Text()+"'"))
		}
	}
	return conn.execute(ctx, batches)
}

// endSessions kills the credential's sessions. Who may not see them must not
// believe that there are none.
func endSessions(ctx context.Context, conn *connection, found target) error {
	query, permission := "SELECT HAS_PERMS_BY_NAME(NULL, NULL, 'VIEW SERVER STATE')", "VIEW SERVER STATE and ALTER ANY CONNECTION"
	if conn.azure {
		query, permission = "SELECT HAS_PERMS_BY_NAME(DB_NAME(), 'DATABASE', 'VIEW DATABASE STATE')", "VIEW DATABASE STATE and KILL DATABASE CONNECTION"
	}
	allowed, err := conn.number(ctx, query)
	if err != nil {
		return err
	}
	if allowed == 0 {
		return fault.New(fault.Refused, "the server does not show the sessions of others: grant the config's username %s", permission)
	}
	return conn.endSessions(ctx, "SELECT session_id FROM sys.dm_exec_sessions WHERE session_id <> @@SPID AND (login_name = @p1 OR original_login_name = @p1)", found.name)
}

// owned lists what a user may own, and to whom it goes.
var owned = []struct{ query, alter string }{
	{"SELECT QUOTENAME(name) FROM sys.schemas WHERE principal_id = @p1", "ALTER AUTHORIZATION ON SCHEMA::%s TO [dbo]"},
	{"SELECT QUOTENAME(name) FROM sys.database_principals WHERE type = 'R' AND owning_principal_id = @p1", "ALTER AUTHORIZATION ON ROLE::%s TO [dbo]"},
	{"SELECT QUOTENAME(SCHEMA_NAME(schema_id)) + N'.' + QUOTENAME(name) FROM sys.objects WHERE principal_id = @p1", "ALTER AUTHORIZATION ON OBJECT::%s TO SCHEMA OWNER"},
}

// handOver gives what the credential owns to others: databases to the admin,
// schemas and roles to dbo, single objects to the owner of their schema.
func handOver(ctx context.Context, conn *connection, found target) error {
	var batches []string
	for _, user := range found.users {
		if user.database != "" {
			if _, err := conn.ExecContext(ctx, "USE "+identifier(user.database)); err != nil {
				return err
			}
		}
		for _, kind := range owned {
			names, err := conn.texts(ctx, kind.query, user.id)
			if err != nil {
				return err
			}
			for _, name := range names {
				batches = append(batches, user.within(fmt.Sprintf(kind.alter, name)))
			}
		}
	}
	if found.login && !conn.azure {
		databases, err := conn.texts(ctx, "SELECT QUOTENAME(name) + N' TO ' + QUOTENAME(SUSER_SNAME()) FROM sys.databases WHERE owner_sid = SUSER_SID(@p1)", found.name)
		if err != nil {
			return err
		}
		for _, change := range databases {
			batches = append(batches, "ALTER AUTHORIZATION ON DATABASE::"+change)
		}
	}
	return conn.execute(ctx, batches)
}

// tidy returns what drops all there is of a credential and is there still.
func (t target) tidy() []string {
	var batches []string
	for _, user := range t.users {
		batches = append(batches, user.within("DROP USER IF EXISTS "+identifier(user.name)))
	}
	if t.login {
		batches = append(batches, "IF EXISTS (SELECT name FROM sys.server_principals WHERE name = "+literal(t.name)+") DROP LOGIN "+identifier(t.name))
	}
	return batches
}

// within makes a statement run in the user's database.
func (u user) within(text string) string {
	if u.database == "" {
		return text
	}
	return "USE " + identifier(u.database) + "; " + text
}

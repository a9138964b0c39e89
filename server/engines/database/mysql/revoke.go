package mysql

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"

	"github.com/hashicorp/vault/sdk/database/dbplugin/v5"

	"github.com/novatech/securevault/server/engines/database/fault"
)

// DeleteUser ends a user at every host, whatever the revocation statements say, and
// fails unless it is gone afterwards. A user that does not exist is a success, once
// it has no sessions: dropping it by hand leaves them.
func (d *Database) DeleteUser(ctx context.Context, req dbplugin.DeleteUserRequest) (dbplugin.DeleteUserResponse, error) {
	return dbplugin.DeleteUserResponse{}, d.end(ctx, req.Username, req.Statements)
}

// ending is a user on its way out.
type ending struct {
	conn       *sql.Conn
	name       string
	hosts      []string // at which it has an account
	statements dbplugin.Statements
	executed   texts // the statements, once they have been filled in
}

// end ends a user. The steps stand in the order in which they help most if the next
// one fails: no new logins, no sessions, no privileges, no user.
func (d *Database) end(ctx context.Context, name string, statements dbplugin.Statements) error {
	conn, err := d.acquire(ctx)
	if err != nil {
		return err
	}
	e := &ending{conn: conn, name: name, statements: statements}
	defer func() { e.executed.releaseUsed(conn) }()
	if err := stopMaker(ctx, conn, name); err != nil {
		return d.explain(err, fmt.Sprintf("stopping the creation of user %q", name))
	}
	if e.hosts, err = hostsOf(ctx, conn, everywhere, name); err != nil {
		return d.explain(err, fmt.Sprintf("looking up user %q", name))
	}
	if len(e.hosts) > 0 {
		if err := d.remove(ctx, e); err != nil {
			return err
		}
	}
	return d.explain(e.endSessions(ctx), fmt.Sprintf("ending the last sessions of user %q", name))
}

// remove takes the steps of end for a user that exists.
func (d *Database) remove(ctx context.Context, e *ending) error {
	steps := []struct {
		what string
		run  func(context.Context) error
	}{
		{"locking out", e.lockOut},
		{"ending the sessions of", e.endSessions},
		{"clearing the privileges of", e.clearPrivileges},
		{"running revocation_statements for", e.runStatements},
		{"dropping", e.drop},
	}
	for _, step := range steps {
		err := step.run(ctx)
		if err == nil {
			continue
		}
		if left, lookupErr := hostsOf(ctx, e.conn, everywhere, e.name); lookupErr == nil && len(left) == 0 {
			return nil // somebody else was faster
		}
		return d.explain(err, fmt.Sprintf("%s user %q", step.what, e.name))
	}
	return nil
}

func (e *ending) accounts() string { return strings.Join(accounts(e.name, e.hosts), ", ") }

func (e *ending) lockOut(ctx context.Context) error {
	return e.execute(ctx, "ALTER USER IF EXISTS "+e.accounts()+" ACCOUNT LOCK")
}

func (e *ending) clearPrivileges(ctx context.Context) error {
	return e.execute(ctx, "REVOKE ALL PRIVILEGES, GRANT OPTION FROM "+e.accounts())
}

func (e *ending) runStatements(ctx context.Context) (err error) {
	e.executed, err = render("revocation_statements", e.statements, map[string]string{"name": e.name, "username": e.name})
	if err != nil {
		return err
	}
	return e.executed.execute(ctx, e.conn)
}

// drop drops the accounts that the statements did not.
func (e *ending) drop(ctx context.Context) error {
	if err := e.execute(ctx, "DROP USER IF EXISTS "+e.accounts()); err != nil {
		return err
	}
	left, err := hostsOf(ctx, e.conn, everywhere, e.name)
	if len(left) > 0 {
		return fault.New(fault.Later, "the server still has user %q at host %q: remove what recreates it from the statements", e.name, left[0])
	}
	return err
}

// endSessions ends the sessions that there are. The list of sessions compares names
// without regard to case, unless it is told to compare bytes.
func (e *ending) endSessions(ctx context.Context) error {
	ids, err := column[int64](ctx, e.conn, "SELECT ID FROM information_schema.PROCESSLIST WHERE CAST(USER AS BINARY) = ? AND "+seeSessions+" >= 0", e.name)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if err := kill(ctx, e.conn, id); err != nil {
			return err
		}
	}
	return nil
}

func (e *ending) execute(ctx context.Context, text string) error {
	_, err := e.conn.ExecContext(ctx, text)
	return err
}

// kill ends a session that may have ended by itself.
func kill(ctx context.Context, conn *sql.Conn, id int64) error {
	_, err := conn.ExecContext(ctx, "KILL "+strconv.FormatInt(id, 10))
	if numberOf(err) == codeNoSession {
		return nil
	}
	return err
}

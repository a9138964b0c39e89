package postgresql

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/hashicorp/vault/sdk/database/dbplugin/v5"
	"github.com/jackc/pgx/v5"

	"github.com/novatech/securevault/server/engines/database/fault"
)

// role is what revocation needs to know about the role it ends.
type role struct {
	name          string
	id            uint32
	member        bool // we may act for the role: superusers always may
	serverVersion int  // as in server_version_num: 160003 is 16.3
}

// DeleteUser ends a role whatever the revocation statements say, and fails
// unless the role is gone afterwards. A role that does not exist is a success.
//
// The steps stand in the order in which they help most if the next one fails: no
// new logins, no sessions, no privileges, no role. The revocation statements run
// last but one, when nothing is left that a plain DROP ROLE would trip over.
func (d *Database) DeleteUser(ctx context.Context, req dbplugin.DeleteUserRequest) (dbplugin.DeleteUserResponse, error) {
	var none dbplugin.DeleteUserResponse
	acquired, err := d.acquire(ctx)
	if err != nil {
		return none, err
	}
	defer acquired.Release()
	conn := acquired.Conn()
	target, found, err := lookUp(ctx, conn, req.Username)
	if err != nil || !found {
		return none, d.explain(err, fmt.Sprintf("looking up role %q", req.Username))
	}
	steps := []struct {
		what string
		run  func(context.Context, *pgx.Conn, role) error
	}{
		{"locking out", lockOut},
		{"ending the sessions of", endSessions},
		{"clearing the privileges of", clearPrivileges},
		{"clearing in other databases the privileges of", d.clearElsewhere},
		{"running revocation_statements for", func(ctx context.Context, conn *pgx.Conn, target role) error {
			return drop(ctx, conn, target, req.Statements)
		}},
	}
	for _, step := range steps {
		err := step.run(ctx, conn, target)
		if err == nil {
			continue
		}
		if _, found, lookupErr := lookUp(ctx, conn, target.name); lookupErr == nil && !found {
			return none, nil // somebody else was faster
		}
		return none, d.explain(err, fmt.Sprintf("%s role %q", step.what, target.name))
	}
	return none, nil
}

func lookUp(ctx context.Context, conn *pgx.Conn, name string) (target role, found bool, err error) {
	const query = `SELECT oid, pg_has_role(oid, 'USAGE'), current_setting('server_version_num')::int
		FROM pg_roles WHERE rolname = $1`
	target.name = name
	err = conn.QueryRow(ctx, query, name).Scan(&target.id, &target.member, &target.serverVersion)
	if errors.Is(err, pgx.ErrNoRows) {
		return role{}, false, nil
	}
	return target, err == nil, err
}

// lockOut forbids new sessions. It is committed on its own: a login checks what
// is committed. An admin that is no superuser also makes itself a member of the
// role, without which it could not act for it; since PostgreSQL 16 the creator
// of a role may grant it, but does not inherit from it.
func lockOut(ctx context.Context, conn *pgx.Conn, target role) error {
	text := "ALTER ROLE " + identifier(target.name) + " NOLOGIN;"
	if !target.member {
		text += "GRANT " + identifier(target.name) + " TO CURRENT_USER"
		if target.serverVersion >= 160000 {
			text += " WITH INHERIT TRUE, SET TRUE"
		}
	}
	return execute(ctx, conn, text)
}

func endSessions(ctx context.Context, conn *pgx.Conn, target role) error {
	_, err := conn.Exec(ctx, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
		WHERE usesysid = $1 AND pid <> pg_backend_pid()`, target.id)
	return err
}

// clearPrivileges hands the role's objects in the connection's database to the
// admin, then takes away its privileges, default privileges and policies there.
// The order matters: DROP OWNED would drop the objects.
func clearPrivileges(ctx context.Context, conn *pgx.Conn, target role) error {
	name := identifier(target.name)
	return execute(ctx, conn, takeTurn+"REASSIGN OWNED BY "+name+" TO CURRENT_USER;\nDROP OWNED BY "+name)
}

// clearElsewhere does the same in each other database where the role owns or may
// do something: both statements see only the database they run in.
func (d *Database) clearElsewhere(ctx context.Context, conn *pgx.Conn, target role) error {
	rows, err := conn.Query(ctx, `SELECT DISTINCT d.datname FROM pg_shdepend s JOIN pg_database d ON d.oid = s.dbid
		WHERE s.refclassid = 'pg_authid'::regclass AND s.refobjid = $1 AND d.datname <> current_database() AND d.datallowconn`, target.id)
	if err != nil {
		return err
	}
	databases, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for _, database := range databases {
		if err := d.clearIn(ctx, database, target); err != nil {
			return err
		}
	}
	return nil
}

func (d *Database) clearIn(ctx context.Context, database string, target role) error {
	config := d.pool.Config().ConnConfig.Copy()
	config.Database = database
	what := fmt.Sprintf("connecting to database %q", database)
	dialling, cancel := context.WithTimeout(ctx, acquireLimit)
	defer cancel()
	conn, err := pgx.ConnectConfig(dialling, config)
	if err != nil {
		return d.explainConnect(err, what)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	return d.explain(clearPrivileges(ctx, conn, target), fmt.Sprintf("in database %q", database))
}

// drop runs the revocation statements, if any, and drops the role if they did
// not. Sessions that were logging in while lockOut committed end here.
func drop(ctx context.Context, conn *pgx.Conn, target role, statements dbplugin.Statements) error {
	text := "DROP ROLE IF EXISTS " + identifier(target.name)
	if strings.TrimSpace(strings.Join(statements.Commands, "")) != "" {
		revocation, err := render("revocation_statements", statements, map[string]string{"name": target.name, "username": target.name})
		if err != nil {
			return err
		}
		text = revocation + "\n;\n" + text
	}
	if err := endSessions(ctx, conn, target); err != nil {
		return err
	}
	if err := execute(ctx, conn, text); err != nil {
		return err
	}
	_, found, err := lookUp(ctx, conn, target.name)
	if found {
		return fault.New(fault.Later, "the server still has role %q: remove what recreates it from the statements", target.name)
	}
	return err
}

package postgresql

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/database/dbplugin/v5"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/novatech/securevault/server/engines/database/fault"
)

const (
	// endingsTogether is how many roles are ended in one go: a server drops a
	// role in a tenth of the time that it takes to answer and to sync.
	endingsTogether = 64
	// endingsAtOnce is how many goes are under way: few, so that they are large.
	endingsAtOnce = 2
	// endingsLimit bounds one go.
	endingsLimit = 30 * time.Second
	// patience bounds the wait for a lock while roles are ended together, so
	// that one whose objects are in use does not hold up the others for long.
	patience = "SET LOCAL lock_timeout = '2s';\n"
	// sessionsLimit bounds the wait for sessions that were told to end; sessionsPause
	// is how often they are looked at.
	sessionsLimit, sessionsPause = 2 * time.Second, 5 * time.Millisecond
)

// ending is a role that is to end.
type ending struct {
	name       string
	statements dbplugin.Statements
}

// hasStatements reports whether the role has revocation statements.
func (e ending) hasStatements() bool {
	return strings.TrimSpace(strings.Join(e.statements.Commands, "")) != ""
}

// role is what revocation needs to know about a role it ends.
type role struct {
	ending
	id            uint32
	member        bool     // we may act for the role: superusers always may
	groups        []string // that the role is a member of
	serverVersion int      // as in server_version_num: 160003 is 16.3
}

// errTogether asks for a role to be created, or ended, alone.
var errTogether = errors.New("several roles together failed")

// DeleteUser ends a role whatever the revocation statements say, and fails
// unless the role is gone afterwards. A role that does not exist is a success.
// Roles that are to end at the same time are ended together; if that fails, each
// alone, so that the one that cannot be ended stands in nobody's way.
func (d *Database) DeleteUser(ctx context.Context, req dbplugin.DeleteUserRequest) (dbplugin.DeleteUserResponse, error) {
	e := ending{req.Username, req.Statements}
	err := d.endings.Do(ctx, e)
	if errors.Is(err, errTogether) {
		err = d.end(ctx, []ending{e})
	}
	return dbplugin.DeleteUserResponse{}, d.explain(err, fmt.Sprintf("ending role %q", e.name))
}

// endTogether is the work of d.endings.
func (d *Database) endTogether(endings []ending) error {
	ctx, cancel := context.WithTimeout(context.Background(), endingsLimit)
	defer cancel()
	err := d.end(ctx, endings)
	if err != nil && len(endings) > 1 {
		return errTogether
	}
	return err
}

// end ends roles. The steps stand in the order in which they help most if the
// next one fails: no new logins, no sessions, no privileges, no role. The
// revocation statements run last but one, when nothing is left that a plain DROP
// ROLE would trip over.
func (d *Database) end(ctx context.Context, endings []ending) error {
	acquired, err := d.acquire(ctx)
	if err != nil {
		return err
	}
	defer acquired.Release()
	conn := acquired.Conn()
	targets, err := lookUp(ctx, conn, endings)
	if err != nil || len(targets) == 0 {
		return d.explain(err, "looking up "+describe(endings))
	}
	steps := []struct {
		what string
		run  func(context.Context, *pgx.Conn, []role) error
	}{
		{"locking out", lockOut},
		{"becoming a member of", takeOver},
		{"ending the sessions of", endSessions},
		{"clearing the privileges of", clearPrivileges},
		{"clearing in other databases the privileges of", d.clearElsewhere},
		{"running revocation_statements for", drop},
	}
	for _, step := range steps {
		err := step.run(ctx, conn, targets)
		if err == nil {
			continue
		}
		if left, lookupErr := lookUp(ctx, conn, endings); lookupErr == nil && len(left) == 0 {
			return nil // somebody else was faster
		}
		return d.explain(err, step.what+" "+describe(endings))
	}
	return nil
}

func describe(endings []ending) string {
	if len(endings) == 1 {
		return fmt.Sprintf("role %q", endings[0].name)
	}
	return fmt.Sprintf("%d roles", len(endings))
}

// lookUp returns those of the roles that exist.
func lookUp(ctx context.Context, conn *pgx.Conn, endings []ending) ([]role, error) {
	const query = `SELECT rolname, oid, pg_has_role(oid, 'USAGE'), current_setting('server_version_num')::int,
			ARRAY(SELECT g.rolname::text FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid WHERE m.member = r.oid)
		FROM pg_roles r WHERE rolname = ANY($1)`
	byName := make(map[string]ending, len(endings))
	names := make([]string, len(endings))
	for i, e := range endings {
		byName[e.name], names[i] = e, e.name
	}
	rows, err := conn.Query(ctx, query, names)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (r role, err error) {
		err = row.Scan(&r.name, &r.id, &r.member, &r.serverVersion, &r.groups)
		r.ending = byName[r.name]
		return r, err
	})
}

// lockOut forbids new sessions. It is committed on its own: a login checks what
// is committed.
func lockOut(ctx context.Context, conn *pgx.Conn, targets []role) error {
	var text strings.Builder
	for _, target := range targets {
		fmt.Fprintf(&text, "ALTER ROLE %s NOLOGIN;\n", identifier(target.name))
	}
	return execute(ctx, conn, text.String())
}

// takeOver makes an admin that is no superuser a member of the roles, without
// which it could not act for them. Before, the roles leave their groups:
// pg_hba.conf may tell by a group how to log in, and would have the admin do the
// same, for good if the role cannot be dropped.
func takeOver(ctx context.Context, conn *pgx.Conn, targets []role) error {
	var leaving, joining strings.Builder
	for _, target := range targets {
		if target.member {
			continue
		}
		name := identifier(target.name)
		for _, group := range target.groups {
			fmt.Fprintf(&leaving, "REVOKE %s FROM %s;\n", identifier(group), name)
		}
		fmt.Fprintf(&joining, "GRANT %s TO CURRENT_USER", name)
		if target.serverVersion >= 160000 { // the creator of a role may grant it, but does not inherit from it
			joining.WriteString(" WITH INHERIT TRUE, SET TRUE")
		}
		joining.WriteString(";\n")
	}
	if joining.Len() == 0 {
		return nil
	}
	err := execute(ctx, conn, leaving.String()+joining.String())
	var refusal *pgconn.PgError
	if len(targets) == 1 && leaving.Len() > 0 && errors.As(err, &refusal) && refusal.Code == codeInsufficientPrivilege {
		// The group is one that somebody else put it in.
		err = execute(ctx, conn, joining.String())
	}
	return err
}

// endSessions tells the sessions to end, and waits a little until they have: what
// they clean up last, such as temporary tables, is in the way of the next steps. One
// that is slow does not keep its role alive.
func endSessions(ctx context.Context, conn *pgx.Conn, targets []role) error {
	const query = `SELECT count(pg_terminate_backend(pid)) > 0 FROM pg_stat_activity
		WHERE usesysid = ANY($1) AND pid <> pg_backend_pid()`
	for deadline := time.Now().Add(sessionsLimit); ; {
		var alive bool
		err := conn.QueryRow(ctx, query, ids(targets)).Scan(&alive)
		if err != nil || !alive || time.Now().After(deadline) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for the end of sessions: %w", context.Cause(ctx))
		case <-time.After(sessionsPause):
		}
	}
}

func ids(targets []role) []uint32 {
	all := make([]uint32, len(targets))
	for i, target := range targets {
		all[i] = target.id
	}
	return all
}

// identifiers lists the names of roles for use in a statement.
func identifiers(targets []role) string {
	names := make([]string, len(targets))
	for i, target := range targets {
		names[i] = identifier(target.name)
	}
	return strings.Join(names, ", ")
}

// clearPrivileges hands the roles' objects in the connection's database to the
// admin, then takes away their privileges, default privileges and policies there.
// The order matters: DROP OWNED would drop the objects.
func clearPrivileges(ctx context.Context, conn *pgx.Conn, targets []role) error {
	names := identifiers(targets)
	return execute(ctx, conn, patient(targets)+takeTurn+"REASSIGN OWNED BY "+names+" TO CURRENT_USER;\nDROP OWNED BY "+names)
}

// patient is how a transaction about roles begins.
func patient(targets []role) string {
	if len(targets) > 1 {
		return patience
	}
	return ""
}

// clearElsewhere does the same in each other database where one of the roles
// owns or may do something: both statements see only the database they run in.
func (d *Database) clearElsewhere(ctx context.Context, conn *pgx.Conn, targets []role) error {
	rows, err := conn.Query(ctx, `SELECT DISTINCT d.datname FROM pg_shdepend s JOIN pg_database d ON d.oid = s.dbid
		WHERE s.refclassid = 'pg_authid'::regclass AND s.refobjid = ANY($1) AND d.datname <> current_database() AND d.datallowconn`, ids(targets))
	if err != nil {
		return err
	}
	databases, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for _, database := range databases {
		if err := d.clearIn(ctx, database, targets); err != nil {
			return err
		}
	}
	return nil
}

func (d *Database) clearIn(ctx context.Context, database string, targets []role) error {
	conn, err := d.connect(ctx, database)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	return d.explain(clearPrivileges(ctx, conn, targets), fmt.Sprintf("in database %q", database))
}

// drop runs the revocation statements, if any, and drops the roles if they did
// not. Sessions that were logging in while lockOut committed end here.
func drop(ctx context.Context, conn *pgx.Conn, targets []role) error {
	text, err := dropping(targets)
	if err != nil {
		return err
	}
	if err := endSessions(ctx, conn, targets); err != nil {
		return err
	}
	if err := execute(ctx, conn, text); err != nil {
		return err
	}
	left, err := lookUp(ctx, conn, endingsOf(targets))
	if len(left) > 0 {
		return fault.New(fault.Later, "the server still has role %q: remove what recreates it from the statements", left[0].name)
	}
	return err
}

// dropping returns the text of drop.
func dropping(targets []role) (string, error) {
	var text strings.Builder
	text.WriteString(patient(targets))
	if slices.ContainsFunc(targets, func(r role) bool { return r.hasStatements() }) {
		text.WriteString(takeTurn)
	}
	for _, target := range targets {
		if !target.hasStatements() {
			continue
		}
		revocation, err := render("revocation_statements", target.statements, map[string]string{"name": target.name, "username": target.name})
		if err != nil {
			return "", err
		}
		text.WriteString(revocation + "\n;\n")
	}
	return text.String() + "DROP ROLE IF EXISTS " + identifiers(targets), nil
}

func endingsOf(targets []role) []ending {
	endings := make([]ending, len(targets))
	for i, target := range targets {
		endings[i] = target.ending
	}
	return endings
}

package oracle

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/database/dbplugin/v5"

	"github.com/novatech/securevault/server/engines/database/fault"
)

const (
	// dropLimit bounds how long a user is waited for whose sessions are ending.
	dropLimit = 20 * time.Second
	// dropPause is the time between two looks whether they have ended.
	dropPause = 50 * time.Millisecond
)

// DeleteUser ends a user, and fails unless it is gone afterwards, or locked if
// revocation statements keep it. A user that does not exist is a success.
func (d *Database) DeleteUser(ctx context.Context, req dbplugin.DeleteUserRequest) (dbplugin.DeleteUserResponse, error) {
	var none dbplugin.DeleteUserResponse
	what := fmt.Sprintf("ending user %q", req.Username)
	conn, err := d.acquire(ctx)
	if err != nil {
		return none, err
	}
	defer conn.release()
	return none, d.explain(d.end(ctx, conn, req.Username, req.Statements), what)
}

// end ends a user: with statements of the role, if it has any, in place of
// dropping it. An error does not matter if somebody else was faster.
func (d *Database) end(ctx context.Context, conn *held, name string, statements dbplugin.Statements) error {
	exists, err := lookUp(ctx, conn, fold(name))
	if err != nil || !exists {
		return err
	}
	err = d.endExisting(ctx, conn, name, statements)
	if err == nil || codeOf(err) == 0 {
		return err
	}
	if exists, lookupErr := lookUp(ctx, conn, fold(name)); lookupErr == nil && !exists {
		return nil
	}
	return err
}

// endExisting takes the steps in the order in which they help most if the next
// one fails: no new logins, no sessions, no privilege to log in, no user.
func (d *Database) endExisting(ctx context.Context, conn *held, name string, statements dbplugin.Statements) error {
	quoted, err := identifier(name)
	if err != nil {
		return err
	}
	if err := execute(ctx, conn, []string{"ALTER USER " + quoted + " ACCOUNT LOCK"}); err != nil {
		return err
	}
	if err := d.endSessionsOf(ctx, conn, name); err != nil {
		return err
	}
	if err := revokeLogin(ctx, conn, quoted); err != nil {
		return err
	}
	// Not before: statements that nobody can fill in must not keep the user open.
	instead, err := d.render("revocation_statements", statements, map[string]string{"name": name, "username": name})
	if err != nil {
		return err
	}
	if len(instead) == 0 {
		return d.executePatiently(ctx, conn, name, "DROP USER "+quoted+" CASCADE")
	}
	for _, text := range instead {
		if err := d.executePatiently(ctx, conn, name, text); err != nil {
			return err
		}
	}
	// Of those who were logging in while the account was locked.
	if err := d.endSessionsOf(ctx, conn, name); err != nil {
		return err
	}
	return d.checkEnded(ctx, conn, name)
}

// endSessionsOf ends the sessions of a user, unless it is configured not to.
func (d *Database) endSessionsOf(ctx context.Context, conn *held, name string) error {
	if !d.disconnect {
		return nil
	}
	_, err := endSessions(ctx, conn, "username = :1", fold(name))
	return err
}

// revokeLogin takes away what lets a user log in, should somebody unlock it. A
// user may have been given neither; and an admin that may not take them away has
// locked the account at least.
func revokeLogin(ctx context.Context, conn *held, quoted string) error {
	for _, privilege := range []string{"CREATE SESSION", "CONNECT"} {
		err := execute(ctx, conn, []string{"REVOKE " + privilege + " FROM " + quoted})
		if err != nil && !slices.Contains([]int{codePrivNotGranted, codeRoleNotGranted, codeNoPrivilege, codeNoAdminOption}, codeOf(err)) {
			return err
		}
	}
	return nil
}

// executePatiently runs a statement, again if it is to drop the user while
// sessions are there: one that was killed is, until the server has cleaned up
// after it.
func (d *Database) executePatiently(ctx context.Context, conn *held, name, text string) error {
	deadline := time.Now().Add(dropLimit)
	for {
		err := execute(ctx, conn, []string{text})
		if codeOf(err) != codeConnected || !d.disconnect || time.Now().After(deadline) {
			return err
		}
		if err := d.endSessionsOf(ctx, conn, name); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(dropPause):
		}
	}
}

// checkEnded looks whether the user is gone or locked.
func (d *Database) checkEnded(ctx context.Context, conn *held, name string) error {
	exists, err := lookUp(ctx, conn, fold(name))
	if err != nil || !exists {
		return err
	}
	var status string
	err = conn.QueryRowContext(ctx, "SELECT account_status FROM dba_users WHERE username = :1", fold(name)).Scan(&status)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil
	case err != nil:
		return err
	case !strings.Contains(status, "LOCKED"):
		return fault.New(fault.Later, "the server still has user %q, and it is open: remove what unlocks it from revocation_statements", name)
	}
	return nil
}

package mysql

import (
	"context"
	"database/sql"
	"time"

	"github.com/novatech/securevault/server/engines/database/fault"
)

// What a client has sent, the server executes, also if the client has died or hung
// up meanwhile: CREATE USER may wait for a lock and come long after everybody has
// stopped waiting for it. Therefore whoever makes a user holds the server's lock of
// the user's name, taken before the first statement is sent. The lock belongs to
// the session and goes away only with it. Whoever ends a user first ends the
// session that holds the lock, be it a dead server's, and after that nothing can
// make the user any more.

// lockName returns the name of the lock, of at most 64 characters.
func lockName(name string) string { return "securevault " + name }

// unlockLimit bounds the wait for the answer to an unlocking.
const unlockLimit = 5 * time.Second

// seeSessions fails with the server's own words unless we see everybody's sessions:
// the list of sessions would just be shorter.
const seeSessions = "(SELECT COUNT(*) FROM information_schema.INNODB_CMP)"

// reserve takes the lock of a user that is about to be made, and makes sure that
// there is none of that name and that we could end one: who has no privilege to
// see sessions is refused here, not when it is too late.
func reserve(ctx context.Context, conn *sql.Conn, name string) error {
	const query = "SELECT GET_LOCK(?, 0), (SELECT COUNT(*) FROM mysql.user WHERE User = ?), " + seeSessions
	var locked sql.NullInt64
	var existing, visible int
	if err := conn.QueryRowContext(ctx, query, lockName(name), name).Scan(&locked, &existing, &visible); err != nil {
		return err
	}
	switch {
	case existing > 0:
		free(ctx, conn, name)
		return fault.New(fault.Refused, "the server already has a user %q: add {{random 12}} to username_template", name)
	case locked.Int64 != 1:
		return fault.New(fault.Later, "another session holds the lock of the user %q: try again", name)
	}
	return nil
}

// free gives the lock back, or ends the session if it cannot.
func free(ctx context.Context, conn *sql.Conn, name string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), unlockLimit)
	defer cancel()
	if _, err := conn.ExecContext(ctx, "DO RELEASE_LOCK(?)", lockName(name)); err != nil {
		discard(conn)
	}
}

// stopMaker returns once no session can make the user any more.
func stopMaker(ctx context.Context, conn *sql.Conn, name string) error {
	for {
		var maker sql.NullInt64
		err := conn.QueryRowContext(ctx, "SELECT IS_USED_LOCK(?)", lockName(name)).Scan(&maker)
		if err != nil || !maker.Valid {
			return err
		}
		if err := kill(ctx, conn, maker.Int64); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fault.New(fault.Later, "the session that makes the user did not end: try again")
		case <-time.After(20 * time.Millisecond):
		}
	}
}

package oracle

import (
	"context"
	"fmt"
	"time"

	"github.com/novatech/securevault/server/engines/database/fault"
)

// endingPause is the time between two looks whether sessions have ended.
const endingPause = 20 * time.Millisecond

// Session names the sessions through which this Database creates users.
func (d *Database) Session() string { return d.session }

// EndSession returns once another Database of that session can create nothing
// any more. When a server is killed, Oracle does not notice before it answers: a
// statement that has reached it is executed, be it much later. Only when the
// sessions are gone can it be told whether the user exists.
func (d *Database) EndSession(ctx context.Context, session string) error {
	if session == d.session {
		return nil
	}
	conn, err := d.acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.release()
	return d.explain(awaitEnd(ctx, conn, "program = :1 AND username = USER", session), "ending the sessions of another server")
}

// awaitEnd ends the sessions that a condition is true of, and waits for them.
func awaitEnd(ctx context.Context, conn *held, where string, args ...any) error {
	for {
		left, err := endSessions(ctx, conn, where, args...)
		if err != nil || left == 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return fault.New(fault.Later, "a session of the server did not end: try again")
		case <-time.After(endingPause):
		}
	}
}

// endSessions kills the sessions that a condition is true of, in all instances
// of a cluster, and returns how many there were. A killed session is still there
// until the server has cleaned up after it. Our own is none of them.
func endSessions(ctx context.Context, conn *held, where string, args ...any) (count int, err error) {
	alive, count, err := sessionsWhere(ctx, conn, where, args...)
	if err != nil {
		return 0, err
	}
	for _, id := range alive {
		err := execute(ctx, conn, []string{"ALTER SYSTEM KILL SESSION '" + id + "' IMMEDIATE"})
		if err != nil && codeOf(err) != codeNoSession { // which has ended by itself
			return 0, err
		}
	}
	return count, nil
}

// sessionsWhere counts the sessions that a condition is true of, and lists those
// that nobody has killed yet, as KILL SESSION names them.
func sessionsWhere(ctx context.Context, conn *held, where string, args ...any) (alive []string, count int, err error) {
	rows, err := conn.QueryContext(ctx, "SELECT sid, serial#, inst_id, status FROM gv$session WHERE "+where, args...)
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = rows.Close() }()
	ownSID, ownSerial := conn.session.number()
	for rows.Next() {
		var sid, serial, instance, status string
		if err := rows.Scan(&sid, &serial, &instance, &status); err != nil {
			return nil, 0, err
		}
		if sid == ownSID && serial == ownSerial {
			continue
		}
		count++
		if status != "KILLED" {
			alive = append(alive, fmt.Sprintf("%s,%s,@%s", sid, serial, instance))
		}
	}
	return alive, count, rows.Err()
}

package mssql

import (
	"cmp"
	"context"
	"crypto/rand"
	"slices"
	"time"

	"github.com/novatech/securevault/server/engines/database/fault"
)

const (
	// tagSize is how many random letters tell one of our sessions from all others,
	// and those of one Database from those of another.
	tagSize = 10
	// maxProgramName is how many bytes of a program's name we let an operator
	// choose; the server keeps 128 characters.
	maxProgramName = 64
)

// newSession returns how the names of a Database's sessions begin: with what
// connection_url calls the program, and a tag.
func newSession(program string) string {
	program = cmp.Or(program, "securevault")
	return program[:min(len(program), maxProgramName)] + " " + rand.Text()[:tagSize]
}

// Session names the sessions through which this Database creates users.
func (d *Database) Session() string { return d.session }

// EndSession returns once nothing is created any more by another Database of that
// session, or by a connection that this one has lost: what has reached the server
// is executed, also if whoever sent it is gone.
func (d *Database) EndSession(ctx context.Context, session string) error {
	if session == d.session {
		return d.explain(d.endStrays(ctx), "ending a session whose connection broke")
	}
	conn, err := d.acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.release()
	const sessions = "SELECT session_id FROM sys.dm_exec_sessions WHERE session_id <> @@SPID AND original_login_name = ORIGINAL_LOGIN() AND CHARINDEX(@p1, program_name) = 1"
	return d.explain(conn.endSessions(ctx, sessions, session), "ending the sessions of another server")
}

// stray remembers the session of a connection that broke while it created a user,
// and that could not be ended then.
func (d *Database) stray(program string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.strays = append(d.strays, program)
}

func (d *Database) endStrays(ctx context.Context) error {
	d.mu.Lock()
	strays := slices.Clone(d.strays)
	d.mu.Unlock()
	for _, program := range strays {
		if err := d.endProgram(ctx, program); err != nil {
			return err
		}
		// Not before: others must not find it gone while it is on its way out.
		d.mu.Lock()
		d.strays = slices.DeleteFunc(d.strays, func(other string) bool { return other == program })
		d.mu.Unlock()
	}
	return nil
}

// endProgram ends the session of a connection that broke, and waits for it: it
// may still be about to commit what is to be undone.
func (d *Database) endProgram(ctx context.Context, program string) error {
	conn, err := d.acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.release()
	return conn.endSessions(ctx, "SELECT session_id FROM sys.dm_exec_sessions WHERE session_id <> @@SPID AND program_name = @p1", program)
}

// endSessions kills the sessions that a query finds, until it finds none.
func (c *connection) endSessions(ctx context.Context, query string, args ...any) error {
	for {
		found, err := c.texts(ctx, query, args...)
		if err != nil || len(found) == 0 {
			return err
		}
		for _, id := range found {
			if _, err := c.ExecContext(ctx, "KILL "+id); err != nil && !isNumber(err, numberNoSession) {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return fault.New(fault.Later, "a session of the server did not end: try again")
		case <-time.After(20 * time.Millisecond):
		}
	}
}

package postgresql

import (
	"cmp"
	"context"
	"crypto/rand"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/novatech/securevault/server/engines/database/fault"
)

// tagSize is how many random letters tell the sessions of one Database from all
// others.
const tagSize = 10

// newSession returns the application_name of a Database: that of connection_url,
// if it gives one, and a tag.
func newSession(name string) string {
	name = cmp.Or(name, "securevault")
	return name[:min(len(name), maxNameBytes-1-tagSize)] + " " + rand.Text()[:tagSize]
}

// Session names the sessions through which this Database creates roles.
func (d *Database) Session() string { return d.session }

// EndSession returns once nothing is created any more by another Database of that
// session, or by a connection that this one has lost. When a server is killed, or
// a connection breaks, PostgreSQL does not notice: a statement that has reached it
// is executed, be it much later. Only when the sessions are gone can it be told
// whether the role exists.
func (d *Database) EndSession(ctx context.Context, session string) error {
	if session == d.session {
		return d.endStrays(ctx)
	}
	conn, err := d.acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	const query = `SELECT count(pg_terminate_backend(pid)) > 0 FROM pg_stat_activity
		WHERE pid <> pg_backend_pid() AND usename = current_user AND application_name = $1`
	return d.explain(untilNone(ctx, conn, query, session), "ending the sessions of another server")
}

// stray remembers a process of the server whose connection broke while it created
// a role, and that could not be ended then.
func (d *Database) stray(pid uint32) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.strays = append(d.strays, pid)
}

func (d *Database) endStrays(ctx context.Context) error {
	d.mu.Lock()
	strays := slices.Clone(d.strays)
	d.mu.Unlock()
	for _, pid := range strays {
		if err := d.endBackend(ctx, pid); err != nil {
			return d.explain(err, "ending a session whose connection broke")
		}
		// Not before: others must not find it gone while it is on its way out.
		d.mu.Lock()
		d.strays = slices.DeleteFunc(d.strays, func(other uint32) bool { return other == pid })
		d.mu.Unlock()
	}
	return nil
}

// untilNone repeats a query that asks server processes to end, until it tells
// that there were none.
func untilNone(ctx context.Context, conn *pgxpool.Conn, query string, args ...any) error {
	for {
		var alive bool
		if err := conn.QueryRow(ctx, query, args...).Scan(&alive); err != nil || !alive {
			return err
		}
		select {
		case <-ctx.Done():
			return fault.New(fault.Later, "a process of the server did not end")
		case <-time.After(20 * time.Millisecond):
		}
	}
}

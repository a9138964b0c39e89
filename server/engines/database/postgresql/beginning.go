package postgresql

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/novatech/securevault/server/engines/database/statement"
)

const (
	// beginningsAtOnce is how many creations are under way; what comes meanwhile
	// shares a transaction, up to beginningsTogether at a time.
	beginningsAtOnce   = 8
	beginningsTogether = 16
	// beginningsLimit bounds one go.
	beginningsLimit = 30 * time.Second
)

// beginning is a role that is to be created.
type beginning struct {
	name, text string
	warnings   []string // what the server warned of
}

// create runs the text and sees to it that a failure leaves no role behind. Roles
// that are to be created at the same time share a transaction; if that fails, each
// is created alone, so that the one that cannot be stands in nobody's way.
func (d *Database) create(ctx context.Context, name, text string) (warnings []string, err error) {
	c := &beginning{name: name, text: text}
	if sharable(text) {
		// Whoever asked may go: only at its end can it be told how it ended.
		err = d.beginnings.Do(context.WithoutCancel(ctx), c)
	} else {
		err = d.beginAlone(ctx, c)
	}
	if errors.Is(err, errTogether) {
		err = d.beginAlone(ctx, c)
	}
	return c.warnings, err
}

// harmlessPart is a statement that means the same in a transaction with others. One
// that sets or commits something does not, nor may one that calls functions.
var harmlessPart = regexp.MustCompile(`(?is)^\s*(?:(?:CREATE|ALTER)\s+(?:ROLE|USER)\s|GRANT\s|REVOKE\s|` + regexp.QuoteMeta(strings.TrimSuffix(takeTurn, ";\n")) + `$|$)`)

// unclear are words and signs that make it hard to tell where a statement ends, or
// that change what the next one means.
var unclear = regexp.MustCompile(`(?i)\b(?:SET|RESET)\b|--|/\*`)

// sharable tells whether a text may share a transaction with others. It knows
// statements by their beginning and takes every semicolon for an end: what it is
// not sure of goes alone.
func sharable(text string) bool {
	if unclear.MatchString(text) || statement.DollarQuotes(text) {
		return false
	}
	for part := range strings.SplitSeq(text, ";") {
		if !harmlessPart.MatchString(part) {
			return false
		}
	}
	return true
}

// beginTogether is the work of d.beginnings.
func (d *Database) beginTogether(beginnings []*beginning) error {
	ctx, cancel := context.WithTimeout(context.Background(), beginningsLimit)
	defer cancel()
	if len(beginnings) == 1 {
		return d.beginAlone(ctx, beginnings[0])
	}
	acquired, err := d.acquire(ctx)
	if err != nil {
		return err
	}
	conn := acquired.Conn()
	err = inTransaction(ctx, conn, beginnings)
	lost := lostProcess(conn)
	acquired.Release()
	if err != nil && lost == 0 {
		return errTogether // the server has undone all of it
	}
	if err == nil {
		return nil
	}
	if undoErr := d.endLost(ctx, lost); undoErr != nil {
		return d.orphaned(err, undoErr, names(beginnings)...)
	}
	return d.undo(ctx, err, 0, names(beginnings)...)
}

func names(beginnings []*beginning) []string {
	var all []string
	for _, c := range beginnings {
		all = append(all, c.name)
	}
	return all
}

// inTransaction creates the roles in one transaction, which ends in any case unless
// the connection breaks.
func inTransaction(ctx context.Context, conn *pgx.Conn, beginnings []*beginning) error {
	server := conn.PgConn()
	if err := run(ctx, server, "BEGIN"); err != nil {
		return err
	}
	for _, c := range beginnings {
		takeWarnings(server) // of others
		if err := run(ctx, server, c.text); err != nil {
			_ = run(ctx, server, "ROLLBACK") // what has not ended is closed by the pool
			return err
		}
		c.warnings = takeWarnings(server)
	}
	return run(ctx, server, "COMMIT")
}

func run(ctx context.Context, server *pgconn.PgConn, text string) error {
	_, err := server.Exec(ctx, text).ReadAll()
	return err
}

// beginAlone runs the text in a transaction of its own. The role is somebody
// else's only if the server says that the name was taken.
func (d *Database) beginAlone(ctx context.Context, c *beginning) error {
	acquired, err := d.acquire(ctx)
	if err != nil {
		return err
	}
	conn := acquired.Conn()
	takeWarnings(conn.PgConn()) // of others
	err = execute(ctx, conn, c.text)
	c.warnings = takeWarnings(conn.PgConn())
	lost := lostProcess(conn)
	acquired.Release()
	return d.undo(ctx, err, lost, c.name)
}

// lostProcess returns the server's process of a connection that broke, 0 if it did
// not: it may still be at work on what it was sent.
func lostProcess(conn *pgx.Conn) uint32 {
	if conn.IsClosed() {
		return conn.PgConn().PID()
	}
	return 0
}

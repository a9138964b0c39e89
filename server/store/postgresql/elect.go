package postgresql

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/novatech/securevault/server/store"
)

const (
	// termLife is for how long a term holds without a sign of life from its
	// server, as PostgreSQL's clock has it.
	termLife = 6 * time.Second
	// renewPeriod is how often the active server gives that sign.
	renewPeriod = time.Second
	// renewTimeout is how long one may take.
	renewTimeout = 4 * time.Second
	// pollPeriod is how often a waiting server looks whether it may take over.
	pollPeriod = 300 * time.Millisecond
	// fencePatience is how long a new term waits for writes of the last one.
	fencePatience = 2 * time.Second
	resignTimeout = 5 * time.Second

	// lockNotAvailable is PostgreSQL's code of a lock_timeout.
	lockNotAvailable = "55P03"
)

// The election table has one row for each waiting server and one, with no
// name, for the term: its number, who is active, and the last sign of life.
//
// Whoever is active holds the advisory lock activeLock in a session of its own.
// A process that is killed loses the session, and with it the lock, at once. One
// that hangs keeps both, but gives no sign of life; after termLife others end
// its session.

// candidate is a server that wants to be active, with its session.
type candidate struct {
	store *Store
	conn  *pgx.Conn
	id    string
	about []byte // the Node as JSON
}

// Elect implements store.Elector.
func (s *Store) Elect(ctx context.Context, self store.Node) (store.Term, error) {
	about, err := json.Marshal(self)
	if err != nil {
		return nil, fmt.Errorf("describing this node: %w", err)
	}
	id, err := uuid.GenerateUUID()
	if err != nil {
		return nil, fmt.Errorf("making an id: %w", err)
	}
	conn, err := pgx.ConnectConfig(ctx, s.pool.Config().ConnConfig)
	if err != nil {
		return nil, fmt.Errorf("connecting for the election: %w", err)
	}
	c := &candidate{store: s, conn: conn, id: id, about: about}
	t, err := c.wait(ctx)
	if err != nil {
		c.leave(context.WithoutCancel(ctx))
		return nil, fmt.Errorf("waiting to be active: %w", err)
	}
	s.term.Store(t)
	go t.keep()
	return t, nil
}

// leave withdraws the candidacy.
func (c *candidate) leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, resignTimeout)
	defer cancel()
	_ = c.conn.Close(ctx) // releases what it has locked
	// A row that stays is not shown for longer than termLife.
	_, _ = c.store.pool.Exec(ctx, "DELETE FROM "+c.store.election+" WHERE node = $1", c.id)
}

func (c *candidate) wait(ctx context.Context) (*term, error) {
	poll := time.NewTicker(pollPeriod)
	defer poll.Stop()
	for {
		t, err := c.try(ctx)
		if t != nil || err != nil {
			return t, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-poll.C:
		}
	}
}

// try becomes active if nobody is; else it returns neither a term nor an error.
func (c *candidate) try(ctx context.Context) (*term, error) {
	_, err := c.conn.Exec(ctx, "INSERT INTO "+c.store.election+" (node, about, seen) VALUES ($1, $2, clock_timestamp()) "+
		"ON CONFLICT (node) DO UPDATE SET seen = excluded.seen", c.id, c.about)
	if err != nil {
		return nil, err
	}
	free := false
	if err := c.conn.QueryRow(ctx, "SELECT pg_try_advisory_lock($1)", c.store.activeLock).Scan(&free); err != nil {
		return nil, err
	}
	if free {
		return c.begin(ctx)
	}
	_, err = c.conn.Exec(ctx, endSessions+" AND EXISTS (SELECT 1 FROM "+c.store.election+
		" WHERE node = '' AND seen < clock_timestamp() - $2::interval)", c.store.activeLock, termLife)
	return nil, err
}

// endSessions ends the sessions of others that hold the advisory lock $1. They
// belong to the same user, so no privilege is needed.
const endSessions = `SELECT pg_terminate_backend(pid) FROM pg_locks
	WHERE locktype = 'advisory' AND granted AND pid <> pg_backend_pid() AND objsubid = 1
	AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
	AND (classid::bigint << 32 | objid::bigint) = $1`

// begin makes a new term once the writes of the last one have ended. Those that
// do not end are ended.
func (c *candidate) begin(ctx context.Context) (*term, error) {
	t := &term{store: c.store, conn: c.conn, lost: make(chan struct{}), kept: make(chan struct{})}
	began := time.Now()
	err := pgx.BeginFunc(ctx, c.conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT set_config('lock_timeout', $1, true)", fencePatience.String()); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", c.store.fenceLock); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, "DELETE FROM "+c.store.election+" WHERE node = $1 OR node <> '' AND seen < clock_timestamp() - $2::interval", c.id, 10*termLife)
		if err != nil {
			return err
		}
		return tx.QueryRow(ctx, "INSERT INTO "+c.store.election+" AS e (node, term, about, seen) VALUES ('', 1, $1, clock_timestamp()) "+
			"ON CONFLICT (node) DO UPDATE SET term = e.term + 1, about = excluded.about, seen = excluded.seen RETURNING term", c.about).Scan(&t.number)
	})
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok && refused.Code == lockNotAvailable {
		_, err = c.conn.Exec(ctx, endSessions, c.store.fenceLock)
		return nil, err
	}
	if err != nil {
		return nil, err
	}
	t.renewed.Store(&began)
	return t, nil
}

// term is the time in which this server is active.
type term struct {
	store   *Store
	conn    *pgx.Conn // holds activeLock; used by keep alone until kept is closed
	number  int64
	renewed atomic.Pointer[time.Time] // when the last sign of life was sent
	lost    chan struct{}
	kept    chan struct{} // closed when keep has ended
	losing  sync.Once
}

// Lost implements store.Term.
func (t *term) Lost() <-chan struct{} { return t.lost }

// Valid implements store.Term.
func (t *term) Valid() bool {
	select {
	case <-t.lost:
		return false
	default:
		return time.Since(*t.renewed.Load()) < termLife
	}
}

// lose ends the term for this server.
func (t *term) lose() {
	t.losing.Do(func() {
		t.store.term.CompareAndSwap(t, nil)
		close(t.lost)
	})
}

// keep gives signs of life until the term is lost. A session that ends is
// noticed at once.
func (t *term) keep() {
	defer close(t.kept)
	defer t.lose()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		<-t.lost
		cancel()
	}()
	for t.listen(ctx) && t.renew(ctx) {
	}
	t.lose()
	closing, stop := context.WithTimeout(context.Background(), resignTimeout)
	defer stop()
	_ = t.conn.Close(closing) // releases activeLock
}

// listen waits until the next sign of life is due, and returns false if the
// session ends before that.
func (t *term) listen(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, renewPeriod)
	defer cancel()
	_, err := t.conn.WaitForNotification(ctx)
	return pgconn.Timeout(err) && errors.Is(ctx.Err(), context.DeadlineExceeded)
}

func (t *term) renew(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, renewTimeout)
	defer cancel()
	began := time.Now()
	tag, err := t.conn.Exec(ctx, "UPDATE "+t.store.election+" SET seen = clock_timestamp() WHERE node = '' AND term = $1", t.number)
	if err != nil || tag.RowsAffected() != 1 {
		return false
	}
	t.renewed.Store(&began)
	return true
}

// Resign implements store.Term.
func (t *term) Resign(ctx context.Context) error {
	t.lose()
	<-t.kept
	ctx, cancel := context.WithTimeout(ctx, resignTimeout)
	defer cancel()
	_, err := t.store.pool.Exec(ctx, "UPDATE "+t.store.election+" SET about = NULL WHERE node = '' AND term = $1", t.number)
	if err != nil {
		return fmt.Errorf("resigning: %w", err)
	}
	return nil
}

// Nodes implements store.Elector.
func (s *Store) Nodes(ctx context.Context) ([]store.Node, error) {
	rows, err := s.pool.Query(ctx, "SELECT node = '', about, seen FROM "+s.election+
		" WHERE about IS NOT NULL AND seen > clock_timestamp() - $1::interval ORDER BY node", termLife)
	if err != nil {
		return nil, fmt.Errorf("reading who is active: %w", err)
	}
	nodes, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (n store.Node, err error) {
		var about []byte
		var active bool
		var seen time.Time
		if err := row.Scan(&active, &about, &seen); err != nil {
			return n, err
		}
		err = json.Unmarshal(about, &n)
		n.Active, n.Seen = active, seen
		return n, err
	})
	if err != nil {
		return nil, fmt.Errorf("reading who is active: %w", err)
	}
	return nodes, nil
}

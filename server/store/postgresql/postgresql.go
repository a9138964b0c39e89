// Package postgresql is a store in a table of PostgreSQL, which several servers
// may share: one of them is active and writes (elect.go).
//
// A write has been committed when Put or Delete returns. It carries the number
// of the term in which its server was elected and has no effect in a later one,
// see fence. The table is made if it is missing.
package postgresql

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/novatech/securevault/server/store"
)

const (
	// DefaultTable is where entries are kept when nothing is said about it.
	DefaultTable = "securevault_store"
	// DefaultElectionTable is where the servers meet when nothing is said.
	DefaultElectionTable = "securevault_ha"

	// connections is how many a server opens at most when nothing is said.
	connections = 32
	openTimeout = 30 * time.Second
	// writeTimeout bounds a write, whose client may have gone.
	writeTimeout = 30 * time.Second
)

// Config says where the table is.
type Config struct {
	URL             string // as libpq takes it, URL or key=value
	Table           string // may be schema.table; "" is DefaultTable
	ElectionTable   string // the same; "" is DefaultElectionTable
	MaxConnections  int    // 0: 32
	SkipCreateTable bool   // the tables are there
}

// Store implements store.Elector in PostgreSQL.
type Store struct {
	pool       *pgxpool.Pool
	table      string // quoted
	election   string // quoted
	activeLock int64  // advisory lock that the session of the active server holds
	fenceLock  int64  // advisory lock that every write shares, and a new term excludes
	term       atomic.Pointer[term]
}

// Open connects to PostgreSQL. Close must be called in the end.
func Open(ctx context.Context, c Config) (*Store, error) {
	parsed, err := pgxpool.ParseConfig(c.URL)
	if err != nil {
		return nil, errors.New("opening the store: connection_url cannot be read: write it as postgres://user:password@host:5432/database")
	}
	parsed.MaxConns = connections
	if c.MaxConnections > 0 {
		parsed.MaxConns = int32(min(c.MaxConnections, 10_000))
	}
	pool, err := pgxpool.NewWithConfig(ctx, parsed)
	if err != nil {
		return nil, fmt.Errorf("opening the store: %w", err)
	}
	election := orDefault(c.ElectionTable, DefaultElectionTable)
	s := &Store{
		pool: pool, table: quote(orDefault(c.Table, DefaultTable)), election: quote(election),
		activeLock: lockNumber("active", election), fenceLock: lockNumber("fence", election),
	}
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	if err := s.prepare(ctx, c.SkipCreateTable); err != nil {
		pool.Close()
		return nil, err
	}
	return s, nil
}

func orDefault(name, fallback string) string {
	if name == "" {
		return fallback
	}
	return name
}

func quote(table string) string { return pgx.Identifier(strings.Split(table, ".")).Sanitize() }

// lockNumber is that of an advisory lock, which is known by number alone.
func lockNumber(purpose, table string) int64 {
	sum := fnv.New64a()
	fmt.Fprintf(sum, "securevault %s %s", purpose, table)
	return int64(sum.Sum64())
}

// prepare makes the tables that are missing.
func (s *Store) prepare(ctx context.Context, skip bool) error {
	if skip {
		if err := s.pool.Ping(ctx); err != nil {
			return fmt.Errorf("opening the store in PostgreSQL: %w; check connection_url", err)
		}
		return nil
	}
	batch := &pgx.Batch{}
	batch.Queue("SELECT pg_advisory_xact_lock($1)", s.fenceLock) // of two that create at a time one would fail
	batch.Queue(fmt.Sprintf(`CREATE TABLE IF NOT EXISTS %s (key text COLLATE "C" PRIMARY KEY, value bytea NOT NULL)`, s.table))
	batch.Queue(fmt.Sprintf(`CREATE TABLE IF NOT EXISTS %s (
		node text PRIMARY KEY, term bigint NOT NULL DEFAULT 0, about jsonb, seen timestamptz NOT NULL)`, s.election))
	if err := s.simple(ctx, batch); err != nil {
		return fmt.Errorf("opening the store in PostgreSQL: %w; check connection_url, or make the tables and set skip_create_table", err)
	}
	return nil
}

// simple sends statements that need no preparation, since what they name may
// be missing yet.
func (s *Store) simple(ctx context.Context, batch *pgx.Batch) error {
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		for _, q := range batch.QueuedQueries {
			if _, err := tx.Exec(ctx, q.SQL, q.Arguments...); err != nil {
				return err
			}
		}
		return nil
	})
}

// Close ends every connection.
func (s *Store) Close() error {
	s.pool.Close()
	return nil
}

// Get implements store.Store.
func (s *Store) Get(ctx context.Context, key string) ([]byte, error) {
	var value []byte
	err := s.pool.QueryRow(ctx, "SELECT value FROM "+s.table+" WHERE key = $1", key).Scan(&value)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("reading from PostgreSQL: %w", err)
	case value == nil:
		value = []byte{} // an empty value is not an absent one
	}
	return value, nil
}

// List implements store.Store.
func (s *Store) List(ctx context.Context, prefix string) ([]string, error) {
	return store.ListPages(ctx, prefix, func(ctx context.Context, from string, limit int) ([]string, error) {
		rows, err := s.pool.Query(ctx, "SELECT key FROM "+s.table+" WHERE key >= $1 ORDER BY key LIMIT $2", from, limit)
		if err != nil {
			return nil, fmt.Errorf("listing in PostgreSQL: %w", err)
		}
		keys, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return nil, fmt.Errorf("listing in PostgreSQL: %w", err)
		}
		return keys, nil
	})
}

// Put implements store.Store.
func (s *Store) Put(ctx context.Context, key string, value []byte) error {
	if value == nil {
		value = []byte{}
	}
	return s.write(ctx, "WITH active AS (SELECT term FROM "+s.election+" WHERE node = '' AND term = $1), "+
		"put AS (INSERT INTO "+s.table+" (key, value) SELECT $2, $3 FROM active "+
		"ON CONFLICT (key) DO UPDATE SET value = excluded.value) SELECT count(*) FROM active", key, value)
}

// Delete implements store.Store.
func (s *Store) Delete(ctx context.Context, key string) error {
	return s.write(ctx, "WITH active AS (SELECT term FROM "+s.election+" WHERE node = '' AND term = $1), "+
		"gone AS (DELETE FROM "+s.table+" USING active WHERE key = $2) SELECT count(*) FROM active", key)
}

// write runs a statement whose first parameter is the term and which answers 1
// if the term goes on. Both of its halves are one transaction and one round
// trip.
//
// The first takes the fence, shared with other writes; a new term is made by
// one that excludes them. So the second, whose snapshot is taken after that,
// sees the term as it is, and no term begins before it is committed.
func (s *Store) write(ctx context.Context, statement string, args ...any) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	t := s.term.Load()
	if t == nil {
		return store.ErrNotActive
	}
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("writing to PostgreSQL: %w", err)
	}
	defer conn.Release()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	active := 0
	batch := &pgx.Batch{}
	batch.Queue("SELECT pg_advisory_xact_lock_shared($1)", s.fenceLock)
	batch.Queue(statement, append([]any{t.number}, args...)...).QueryRow(func(row pgx.Row) error { return row.Scan(&active) })
	err = conn.SendBatch(ctx, batch).Close()
	if _, refused := errors.AsType[*pgconn.PgError](err); err != nil && !refused && !pgconn.SafeToRetry(err) {
		// It may still be on its way, and must not arrive after a later write
		// of the same key. No write outlives its term.
		t.lose()
	}
	switch {
	case err != nil:
		return fmt.Errorf("writing to PostgreSQL: %w", err)
	case active == 0:
		t.lose()
		return store.ErrNotActive
	}
	return nil
}

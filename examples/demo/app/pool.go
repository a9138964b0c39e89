package app

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"

	_ "github.com/lib/pq" // the driver of the guide's example
)

// errNoPool means that there has been no credential yet.
var errNoPool = errors.New("there is no credential yet")

// pool is a pool of connections that can be replaced while it is in use.
type pool struct {
	user string // of the current pool; used by the one who replaces it alone

	mu sync.RWMutex
	db *sql.DB // nil before the first replace
}

// replace opens a pool with a new credential and closes the old one. Nobody
// waits for the login: queries use the old pool until the new one has worked.
func (p *pool) replace(ctx context.Context, address string) error {
	fresh, err := sql.Open("postgres", address)
	if err != nil {
		return fmt.Errorf("reading the database's address: %w", err)
	}
	fresh.SetMaxIdleConns(workers)
	var user string
	if err := fresh.QueryRowContext(ctx, "SELECT current_user").Scan(&user); err != nil {
		_ = fresh.Close()
		return fmt.Errorf("connecting: %w", err)
	}
	// The lock is ours when the last query on the old pool is done.
	p.mu.Lock()
	old := p.db
	p.db, p.user = fresh, user
	p.mu.Unlock()
	if old != nil {
		return old.Close()
	}
	return nil
}

// query asks something of the database.
func (p *pool) query(ctx context.Context) error {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.db == nil {
		return errNoPool
	}
	var orders int
	return p.db.QueryRowContext(ctx, "SELECT count(*) FROM orders").Scan(&orders)
}

// close ends the pool after its last query.
func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.db != nil {
		_ = p.db.Close()
	}
}

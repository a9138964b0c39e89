package database

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/vault/sdk/database/dbplugin/v5"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/engines/database/fault"
)

const (
	openLimit = 10 * time.Second // for initialising a plugin and verifying its connection
	callLimit = time.Minute      // for one call to a database
)

// connections are the open databases of one mount. The zero value is empty.
type connections struct {
	mu     sync.Mutex
	byName map[string]*connection // config name → its connection, open or not
}

// get returns the connection of a config, which need not exist.
func (c *connections) get(name string) *connection {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byName == nil {
		c.byName = map[string]*connection{}
	}
	found := c.byName[name]
	if found == nil {
		found = &connection{turn: make(chan struct{}, 1)}
		c.byName[name] = found
	}
	return found
}

// closeAll closes them at the same time: a database that is away takes its own.
func (c *connections) closeAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	var group sync.WaitGroup
	for _, conn := range c.byName {
		group.Go(func() { conn.replace(nil) })
	}
	group.Wait()
}

// connection is the place of one configured database. Whoever opens the database
// or changes its config holds the turn, also across calls to the database; users
// of the open instance hold nothing.
type connection struct {
	turn chan struct{}

	mu   sync.Mutex
	open *instance // nil: not open
}

// lock waits for the turn as long as ctx lasts. The caller must unlock.
func (c *connection) lock(ctx context.Context) error {
	select {
	case c.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fault.New(fault.Later, "waiting for the database connection: %s: try again", context.Cause(ctx))
	}
}

func (c *connection) unlock() { <-c.turn }

// use returns the open instance, nil if there is none. The caller must release it.
func (c *connection) use() *instance {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open != nil {
		c.open.holders.Add(1)
	}
	return c.open
}

// replace puts next in the place of the open instance, which closes when its
// last user is done. The connection takes over the caller's hold on next.
func (c *connection) replace(next *instance) {
	c.mu.Lock()
	last := c.open
	c.open = next
	c.mu.Unlock()
	if last != nil {
		last.release()
	}
}

// discard closes an instance, unless another has taken its place already.
func (c *connection) discard(doubted *instance) {
	c.mu.Lock()
	open := c.open == doubted
	if open {
		c.open = nil
	}
	c.mu.Unlock()
	if open {
		doubted.release()
	}
}

// instance is an initialised plugin. It closes when nobody holds it any more.
type instance struct {
	dbplugin.Database
	holders atomic.Int64
}

func newInstance(db dbplugin.Database) *instance {
	opened := &instance{Database: db}
	opened.holders.Store(1)
	return opened
}

func (i *instance) release() {
	if i.holders.Add(-1) == 0 {
		// Nobody is left who could act on an error.
		_ = i.Close()
	}
}

// database returns the instance for a config, opened if need be. The caller must
// release it.
func (b *backend) database(ctx context.Context, storage logical.Storage, name string) (*instance, error) {
	conn := b.connections.get(name)
	if opened := conn.use(); opened != nil {
		return opened, nil
	}
	if err := conn.lock(ctx); err != nil {
		return nil, err
	}
	defer conn.unlock()
	return b.openLocked(ctx, storage, name, conn)
}

// openLocked is database for those who hold the turn.
func (b *backend) openLocked(ctx context.Context, storage logical.Storage, name string, conn *connection) (*instance, error) {
	if opened := conn.use(); opened != nil {
		return opened, nil
	}
	config, err := loadLastConfig(ctx, storage, name)
	if err != nil {
		return nil, err
	}
	if config == nil {
		return nil, unknownConfig(name)
	}
	var opened *instance
	if config.PendingPassword == "" {
		opened, err = b.initialize(ctx, config, false)
	} else {
		opened, err = b.settle(ctx, storage, name, config)
	}
	if err != nil {
		return nil, err
	}
	conn.replace(opened)
	return conn.use(), nil
}

// initialize makes a plugin for the config, within openLimit. The connection
// details become what the plugin wants to be initialised with next time.
func (b *backend) initialize(ctx context.Context, config *config, verify bool) (*instance, error) {
	construct, err := b.plugin(config.PluginName)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, openLimit)
	defer cancel()
	db := construct()
	response, err := db.Initialize(ctx, dbplugin.InitializeRequest{Config: config.Details, VerifyConnection: verify})
	if err != nil {
		_ = db.Close()
		return nil, scrubbed(fmt.Errorf("opening the database: %w", err), config.secrets()...)
	}
	config.Details = response.Config
	return newInstance(db), nil
}

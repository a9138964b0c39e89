// Package core is the one path that every request takes: token, policy, mount,
// engine, lease, answer.
//
// Handle (handle.go) is that path; access.go decides who may do what; intend.go
// and issue.go take charge of what engines and auth methods give out, before and
// after it is made; wrapup.go wraps answers; life.go prolongs and ends what was
// given out. The state lives in the managers below core: token, policy, mount,
// lease, wrap. Core wires them here.
//
// A Core is made by New, reads its state in Open, works in time (expiry,
// periodic work of engines) while Run runs, and is shut by Close. A Server
// (server.go) has one as long as its seal is open.
package core

import (
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-uuid"
	"github.com/hashicorp/vault/sdk/logical"
	"golang.org/x/sync/errgroup"

	"github.com/novatech/securevault/server/core/alert"
	"github.com/novatech/securevault/server/core/audit"
	"github.com/novatech/securevault/server/core/expiry"
	"github.com/novatech/securevault/server/core/lease"
	"github.com/novatech/securevault/server/core/lockout"
	"github.com/novatech/securevault/server/core/metric"
	"github.com/novatech/securevault/server/core/mount"
	"github.com/novatech/securevault/server/core/policy"
	"github.com/novatech/securevault/server/core/quota"
	"github.com/novatech/securevault/server/core/seal"
	"github.com/novatech/securevault/server/core/system"
	"github.com/novatech/securevault/server/core/token"
	"github.com/novatech/securevault/server/core/wrap"
	"github.com/novatech/securevault/server/store"
)

// defaultTTL is the default and the longest lifetime of leases and tokens,
// unless the configuration, a mount or a role says otherwise.
const defaultTTL = 32 * 24 * time.Hour

// Config is what a Core works with.
type Config struct {
	Store     store.Store
	StoreType string                     // as shown by the seal status
	Name      string                     // of the cluster, as shown by the status
	Engines   map[string]logical.Factory // type → secrets engine
	Methods   map[string]logical.Factory // type → auth method
	Logger    hclog.Logger
	Version   string
	Seal      system.Seal    // set by NewServer
	Nodes     system.Cluster // set by NewServer
	Cluster   Cluster        // of servers on one store; the zero value is one alone

	DefaultLeaseTTL time.Duration // 0: 768h
	MaxLeaseTTL     time.Duration // 0: 768h

	// EngineTTLs are the default and the longest lifetime of leases of engines
	// of that type, 0 for the server's; nil is the server's for all.
	EngineTTLs func(engineType string) (byDefault, most time.Duration)

	// MaxLeases is how many leases a role of an engine of that type may have at
	// a time, 0 for any number; nil is no limit for any.
	MaxLeases func(engineType string) int

	Metrics *metric.Registry // nil: nothing is counted
	Alerts  *alert.Watch     // nil: there are none

	Databases []string // types of databases that the engines know, for the catalog

	Lockout lockout.Settings // of users who guess, where their mount says nothing

	tenure *tenure // nil: the server is alone
}

// Core is a server without its listener. Its methods are safe for concurrent
// use.
type Core struct {
	config    Config
	logger    hclog.Logger
	queue     *expiry.Queue
	mounts    *mount.Table
	policies  *policy.Store
	tokens    *token.Store
	leases    *lease.Manager
	passwords *system.Passwords
	wraps     *wrap.Store
	cors      *system.CORS
	audit     *audit.Broker
	quotas    *quota.Keeper
	lockout   *lockout.Guard
	clusterID string // set by Open
}

// New wires a core; it reads and starts nothing.
func New(config Config) *Core {
	if config.DefaultLeaseTTL == 0 {
		config.DefaultLeaseTTL = defaultTTL
	}
	if config.MaxLeaseTTL == 0 {
		config.MaxLeaseTTL = defaultTTL
	}
	c := &Core{
		config:    config,
		logger:    config.Logger.Named("core"),
		queue:     expiry.New(),
		policies:  policy.NewStore(store.View(config.Store, "core/policy/")),
		passwords: system.NewPasswords(store.View(config.Store, "core/password/")),
		cors:      system.NewCORS(store.View(config.Store, "core/config/")),
		quotas:    quota.New(store.View(config.Store, "core/quota/")),
		audit:     audit.New(store.View(config.Store, "core/audit/"), config.Logger.Named("audit")),
		lockout:   lockout.New(store.View(config.Store, "core/lockout/")),
	}
	c.leases = lease.New(lease.Config{
		Storage: store.View(config.Store, "core/lease/"),
		Queue:   c.queue,
		Engine:  engines{c},
		Limit:   c.maxLeases,
		Events:  tally{c},
		Logger:  config.Logger.Named("lease"),
	})
	c.tokens = token.New(token.Config{
		Storage: store.View(config.Store, "core/token/"),
		Queue:   c.queue,
		Leases:  c.leases,
		Logger:  config.Logger.Named("token"),
	})
	c.wraps = wrap.NewStore(c.tokens, policy.WrappingName)
	c.mounts = mount.NewTable(mount.Settings{
		Store:   config.Store,
		Engines: config.Engines,
		Methods: config.Methods,
		Logger:  config.Logger.Named("mount"),
		Drain:   c.drain,
		Server: mount.Server{
			DefaultLeaseTTL:  config.DefaultLeaseTTL,
			MaxLeaseTTL:      config.MaxLeaseTTL,
			EngineTTLs:       config.EngineTTLs,
			Version:          config.Version,
			GeneratePassword: c.passwords.Generate,
		},
	})
	return c
}

// Open reads the state from the store and starts the engines.
func (c *Core) Open(ctx context.Context) error {
	if err := c.identify(ctx); err != nil {
		return err
	}
	if err := c.policies.Restore(ctx); err != nil {
		return fmt.Errorf("opening policies: %w", err)
	}
	if err := c.audit.Restore(ctx); err != nil {
		return fmt.Errorf("opening audit devices: %w", err)
	}
	if err := c.quotas.Restore(ctx); err != nil {
		return fmt.Errorf("opening quotas: %w", err)
	}
	if err := c.lockout.Restore(ctx); err != nil {
		return fmt.Errorf("opening lockouts: %w", err)
	}
	if err := c.cors.Restore(ctx); err != nil {
		return fmt.Errorf("opening the CORS settings: %w", err)
	}
	if err := c.openMounts(ctx); err != nil {
		return fmt.Errorf("opening mounts: %w", err)
	}
	if err := c.tokens.Restore(ctx); err != nil {
		return fmt.Errorf("opening tokens: %w", err)
	}
	c.config.Metrics.SetGauges(c.gauges)
	return nil
}

func (c *Core) openMounts(ctx context.Context) error {
	managers := system.Managers{
		Mounts: c.mounts, Policies: c.policies, Tokens: c.tokens, Leases: c.leases, Passwords: c.passwords,
		Lockout: c.lockout, CORS: c.cors, Audit: c.audit, Metrics: c.config.Metrics, Alerts: c.config.Alerts,
		Quotas: c.quotas, Databases: c.config.Databases, Wraps: c.wraps, Seal: c.config.Seal, Cluster: c.config.Nodes,
	}
	sys := mount.Entry{Path: "sys/", Type: "system", Description: "system paths"}
	if err := c.mounts.Attach(ctx, sys, system.Factory(managers)); err != nil {
		return err
	}
	tokens := mount.Entry{Path: "auth/token/", Type: "token", Description: "token credentials"}
	if err := c.mounts.Attach(ctx, tokens, token.Factory(c.tokens, c)); err != nil {
		return err
	}
	return c.mounts.Restore(ctx)
}

// identify reads the id of this cluster, or makes one.
func (c *Core) identify(ctx context.Context) error {
	const key = "core/cluster-id"
	id, err := c.config.Store.Get(ctx, key)
	if err != nil {
		return fmt.Errorf("reading the cluster id: %w", err)
	}
	if id == nil {
		made, err := uuid.GenerateUUID()
		if err != nil {
			return fmt.Errorf("making a cluster id: %w", err)
		}
		id = []byte(made)
		if err := c.config.Store.Put(ctx, key, id); err != nil {
			return fmt.Errorf("writing the cluster id: %w", err)
		}
	}
	c.clusterID = string(id)
	return nil
}

// restoreLeases reads the leases, while the server already serves.
func (c *Core) restoreLeases(ctx context.Context) error {
	if err := c.leases.Restore(ctx); err != nil {
		return fmt.Errorf("restoring leases: %w", err)
	}
	return c.leases.RevokeOwnerless(ctx, c.tokens.Alive)
}

// maxLeases implements lease.Limit.
func (c *Core) maxLeases(in lease.Group) int {
	m, ok := c.mounts.ByUUID(in.Mount)
	if !ok || c.config.MaxLeases == nil {
		return 0
	}
	return c.config.MaxLeases(m.Entry().Type)
}

// Run keeps time until ctx ends: it restores and expires leases, expires tokens
// and runs the periodic work of engines.
func (c *Core) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return c.restoreLeases(ctx) })
	group.Go(func() error { return c.queue.Run(ctx) })
	group.Go(func() error { return c.mounts.Run(ctx) })
	return group.Wait()
}

// Close lets the engines release what they hold.
func (c *Core) Close(ctx context.Context) {
	c.config.Metrics.SetGauges(nil)
	c.mounts.Close(ctx)
	if err := c.audit.Close(); err != nil {
		c.logger.Warn("closing audit devices", "error", err)
	}
}

// ReopenAudit makes the audit devices begin anew, as after log rotation.
func (c *Core) ReopenAudit() error { return c.audit.Reopen() }

// RevokeEverything ends every lease, in parallel, and returns how many are
// left when ctx ends. It is for servers whose memory of them is about to go.
func (c *Core) RevokeEverything(ctx context.Context) (left int, err error) {
	err = c.leases.RevokePrefix(ctx, "", true)
	return c.leases.Count(), err
}

// CreateRootToken makes a token that never ends and may do everything. An
// empty id is made up.
func (c *Core) CreateRootToken(ctx context.Context, id string) (string, error) {
	secret, _, err := c.tokens.Create(ctx, id, token.Token{
		Policies: []string{policy.RootName}, Path: "auth/token/root", DisplayName: "root",
	})
	return secret, err
}

// EnableAuth mounts an auth method at auth/<path>.
func (c *Core) EnableAuth(ctx context.Context, path, method string) error {
	return c.mounts.Enable(ctx, mount.Entry{Path: mount.AuthPrefix + path, Type: method})
}

// Status is what a server says of itself to everybody.
type Status struct {
	Initialized bool
	Sealed      bool
	Version     string
	ClusterID   string
	ClusterName string
	StoreType   string
	Seal        seal.Status // set by Server

	Shared      bool      // set by Server; several servers may use the store
	Standby     bool      // set by Server; another one is active, or none yet
	ActiveSince time.Time // set by Server
}

// Status describes the server.
func (c *Core) Status() Status {
	return Status{Initialized: true, Version: c.config.Version, ClusterID: c.clusterID, ClusterName: c.config.Name, StoreType: c.config.StoreType}
}

// AllowOrigin reports whether web pages of origin may use the API, and which
// headers they may send.
func (c *Core) AllowOrigin(origin string) (headers []string, ok bool) { return c.cors.Allow(origin) }

// drain ends what a mount has given out: leases, and the tokens of an auth
// method.
func (c *Core) drain(ctx context.Context, m *mount.Mount) error {
	path := m.Entry().Path
	if err := c.leases.RevokePrefix(ctx, path, true); err != nil {
		return fmt.Errorf("%w; to give up what cannot be revoked: lease revoke -force -prefix %s", err, path)
	}
	if m.Entry().IsAuth() {
		return c.tokens.RevokePrefix(ctx, path)
	}
	return nil
}

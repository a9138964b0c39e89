package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/novatech/securevault/server/auth"
	"github.com/novatech/securevault/server/config"
	"github.com/novatech/securevault/server/core"
	"github.com/novatech/securevault/server/core/lockout"
	"github.com/novatech/securevault/server/core/metric"
	"github.com/novatech/securevault/server/core/seal"
	"github.com/novatech/securevault/server/core/seal/kms"
	"github.com/novatech/securevault/server/engines"
	"github.com/novatech/securevault/server/engines/database"
	"github.com/novatech/securevault/server/store"
)

// coreConfig is what a configuration says about the core.
func coreConfig(f *config.File, limits *leaseLimits, metrics *metric.Registry, logger hclog.Logger) core.Config {
	guessing := lockout.Settings{}
	if l := f.UserLockout; l != nil {
		guessing = lockout.Settings{
			Threshold: l.Threshold, Duration: time.Duration(l.Duration), CounterReset: time.Duration(l.CounterReset), Disabled: l.Disabled,
		}
	}
	return core.Config{
		Lockout: guessing, Name: f.ClusterName,
		Engines: engines.All(), Methods: auth.All(), Logger: logger, Version: version, Metrics: metrics, Databases: database.Plugins(),
		DefaultLeaseTTL: time.Duration(f.DefaultLeaseTTL), MaxLeaseTTL: time.Duration(f.MaxLeaseTTL),
		MaxLeases: limits.perRole, EngineTTLs: limits.ttls,
	}
}

func newMetrics(t config.Telemetry) (*metric.Registry, error) {
	host := ""
	if !t.DisableHostname {
		var err error
		if host, err = os.Hostname(); err != nil {
			return nil, fmt.Errorf("finding the host's name: %w; set disable_hostname in telemetry", err)
		}
	}
	return metric.New(metric.Config{Prefix: t.MetricsPrefix, Push: metric.Push{
		Statsd: t.StatsdAddress, Statsite: t.StatsiteAddress, Dogstatsd: t.DogstatsdAddr, DogstatsdTags: t.DogstatsdTags,
		Host: host, HostLabel: t.EnableHostnameLabel, Default: t.FilterDefault, Filter: t.PrefixFilter,
	}})
}

// newSeal returns what guards the store.
func newSeal(s *config.Seal, on store.Store) (*seal.Seal, error) {
	if s == nil {
		return seal.New(seal.Settings{Store: on}), nil
	}
	wrapper, err := kms.New(seal.Config{Type: s.Type, Params: s.Settings.Texts()})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.At, err)
	}
	return seal.New(seal.Settings{Store: on, Type: s.Type, Wrapper: wrapper}), nil
}

// openDev opens a server that needs no unsealing by hand and has what one wants
// for trying things out.
func openDev(ctx context.Context, server *core.Server, rootToken string) (keys devKeys, err error) {
	made, err := server.Init(ctx, seal.Split{Shares: 1, Threshold: 1}, rootToken)
	if err != nil {
		return keys, fmt.Errorf("initializing: %w", err)
	}
	if err := server.Unseal(ctx, made.Shares[0]); err != nil {
		return keys, fmt.Errorf("unsealing: %w", err)
	}
	keys.unseal, keys.rootToken = base64.StdEncoding.EncodeToString(made.Shares[0]), made.RootToken
	c, err := server.Core()
	if err != nil {
		return keys, err
	}
	if err := c.EnableAuth(ctx, "approle", "approle"); err != nil {
		return keys, fmt.Errorf("enabling approle: %w", err)
	}
	return keys, nil
}

// devKeys is what a dev server tells whoever started it.
type devKeys struct {
	rootToken string
	unseal    string // the one share of its unseal key, base64
}

// revokeAll ends every credential, for nobody will remember them.
func revokeAll(ctx context.Context, server *core.Server) error {
	c, err := server.Core()
	if errors.Is(err, seal.ErrSealed) {
		return nil
	}
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, revokeTimeout)
	defer cancel()
	if left, err := c.RevokeEverything(ctx); err != nil {
		return fmt.Errorf("%d credentials are left behind: %w", left, err)
	}
	return nil
}

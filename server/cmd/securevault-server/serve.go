package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sync/errgroup"

	"github.com/novatech/securevault/server/api"
	"github.com/novatech/securevault/server/config"
	"github.com/novatech/securevault/server/core"
	"github.com/novatech/securevault/server/core/alert"
	"github.com/novatech/securevault/server/core/metric"
	"github.com/novatech/securevault/server/ui"
)

const (
	// drainTimeout bounds the wait for requests under way.
	drainTimeout = 15 * time.Second
	// revokeTimeout bounds the revocation of what a dev server leaves behind.
	revokeTimeout = 10 * time.Second
)

// process is a running server and what it stands on.
type process struct {
	options   options
	file      *config.File
	limits    *leaseLimits
	logger    hclog.Logger
	log       *logFile // nil: standard error
	metrics   *metric.Registry
	alerts    *alert.Watch
	server    *core.Server
	entrances []entrance
	https     []*http.Server // one for each entrance
	peers     http.RoundTripper
}

// serve runs a server until ctx ends.
func serve(ctx context.Context, o options, f *config.File, stdout, stderr io.Writer) error {
	p := &process{options: o, file: f, limits: &leaseLimits{}}
	p.limits.set(f.LeaseLimits)
	if f.LogFile != "" {
		var err error
		if p.log, err = openLog(f.LogFile); err != nil {
			return err
		}
		stderr = p.log
	}
	p.logger = newLogger(f, stderr)
	for _, warning := range f.Warnings {
		p.logger.Warn(warning.String())
	}
	store, closer, err := openStore(ctx, f.Storage)
	if err != nil {
		return err
	}
	if closer != nil {
		defer func() { _ = closer.Close() }()
	}
	guard, err := newSeal(f.Seal, store)
	if err != nil {
		return err
	}
	if p.metrics, err = newMetrics(f.Telemetry); err != nil {
		return err
	}
	if p.alerts, err = newWatch(f, p.metrics, p.logger.Named("alert")); err != nil {
		return err
	}
	settings := coreConfig(f, p.limits, p.metrics, p.logger)
	settings.Alerts = p.alerts
	settings.StoreType = f.Storage.Type
	if settings.Cluster, err = clusterOf(f, store); err != nil {
		return err
	}
	if p.peers, err = newPeers(f); err != nil {
		return err
	}
	p.server = core.NewServer(settings, guard)
	return p.open(ctx, o, stdout)
}

// open lets clients in, runs, and takes everything down in order.
func (p *process) open(ctx context.Context, o options, stdout io.Writer) (err error) {
	background := context.WithoutCancel(ctx) // ended by stages, in order
	if p.entrances, err = openListeners(ctx, p.file.Listeners, p.logger.Named("listener")); err != nil {
		if o.dev {
			return fmt.Errorf("%w; choose another with -dev-listen-address", err)
		}
		return err
	}
	defer closeListeners(p.entrances)
	defer p.server.Close(background)
	if err := p.writePID(); err != nil {
		return err
	}
	if o.dev {
		keys, err := openDev(ctx, p.server, o.rootToken)
		if err != nil {
			return err
		}
		printBanner(stdout, p.entrances[0].Addr().String(), keys)
	} else if err := p.server.Open(ctx); err != nil {
		return err
	}
	return p.run(ctx, o.dev)
}

// run works until ctx ends or something fails.
func (p *process) run(ctx context.Context, dev bool) error {
	background := context.WithoutCancel(ctx)
	timeCtx, stopTime := context.WithCancel(background)
	defer stopTime()
	group, groupCtx := errgroup.WithContext(timeCtx)
	group.Go(func() error { return p.server.Run(groupCtx) })
	group.Go(func() error { return p.metrics.Run(groupCtx) })
	group.Go(func() error { return p.alerts.Run(groupCtx) })
	group.Go(func() error { return p.followHangups(groupCtx) })
	group.Go(func() error {
		if err := giveBackStart(groupCtx); err != nil {
			p.logger.Warn("the server keeps more memory than it needs", "error", err)
		}
		return nil
	})
	for _, e := range p.entrances {
		server := p.newHTTP(e)
		p.https = append(p.https, server)
		group.Go(func() error { return server.Serve(e) })
		group.Go(func() error { return e.Watch(groupCtx) })
		p.logger.Info("serving", "address", e.Addr().String(), "tls", e.Secure(), "version", version)
	}
	select {
	case <-ctx.Done():
		p.logger.Info("shutting down", "cause", context.Cause(ctx).Error())
	case <-groupCtx.Done():
	}
	err := p.shutDown(background, dev)
	stopTime()
	return errors.Join(err, ignoreStops(group.Wait()))
}

func (p *process) newHTTP(e entrance) *http.Server {
	errorLog := p.logger.Named("http").StandardLogger(&hclog.StandardLoggerOptions{ForceLevel: hclog.Warn})
	e.limits.Peers = p.peers
	server := api.NewServer(p.server, e.limits, errorLog)
	if e.openMetrics {
		server.Handler = api.OpenMetrics(server.Handler, p.metrics)
	}
	if p.file.UI {
		server.Handler = ui.Handler(server.Handler)
	}
	return server
}

// shutDown lets requests finish. A dev server then revokes every lease.
func (p *process) shutDown(ctx context.Context, dev bool) error {
	drainCtx, cancel := context.WithTimeout(ctx, drainTimeout)
	defer cancel()
	for _, server := range p.https {
		if err := server.Shutdown(drainCtx); err != nil {
			p.logger.Warn("some requests did not end in time", "error", err)
		}
	}
	if p.file.PIDFile != "" {
		if err := os.Remove(p.file.PIDFile); err != nil {
			p.logger.Warn("removing pid_file", "error", err)
		}
	}
	if !dev {
		return nil
	}
	return revokeAll(ctx, p.server)
}

func (p *process) writePID() error {
	if p.file.PIDFile == "" {
		return nil
	}
	if err := os.WriteFile(p.file.PIDFile, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o644); err != nil {
		return fmt.Errorf("writing pid_file: %w", err)
	}
	return nil
}

// ignoreStops drops the errors that a server asked to stop ends with.
func ignoreStops(err error) error {
	if errors.Is(err, http.ErrServerClosed) || errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

func printBanner(w io.Writer, address string, keys devKeys) {
	fmt.Fprintf(w, `WARNING: dev mode keeps everything in memory, unsealed and without TLS.
All is lost when the server stops. Do not use it for secrets that matter.

    export VAULT_ADDR=http://%s
    Unseal Key: %s
    Root Token: %s

`, address, keys.unseal, keys.rootToken)
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sync/errgroup"

	"github.com/novatech/securevault/server/api"
	"github.com/novatech/securevault/server/auth"
	"github.com/novatech/securevault/server/core"
	"github.com/novatech/securevault/server/engines"
	"github.com/novatech/securevault/server/store/inmem"
)

const (
	// drainTimeout bounds the wait for requests under way.
	drainTimeout = 15 * time.Second
	// revokeTimeout bounds the revocation of what a dev server leaves behind.
	revokeTimeout = 10 * time.Second
)

// serveDev runs a server in memory until ctx ends.
func serveDev(ctx context.Context, o options, stdout io.Writer, logger hclog.Logger) error {
	listener, err := net.Listen("tcp", o.address)
	if err != nil {
		return fmt.Errorf("listening on %s: %w; choose another with -dev-listen-address", o.address, err)
	}
	defer func() { _ = listener.Close() }()
	c := core.New(core.Config{
		Store: inmem.New(), StoreType: "inmem", Engines: engines.All(), Methods: auth.All(),
		Logger: logger, Version: version,
	})
	background := context.WithoutCancel(ctx) // ended by stages below, in order
	if err := c.Open(background); err != nil {
		return fmt.Errorf("opening the core: %w", err)
	}
	defer c.Close(background)
	rootToken, err := prepareDev(ctx, c, o)
	if err != nil {
		return err
	}

	timeCtx, stopTime := context.WithCancel(background)
	group, groupCtx := errgroup.WithContext(timeCtx)
	server := api.NewServer(c, logger.Named("http").StandardLogger(&hclog.StandardLoggerOptions{ForceLevel: hclog.Warn}))
	group.Go(func() error { return c.Run(groupCtx) })
	group.Go(func() error { return server.Serve(listener) })
	printBanner(stdout, listener.Addr().String(), rootToken)
	logger.Info("serving", "address", listener.Addr().String(), "version", version)

	select {
	case <-ctx.Done():
		logger.Info("shutting down", "cause", context.Cause(ctx).Error())
	case <-groupCtx.Done():
	}
	err = shutDown(background, c, server, logger)
	stopTime()
	return errors.Join(err, ignoreStops(group.Wait()))
}

// prepareDev makes what a dev server has from the start.
func prepareDev(ctx context.Context, c *core.Core, o options) (rootToken string, err error) {
	if rootToken, err = c.CreateRootToken(ctx, o.rootToken); err != nil {
		return "", fmt.Errorf("creating the root token: %w", err)
	}
	if err := c.EnableAuth(ctx, "approle", "approle"); err != nil {
		return "", fmt.Errorf("enabling approle: %w", err)
	}
	return rootToken, nil
}

// shutDown lets requests finish and then revokes every lease, for nobody will
// remember them.
func shutDown(ctx context.Context, c *core.Core, server *http.Server, logger hclog.Logger) error {
	drainCtx, cancel := context.WithTimeout(ctx, drainTimeout)
	defer cancel()
	if err := server.Shutdown(drainCtx); err != nil {
		logger.Warn("some requests did not end in time", "error", err)
	}
	revokeCtx, cancel := context.WithTimeout(ctx, revokeTimeout)
	defer cancel()
	if left, err := c.RevokeEverything(revokeCtx); err != nil {
		return fmt.Errorf("%d credentials are left behind: %w", left, err)
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

func printBanner(w io.Writer, address, rootToken string) {
	fmt.Fprintf(w, `WARNING: dev mode keeps everything in memory, unsealed and without TLS.
All is lost when the server stops. Do not use it for secrets that matter.

    export VAULT_ADDR=http://%s
    Root Token: %s

`, address, rootToken)
}

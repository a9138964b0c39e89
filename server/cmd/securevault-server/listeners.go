package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/novatech/securevault/server/api"
	"github.com/novatech/securevault/server/api/listener"
	"github.com/novatech/securevault/server/config"
)

// entrance is a socket and what is let in by it.
type entrance struct {
	*listener.Listener
	limits      api.Limits
	openMetrics bool // metrics without a token
}

// openListeners opens all sockets of a configuration, or none.
func openListeners(ctx context.Context, listeners []config.Listener, logger hclog.Logger) ([]entrance, error) {
	var open []entrance
	for _, l := range listeners {
		one, err := openListener(ctx, l, logger)
		if err != nil {
			closeListeners(open)
			if l.At.File != "" { // none with -dev
				err = fmt.Errorf("%s: %w", l.At, err)
			}
			return nil, err
		}
		open = append(open, one)
	}
	return open, nil
}

func closeListeners(open []entrance) {
	for _, e := range open {
		_ = e.Close() // nothing was accepted, so nothing is lost
	}
}

func openListener(ctx context.Context, l config.Listener, logger hclog.Logger) (entrance, error) {
	c := listener.Config{
		Network: l.Type, Address: l.Address,
		Mode: fs.FileMode(l.SocketMode), User: l.SocketUser, Group: l.SocketGroup,
	}
	var err error
	if l.TLSCertFile != "" && !l.TLSDisable {
		if c.TLS, err = tlsOf(l); err != nil {
			return entrance{}, err
		}
	}
	e := entrance{limits: limitsOf(l), openMetrics: l.Telemetry.Unauthenticated}
	e.Listener, err = listener.Open(ctx, c, logger)
	return e, err
}

func tlsOf(l config.Listener) (*listener.TLS, error) {
	least, err := listener.Version(l.TLSMinVersion)
	most, err2 := listener.Version(l.TLSMaxVersion)
	suites, err3 := listener.CipherSuites(l.TLSCipherSuites)
	return &listener.TLS{
		CertFile: l.TLSCertFile, KeyFile: l.TLSKeyFile, ClientCAFile: l.TLSClientCAFile,
		RequireClient: l.TLSRequireClientCert, NoClientCerts: l.TLSNoClientCerts,
		MinVersion: least, MaxVersion: most, CipherSuites: suites,
	}, errors.Join(err, err2, err3)
}

func limitsOf(l config.Listener) api.Limits {
	limits := api.Limits{
		MaxBody:       int64(l.MaxRequestSize),
		MaxDuration:   time.Duration(l.MaxRequestDuration),
		HeaderTimeout: time.Duration(l.HeaderTimeout),
		ReadTimeout:   time.Duration(l.ReadTimeout),
		WriteTimeout:  time.Duration(l.WriteTimeout),
		IdleTimeout:   time.Duration(l.IdleTimeout),
		Forwarded: api.Forwarded{
			Hops: l.ForwardedHops, RejectAbsent: l.ForwardedRejectAbsent, RejectUnapproved: l.ForwardedRejectUnapproved,
		},
	}
	for _, block := range l.ForwardedFor {
		if prefix, err := netip.ParsePrefix(block); err == nil {
			limits.Forwarded.Proxies = append(limits.Forwarded.Proxies, prefix)
		} else if ip, err := netip.ParseAddr(block); err == nil {
			limits.Forwarded.Proxies = append(limits.Forwarded.Proxies, netip.PrefixFrom(ip, ip.BitLen()))
		}
	}
	return limits
}

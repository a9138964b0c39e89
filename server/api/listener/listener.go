// Package listener opens the sockets that the server answers on.
//
// Open (below) makes a TCP socket, in TLS unless told otherwise, or a Unix
// socket with its mode and owner (socket.go). Certificates (tls.go) are read
// again on Reload and, while Watch runs, when their files change; connections
// that exist keep the one they began with. A reload that fails leaves the old
// certificate in service.
package listener

import (
	"context"
	"crypto/tls"
	"fmt"
	"io/fs"
	"net"

	"github.com/hashicorp/go-hclog"
)

// Config says where to listen, and how.
type Config struct {
	Network string // "tcp" or "unix"
	Address string // host:port, or the path of the socket
	TLS     *TLS   // nil for none

	// For a Unix socket: its mode, and its owner by name or id.
	Mode  fs.FileMode // 0: 0600
	User  string      // "": this process's
	Group string      // "": this process's
}

// Listener is an open socket. It implements net.Listener.
type Listener struct {
	net.Listener
	config Config
	keys   *keys // nil without TLS
	logger hclog.Logger
}

// Open opens the socket; Close must be called in the end.
func Open(ctx context.Context, c Config, logger hclog.Logger) (*Listener, error) {
	l := &Listener{config: c, logger: logger}
	if c.TLS != nil {
		l.keys = &keys{files: *c.TLS}
		if err := l.keys.load(); err != nil {
			return nil, err
		}
	}
	var err error
	if c.Network == "unix" {
		l.Listener, err = openSocket(ctx, c)
	} else {
		l.Listener, err = (&net.ListenConfig{}).Listen(ctx, "tcp", c.Address)
	}
	if err != nil {
		return nil, fmt.Errorf("listening on %s: %w", c.Address, err)
	}
	if l.keys != nil {
		l.Listener = tls.NewListener(l.Listener, &tls.Config{GetConfigForClient: l.keys.forClient, MinVersion: tls.VersionTLS12})
	}
	return l, nil
}

// Secure reports whether the listener speaks TLS.
func (l *Listener) Secure() bool { return l.keys != nil }

// Reload reads the certificate and the CA of clients again.
func (l *Listener) Reload() error {
	if l.keys == nil {
		return nil
	}
	if err := l.keys.load(); err != nil {
		return fmt.Errorf("reloading the certificate of %s (the old one stays in service): %w", l.config.Address, err)
	}
	l.logger.Info("certificate loaded", "address", l.config.Address)
	return nil
}

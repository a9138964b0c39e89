package admin

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"time"

	"go.uber.org/zap"
	"golang.org/x/net/netutil"
	"golang.org/x/sync/errgroup"
)

const (
	maxConnections = 256      // of each listener
	maxHeaders     = 64 << 10 // bytes
	maxBody        = 32 << 20 // bytes of a proxied request; the server's own default
	maxCommand     = 64 << 10 // bytes of any other request

	headerTimeout = 10 * time.Second
	readTimeout   = 60 * time.Second
	writeTimeout  = 2 * time.Minute // longer than the client waits for the server
	idleTimeout   = 2 * time.Minute
	statusTimeout = 5 * time.Second // for the agent to say what it does
	farewell      = 5 * time.Second // for requests in flight when the agent stops
)

// ErrQuit ends [Server.Run] when a caller had the agent stop.
var ErrQuit = errors.New("stopped through the agent API")

// Config says what a server serves, and where.
type Config struct {
	Listeners []Listener
	Source    Source
	Log       *zap.Logger
	Proxy     Proxy
	Telemetry Telemetry
}

// Server answers on the listeners. Make one with [New], have it listen with
// [Server.Open], and run it with [Server.Run].
type Server struct {
	cfg   Config
	proxy *proxy
	page  *page
	quit  chan struct{} // capacity one
	open  []opened
}

// opened is a listener that is bound.
type opened struct {
	net.Listener
	cfg   Listener
	files *tlsFiles // nil without TLS
	close func()
}

// New returns a server that does not listen yet.
func New(cfg Config) (*Server, error) {
	for _, l := range cfg.Listeners {
		if err := l.check(); err != nil {
			return nil, err
		}
	}
	page, err := newPage()
	if err != nil {
		return nil, err
	}
	return &Server{cfg: cfg, proxy: newProxy(cfg.Proxy, cfg.Source, cfg.Log), page: page, quit: make(chan struct{}, 1)}, nil
}

// Open binds every listener, or none.
func (s *Server) Open() error {
	for _, l := range s.cfg.Listeners {
		listener, err := l.open(s.cfg.Log)
		if err != nil {
			s.Close()
			return fmt.Errorf("listening on %s: %w", l, err)
		}
		s.open = append(s.open, listener)
	}
	return nil
}

// Close gives up the listeners of a server that will not run.
func (s *Server) Close() {
	for _, l := range s.open {
		_ = l.Close()
		l.close()
	}
	s.open = nil
}

// Run answers on the open listeners, and pushes figures, until ctx ends or a
// caller asks the agent to quit: then it returns [ErrQuit]. Requests in flight
// are answered first.
func (s *Server) Run(ctx context.Context) error {
	defer s.Close()
	group, running := errgroup.WithContext(ctx)
	for _, l := range s.open {
		group.Go(func() error { return s.serve(running, l) })
	}
	group.Go(func() error { return s.push(running) })
	group.Go(func() error {
		select {
		case <-s.quit:
			return ErrQuit
		case <-running.Done():
			return context.Cause(running)
		}
	})
	return group.Wait()
}

// serve answers on one listener until ctx ends.
func (s *Server) serve(ctx context.Context, l opened) error {
	server := &http.Server{
		Handler:           s.Handler(l.cfg),
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaders,
		ErrorLog:          stdLog(s.cfg.Log),
	}
	s.cfg.Log.Info("listening", zap.Stringer("listener", l.cfg), zap.Stringer("address", l.Addr()))
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(netutil.LimitListener(l, maxConnections)) }()
	select {
	case err := <-ended:
		return fmt.Errorf("listening on %s: %w", l.cfg, err)
	case <-ctx.Done():
	}
	goodbye, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	if server.Shutdown(goodbye) != nil {
		_ = server.Close()
	}
	<-ended //nolint:errcheck // it was told to end; how it did does not matter
	return context.Cause(ctx)
}

// stdLog takes what package http has to say, failed handshakes for the most
// part: what a stranger sends is no news.
func stdLog(to *zap.Logger) *log.Logger {
	std, err := zap.NewStdLogAt(to, zap.DebugLevel)
	if err != nil { // never for this level
		return zap.NewStdLog(zap.NewNop())
	}
	return std
}

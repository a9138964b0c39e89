package core_test

import (
	"io"
	"net"
	"path/filepath"
	"sync"
	"testing"
)

// collector takes audit lines on a Unix socket until it is stopped.
type collector struct {
	listener net.Listener

	mu    sync.Mutex
	conns []net.Conn // guarded by mu
}

func newCollector(t *testing.T) *collector {
	t.Helper()
	listener, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	c := &collector{listener: listener}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			c.mu.Lock()
			c.conns = append(c.conns, conn)
			c.mu.Unlock()
			go func() { _, _ = io.Copy(io.Discard, conn) }()
		}
	}()
	t.Cleanup(c.stop)
	return c
}

func (c *collector) address() string { return c.listener.Addr().String() }

func (c *collector) stop() {
	c.listener.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.conns {
		conn.Close()
	}
}

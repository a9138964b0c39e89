package enginetest

import (
	"io"
	"net"
	"sync"
	"testing"
)

// Proxy stands between an engine and its target, so that a test can take the
// target away from the engine and give it back.
type Proxy struct {
	target   string // host:port
	listener net.Listener
	work     sync.WaitGroup

	mu   sync.Mutex
	down bool
	open map[net.Conn]struct{} // both ends of what is relayed
}

// NewProxy relays to the target, a host:port, for the length of the test.
func NewProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("listening for the proxy of %s: %v", target, err)
	}
	p := &Proxy{target: target, listener: listener, open: map[net.Conn]struct{}{}}
	p.work.Go(p.accept)
	t.Cleanup(func() {
		_ = listener.Close()
		p.Cut()
		p.work.Wait()
	})
	return p
}

// Address is what the engine is to take for the target's, as host:port.
func (p *Proxy) Address() string { return p.listener.Addr().String() }

// Cut takes the target down: connections break, and new ones break at once.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = true
	for conn := range p.open {
		abort(conn)
	}
}

// Restore brings the target back.
func (p *Proxy) Restore() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = false
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.work.Go(func() { p.relay(client) })
	}
}

// relay ends when either side does.
func (p *Proxy) relay(client net.Conn) {
	if !p.keep(client) {
		return
	}
	defer p.drop(client)
	target, err := net.Dial("tcp", p.target)
	if err != nil || !p.keep(target) {
		return
	}
	defer p.drop(target)
	var back sync.WaitGroup
	back.Go(func() {
		_, _ = io.Copy(client, target)
		_ = client.Close()
	})
	_, _ = io.Copy(target, client)
	_ = target.Close()
	back.Wait()
}

// keep has Cut end the connection; if the target is down, it ends at once.
func (p *Proxy) keep(conn net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.down {
		abort(conn)
		return false
	}
	p.open[conn] = struct{}{}
	return true
}

func (p *Proxy) drop(conn net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = conn.Close()
	delete(p.open, conn)
}

// abort ends a connection as a crash does: with a reset, and without what was
// on its way.
func abort(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

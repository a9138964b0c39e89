package mssql_test

import (
	"net"
	"sync"
	"testing"
)

// relay stands between the plugin and the server like enginetest.Proxy, and fails
// in ways of which the server does not hear.
type relay struct {
	address string

	mu      sync.Mutex
	silent  bool // what comes is swallowed
	refuses bool
	clients []net.Conn
	servers []net.Conn // they end with the test
}

func newRelay(t *testing.T, target string) *relay {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	made := &relay{address: listener.Addr().String()}
	var work sync.WaitGroup
	work.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", target)
			if err != nil {
				_ = client.Close()
				continue
			}
			made.keep(client, server)
			work.Go(func() { made.copy(server, client) })
			work.Go(func() { made.copy(client, server) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		made.hangUp()
		made.drop()
		work.Wait()
	})
	return made
}

// keep remembers both ends; the client hears at once if it is to be refused.
func (r *relay) keep(client, server net.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.clients, r.servers = append(r.clients, client), append(r.servers, server)
	if r.refuses {
		_ = client.Close()
	}
}

// drop ends the connections to the server.
func (r *relay) drop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, server := range r.servers {
		_ = server.Close()
	}
}

func (r *relay) copy(to, from net.Conn) {
	buffer := make([]byte, 8192)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		r.mu.Lock()
		silent := r.silent
		r.mu.Unlock()
		if silent {
			continue
		}
		_, _ = to.Write(buffer[:n]) // one that has hung up does not end the other
	}
}

// silence swallows all that comes from now on.
func (r *relay) silence() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.silent = true
}

// hangUp ends the connections to the clients alone, and refuses new ones.
func (r *relay) hangUp() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refuses = true
	for _, client := range r.clients {
		_ = client.Close()
	}
}

// answer takes new clients again.
func (r *relay) answer() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refuses = false
}

// Package kmsstandin stands in for the key services of clouds that cannot be had
// in a test. Each stand-in is written from its vendor's documentation, speaks
// the vendor's protocol under the vendor's own host names, keeps real keys, and
// refuses what the vendor would refuse.
//
// Nothing in the server is told of them. They are reached as the vendors are
// from a closed network: through an HTTP proxy (Egress), by certificates of an
// authority that the machine trusts. So whoever uses them starts a process with
// Egress.Environment.
package kmsstandin

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/novatech/securevault/server/engines/enginetest/certtest"
)

// Egress is an HTTP proxy that leads to stand-ins, and nowhere else.
type Egress struct {
	proxy     *httptest.Server
	authority *certtest.Authority
	trust     string // file with the authority's certificate
	cut       atomic.Bool

	mu    sync.Mutex
	hosts map[string]string // guarded by mu; host:port of a vendor → of its stand-in
}

// NewEgress starts a proxy that ends with the test.
func NewEgress(t testing.TB) *Egress {
	t.Helper()
	authority, err := certtest.New("egress")
	if err != nil {
		t.Fatal(err)
	}
	e := &Egress{authority: authority, trust: filepath.Join(t.TempDir(), "trust.pem"), hosts: map[string]string{}}
	if err := os.WriteFile(e.trust, authority.PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	e.proxy = httptest.NewServer(http.HandlerFunc(e.connect))
	t.Cleanup(e.proxy.Close)
	return e
}

// Environment returns what a process needs to go through the proxy and to
// trust what is behind it.
func (e *Egress) Environment() []string {
	return []string{
		"HTTPS_PROXY=" + e.proxy.URL, "https_proxy=", "NO_PROXY=", "no_proxy=",
		"SSL_CERT_FILE=" + e.trust, "SSL_CERT_DIR=" + filepath.Dir(e.trust),
	}
}

// Cut makes the proxy lead nowhere.
func (e *Egress) Cut() { e.cut.Store(true) }

// Restore undoes Cut.
func (e *Egress) Restore() { e.cut.Store(false) }

// lead makes host, a vendor's, be answered at address.
func (e *Egress) lead(host, address string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.hosts[host+":443"] = address
}

// identity returns the certificate of a vendor's host.
func (e *Egress) identity(t testing.TB, host string) tls.Certificate {
	t.Helper()
	made, err := e.authority.Issue(host, host)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// connect answers CONNECT; nothing else is asked of this proxy.
func (e *Egress) connect(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	address, known := e.hosts[r.Host]
	e.mu.Unlock()
	if r.Method != http.MethodConnect || !known || e.cut.Load() {
		http.Error(w, fmt.Sprintf("no way to %s", r.Host), http.StatusBadGateway)
		return
	}
	target, err := net.Dial("tcp", address)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	client, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		_ = target.Close()
		return
	}
	_, _ = io.WriteString(client, "HTTP/1.1 200 Connection established\r\n\r\n")
	go pipe(target, client)
	pipe(client, target)
}

// pipe copies until one side ends, and ends the other.
func pipe(to, from net.Conn) {
	_, _ = io.Copy(to, from)
	_ = to.Close()
	_ = from.Close()
}

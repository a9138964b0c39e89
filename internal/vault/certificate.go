package vault

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync"
)

// Certificate names the files of a TLS client certificate, in PEM.
type Certificate struct {
	CACert string // who may have signed the server's certificate; "" leaves what the client trusts
	Cert   string // with Key, "" leaves the certificate of the client
	Key    string
	Reload bool // read the files for each request, instead of once
}

// WithCertificate returns a client that presents another TLS certificate. It
// shares the connection budget, but no connection: each request makes its
// own, so that a certificate that was read again is presented at once. The
// files are read when they are first needed.
func (c *Client) WithCertificate(files Certificate) (*Client, error) {
	if c.tls == nil {
		return nil, errors.New("using a TLS client certificate: the transport of this client is not its own")
	}
	out, err := c.over(&certified{files: files, base: c.tls})
	if err != nil {
		return nil, fmt.Errorf("using a TLS client certificate: %w", err)
	}
	return out, nil
}

// certified is a transport with a TLS client certificate from files.
type certified struct {
	files Certificate
	base  *http.Transport

	mu     sync.Mutex
	loaded *http.Transport // nil until the files were read; not used when they are read each time
}

// RoundTrip implements [http.RoundTripper].
func (t *certified) RoundTrip(req *http.Request) (*http.Response, error) {
	transport, err := t.transport()
	if err != nil {
		return nil, err
	}
	return transport.RoundTrip(req)
}

func (t *certified) transport() (*http.Transport, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.loaded != nil && !t.files.Reload {
		return t.loaded, nil
	}
	transport := unshared(t.base)
	if err := t.files.apply(transport.TLSClientConfig); err != nil {
		return nil, err
	}
	t.loaded = transport
	return transport, nil
}

// apply reads the files into a TLS configuration.
func (f Certificate) apply(config *tls.Config) error {
	if f.CACert != "" {
		text, err := os.ReadFile(f.CACert)
		if err != nil {
			return fmt.Errorf("reading ca_cert: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(text) {
			return fmt.Errorf("reading ca_cert: %q holds no certificate in PEM", f.CACert)
		}
	}
	if f.Cert == "" && f.Key == "" {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(f.Cert, f.Key)
	if err != nil {
		return fmt.Errorf("reading client_cert %q with client_key %q: %w; write both anew, or correct the paths", f.Cert, f.Key, err)
	}
	// Presented whatever authorities the server names: those of the auth
	// method are not those of its listener.
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	return nil
}

package admin

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

// maxStatus is the largest /status in bytes that a client reads.
const maxStatus = 64 << 20

// Client asks the listener of a running agent. Make one with [NewClient].
type Client struct {
	url  string
	http *http.Client
}

// NewClient returns a client of an agent that answers at address:
// "unix:///run/agent.sock", "https://host:8200", "http://host:8200", or
// "host:8200" for the last. CACert is the path of a PEM file with the agent's
// certificate or that of who signed it; "" leaves that to the system.
func NewClient(address, caCert string) (*Client, error) {
	transport := &http.Transport{}
	url := strings.TrimSuffix(address, "/")
	if socket, ok := strings.CutPrefix(address, "unix://"); ok {
		url = "http://localhost"
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		}
	} else if !strings.Contains(url, "://") {
		url = "http://" + url
	}
	if caCert != "" {
		text, err := os.ReadFile(caCert)
		if err != nil {
			return nil, fmt.Errorf("reading the CA certificate: %w", err)
		}
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("reading the CA certificate: %q holds none in PEM; correct the path", caCert)
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	}
	return &Client{url: url, http: &http.Client{Transport: transport, Timeout: 10 * time.Second}}, nil
}

// Status returns what the agent does.
func (c *Client) Status(ctx context.Context) (Status, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url+"/status", nil)
	if err != nil {
		return Status{}, fmt.Errorf("asking the agent: %w", err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return Status{}, fmt.Errorf("asking the agent: %w; check that it runs, and the address of its listener", err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxStatus))
	if err != nil {
		return Status{}, fmt.Errorf("asking the agent: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return Status{}, fmt.Errorf("asking the agent: it answered %s; the listener must not be for metrics only", resp.Status)
	}
	var status Status
	if err := json.Unmarshal(body, &status); err != nil {
		return Status{}, fmt.Errorf("reading the status: %w; is this the address of an agent?", err)
	}
	if status.Now.IsZero() {
		return Status{}, errors.New("reading the status: the answer is not that of an agent; correct the address")
	}
	return status, nil
}

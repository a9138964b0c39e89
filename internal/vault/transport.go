package vault

import (
	"errors"
	"fmt"
	"io"
	"net/http"
)

// WithoutReuse returns a client that makes a connection for each request and
// keeps none. It shares the connection budget. A transport that is not the
// client's own stays as it is.
func (c *Client) WithoutReuse() (*Client, error) {
	if c.tls == nil {
		return c, nil
	}
	transport := unshared(c.tls)
	out, err := c.over(transport)
	if err != nil {
		return nil, fmt.Errorf("using connections once: %w", err)
	}
	out.tls = transport
	return out, nil
}

// over returns a client whose requests go over another transport.
func (c *Client) over(transport http.RoundTripper) (*Client, error) {
	ac := c.api.CloneConfig()
	ac.HttpClient.Transport = boundedTransport{transport}
	client, err := newAPIClient(ac)
	if err != nil {
		return nil, err
	}
	if namespace := c.api.Namespace(); namespace != "" {
		client.SetNamespace(namespace)
	}
	out := *c
	out.api, out.tls = client, nil
	return &out, nil
}

// unshared returns a copy of a transport that uses each connection once, and
// none of the original's.
func unshared(base *http.Transport) *http.Transport {
	transport := base.Clone()
	transport.DisableKeepAlives = true
	// Clone copies the way to the original's HTTP/2 connections.
	transport.TLSNextProto, transport.ForceAttemptHTTP2 = nil, true
	return transport
}

// boundedTransport refuses answers larger than MaxAnswer and errors larger than
// maxRefusal, so that a hostile or broken server cannot fill the memory beside
// the app, and redirects, which would take token and secrets elsewhere.
type boundedTransport struct{ next http.RoundTripper }

// RoundTrip implements [http.RoundTripper].
func (t boundedTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	limit := int64(MaxAnswer)
	if resp.StatusCode >= 400 {
		limit = maxRefusal
	}
	switch {
	case resp.StatusCode >= 300 && resp.StatusCode < 400 && resp.StatusCode != http.StatusNotModified:
		err = errRedirect
	case resp.ContentLength > limit:
		err = tooLarge(limit)
	}
	if err != nil {
		_ = resp.Body.Close()
		return nil, err
	}
	resp.Body = &boundedBody{ReadCloser: resp.Body, limit: limit, left: limit}
	return resp, nil
}

// CloseIdleConnections lets [http.Client] reach the transport below.
func (t boundedTransport) CloseIdleConnections() {
	if c, ok := t.next.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

var errRedirect = errors.New("the server redirects to another address")

func tooLarge(limit int64) error { return fmt.Errorf("the answer is larger than %d bytes", limit) }

type boundedBody struct {
	io.ReadCloser
	limit, left int64
}

func (b *boundedBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		// The limit itself is allowed; only a byte beyond it is an error.
		if n, err := b.ReadCloser.Read(make([]byte, 1)); n == 0 {
			return 0, err
		}
		return 0, tooLarge(b.limit)
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

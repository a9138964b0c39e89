package vault

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/hashicorp/vault/api"
)

// Forward sends a request that came from somebody else to the server. Method,
// path, query and body are theirs, and of their headers those of the API; the
// token is the one given, "" for none. A redirect is an error. The body of the
// answer is limited to [MaxAnswer], and must be closed. The error is an *Error.
func (c *Client) Forward(ctx context.Context, in *http.Request, token Sensitive) (*http.Response, error) {
	fail := func(err error) (*http.Response, error) {
		return nil, &Error{Op: "passing on a request to", Path: in.URL.Path, Cause: err, Kind: Later}
	}
	base, err := url.Parse(c.api.Address())
	if err != nil {
		return fail(fmt.Errorf("reading the address of the server: %w", err))
	}
	target := *in.URL
	target.Scheme, target.Host, target.User = base.Scheme, base.Host, nil
	target.Path, target.RawPath = strings.TrimSuffix(base.Path, "/")+in.URL.Path, strings.TrimSuffix(base.EscapedPath(), "/")+in.URL.EscapedPath()
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	out, err := http.NewRequestWithContext(ctx, in.Method, target.String(), in.Body)
	if err != nil {
		cancel()
		return fail(err)
	}
	out.ContentLength = in.ContentLength
	c.dress(out, in, token)
	resp, err := c.api.CloneConfig().HttpClient.Transport.RoundTrip(out)
	if err != nil {
		cancel()
		return fail(err)
	}
	resp.Body = &releasing{resp.Body, cancel}
	return resp, nil
}

// dress gives a forwarded request its headers.
func (c *Client) dress(out, in *http.Request, token Sensitive) {
	for name, values := range in.Header {
		if name == "Content-Type" || name == "Accept" || name == "User-Agent" || strings.HasPrefix(name, "X-Vault-") {
			out.Header[name] = values
		}
	}
	out.Header.Del(api.AuthHeaderName)
	if token != "" {
		out.Header.Set(api.AuthHeaderName, token.Reveal())
	}
	out.Header.Set(api.RequestHeaderName, "true")
	if namespace := c.api.Namespace(); namespace != "" && out.Header.Get(api.NamespaceHeaderName) == "" {
		out.Header.Set(api.NamespaceHeaderName, namespace)
	}
}

// releasing frees what a request holds once its answer was read.
type releasing struct {
	io.ReadCloser
	release func()
}

// Close implements [io.Closer].
func (r *releasing) Close() error {
	defer r.release()
	return r.ReadCloser.Close()
}

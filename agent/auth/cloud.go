package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

const (
	cloudTimeout = 10 * time.Second // of one request to a cloud, its answer included
	cloudConnect = 3 * time.Second  // metadata services are near, or not there at all
)

// cloud asks what is not the server: metadata services and token issuers. It
// follows no redirect, since its requests carry credentials, and reads no
// answer larger than maxCredential.
type cloud struct{ client *http.Client }

// newMetadata returns a cloud that is next to the machine, and so never
// behind a proxy.
func newMetadata() cloud { return newCloud(nil) }

// newIssuer returns a cloud on the network.
func newIssuer() cloud { return newCloud(http.ProxyFromEnvironment) }

func newCloud(proxy func(*http.Request) (*url.URL, error)) cloud {
	return cloud{&http.Client{
		Timeout: cloudTimeout,
		Transport: &http.Transport{
			Proxy:                  proxy,
			DialContext:            (&net.Dialer{Timeout: cloudConnect}).DialContext,
			TLSHandshakeTimeout:    cloudConnect,
			MaxResponseHeaderBytes: 64 << 10,
			DisableKeepAlives:      true, // a login is rare: nothing is worth keeping
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// get reads a text from an endpoint.
func (c cloud) get(ctx context.Context, endpoint string, header http.Header) (string, error) {
	return c.send(ctx, http.MethodGet, endpoint, header, "")
}

// post sends a form and returns the answer.
func (c cloud) post(ctx context.Context, endpoint string, form url.Values) (string, error) {
	header := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	return c.send(ctx, http.MethodPost, endpoint, header, form.Encode())
}

// send performs one request. Its error names the endpoint, without the query,
// and repeats nothing of the answer but an error code.
func (c cloud) send(ctx context.Context, method, endpoint string, header http.Header, body string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, method, endpoint, strings.NewReader(body))
	if err != nil {
		return "", fmt.Errorf("asking %q: it is no address", bareURL(endpoint))
	}
	for name, values := range header {
		req.Header[name] = values
	}
	resp, err := c.client.Do(req)
	if err != nil {
		if wrapped, ok := errors.AsType[*url.Error](err); ok {
			err = wrapped.Err // whose own text repeats the query
		}
		return "", fmt.Errorf("asking %q: %w", bareURL(endpoint), err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxCredential+1))
	switch {
	case err != nil:
		return "", fmt.Errorf("asking %q: reading the answer: %w", bareURL(endpoint), err)
	case len(text) > maxCredential:
		return "", fmt.Errorf("asking %q: the answer is larger than %d bytes", bareURL(endpoint), maxCredential)
	case resp.StatusCode != http.StatusOK:
		return "", &refusal{endpoint: bareURL(endpoint), status: resp.StatusCode, code: errorCode(string(text))}
	}
	return string(text), nil
}

// refusal is an answer of a cloud that is not the one asked for.
type refusal struct {
	endpoint string
	status   int
	code     string // of the cloud's own, "" for none
}

// Error implements error.
func (r *refusal) Error() string {
	text := fmt.Sprintf("asking %q: the answer is %d %s", r.endpoint, r.status, strings.ToLower(http.StatusText(r.status)))
	if r.code != "" {
		text += " (" + r.code + ")"
	}
	return text
}

// codes finds the error code of AWS (XML), Azure and Google (JSON). What a
// code may consist of keeps messages out: they repeat what was sent.
func codes() []*regexp.Regexp {
	return []*regexp.Regexp{
		regexp.MustCompile(`<Code>([A-Za-z.]{1,40})</Code>`),
		regexp.MustCompile(`"error_description"\s*:\s*"(AADSTS[0-9]{1,10})`),
		regexp.MustCompile(`"error"\s*:\s*"([a-z_]{1,40})"`),
		regexp.MustCompile(`"status"\s*:\s*"([A-Z_]{1,40})"`),
	}
}

func errorCode(text string) string {
	for _, code := range codes() {
		if found := code.FindStringSubmatch(text); found != nil {
			return found[1]
		}
	}
	return ""
}

// decode reads a JSON answer of an endpoint.
func decode[T any](endpoint, text string) (out T, err error) {
	if json.Unmarshal([]byte(text), &out) != nil {
		// The decoder's words may repeat a part of the answer.
		return out, fmt.Errorf("asking %q: the answer is no JSON object as documented", bareURL(endpoint))
	}
	return out, nil
}

// bareURL returns an address without what may be secret in it.
func bareURL(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "an address that cannot be read"
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

// secure returns an error unless a credential may be sent to an address: over
// TLS, to this machine, or to one of the hosts that are known to be next to it.
func secure(what, address string, near ...string) error {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return fmt.Errorf("using %s: it is no address of the form https://host/path", what)
	}
	host := u.Hostname()
	ip := net.ParseIP(host)
	local := host == "localhost" || ip != nil && ip.IsLoopback() || slices.Contains(near, host)
	if u.Scheme == "https" || u.Scheme == "http" && local {
		return nil
	}
	return fmt.Errorf("using %s: %q is neither https nor on this machine; credentials are not sent there", what, bareURL(address))
}

package vault

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"time"

	"github.com/hashicorp/vault/api"
)

const (
	// MaxAnswer is the largest answer in bytes that a client passes on; what it
	// decodes itself has to be smaller.
	MaxAnswer = 32 << 20
	// maxRefusal is the largest answer in bytes that says what went wrong.
	maxRefusal = 1 << 20
	// DefaultConnections is the number of requests in flight at once.
	DefaultConnections = 10
	// DefaultTimeout bounds one request, its answer included.
	DefaultTimeout = 60 * time.Second
)

// Config says which server to talk to and how. The zero value of a field
// leaves what the environment says (VAULT_ADDR, VAULT_CACERT, …), as the
// official client reads it.
type Config struct {
	Address       string
	CACert        string // path of a PEM file
	CAPath        string // path of a folder of PEM files
	ClientCert    string // path of a PEM file
	ClientKey     string // path of a PEM file
	TLSServerName string
	TLSSkipVerify bool
	Namespace     string
	Connections   int           // requests in flight at once; DefaultConnections when 0
	Timeout       time.Duration // of one request; when 0, VAULT_CLIENT_TIMEOUT or DefaultTimeout
	Transport     http.RoundTripper
}

// Client sends requests. It holds no token: each call says which to use, so
// that an old and a new token can be in use side by side. It is safe for
// concurrent use.
type Client struct {
	api       *api.Client
	slots     chan struct{} // one per request in flight
	timeout   time.Duration
	mounts    *mounts
	namespace string          // of requests that name none; "" for what the API client says
	wrapTTL   time.Duration   // of the answers to logins; 0 for not wrapped
	tls       *http.Transport // what [Client.WithCertificate] starts from; nil when the transport is not ours
}

// New returns a client. It opens no connection.
func New(cfg Config) (*Client, error) {
	ac := api.DefaultConfig()
	if ac.Error != nil {
		return nil, fmt.Errorf("reading the VAULT_* environment: %w", ac.Error)
	}
	if cfg.Address != "" {
		ac.Address = cfg.Address
	}
	ac.AgentAddress = "" // VAULT_AGENT_ADDR tells apps where the agent is, which may be us
	// Retries are the schedulers' business: they know what a failure costs.
	ac.MaxRetries = 0
	// Its limit ends a request with the headers of the answer, and takes the
	// connection with it; ours has the answer read.
	timeout := cmp.Or(cfg.Timeout, ac.Timeout, DefaultTimeout)
	ac.Timeout = 0
	connections := cfg.Connections
	if connections <= 0 {
		connections = DefaultConnections
	}
	transport, err := configureTransport(ac, cfg, connections)
	if err != nil {
		return nil, err
	}
	client, err := newAPIClient(ac)
	if err != nil {
		return nil, fmt.Errorf("using the server address %q: %w; write it as https://host:8200", ac.Address, err)
	}
	if cfg.Namespace != "" {
		client.SetNamespace(cfg.Namespace)
	}
	return &Client{
		api: client, slots: make(chan struct{}, connections), timeout: timeout, mounts: newMounts(), tls: transport,
	}, nil
}

// newAPIClient returns a client that adds nothing to requests by itself: only
// auto-auth decides which token is used, not VAULT_TOKEN, and an answer that
// VAULT_WRAP_TTL has wrapped would be a credential that nobody holds.
func newAPIClient(ac *api.Config) (*api.Client, error) {
	client, err := api.NewClient(ac)
	if err != nil {
		return nil, err
	}
	client.ClearToken()
	client.SetWrappingLookupFunc(func(string, string) string { return "" })
	return client, nil
}

// configureTransport sets up the network for the API client, and returns the
// transport unless that is the caller's.
func configureTransport(ac *api.Config, cfg Config, connections int) (*http.Transport, error) {
	tls := api.TLSConfig{
		CACert: cfg.CACert, CAPath: cfg.CAPath, ClientCert: cfg.ClientCert, ClientKey: cfg.ClientKey,
		TLSServerName: cfg.TLSServerName, Insecure: cfg.TLSSkipVerify,
	}
	if !reflect.ValueOf(tls).IsZero() {
		if err := ac.ConfigureTLS(&tls); err != nil {
			return nil, fmt.Errorf("reading the TLS files of the vault stanza: %w", err)
		}
	}
	transport, ok := ac.HttpClient.Transport.(*http.Transport)
	if ok {
		transport.MaxIdleConnsPerHost = connections
		transport.MaxResponseHeaderBytes = 1 << 20
	}
	if cfg.Transport != nil {
		ac.HttpClient.Transport, transport = cfg.Transport, nil
	}
	ac.HttpClient.Transport = boundedTransport{ac.HttpClient.Transport}
	return transport, nil
}

// Address returns the address of the server.
func (c *Client) Address() string { return c.api.Address() }

// Fetch performs a want: a read, a list or a write, whose answer may carry a
// lease, or a write of a signing request (see [MethodSign]). A path on a versioned key-value mount may be given without its data/;
// see [mounts]. The error is an *Error.
func (c *Client) Fetch(ctx context.Context, token Token, w Want) (*Secret, error) {
	if w.Method == MethodSign {
		return c.sign(ctx, token, w)
	}
	sent := c.mounts.rewrite(w)
	secret, err := c.send(ctx, token, sent)
	if sent != w || !c.mounts.suspect(w, err) {
		return secret, err
	}
	rewritten := c.learnMount(ctx, token, w, err)
	if rewritten == w {
		return secret, err
	}
	return c.send(ctx, token, rewritten)
}

func (c *Client) send(ctx context.Context, token Token, w Want) (*Secret, error) {
	op := map[string]string{http.MethodGet: "reading", MethodList: "listing", http.MethodPut: "writing"}[w.Method]
	secret, err := c.do(ctx, op, w.Path, token.Value, w.Namespace, func(ctx context.Context, l *api.Logical) (*api.Response, error) {
		if w.Method == http.MethodPut {
			return l.WriteRawWithContext(ctx, w.Path, []byte(orEmptyObject(w.Params)))
		}
		query, err := w.query()
		if err != nil {
			return nil, err
		}
		return l.ReadRawWithDataWithContext(ctx, w.Path, query)
	})
	switch {
	case w.Method == MethodList && notFound(err):
		return &Secret{Data: map[string]any{"keys": []any{}}}, nil
	case err == nil && secret == nil && w.Method == http.MethodPut:
		return &Secret{}, nil
	case err == nil && secret == nil:
		return nil, &Error{Op: op, Path: w.Path, Status: http.StatusNotFound, Kind: Refused}
	case err == nil && w.Method == http.MethodGet && secret.Data == nil:
		// A template would replace what it had by "<no value>".
		return nil, &Error{Op: op, Path: w.Path, Cause: errors.New("the answer holds no data"), Kind: Later}
	default:
		return secret, err
	}
}

func orEmptyObject(params string) string {
	if params == "" {
		return "{}"
	}
	return params
}

// Write sends body to path and returns the answer, nil for an answer without
// a body. It serves logins and the like, which are no wants.
func (c *Client) Write(ctx context.Context, token Sensitive, path string, body map[string]any) (*Secret, error) {
	return c.write(ctx, "writing", path, token, path, body)
}

// Renew asks for increment more time on a lease; the answer's TTL says what
// was granted from now on. An increment of 0 asks for the role's own TTL.
func (c *Client) Renew(ctx context.Context, token Token, leaseID string, increment time.Duration) (*Secret, error) {
	secret, err := c.write(ctx, "renewing lease", leaseID, token.Value, "sys/leases/renew",
		map[string]any{"lease_id": leaseID, "increment": int(increment.Seconds())})
	if err == nil && secret == nil {
		return nil, &Error{Op: "renewing lease", Path: leaseID, Cause: errors.New("the answer is empty"), Kind: Later}
	}
	return secret, err
}

// Revoke ends a lease. A lease that the server no longer knows is no error.
func (c *Client) Revoke(ctx context.Context, token Token, leaseID string) error {
	_, err := c.write(ctx, "revoking lease", leaseID, token.Value, "sys/leases/revoke",
		map[string]any{"lease_id": leaseID, "sync": true})
	if Classify(err) == Gone {
		return nil
	}
	return err
}

// LookupSelf returns what the server knows of a token, as data.
func (c *Client) LookupSelf(ctx context.Context, token Sensitive) (*Secret, error) {
	const path = "auth/token/lookup-self"
	return c.do(ctx, "looking up the token at", path, token, "", func(ctx context.Context, l *api.Logical) (*api.Response, error) {
		return l.ReadRawWithContext(ctx, path)
	})
}

// RenewSelf asks for more time on a token; the answer's Auth says what was
// granted.
func (c *Client) RenewSelf(ctx context.Context, token Sensitive) (*Secret, error) {
	const path = "auth/token/renew-self"
	return c.write(ctx, "renewing the token at", path, token, path, map[string]any{})
}

// RevokeSelf ends a token and with it every lease it issued.
func (c *Client) RevokeSelf(ctx context.Context, token Sensitive) error {
	const path = "auth/token/revoke-self"
	_, err := c.write(ctx, "revoking the token at", path, token, path, map[string]any{})
	return err
}

func (c *Client) write(ctx context.Context, op, name string, token Sensitive, path string, body map[string]any) (*Secret, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("encoding the request to %q: %w", path, err)
	}
	return c.do(ctx, op, name, token, "", func(ctx context.Context, l *api.Logical) (*api.Response, error) {
		return l.WriteRawWithContext(ctx, path, text)
	})
}

// do sends one request within the connection budget and the time limit.
func (c *Client) do(
	ctx context.Context, op, name string, token Sensitive, namespace string,
	send func(context.Context, *api.Logical) (*api.Response, error),
) (*Secret, error) {
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		return nil, &Error{Op: op, Path: name, Cause: context.Cause(ctx), Kind: Later}
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	resp, err := send(ctx, c.as(token, namespace).Logical())
	if resp != nil {
		defer func() { _ = resp.Body.Close() }()
	}
	if err != nil {
		return nil, newError(op, name, resp, err)
	}
	secret, err := decode(resp.Body)
	if err != nil {
		return nil, &Error{Op: op, Path: name, Cause: fmt.Errorf("decoding the answer: %w", err), Kind: Later}
	}
	if secret == nil {
		return nil, nil
	}
	return newSecret(secret), nil
}

// as returns a client that sends each request with the given token, and in
// the given namespace if there is one.
func (c *Client) as(token Sensitive, namespace string) *api.Client {
	if namespace == "" {
		namespace = c.namespace
	}
	return c.api.WithRequestCallbacks(func(r *api.Request) {
		r.ClientToken = token.Reveal()
		if namespace != "" {
			r.Headers.Set(api.NamespaceHeaderName, strings.Trim(namespace, "/"))
		}
	})
}

package cli

import (
	"crypto/tls"
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/go-cleanhttp"
	"github.com/hashicorp/go-secure-stdlib/parseutil"
	"github.com/hashicorp/vault/api"
)

// maxAnswer bounds the bytes read of one answer, errors included.
const maxAnswer = 64 << 20

// connection is how to reach the server: flags, whose defaults come from the
// environment.
type connection struct {
	address, namespace    string
	caCert, caPath        string
	clientCert, clientKey string
	tlsServerName         string
	skipVerify            string // a boolean as typed, parsed when it is used
	wrapTTL               string
	timeout, retries      string // environment only
	headers               http.Header
}

// newConnection reads the environment.
func newConnection(getenv func(string) string) connection {
	env := func(name, fallback string) string {
		if value := lookupEnv(getenv, name); value != "" {
			return value
		}
		return fallback
	}
	return connection{
		address:       env("ADDR", api.DefaultAddress),
		namespace:     env("NAMESPACE", ""),
		caCert:        env("CACERT", ""),
		caPath:        env("CAPATH", ""),
		clientCert:    env("CLIENT_CERT", ""),
		clientKey:     env("CLIENT_KEY", ""),
		tlsServerName: env("TLS_SERVER_NAME", ""),
		skipVerify:    env("SKIP_VERIFY", "false"),
		wrapTTL:       env("WRAP_TTL", ""),
		timeout:       env("CLIENT_TIMEOUT", "60s"),
		retries:       env("MAX_RETRIES", "0"),
		headers:       make(http.Header),
	}
}

// lookupEnv returns SECUREVAULT_name or else VAULT_name.
func lookupEnv(getenv func(string) string, name string) string {
	if value := getenv("SECUREVAULT_" + name); value != "" {
		return value
	}
	return getenv("VAULT_" + name)
}

// flags adds the flags that override the environment.
func (c *connection) flags(set *flag.FlagSet) {
	text := func(target *string, name, usage, env string) {
		set.StringVar(target, name, *target, usage+"\nEnvironment: SECUREVAULT_"+env+" or VAULT_"+env+".")
	}
	text(&c.address, "address", "`URL` of the server: http, https or unix://SOCKET.", "ADDR")
	text(&c.namespace, "namespace", "`NAMESPACE` of the request.", "NAMESPACE")
	set.StringVar(&c.namespace, "ns", c.namespace, "Short for -namespace, a `NAMESPACE`.")
	text(&c.caCert, "ca-cert", "PEM `FILE` of the CA that signed the server's certificate.", "CACERT")
	text(&c.caPath, "ca-path", "`DIRECTORY` of PEM files of CAs.", "CAPATH")
	text(&c.clientCert, "client-cert", "PEM `FILE` of this client's certificate.", "CLIENT_CERT")
	text(&c.clientKey, "client-key", "PEM `FILE` of this client's private key.", "CLIENT_KEY")
	text(&c.tlsServerName, "tls-server-name", "`NAME` to expect in the server's certificate.", "TLS_SERVER_NAME")
	text(&c.wrapTTL, "wrap-ttl", "Wrap the answer in a token that lives this `DURATION`.", "WRAP_TTL")
	set.BoolFunc("tls-skip-verify", "Accept any server certificate: never do this in production.\n"+
		"Environment: SECUREVAULT_SKIP_VERIFY or VAULT_SKIP_VERIFY.", func(value string) error {
		_, err := strconv.ParseBool(value)
		c.skipVerify = value
		return err
	})
	set.Func("header", "Extra HTTP header as `NAME=VALUE`; may be repeated.", c.addHeader)
}

// addHeader parses NAME=VALUE.
func (c *connection) addHeader(pair string) error {
	name, value, found := strings.Cut(pair, "=")
	switch {
	case !found || name == "":
		return fmt.Errorf("a header is NAME=VALUE")
	case strings.HasPrefix(http.CanonicalHeaderKey(name), "X-Vault-"):
		return fmt.Errorf("header %q is set by the client itself", name)
	}
	c.headers.Add(name, value)
	return nil
}

// client builds the HTTP client. The library reads VAULT_ variables too; what it
// takes from them is set again here, so that a flag or a SECUREVAULT_ variable
// wins. Only VAULT_HEADERS stays its own business.
func (c *connection) client(token string) (*api.Client, error) {
	if err := checkAddress(c.address); err != nil {
		return nil, err
	}
	retries, err := strconv.ParseUint(c.retries, 10, 16)
	if err != nil {
		return nil, badInput("set VAULT_MAX_RETRIES to a whole number, 0 for none",
			"number of retries %q is not a number", c.retries)
	}
	httpClient, err := c.httpClient()
	if err != nil {
		return nil, err
	}
	client, err := api.NewClient(&api.Config{
		Address:    c.address,
		HttpClient: httpClient,
		MaxRetries: int(retries),
	})
	if err != nil {
		return nil, badInput("check the VAULT_ variables of the environment", "preparing the client: %w", err)
	}
	httpClient.Transport = bounded{httpClient.Transport}
	client.SetToken(token)
	client.SetNamespace(c.namespace)
	client.SetWrappingLookupFunc(func(string, string) string { return c.wrapTTL })
	for name, values := range c.headers {
		for _, value := range values {
			client.AddHeader(name, value)
		}
	}
	return client, nil
}

// httpClient builds the transport with its TLS settings. Redirects are left to
// the API client, which follows one at most and never from https to http.
func (c *connection) httpClient() (*http.Client, error) {
	skipVerify, err := strconv.ParseBool(c.skipVerify)
	if err != nil {
		return nil, badInput("set VAULT_SKIP_VERIFY to true or false", "%q is neither true nor false", c.skipVerify)
	}
	transport := cleanhttp.DefaultPooledTransport()
	transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	client := &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	config := api.Config{HttpClient: client}
	err = config.ConfigureTLS(&api.TLSConfig{
		CACert:        c.caCert,
		CAPath:        c.caPath,
		ClientCert:    c.clientCert,
		ClientKey:     c.clientKey,
		TLSServerName: c.tlsServerName,
		Insecure:      skipVerify,
	})
	if err != nil {
		return nil, badInput("check -ca-cert, -ca-path, -client-cert, -client-key and their variables",
			"preparing TLS: %w", err)
	}
	return client, nil
}

// patience is how long to wait for an answer.
func (c *connection) patience() (time.Duration, error) {
	timeout, err := parseutil.ParseDurationSecond(c.timeout)
	if err != nil || timeout <= 0 {
		return 0, badInput("set VAULT_CLIENT_TIMEOUT to a duration such as 30s or to seconds",
			"%q is not a usable timeout", c.timeout)
	}
	return timeout, nil
}

func checkAddress(address string) error {
	const hint = "write it as http://HOST:PORT or https://HOST:PORT in -address, SECUREVAULT_ADDR or VAULT_ADDR"
	u, err := url.Parse(address)
	switch {
	case err != nil:
		// The parser's message would repeat a password in the address.
		return badInput(hint, "the server's address is not a URL")
	case u.Scheme == "unix" && u.Path != "":
		return nil
	case (u.Scheme != "http" && u.Scheme != "https") || u.Host == "":
		return badInput(hint, "%q is not the address of a server", u.Redacted())
	}
	return nil
}

// shownAddress returns the address as it may be shown, without a password.
func (c *connection) shownAddress() string {
	u, err := url.Parse(c.address)
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(u.Redacted(), "/")
}

// bounded cuts answers off after maxAnswer bytes, but for a backup.
type bounded struct{ next http.RoundTripper }

func (b bounded) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := b.next.RoundTrip(req)
	if err == nil && !strings.HasSuffix(req.URL.Path, "/"+backupPath) {
		resp.Body = http.MaxBytesReader(nil, resp.Body, maxAnswer)
	}
	return resp, err
}

package notify

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"time"
)

const (
	// DefaultTimeout bounds a call of a [Webhook].
	DefaultTimeout = 30 * time.Second

	maxAnswerHead = 16 << 10 // bytes of an answer that are read
)

// Webhook sends an HTTP request with the event as JSON:
//
//	{"generation": 7, "changed": ["/etc/app/db.env"]}
//
// Any status from 200 to 299 is a success. Redirects are not followed, and
// the body of the answer is not read.
type Webhook struct {
	// URL is http://…, https://…, or unix:// with the path of a socket that
	// serves HTTP. It may be secret.
	URL     string
	Socket  string            // path of the unix socket that serves an http:// or https:// URL; "" for the network
	Method  string            // POST when empty
	Headers map[string]string // may be secret
	Timeout time.Duration     // [DefaultTimeout] when 0
	CACert  string            // path of a PEM file, read for each event; "" for the authorities of the system
}

// String describes the receiver, for logs: its host or socket, as the path
// may be a secret.
func (w Webhook) String() string {
	if target, err := w.target(); err == nil {
		return fmt.Sprintf("webhook %q", target.public)
	}
	return "webhook"
}

// Validate reports what would keep any event from being told.
func (w Webhook) Validate() error {
	target, err := w.target()
	if err != nil {
		return err
	}
	_, err = w.request(context.Background(), target, Event{})
	return err
}

// Notify implements [Notifier].
func (w Webhook) Notify(ctx context.Context, event Event) error {
	timeout := cmp.Or(w.Timeout, DefaultTimeout)
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("no answer after %s; raise its timeout or have it answer sooner", timeout))
	defer cancel()
	if err := w.call(ctx, event); err != nil {
		return fmt.Errorf("calling %s: %w", w, err)
	}
	return nil
}

func (w Webhook) call(ctx context.Context, event Event) error {
	target, err := w.target()
	if err != nil {
		return err
	}
	req, err := w.request(ctx, target, event)
	if err != nil {
		return err
	}
	transport, err := w.transport(target)
	if err != nil {
		return err
	}
	var answered atomic.Bool
	req = req.WithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotFirstResponseByte: func() { answered.Store(true) },
	}))
	resp, err := transport.RoundTrip(req)
	switch {
	case err != nil && ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil && answered.Load():
		// The cause quotes the answer, which may quote our request.
		return fmt.Errorf("its answer is not HTTP, or begins with more than %d KiB of headers; check the address", maxAnswerHead>>10)
	case err != nil:
		return fmt.Errorf("%w; check its address, and that it is running", err)
	}
	_ = resp.Body.Close()
	return verdict(resp.StatusCode)
}

// verdict turns a status into the outcome. The text that came with it is the
// other side's, and is not repeated.
func verdict(status int) error {
	answer := fmt.Sprintf("it answered %d %s", status, http.StatusText(status))
	switch status / 100 {
	case 2:
		return nil
	case 3:
		return fmt.Errorf("%s; redirects are not followed, name the address that it leads to", answer)
	case 4:
		return fmt.Errorf("%s; check url, method and headers", answer)
	default:
		return fmt.Errorf("%s; see its own log", answer)
	}
}

// endpoint is where a request goes.
type endpoint struct {
	url    string
	socket string // "" for the network
	public string // without what may be secret
}

func (w Webhook) target() (endpoint, error) {
	parsed, err := url.Parse(w.URL)
	if err != nil {
		return endpoint{}, errors.New("the url cannot be read; write it as \"https://host/path\"")
	}
	switch {
	case parsed.Scheme == "unix" && parsed.Host == "" && len(parsed.Path) > 1 && w.Socket == "":
		return endpoint{url: "http://localhost/", socket: parsed.Path, public: "unix://" + parsed.Path}, nil
	case parsed.Scheme == "unix" && w.Socket != "":
		return endpoint{}, errors.New("url and socket both name a socket; set url to \"http://localhost/path\"")
	case parsed.Scheme == "unix":
		return endpoint{}, errors.New("the url names no socket; write its whole path, as in \"unix:///run/app.sock\"")
	case parsed.Scheme != "http" && parsed.Scheme != "https":
		return endpoint{}, errors.New("the url begins with neither http://, https:// nor unix://; write it as \"https://host/path\"")
	case parsed.Hostname() == "":
		return endpoint{}, errors.New("the url names no host; write it as \"https://host/path\"")
	case w.Socket != "":
		return endpoint{url: w.URL, socket: w.Socket, public: "unix://" + w.Socket}, nil
	default:
		return endpoint{url: w.URL, public: parsed.Scheme + "://" + parsed.Host}, nil
	}
}

func (w Webhook) request(ctx context.Context, target endpoint, event Event) (*http.Request, error) {
	body, err := json.Marshal(struct {
		Generation uint64   `json:"generation"`
		Changed    []string `json:"changed"`
	}{event.Generation, append([]string{}, event.Changed...)})
	if err != nil {
		return nil, fmt.Errorf("encoding the event: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, cmp.Or(w.Method, http.MethodPost), target.url, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("the method %q is none of HTTP; use POST", w.Method)
	}
	if user := req.URL.User; user != nil {
		password, _ := user.Password()
		req.SetBasicAuth(user.Username(), password)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "securevault-agent")
	for name, value := range w.Headers {
		if strings.ContainsAny(value, "\r\n\x00") {
			return nil, fmt.Errorf("the header %q has more than one line; write it on one", name)
		}
		req.Header.Set(name, value)
	}
	// net/http takes the host from here, and not from the headers.
	req.Host = cmp.Or(req.Header.Get("Host"), req.Host)
	return req, nil
}

// transport returns one that makes a connection of its own for each request:
// events are rare.
func (w Webhook) transport(target endpoint) (*http.Transport, error) {
	transport := &http.Transport{
		DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: maxAnswerHead, Proxy: http.ProxyFromEnvironment,
	}
	if target.socket != "" {
		transport.Proxy = nil
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", target.socket)
		}
	}
	if w.CACert == "" {
		return transport, nil
	}
	text, err := os.ReadFile(w.CACert)
	if err != nil {
		return nil, fmt.Errorf("reading ca_cert: %w; correct its path", err)
	}
	authorities := x509.NewCertPool()
	if !authorities.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("reading ca_cert: %q holds no certificate in PEM; have it hold that of the authority", w.CACert)
	}
	transport.TLSClientConfig = &tls.Config{RootCAs: authorities}
	return transport, nil
}

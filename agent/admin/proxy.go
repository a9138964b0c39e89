package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"

	"go.uber.org/zap"

	"github.com/novatech/securevault/internal/vault"
)

// maxProxied is how many requests of callers are on their way to the server at
// once. They have a budget of their own: an app that floods the proxy does not
// keep the agent from renewing.
const maxProxied = 64

// Lending says when the agent's token goes with a caller's request.
type Lending int

// The ways to lend the token.
const (
	LendNever   Lending = iota // callers bring their own
	LendMissing                // to callers that have none
	LendAlways                 // whatever callers bring
)

// Upstream passes requests on to the server.
type Upstream interface {
	// Forward sends in with the given token, "" for none. The caller closes
	// the body of the answer. An error means that no answer came.
	Forward(ctx context.Context, in *http.Request, token vault.Sensitive) (*http.Response, error)
}

// Proxy says how requests for the API of the server are passed on.
type Proxy struct {
	Upstream Upstream // nil for no proxy
	Lending  Lending
	Cache    bool // keep answers with a lease
}

// proxy passes requests on to the server, with the agent's token where the
// caller is lent it.
type proxy struct {
	cfg    Proxy
	source Source
	log    *zap.Logger
	cache  *cache
	slots  chan struct{} // one per request on its way
	passed atomic.Int64
}

func newProxy(cfg Proxy, source Source, log *zap.Logger) *proxy {
	return &proxy{cfg: cfg, source: source, log: log, cache: newCache(cfg.Cache), slots: make(chan struct{}, maxProxied)}
}

func (p *proxy) passedOn() int { return int(p.passed.Load()) }

// ServeHTTP implements [http.Handler].
func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if p.cfg.Upstream == nil {
		refuse(w, http.StatusNotFound, "this agent is no proxy; call the server itself")
		return
	}
	token, lent := p.token(r)
	switch {
	case lent && token.Epoch == 0:
		w.Header().Set("Retry-After", "1")
		refuse(w, http.StatusServiceUnavailable, "the agent has no token yet; try again")
		return
	case lent && endsItself(r):
		refuse(w, http.StatusForbidden, "the token is the agent's: it must not be revoked through the agent; stop the agent instead")
		return
	}
	key := cacheKey(r, token.Value)
	if kept, ok := p.cache.find(key); ok {
		p.send(w, kept)
		return
	}
	got, err := p.fetch(w, r, token.Value)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	defer func() { _ = got.rest.Close() }()
	if lent && strings.HasPrefix(r.URL.Path, "/v1/auth/token/") {
		got.hide(token)
	}
	p.cache.learn(key, r, token.Value, got)
	p.send(w, got)
}

// token returns the token to send a request with, and whether it is lent.
func (p *proxy) token(r *http.Request) (token vault.Token, lent bool) {
	own := r.Header.Get("X-Vault-Token")
	if bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok && own == "" {
		own = bearer
	}
	if p.cfg.Lending == LendAlways || p.cfg.Lending == LendMissing && own == "" {
		return p.source.Token(), true
	}
	return vault.Token{Value: vault.Sensitive(own)}, false
}

// endsItself reports whether a request revokes the token that it comes with.
func endsItself(r *http.Request) bool {
	return strings.Trim(r.URL.Path, "/") == "v1/auth/token/revoke-self"
}

// fetch passes a request on and reads as much of the answer as is looked at.
func (p *proxy) fetch(w http.ResponseWriter, r *http.Request, token vault.Sensitive) (*answer, error) {
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	default:
		w.Header().Set("Retry-After", "1")
		return nil, errBusy
	}
	p.passed.Add(1)
	// The cache looks at what is asked for, so the body is read here and once.
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	out := r.Clone(r.Context())
	out.Body, out.ContentLength = bodyOf(body)
	r.Body, _ = bodyOf(body)
	resp, err := p.cfg.Upstream.Forward(r.Context(), out, token)
	if err != nil {
		return nil, err
	}
	return newAnswer(resp)
}

var errBusy = fmt.Errorf("%d requests are on their way already; try again", maxProxied)

// fail answers a request that the server gave no answer to.
func (p *proxy) fail(w http.ResponseWriter, r *http.Request, err error) {
	status := http.StatusBadGateway
	tooLarge, large := errors.AsType[*http.MaxBytesError](err)
	switch {
	case large:
		status, err = http.StatusRequestEntityTooLarge, fmt.Errorf("the request is larger than %d bytes", tooLarge.Limit)
	case errors.Is(err, errBusy):
		status = http.StatusServiceUnavailable
	case errors.Is(err, context.DeadlineExceeded):
		status = http.StatusGatewayTimeout
	}
	p.log.Debug("passing a request on failed", zap.String("method", r.Method), zap.String("path", r.URL.Path), zap.Error(err))
	refuse(w, status, err.Error())
}

// send answers a request with what the server said.
func (p *proxy) send(w http.ResponseWriter, a *answer) {
	for name, values := range a.header {
		w.Header()[name] = slices.Clone(values)
	}
	w.WriteHeader(a.status)
	_, err := w.Write(a.body)
	if err == nil && a.rest != nil {
		// The caller, or the server, may have gone away: the length that was
		// announced tells the caller.
		_, _ = io.Copy(w, a.rest)
	}
}

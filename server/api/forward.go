package api

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"

	"github.com/novatech/securevault/server/store"
)

// Cluster is what is known of other servers on the same storage.
type Cluster interface {
	// Standby reports whether another server, or none yet, answers requests.
	Standby() bool
	// Leader returns the server that does; the zero Node while there is none.
	Leader(ctx context.Context) (store.Node, error)
}

const (
	// passedOn marks a request that another server has passed on: it is not
	// passed on again, however wrong the two are about who is active.
	passedOn = "X-Securevault-Forwarded"
	// noForwarding is how a client asks to be sent to the active server instead.
	noForwarding = "X-Vault-No-Request-Forwarding"
)

// forwarder passes the requests that a standby cannot answer on to the active
// server, as they are, and shows it what certificates the client has (shown.go).
type forwarder struct {
	next    http.Handler
	core    Cluster
	voucher voucher
	limits  Limits
}

// ServeHTTP implements http.Handler.
func (f *forwarder) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case !f.core.Standby() || answeredByAll(r):
		if err := meet(r, f.voucher); err != nil {
			writeError(w, err)
			return
		}
		f.next.ServeHTTP(w, r)
		return
	case r.URL.Path == prefix+"sys/seal":
		writeErrors(w, http.StatusBadRequest, badRequest("this server stands by: stop it, or seal the active one at its own address"))
		return
	case r.Header.Get(passedOn) != "":
		writeErrors(w, http.StatusServiceUnavailable, errors.New("no server is active just now; try again in a moment"))
		return
	}
	leader, err := f.core.Leader(r.Context())
	if err != nil {
		writeErrors(w, http.StatusServiceUnavailable, fmt.Errorf("finding the active server: %w", err))
		return
	}
	target, err := url.Parse(leader.APIAddr)
	shown := certificates(r)
	switch {
	case leader.APIAddr == "":
		writeErrors(w, http.StatusServiceUnavailable, errors.New("no server is active just now; try again in a moment"))
	case err != nil:
		writeErrors(w, http.StatusServiceUnavailable, errors.New("the active server's api_addr is no URL; correct its configuration"))
	case r.Header.Get(noForwarding) != "" || len(shown) > maxShown:
		http.Redirect(w, r, strings.TrimSuffix(leader.APIAddr, "/")+r.URL.RequestURI(), http.StatusTemporaryRedirect)
	default:
		if err := introduce(r.Header, r, shown, f.voucher); err != nil {
			writeError(w, err)
			return
		}
		f.pass(w, r, target)
	}
}

// answeredByAll tells the requests that every server answers for itself.
func answeredByAll(r *http.Request) bool {
	path, ok := strings.CutPrefix(r.URL.Path, prefix)
	switch path {
	case "sys/health", "sys/init", "sys/leader", "sys/seal-status", "sys/unseal":
		return true
	}
	return !ok
}

// pass sends the request to target and its answer to the client.
func (f *forwarder) pass(w http.ResponseWriter, r *http.Request, target *url.URL) {
	if transfers(r) {
		withoutDeadlines(w)
	}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.URL.Scheme, p.Out.URL.Host = target.Scheme, target.Host
			p.Out.Host = target.Host
			p.Out.Header.Set(passedOn, "1")
			f.limits.Forwarded.name(p)
		},
		Transport:    f.limits.Peers,
		ErrorHandler: unreachable,
	}
	proxy.ServeHTTP(w, r)
}

// name tells the active server whose request it is, if servers believe
// proxies. It finds the client where it is configured to look.
func (f Forwarded) name(p *httputil.ProxyRequest) {
	p.Out.Header.Del("X-Forwarded-For")
	host, _, err := net.SplitHostPort(p.In.RemoteAddr)
	if len(f.Proxies) == 0 || err != nil {
		return
	}
	p.Out.Header.Set("X-Forwarded-For", host+strings.Repeat(", "+host, f.Hops))
}

// unreachable answers for an active server that does not.
func unreachable(w http.ResponseWriter, r *http.Request, err error) {
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
		writeError(w, bodyError(tooLarge))
		return
	}
	if r.Context().Err() != nil {
		err = context.Cause(r.Context())
	}
	writeErrors(w, http.StatusServiceUnavailable, fmt.Errorf("the active server cannot be reached: %w; try again in a moment", err))
}

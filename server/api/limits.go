package api

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Limits bound what a request may cost, and say whom it may speak for. The
// zero value has the defaults.
type Limits struct {
	MaxBody     int64         // bytes; 0: 32 MiB
	MaxDuration time.Duration // of a request, its engine included; 0: 90 s

	HeaderTimeout time.Duration // 0: 10 s
	ReadTimeout   time.Duration // 0: 30 s
	WriteTimeout  time.Duration // 0: MaxDuration and half a minute
	IdleTimeout   time.Duration // 0: 5 min

	Forwarded Forwarded

	Peers http.RoundTripper // reaches the other servers of a cluster; nil: http.DefaultTransport
}

// Forwarded says which proxies are believed when they name the client whose
// request they pass on, in X-Forwarded-For.
type Forwarded struct {
	Proxies []netip.Prefix // none: the header is ignored
	Hops    int            // how many addresses at the end of the header to skip
	// RejectAbsent refuses requests without the header.
	RejectAbsent bool
	// RejectUnapproved refuses the header from anybody else; otherwise it is
	// ignored.
	RejectUnapproved bool
}

const (
	// maxBody bounds the body of a request, in bytes.
	maxBody = 32 << 20
	// maxHeader bounds the headers of a request, in bytes.
	maxHeader = 64 << 10

	maxDuration   = 90 * time.Second
	headerTimeout = 10 * time.Second
	readTimeout   = 30 * time.Second
	idleTimeout   = 5 * time.Minute
	// writeMargin is the time to write an answer that came at the last moment.
	writeMargin = 30 * time.Second
)

// withDefaults fills in what is zero.
func (l Limits) withDefaults() Limits {
	if l.MaxBody == 0 {
		l.MaxBody = maxBody
	}
	for target, fallback := range map[*time.Duration]time.Duration{
		&l.MaxDuration: maxDuration, &l.HeaderTimeout: headerTimeout, &l.ReadTimeout: readTimeout, &l.IdleTimeout: idleTimeout,
	} {
		if *target == 0 {
			*target = fallback
		}
	}
	if l.WriteTimeout == 0 {
		l.WriteTimeout = l.MaxDuration + writeMargin
	}
	return l
}

// enforce applies the limits to every request that h gets.
func (l Limits) enforce(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.TransferEncoding) > 0 {
			// net/http drops a Content-Length beside it without a word. A proxy
			// that went by the length sees another end of this request, so
			// what follows it is not believed.
			w.Header().Set("Connection", "close")
		}
		if err := l.Forwarded.identify(r); err != nil {
			writeError(w, err)
			return
		}
		if transfers(r) {
			h.ServeHTTP(w, r)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), l.MaxDuration)
		defer cancel()
		r = r.WithContext(ctx)
		r.Body = http.MaxBytesReader(w, r.Body, l.MaxBody)
		h.ServeHTTP(w, r)
	})
}

// identify makes the remote address of r that of the client behind a proxy.
func (f Forwarded) identify(r *http.Request) error {
	if len(f.Proxies) == 0 {
		return nil
	}
	header := r.Header.Values("X-Forwarded-For")
	if len(header) == 0 {
		if f.RejectAbsent {
			return badRequest("missing X-Forwarded-For: this listener is reached through a proxy only")
		}
		return nil
	}
	host, port, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil || !f.trusts(host) {
		if f.RejectUnapproved {
			return badRequest("X-Forwarded-For comes from an address that is not among x_forwarded_for_authorized_addrs")
		}
		return nil
	}
	addresses := strings.Split(strings.Join(header, ","), ",")
	i := len(addresses) - 1 - f.Hops
	if i < 0 {
		return badRequest("X-Forwarded-For names %d addresses, fewer than x_forwarded_for_hop_skips asks for", len(addresses))
	}
	client, err := netip.ParseAddr(strings.TrimSpace(addresses[i]))
	if err != nil {
		return badRequest("X-Forwarded-For does not name an address")
	}
	r.RemoteAddr = net.JoinHostPort(client.String(), port)
	return nil
}

func (f Forwarded) trusts(host string) bool {
	ip, err := netip.ParseAddr(host)
	return err == nil && slices.ContainsFunc(f.Proxies, func(p netip.Prefix) bool { return p.Contains(ip.Unmap()) })
}

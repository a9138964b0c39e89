package admin

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"path"
	"strings"

	"go.uber.org/zap"
)

// Handler returns what answers on a listener.
func (s *Server) Handler(l Listener) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /startup", s.startup)
	mux.HandleFunc("GET /live", s.live)
	mux.HandleFunc("GET /ready", s.ready)
	mux.HandleFunc("GET /metrics", s.metrics)
	mux.HandleFunc("GET /agent/v1/metrics", s.metrics)
	if !l.MetricsOnly {
		mux.HandleFunc("GET /status", s.status)
		mux.HandleFunc("GET /{$}", s.showPage)
		mux.Handle("POST /agent/v1/cache-clear", guarded(l, http.HandlerFunc(s.proxy.clear)))
		mux.Handle("/v1/", guarded(l, s.proxy))
		if l.Quit {
			mux.HandleFunc("POST /agent/v1/quit", s.stop)
		}
	}
	sameSite := http.NewCrossOriginProtection()
	sameSite.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		refuse(w, http.StatusForbidden, "the request comes from the page of another site")
	}))
	return bounded(sane(l, sameSite.Handler(mux)))
}

// bounded limits the body of every request.
func bounded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		limit := int64(maxCommand)
		if strings.HasPrefix(r.URL.Path, "/v1/") {
			limit = maxBody
		}
		r.Body = http.MaxBytesReader(w, r.Body, limit)
		next.ServeHTTP(w, r)
	})
}

// sane refuses requests that are meant for somebody else, or whose path does
// not mean what it says.
func sane(l Listener, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-store")
		switch {
		case r.URL.Host != "" || r.URL.Scheme != "":
			refuse(w, http.StatusBadRequest, "this is no general proxy: send the path alone")
		case strings.TrimSuffix(r.URL.Path, "/") != strings.TrimSuffix(path.Clean("/"+r.URL.Path), "/"):
			refuse(w, http.StatusBadRequest, "the path is not in its shortest form")
		case l.rebound(r.Host):
			refuse(w, http.StatusMisdirectedRequest, "call this listener by its address or as localhost")
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// rebound reports whether a plain listener on loopback was called by a name
// that anybody could have made point there: that is how a web page gets at a
// service on the machine of its reader (DNS rebinding). TLS knows its name.
func (l Listener) rebound(host string) bool {
	if l.Network != "tcp" || l.TLS != nil || !loopback(l.Address) {
		return false
	}
	name := hostname(host)
	_, err := netip.ParseAddr(name)
	return err != nil && name != "localhost" && name != ""
}

func loopback(address string) bool {
	name := hostname(address)
	ip, err := netip.ParseAddr(name)
	return name == "localhost" || err == nil && ip.IsLoopback()
}

// hostname returns what is left of host:port without the port, in lower case.
func hostname(hostport string) string {
	name, _, err := net.SplitHostPort(hostport)
	if err != nil {
		name = strings.Trim(hostport, "[]")
	}
	return strings.ToLower(name)
}

// guarded asks for the header that shows that whoever sends a request can set
// headers, which a server that was tricked into a request cannot.
func guarded(l Listener, next http.Handler) http.Handler {
	if !l.RequireHeader {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if values := r.Header.Values("X-Vault-Request"); len(values) != 1 || values[0] != "true" {
			refuse(w, http.StatusPreconditionFailed, `the header "X-Vault-Request: true" is missing; send it`)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// refuse answers with an error the way the server's API does.
func refuse(w http.ResponseWriter, status int, message string) {
	respond(w, status, map[string][]string{"errors": {message}})
}

func respond(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// The caller may have gone away; there is nobody left to tell.
	_ = json.NewEncoder(w).Encode(body)
}

// stop has the agent stop as SIGTERM does, once the answer is on its way.
func (s *Server) stop(w http.ResponseWriter, r *http.Request) {
	s.cfg.Log.Info("asked to stop through the agent API", zap.String("by", r.RemoteAddr))
	w.WriteHeader(http.StatusNoContent)
	select {
	case s.quit <- struct{}{}:
	default: // asked already
	}
}

// status answers with all there is to know.
func (s *Server) status(w http.ResponseWriter, r *http.Request) {
	if status, ok := s.look(w, r); ok {
		respond(w, http.StatusOK, status)
	}
}

// look asks the agent what it does, and answers the request itself when that
// is too busy to say.
func (s *Server) look(w http.ResponseWriter, r *http.Request) (Status, bool) {
	status, err := s.ask(r.Context())
	if err != nil {
		refuse(w, http.StatusServiceUnavailable, fmt.Sprintf("asking the agent: %s", err))
		return Status{}, false
	}
	return status, true
}

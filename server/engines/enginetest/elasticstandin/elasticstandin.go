// Package elasticstandin is a stand-in for Elasticsearch, or OpenSearch, where
// none can run: an HTTP server on loopback, written from their makers'
// documentation of the security APIs, the search API and the document API.
//
// It knows who asks by user and password, API key or bearer token (account.go),
// and lets roles do what their definition says (role.go); security.go holds the
// paths of Elasticsearch, opensearch.go those of OpenSearch, document.go the few
// that an app uses. Bodies are read strictly: a field, a path or a method that
// the real server would refuse is refused with its status and the shape of its
// error. What it does not do: anything else.
package elasticstandin

import (
	"crypto/tls"
	"encoding/json"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// The superuser of every server.
const (
	Admin    = "elastic"
	Password = "elasticstandin-superuser"
)

// Settings choose what the stand-in stands for.
type Settings struct {
	OpenSearch bool
	Compatible bool        // OpenSearch with compatibility.override_main_response_version
	Paid       bool        // has a license for bearer tokens, which the free one does not include
	TLS        *tls.Config // nil: plain HTTP
}

// Server is a running stand-in.
type Server struct {
	settings Settings
	listener net.Listener
	http     *http.Server

	mu        sync.Mutex
	users     map[string]*user             // guarded by mu
	roles     map[string]role              // guarded by mu
	keys      map[string]*key              // guarded by mu; id → key
	tokens    map[string]string            // guarded by mu; bearer token → user
	documents map[string][]json.RawMessage // guarded by mu; index → documents
	changes   map[string]int               // guarded by mu; kind of things that OpenSearch keeps in one document → how often that was changed
}

// Start returns a server with the index "orders", which holds one document. The
// caller must call Stop.
func Start(settings Settings) (*Server, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &Server{
		settings: settings, listener: listener,
		users:     map[string]*user{Admin: {password: Password, roles: []string{superuser}, enabled: true}},
		roles:     map[string]role{superuser: {cluster: []string{"all"}, indices: []grant{{names: []string{"*"}, privileges: []string{"all"}}}}},
		keys:      map[string]*key{},
		tokens:    map[string]string{},
		changes:   map[string]int{},
		documents: map[string][]json.RawMessage{"orders": {json.RawMessage(`{"item":"anvil"}`)}},
	}
	s.http = &http.Server{Handler: http.HandlerFunc(s.answer), ReadHeaderTimeout: 10 * time.Second, TLSConfig: settings.TLS, ErrorLog: log.New(io.Discard, "", 0)}
	go func() {
		if settings.TLS != nil {
			_ = s.http.ServeTLS(listener, "", "")
			return
		}
		_ = s.http.Serve(listener)
	}()
	return s, nil
}

// Stop ends the server and its connections.
func (s *Server) Stop() { _ = s.http.Close() }

// Address returns host:port.
func (s *Server) Address() string { return s.listener.Addr().String() }

// URL returns the address as clients write it.
func (s *Server) URL() string {
	if s.settings.TLS != nil {
		return "https://" + s.Address()
	}
	return "http://" + s.Address()
}

// answer is the only path of a request.
func (s *Server) answer(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	who, ok := s.authenticate(r)
	if !ok {
		w.Header().Set("WWW-Authenticate", `Basic realm="security", charset="UTF-8"`)
		s.refuse(w, http.StatusUnauthorized, "security_exception", "unable to authenticate the request for REST request ["+r.URL.Path+"]")
		return
	}
	c := &call{server: s, w: w, r: r, who: who}
	switch {
	case r.URL.Path == "/" && r.Method == http.MethodGet:
		c.about()
	case s.settings.OpenSearch && c.openSearchSecurity():
	case !s.settings.OpenSearch && c.security():
	case c.document():
	default:
		c.refuse(http.StatusBadRequest, "illegal_argument_exception", "no handler found for uri ["+r.URL.Path+"] and method ["+r.Method+"]")
	}
}

// refuse answers with an error in the shape of the server.
func (s *Server) refuse(w http.ResponseWriter, status int, kind, reason string) {
	if s.settings.OpenSearch && status == http.StatusUnauthorized {
		http.Error(w, "Unauthorized", status) // as its security plugin does
		return
	}
	write(w, status, map[string]any{
		"error": map[string]any{
			"root_cause": []any{map[string]any{"type": kind, "reason": reason}}, "type": kind, "reason": reason,
		},
		"status": status,
	})
}

func write(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

// Roles returns the names of all roles.
func (s *Server) Roles() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.roles))
}

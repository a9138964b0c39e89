// Package api is the HTTP side of the server: it decodes a request, hands it
// to the core, and encodes the answer.
//
// serve (below) is the only path of a request; decode.go and encode.go are its
// two ends; errors.go holds the one map from errors to statuses; status.go
// answers what needs no token. Nothing here decides anything about secrets.
package api

import (
	"context"
	"log"
	"maps"
	"net/http"
	"strings"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/core"
)

// Core answers requests.
type Core interface {
	// Handle answers a request whose path is whole and without leading slash.
	Handle(ctx context.Context, req *logical.Request) (*logical.Response, error)
	// Status describes the server to everybody.
	Status() core.Status
	// AllowOrigin reports whether web pages of origin may use the API, and
	// which headers they may send.
	AllowOrigin(origin string) (headers []string, ok bool)
	Guard
	Cluster
	Storage
}

// NewServer returns an HTTP server for c within the limits; errorLog takes
// what net/http has to say.
func NewServer(c Core, l Limits, errorLog *log.Logger) *http.Server {
	l = l.withDefaults()
	return &http.Server{
		Handler:           l.enforce(&forwarder{next: allowOrigins(Handler(c), c), core: c, voucher: c.Keys(), limits: l}),
		ReadHeaderTimeout: l.HeaderTimeout,
		ReadTimeout:       l.ReadTimeout,
		WriteTimeout:      l.WriteTimeout,
		IdleTimeout:       l.IdleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          errorLog,
	}
}

// Handler returns what serves the HTTP API of c, without limits.
func Handler(c Core) http.Handler {
	public := statusHandlers(c)
	maps.Copy(public, guardHandlers(c))
	maps.Copy(public, storageHandlers(c))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		path := strings.TrimPrefix(r.URL.Path, prefix)
		if handle, ok := public[canonical(r.Method)+" "+path]; ok && path != r.URL.Path {
			handle(w, r)
			return
		}
		serve(w, r, c)
	})
}

// canonical makes POST what it is here, PUT.
func canonical(method string) string {
	if method == http.MethodPost {
		return http.MethodPut
	}
	return method
}

// serve answers one request.
func serve(w http.ResponseWriter, r *http.Request, c Core) {
	req, err := decode(r)
	if err != nil {
		writeError(w, err)
		return
	}
	resp, err := c.Handle(r.Context(), req)
	if status, err := failure(req, resp, err); status != 0 {
		addHeaders(w, err)
		writeErrors(w, status, err)
		return
	}
	writeResponse(w, req, resp)
}

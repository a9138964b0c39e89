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
	"net/http"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/core"
)

const (
	// maxBody bounds the body of a request, in bytes.
	maxBody = 32 << 20
	// maxHeader bounds the headers of a request, in bytes.
	maxHeader = 64 << 10

	headerTimeout = 10 * time.Second
	readTimeout   = 30 * time.Second
	// writeTimeout must leave the core the time that it gives an engine.
	writeTimeout = 2 * time.Minute
	idleTimeout  = 5 * time.Minute
)

// Core answers requests.
type Core interface {
	// Handle answers a request whose path is whole and without leading slash.
	Handle(ctx context.Context, req *logical.Request) (*logical.Response, error)
	// Status describes the server to everybody.
	Status() core.Status
}

// NewServer returns an HTTP server for c with every limit set; errorLog takes
// what net/http has to say.
func NewServer(c Core, errorLog *log.Logger) *http.Server {
	return &http.Server{
		Handler:           Handler(c),
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          errorLog,
	}
}

// Handler returns what serves the HTTP API of c.
func Handler(c Core) http.Handler {
	public := statusHandlers(c)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		path := strings.TrimPrefix(r.URL.Path, prefix)
		if handle, ok := public[r.Method+" "+path]; ok && path != r.URL.Path {
			handle(w, r)
			return
		}
		serve(w, r, c)
	})
}

// serve answers one request.
func serve(w http.ResponseWriter, r *http.Request, c Core) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	req, err := decode(r)
	if err != nil {
		writeError(w, err)
		return
	}
	resp, err := c.Handle(r.Context(), req)
	if status, err := failure(req, resp, err); status != 0 {
		writeErrors(w, status, err)
		return
	}
	writeResponse(w, req, resp)
}

package api

import (
	"net/http"
	"net/url"
	"strings"
)

const (
	methods = "DELETE, GET, LIST, OPTIONS, PATCH, POST, PUT"
	// preflightAge is how long a browser remembers an answer, in seconds.
	preflightAge = "300"
)

// allowOrigins answers the questions of browsers, and lets in pages of the
// origins that sys/config/cors allows. Requests that no page of another origin
// sent pass unchanged.
func allowOrigins(h http.Handler, c Core) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		origin := r.Header.Get("Origin")
		if origin == "" || sameOrigin(origin, r.Host) {
			h.ServeHTTP(w, r)
			return
		}
		w.Header().Add("Vary", "Origin")
		headers, ok := c.AllowOrigin(origin)
		if !ok {
			if r.Method == http.MethodOptions {
				writeErrors(w, http.StatusForbidden, badRequest("origin not allowed; see sys/config/cors"))
				return
			}
			h.ServeHTTP(w, r) // the browser keeps the answer from the page
			return
		}
		w.Header().Set("Access-Control-Allow-Origin", origin)
		if r.Method == http.MethodOptions {
			w.Header().Set("Access-Control-Allow-Methods", methods)
			w.Header().Set("Access-Control-Allow-Headers", strings.Join(headers, ", "))
			w.Header().Set("Access-Control-Max-Age", preflightAge)
			w.WriteHeader(http.StatusNoContent)
			return
		}
		h.ServeHTTP(w, r)
	})
}

func sameOrigin(origin, host string) bool {
	parsed, err := url.Parse(origin)
	return err == nil && parsed.Host == host
}

// Package ui is the web page for operators, at /ui/.
//
// The page is plain HTML, CSS and JavaScript modules below assets/, embedded as
// they are: there is no build step and nothing is fetched from elsewhere. It is
// a client of the HTTP API like any other, with the token of whoever uses it,
// so that this package knows nothing of the server; start reading at
// assets/main.js. What the page may do in a browser is bounded by the headers
// below, whatever should ever go wrong inside it.
package ui

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"net/http"
	"path"
	"strings"
	"time"
)

//go:embed assets
var assets embed.FS

// prefix is where the page is.
const prefix = "/ui/"

// index is the asset that stands for the folder.
const index = "index.html"

// headers bound what a browser lets the page do: only its own files, only
// requests to its own server, no frames, no forms that a browser sends by
// itself (one could put a token into an address), no markup made of text.
var headers = [...][2]string{
	{"Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"},
	{"Cross-Origin-Opener-Policy", "same-origin"},
	{"Cross-Origin-Resource-Policy", "same-origin"},
	{"Permissions-Policy", "camera=(), geolocation=(), microphone=()"},
	{"Referrer-Policy", "no-referrer"},
	{"X-Content-Type-Options", "nosniff"},
	{"X-Frame-Options", "DENY"},
}

// Handler serves the page at /ui/, sends those who ask for / there, and leaves
// everything else to next.
func Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, ours := strings.CutPrefix(r.URL.Path, prefix)
		ask := r.URL.Path == "/" || r.URL.Path == strings.TrimSuffix(prefix, "/")
		switch {
		case !ours && !ask:
			next.ServeHTTP(w, r)
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "the web page is only read", http.StatusMethodNotAllowed)
		case ask:
			// Not for good: the page can be switched off.
			w.Header().Set("Cache-Control", "no-store")
			http.Redirect(w, r, prefix, http.StatusTemporaryRedirect)
		default:
			serve(w, r, cmp.Or(name, index))
		}
	})
}

// serve answers with one file of the page.
func serve(w http.ResponseWriter, r *http.Request, name string) {
	for _, h := range headers {
		w.Header().Set(h[0], h[1])
	}
	content, err := assets.ReadFile("assets/" + name)
	if err != nil {
		w.Header().Set("Cache-Control", "no-store")
		http.Error(w, "there is no such page; the one there is stands at "+prefix, http.StatusNotFound)
		return
	}
	// A browser keeps the files and asks whether they are still the same, so
	// that a new server is never spoken to by an old page.
	sum := sha256.Sum256(content)
	w.Header().Set("Cache-Control", "no-cache")
	w.Header().Set("Content-Type", contentType(name))
	w.Header().Set("ETag", `"`+hex.EncodeToString(sum[:16])+`"`)
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(content))
}

// contentType returns what a file is, whatever the host's table of types says.
func contentType(name string) string {
	switch path.Ext(name) {
	case ".css":
		return "text/css; charset=utf-8"
	case ".html":
		return "text/html; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	}
	return "application/octet-stream"
}

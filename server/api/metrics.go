package api

import (
	"net/http"

	"github.com/novatech/securevault/server/core/metric"
)

// OpenMetrics answers requests for metrics without asking for a token, and
// passes all others on.
func OpenMetrics(h http.Handler, metrics *metric.Registry) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path != prefix+"sys/metrics" || r.Method != http.MethodGet:
			h.ServeHTTP(w, r)
		case r.URL.Query().Get("format") == "prometheus":
			text, err := metrics.Text()
			if err != nil {
				writeError(w, err)
				return
			}
			w.Header().Set("Content-Type", metric.TextType())
			_, _ = w.Write(text) // a client that has gone cannot be told
		default:
			writeJSON(w, http.StatusOK, metrics.Summary())
		}
	})
}

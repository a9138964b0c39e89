package admin

import (
	"context"
	"fmt"
	"net/http"
)

// startup tells whether everything was rendered, and the app told, at least
// once. It stays so.
func (s *Server) startup(w http.ResponseWriter, r *http.Request) {
	if status, ok := s.look(w, r); ok {
		probe(w, "started", status.Settled, status.Missing)
	}
}

// live tells whether the agent moves at all: one that does not say what it
// does within statusTimeout is better started again.
func (s *Server) live(w http.ResponseWriter, r *http.Request) {
	if _, ok := s.look(w, r); ok {
		probe(w, "alive", true, nil)
	}
}

// ready tells whether everything is rendered and told, and nothing is older
// than it may be.
func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	if status, ok := s.look(w, r); ok {
		probe(w, "ready", status.Ready, status.Missing)
	}
}

func probe(w http.ResponseWriter, word string, good bool, missing []string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if good {
		fmt.Fprintln(w, word)
		return
	}
	w.WriteHeader(http.StatusServiceUnavailable)
	fmt.Fprintf(w, "not %s\n", word)
	for _, what := range missing {
		fmt.Fprintf(w, "- %s\n", what)
	}
}

// ask returns what the agent does, if it says so in time.
func (s *Server) ask(ctx context.Context) (Status, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, statusTimeout, fmt.Errorf("it did not answer within %s", statusTimeout))
	defer cancel()
	return s.cfg.Source.Status(ctx)
}

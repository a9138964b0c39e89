package agent

import (
	"iter"
	"slices"
	"sync"

	"github.com/novatech/securevault/agent/lease"
	"github.com/novatech/securevault/internal/vault"
)

// remembered is how many secrets of a want are still hidden: the one in the
// files, that of a backup or of a hook that is behind, and one to spare.
const remembered = 3

// redactor hides the secrets of the published files in what programs print
// that may read them. It is safe for concurrent use.
type redactor struct {
	token func() vault.Token // of the agent, which a sink may hold

	mu    sync.Mutex
	known map[vault.Want][]*vault.Secret // newest first
}

func newRedactor(token func() vault.Token) *redactor {
	return &redactor{token: token, known: make(map[vault.Want][]*vault.Secret)}
}

// learn remembers secrets that are about to be published. What is no longer
// wanted is forgotten as soon as more is known than wanted.
func (r *redactor) learn(snapshot *lease.Snapshot, wants []vault.Want, wanted wantSet) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, w := range wants {
		secret, ok := snapshot.Lookup(w)
		if known := r.known[w]; ok && (len(known) == 0 || known[0] != secret) {
			r.known[w] = slices.Insert(known[:min(len(known), remembered-1)], 0, secret)
		}
	}
	if len(r.known) <= len(wanted) {
		return
	}
	for w := range r.known {
		if _, ok := wanted[w]; !ok {
			delete(r.known, w)
		}
	}
}

// hide returns an error that says the same without secrets, and wraps it.
func (r *redactor) hide(err error) error {
	if err == nil {
		return nil
	}
	text := vault.Redact(err.Error(), r.secrets())
	if text == err.Error() {
		return err
	}
	return redacted{text, err}
}

func (r *redactor) secrets() iter.Seq[*vault.Secret] {
	token := r.token()
	r.mu.Lock()
	defer r.mu.Unlock()
	all := []*vault.Secret{{Auth: &vault.Auth{Token: token.Value}}, {Auth: &vault.Auth{Token: token.Delivery()}}}
	for _, known := range r.known {
		all = append(all, known...)
	}
	return slices.Values(all)
}

// redacted is an error whose text had secrets in it.
type redacted struct {
	text  string
	cause error
}

func (r redacted) Error() string { return r.text }
func (r redacted) Unwrap() error { return r.cause }

package lease

import (
	"net/http"
	"time"

	"github.com/novatech/securevault/internal/vault"
)

// surveyDelay is between two looks at which tokens are still needed. It is
// long enough for ten thousand leases to be gone through now and then.
const surveyDelay = 5 * time.Second

// survey tells which tokens are not needed any more, until the current one is
// all that is needed. The lock is held, as for everything below.
func (m *Manager) survey(now time.Time) {
	if m.surveyAt.IsZero() || now.Before(m.surveyAt) {
		return
	}
	oldest := m.oldestToken(now)
	if m.surveyAt = now.Add(surveyDelay); oldest >= m.token.Epoch {
		m.surveyAt = time.Time{}
	}
	m.cfg.Released(oldest)
}

// oldestToken returns the epoch of the oldest token on which something depends
// that is held, or that may arrive.
func (m *Manager) oldestToken(now time.Time) uint64 {
	oldest := m.token.Epoch
	for epoch := range m.asking {
		oldest = min(oldest, epoch)
	}
	look := func(w vault.Want, credentials ...*credential) {
		for _, c := range credentials {
			if c != nil && c.diesWithToken(w, now) {
				oldest = min(oldest, c.epoch)
			}
		}
	}
	for w, e := range m.entries {
		look(w, e.current)
		look(w, e.replaced...)
	}
	for d := range m.drains {
		look(d.want, d.credential)
	}
	for w, credentials := range m.adopted {
		look(w, credentials...)
	}
	return oldest
}

// diesWithToken reports whether a credential ends together with the token that
// issued it: one with a lease does, and what was written without one may be a
// token that descends from it.
func (c *credential) diesWithToken(w vault.Want, now time.Time) bool {
	switch {
	case c.leased():
		return !c.gone && c.ends().After(now)
	case c.secret.LeaseID != "":
		return true
	default:
		return c.end == vault.Never && w.Method == http.MethodPut
	}
}

// answered notes that a request that was sent with a token has ended.
func (m *Manager) answered(token vault.Token) {
	m.inflight--
	if m.asking[token.Epoch]--; m.asking[token.Epoch] == 0 {
		delete(m.asking, token.Epoch)
	}
}

package admin

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/novatech/securevault/internal/vault"
)

// maxLooked is how much of an answer in bytes is looked at, and kept at most.
const maxLooked = 64 << 10

// answer is what the server said to a caller's request.
type answer struct {
	status int
	header http.Header
	body   []byte        // the first maxLooked bytes
	rest   io.ReadCloser // what follows; nil for an answer from the cache
}

// newAnswer reads the part of an answer that is looked at.
func newAnswer(resp *http.Response) (*answer, error) {
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxLooked))
	if err != nil {
		_ = resp.Body.Close()
		return nil, err
	}
	return &answer{status: resp.StatusCode, header: passable(resp.Header), body: body, rest: resp.Body}, nil
}

// passable returns those headers of an answer that are for the caller.
func passable(header http.Header) http.Header {
	out := make(http.Header)
	for name, values := range header {
		if name == "Content-Type" || name == "Retry-After" || name == "Warning" || strings.HasPrefix(name, "X-Vault-") {
			out[name] = values
		}
	}
	return out
}

// leased is the part of an answer that the cache goes by.
type leased struct {
	LeaseID  string `json:"lease_id"`
	Duration int    `json:"lease_duration"` // seconds
}

func (l leased) ttl() time.Duration { return time.Duration(l.Duration) * time.Second }

// copy returns what the cache keeps of an answer.
func (a *answer) copy() *answer {
	return &answer{status: a.status, header: a.header.Clone(), body: a.body}
}

// lease returns the lease of a whole, successful answer.
func (a *answer) lease() (leased, bool) {
	var l leased
	if a.status != http.StatusOK || len(a.body) == maxLooked || json.Unmarshal(a.body, &l) != nil {
		return leased{}, false
	}
	return l, l.LeaseID != "" && l.Duration > 0
}

// aged returns the body with what is left of the lease, in seconds.
func aged(body []byte, seconds int) ([]byte, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(body, &fields); err != nil {
		return nil, err
	}
	duration, err := json.Marshal(seconds)
	if err != nil {
		return nil, err
	}
	fields["lease_duration"] = duration
	return json.Marshal(fields)
}

// hide takes a lent token out of an answer about it: a caller may use it, and
// not carry it away.
func (a *answer) hide(token vault.Token) {
	for _, secret := range []string{token.Value.Reveal(), token.Accessor} {
		if secret != "" {
			a.body = bytes.ReplaceAll(a.body, []byte(secret), nil)
		}
	}
}

func bodyOf(content []byte) (io.ReadCloser, int64) {
	if len(content) == 0 {
		return http.NoBody, 0
	}
	return io.NopCloser(bytes.NewReader(content)), int64(len(content))
}

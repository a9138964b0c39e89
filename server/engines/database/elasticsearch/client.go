package elasticsearch

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/novatech/securevault/server/engines/database/fault"
)

// maxAnswer bounds what is read of one answer, in bytes.
const maxAnswer = 8 << 20

// A change that came between another one's beginning and end is tried again: so
// often, and after a pause of up to so long.
const (
	mostConflicts = 20
	conflictPause = 200 * time.Millisecond
)

// client sends requests as the admin.
type client struct {
	url, username, password string
	http                    *http.Client
	turn                    chan struct{} // capacity 1: held by a request that has to be alone
}

func newClient(s settings) (*client, error) {
	transport, err := s.transport()
	if err != nil {
		return nil, err
	}
	return &client{url: s.URL, username: s.Username, password: s.Password, turn: make(chan struct{}, 1), http: &http.Client{
		Transport: transport,
		// The admin's password is for this server alone.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

func (c *client) close() { c.http.CloseIdleConnections() }

// do sends a request and decodes the answer into target, unless that is nil.
// What names the step in errors, which hold none of the secrets. A request that the
// server refuses because of another one is sent again.
func (c *client) do(ctx context.Context, what string, r request, target any, secrets ...string) error {
	if r.alone() {
		select {
		case c.turn <- struct{}{}:
			defer func() { <-c.turn }()
		case <-ctx.Done():
			return fault.New(fault.Later, "%s: too many changes are waiting for each other: try again", what)
		}
	}
	for tries := 0; ; tries++ {
		err := c.send(ctx, what, r, target, secrets...)
		if tries == mostConflicts || !isStatus(err, http.StatusConflict) {
			return err
		}
		select {
		case <-time.After(rand.N(conflictPause)):
		case <-ctx.Done():
			return err
		}
	}
}

// send is do without a second try.
func (c *client) send(ctx context.Context, what string, r request, target any, secrets ...string) error {
	var content io.Reader
	if r.body != nil {
		encoded, err := json.Marshal(r.body)
		if err != nil {
			return fault.New(fault.Refused, "%s: the request is no JSON: %s", what, fault.Scrub(err.Error(), secrets...))
		}
		content = bytes.NewReader(encoded)
	}
	req, err := http.NewRequestWithContext(ctx, r.method, c.url+r.path, content)
	if err != nil {
		return fault.New(fault.Refused, "%s: the url cannot be used: write url=%s", what, exampleURL)
	}
	req.SetBasicAuth(c.username, c.password)
	req.Header.Set("Accept", "application/json")
	if r.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return c.unreachable(what, err)
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return c.unreachable(what, err)
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return c.refusal(what, resp.StatusCode, answer, secrets)
	}
	if target != nil && json.Unmarshal(answer, target) != nil {
		return fault.New(fault.Later, "%s: the answer is no JSON of the server: check url, is there a proxy in between?", what)
	}
	return nil
}

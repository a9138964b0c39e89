package vault

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/hashicorp/vault/api"
)

// Class says what a failed request means for whoever sent it.
type Class int

// The classes of failure. Which status belongs to which class is decided in
// [Classify] alone.
const (
	None    Class = iota // no failure
	Later                // the server cannot answer now: network, 5xx, 429, 412, 472, 473, sealed
	Refused              // the server understood and said no: 400, 403, 404, 405 …
	Gone                 // the lease is unknown to the server
	Login                // the token is missing or no longer valid
)

// String returns the class as logs and status pages show it.
func (c Class) String() string {
	switch c {
	case None:
		return "none"
	case Later:
		return "later"
	case Refused:
		return "refused"
	case Gone:
		return "gone"
	case Login:
		return "login"
	default:
		return fmt.Sprintf("class(%d)", int(c))
	}
}

// Error is a failed request. It carries what the server said, never what was
// sent.
type Error struct {
	Op       string   // "reading", "renewing lease", …
	Path     string   // of the request, or the lease id
	Status   int      // HTTP status; 0 when no answer came
	Messages []string // the server's own words
	Cause    error    // the transport's error when no answer came
	Kind     Class
}

// Error implements error.
func (e *Error) Error() string {
	text := fmt.Sprintf("%s %q: %s", e.Op, e.Path, e.detail())
	if hint := e.hint(); hint != "" {
		text += "; " + hint
	}
	return text
}

// Unwrap returns the transport's error.
func (e *Error) Unwrap() error { return e.Cause }

func (e *Error) detail() string {
	switch {
	case e.Status == 0 && e.Cause != nil:
		return e.Cause.Error()
	case len(e.Messages) > 0:
		return fmt.Sprintf("the server answered %d: %s", e.Status, strings.Join(e.Messages, "; "))
	default:
		return fmt.Sprintf("the server answered %d %s", e.Status, strings.ToLower(http.StatusText(e.Status)))
	}
}

func (e *Error) hint() string {
	switch {
	case errors.Is(e.Cause, errRedirect):
		return "name the address of the active server"
	case e.Status == 0 && e.Cause != nil && !errors.Is(e.Cause, context.Canceled):
		return "check the address and that the server is up"
	case e.Status == http.StatusForbidden && e.Kind == Refused:
		return "the token has ended, or its policies do not allow this path"
	case e.Status == http.StatusNotFound:
		return "check the mount and the role or key in the path"
	case e.Status == http.StatusServiceUnavailable:
		return "the server is sealed or starting"
	default:
		return ""
	}
}

// Classify returns the class of err; [None] for nil. An error that did not
// come from the server at all counts as [Later].
func Classify(err error) Class {
	if err == nil {
		return None
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return Later
}

// Status returns the HTTP status behind err, 0 when there is none.
func Status(err error) int {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Status
	}
	return 0
}

// newError turns what the API client returned into an Error. The statuses 472
// and 473 are those of a replication secondary and a performance standby, 412
// is a node that has not caught up yet.
func newError(op, path string, answer *api.Response, err error) *Error {
	out := &Error{Op: op, Path: path, Cause: err, Kind: Later}
	resp, ok := errors.AsType[*api.ResponseError](err)
	if !ok {
		return out
	}
	out.Status, out.Messages, out.Cause = resp.StatusCode, resp.Errors, nil
	if resp.RawError {
		// Not an answer of the API (a proxy's page, say): of no use in a log line.
		out.Messages = nil
	}
	out.Kind = classOf(out.Status, out.Messages)
	if out.Status == http.StatusNotFound && len(out.Messages) == 0 && answer != nil {
		out.Messages = warnings(answer)
	}
	return out
}

// warnings returns those of an answer without errors: a 404 may explain
// itself there.
func warnings(answer *api.Response) []string {
	secret, err := decode(answer.Body)
	if err != nil || secret == nil {
		return nil
	}
	return secret.Warnings
}

// notFound reports whether the server says no more than that there is nothing.
func notFound(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Status == http.StatusNotFound && len(e.Messages) == 0
}

func classOf(status int, messages []string) Class {
	switch {
	case status == http.StatusPreconditionFailed, status == http.StatusTooManyRequests,
		status == 472, status == 473, status >= 500, status < 400:
		return Later
	case mentions(messages, "lease not found", "lease is expired", "lease expired", "invalid lease"):
		return Gone
	case mentions(messages, "invalid token", "bad token", "missing client token", "token not found"):
		return Login
	default:
		return Refused
	}
}

// mentions reports whether any message contains any of the phrases. The API
// has no error codes: its clients match on these very words.
func mentions(messages []string, phrases ...string) bool {
	for _, message := range messages {
		for _, phrase := range phrases {
			if strings.Contains(strings.ToLower(message), phrase) {
				return true
			}
		}
	}
	return false
}

package elasticsearch

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/novatech/securevault/server/engines/database/fault"
)

// refusal is a request that the server has answered with an error.
type refusal struct {
	explained *fault.Error
	status    int
}

// Error implements error.
func (r *refusal) Error() string { return r.explained.Error() }

// Unwrap lets fault.ClassOf see the class.
func (r *refusal) Unwrap() error { return r.explained }

// refusal explains an answer that is none of success.
func (c *client) refusal(what string, status int, answer []byte, secrets []string) error {
	class, advice := fault.Refused, "check the role's creation_statements against the server's documentation"
	switch {
	case status == http.StatusUnauthorized:
		class, advice = fault.Later, "check username and password of the config"
	case status == http.StatusForbidden:
		class, advice = fault.Later, "give the config's username the privilege, see the README of the elasticsearch engine"
	case status == http.StatusNotFound, status == http.StatusMethodNotAllowed:
		advice = "check url, and that security is enabled on the server"
	case status == http.StatusRequestTimeout, status == http.StatusConflict, status == http.StatusTooManyRequests:
		class, advice = fault.Later, "the server is busy: try again"
	case status >= 300 && status < 400:
		advice = "the server sends its clients elsewhere: write the final address as url"
	case status >= 500:
		class, advice = fault.Later, "the server is not well: try again"
	}
	reason := fault.Scrub(reasonOf(answer), append(secrets, c.password)...)
	return &refusal{fault.New(class, "%s: status %d: %s: %s", what, status, reason, advice), status}
}

// reasonOf finds what the server says is wrong, in the shape of Elasticsearch or
// in those of OpenSearch.
func reasonOf(answer []byte) string {
	var said struct {
		Error   json.RawMessage `json:"error"`
		Reason  string          `json:"reason"`
		Message string          `json:"message"`
	}
	if json.Unmarshal(answer, &said) != nil {
		return "no reason given"
	}
	var detailed struct {
		Type   string `json:"type"`
		Reason string `json:"reason"`
	}
	if json.Unmarshal(said.Error, &detailed) == nil && detailed.Type != "" {
		return detailed.Type + ": " + detailed.Reason
	}
	var short string
	_ = json.Unmarshal(said.Error, &short)
	return cmp.Or(said.Reason, said.Message, short, "no reason given")
}

// isStatus reports whether the server has answered with that status.
func isStatus(err error, status int) bool {
	var refused *refusal
	return errors.As(err, &refused) && refused.status == status
}

// missing reports whether the server has answered that there is no such user, role or
// key. To a change of a user Elasticsearch answers so with status 400.
func missing(err error) bool {
	return isStatus(err, http.StatusNotFound) || isStatus(err, http.StatusBadRequest) &&
		(strings.Contains(err.Error(), "only existing users can be ") || strings.Contains(err.Error(), "user must exist "))
}

// unavailable reports whether the server has no such thing: it is not turned on, or
// not in the license, as tokens are not in the free one.
func unavailable(err error) bool {
	var refused *refusal
	return errors.As(err, &refused) &&
		(strings.Contains(refused.Error(), "not enabled") || strings.Contains(refused.Error(), "license is non-compliant"))
}

// unreachable explains a request that got no answer.
func (c *client) unreachable(what string, err error) error {
	text := err.Error()
	advice := "check host and port of url, and the firewall"
	switch known := fault.AdviseOnConnection(err, "url", "ca_cert, tls_server_name"); {
	case strings.Contains(text, "server gave HTTP response"):
		advice = "the server speaks HTTP: write url=http://…, or turn on TLS there"
	case known != "":
		advice = known
	case errors.Is(err, context.DeadlineExceeded):
		advice = "the server did not answer in time: " + advice
	}
	return fault.New(fault.Later, "%s: %s: %s", what, fault.Scrub(text, c.password), advice)
}

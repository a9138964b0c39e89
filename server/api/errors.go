package api

import (
	"context"
	"errors"
	"maps"
	"net/http"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/core/lease"
	"github.com/novatech/securevault/server/core/mount"
	"github.com/novatech/securevault/server/core/seal"
	"github.com/novatech/securevault/server/core/token"
	"github.com/novatech/securevault/server/core/wrap"
	"github.com/novatech/securevault/server/store"
)

// failure maps what the core answered to the status of an error, or 0 when it
// is none. The error is nil where the client shall only see the status.
func failure(req *logical.Request, resp *logical.Response, err error) (int, error) {
	if err != nil {
		if status := statusOf(err); status != 0 {
			return status, err
		}
	}
	return logical.RespondErrorCommon(req, resp, err)
}

// statusOf knows the errors of this server and coded ones; the SDK knows its
// own.
func statusOf(err error) int {
	var coded logical.HTTPCodedError
	switch {
	case errors.As(err, &coded):
		return coded.Code()
	case errors.Is(err, lease.ErrNotFound), errors.Is(err, lease.ErrNotRenewable),
		errors.Is(err, mount.ErrInvalid), errors.Is(err, mount.ErrNotFound),
		errors.Is(err, wrap.ErrInvalid),
		errors.Is(err, seal.ErrInvalid), errors.Is(err, seal.ErrNotInitialized):
		return http.StatusBadRequest
	case errors.Is(err, token.ErrInvalid):
		return http.StatusForbidden
	case errors.Is(err, seal.ErrSealed), errors.Is(err, store.ErrNotActive):
		return http.StatusServiceUnavailable
	case errors.As(err, new(*lease.LimitError)):
		return http.StatusTooManyRequests
	case errors.Is(err, context.DeadlineExceeded):
		return http.StatusGatewayTimeout
	}
	return 0
}

// addHeaders adds the headers that an error comes with, if it does.
func addHeaders(w http.ResponseWriter, err error) {
	var telling interface{ Header() http.Header }
	if errors.As(err, &telling) {
		maps.Copy(w.Header(), telling.Header())
	}
}

// writeError answers with an error that has not met the core.
func writeError(w http.ResponseWriter, err error) {
	status := statusOf(err)
	if status == 0 {
		status = http.StatusInternalServerError
	}
	writeErrors(w, status, err)
}

// writeErrors answers {"errors": […]}, with an empty list when there is nothing
// to say beyond the status.
func writeErrors(w http.ResponseWriter, status int, err error) {
	texts := []string{}
	if err != nil && err.Error() != "" {
		texts = append(texts, err.Error())
	}
	writeJSON(w, status, map[string][]string{"errors": texts})
}

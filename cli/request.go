package cli

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"

	"github.com/hashicorp/vault/api"
)

// answer is what the server sent back; both fields are empty if it sent
// nothing but success.
type answer struct {
	raw    []byte      // JSON as received
	secret *api.Secret // the same, decoded
}

// empty tells that there is nothing to show but success and warnings.
func (a *answer) empty() bool {
	return a.secret == nil || len(fieldsOf(a.secret)) == 0
}

// get reads path with the fields of query as parameters.
func (s *session) get(ctx context.Context, path string, query url.Values) (*answer, error) {
	return s.send(ctx, http.MethodGet, path, func(ctx context.Context, l *api.Logical, path string) (*api.Response, error) {
		return l.ReadRawWithDataWithContext(ctx, path, query)
	})
}

// list reads the keys under path.
func (s *session) list(ctx context.Context, path string) (*answer, error) {
	return s.get(ctx, path, url.Values{"list": {"true"}})
}

// put writes body, encoded as JSON, to path; a nil body sends none.
func (s *session) put(ctx context.Context, path string, body map[string]any) (*answer, error) {
	var content []byte
	if body != nil {
		var err error
		if content, err = json.Marshal(body); err != nil {
			return nil, fmt.Errorf("encoding the request: %w", err)
		}
	}
	return s.send(ctx, http.MethodPut, path, func(ctx context.Context, l *api.Logical, path string) (*api.Response, error) {
		return l.WriteRawWithContext(ctx, path, content)
	})
}

// delete deletes what is at path.
func (s *session) delete(ctx context.Context, path string) (*answer, error) {
	return s.send(ctx, http.MethodDelete, path, func(ctx context.Context, l *api.Logical, path string) (*api.Response, error) {
		return l.DeleteRawWithContext(ctx, path)
	})
}

// call makes one request to path with the client it is given.
type call func(ctx context.Context, l *api.Logical, path string) (*api.Response, error)

// send connects, calls and decodes what comes back.
func (s *session) send(ctx context.Context, method, path string, call call) (got *answer, err error) {
	timeout, err := s.connection.patience()
	if err != nil {
		return nil, err
	}
	err = s.exchange(ctx, timeout, method, path, call, func(what string, body io.Reader) error {
		raw, err := io.ReadAll(body)
		if err != nil {
			return err
		}
		got, err = decode(what, raw)
		return err
	})
	return got, err
}

// exchange connects, calls and hands on what comes back, with the words for
// the request in errors.
func (s *session) exchange(ctx context.Context, timeout time.Duration, method, path string, call call, receive func(what string, body io.Reader) error) error {
	path, err := cleanPath(path)
	if err != nil {
		return err
	}
	token, err := s.token()
	if err != nil {
		return err
	}
	client, err := s.connection.client(token)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	what := fmt.Sprintf("%s %s/v1/%s", method, s.connection.shownAddress(), path)
	response, err := call(ctx, client.Logical(), path)
	if response != nil {
		defer func() { _ = response.Body.Close() }()
	}
	if err != nil && !carriesData(response) {
		return s.explain(what, token, err)
	}
	err = receive(what, response.Body)
	if _, explained := errors.AsType[*failure](err); err != nil && !explained {
		return s.explain(what, token, fmt.Errorf("reading the answer: %w", err))
	}
	return err
}

// carriesData tells that a 404 came with an envelope, which is how the server
// answers for a deleted version of a secret. It leaves the body unread.
func carriesData(response *api.Response) bool {
	if response == nil || response.StatusCode != http.StatusNotFound {
		return false
	}
	body, err := io.ReadAll(response.Body)
	response.Body = io.NopCloser(bytes.NewReader(body))
	secret, parseErr := api.ParseSecret(bytes.NewReader(body))
	return err == nil && parseErr == nil && secret != nil && len(secret.Data)+len(secret.Warnings) > 0
}

// decode turns the body of a successful answer into its envelope.
func decode(what string, raw []byte) (*answer, error) {
	if len(bytes.TrimSpace(raw)) == 0 {
		return &answer{}, nil
	}
	secret, err := api.ParseSecret(bytes.NewReader(raw))
	if err != nil {
		return nil, &failure{
			err:  fmt.Errorf("%s: decoding the answer: %w", what, err),
			hint: "this does not look like a server of this API: check the address",
			code: ExitServer,
		}
	}
	return &answer{raw: raw, secret: secret}, nil
}

// cleanPath returns path as it follows /v1/ in the URL.
func cleanPath(path string) (string, error) {
	const hint = "a path is MOUNT/REST, such as database/creds/app-readonly"
	clean := strings.Trim(path, "/")
	switch {
	case clean == "":
		return "", badInput(hint, "the path is empty")
	case strings.ContainsFunc(clean, unicode.IsControl):
		return "", badInput(hint, "path %q contains control characters", clean)
	}
	for segment := range strings.SplitSeq(clean, "/") {
		if segment == "." || segment == ".." || segment == "" {
			return "", badInput(hint, "path %q contains the segment %q, which would lead elsewhere", clean, segment)
		}
	}
	return clean, nil
}

// explain turns what went wrong with a request into an error for the user.
func (s *session) explain(what, token string, err error) error {
	if refused, ok := errors.AsType[*api.ResponseError](err); ok {
		return &failure{err: refusal(what, refused), hint: s.hintFor(refused, token), code: ExitServer}
	}
	switch {
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("%s: interrupted: %w", what, err)
	case errors.Is(err, context.DeadlineExceeded):
		return &failure{
			err:  fmt.Errorf("%s: no answer within %s", what, s.connection.timeout),
			hint: "is the server overloaded, or a firewall in between? VAULT_CLIENT_TIMEOUT sets the patience",
			code: ExitServer,
		}
	}
	if transport, ok := errors.AsType[*url.Error](err); ok {
		err = transport.Err // the rest repeats the method and the address
	}
	return &failure{err: fmt.Errorf("%s: %w", what, err), hint: unreachableHint(err), code: ExitServer}
}

// refusal lists the server's errors under its status.
func refusal(what string, refused *api.ResponseError) error {
	var text strings.Builder
	status := fmt.Sprintf("%d %s", refused.StatusCode, http.StatusText(refused.StatusCode))
	fmt.Fprintf(&text, "%s: %s", what, strings.TrimSpace(status))
	for _, message := range refused.Errors {
		if message = strings.TrimSpace(message); message != "" {
			fmt.Fprintf(&text, "\n  * %s", strings.ReplaceAll(message, "\n", "\n    "))
		}
	}
	return errors.New(text.String())
}

// hintFor says what to do about an error status.
func (s *session) hintFor(refused *api.ResponseError, token string) string {
	switch status := refused.StatusCode; {
	case status == http.StatusForbidden && token == "":
		return fmt.Sprintf("no token was sent: run %s login, or set VAULT_TOKEN", s.program)
	case status == http.StatusForbidden:
		return fmt.Sprintf("the token is expired or its policies do not allow this: see %s token lookup", s.program)
	case status == http.StatusNotFound && len(refused.Errors) == 0:
		return "nothing is stored there, or the name is wrong"
	case status == http.StatusNotFound:
		return fmt.Sprintf("check the mount with %s secrets list", s.program)
	case status == http.StatusMethodNotAllowed:
		return "this path does not support the operation: try read, write, list or delete instead"
	case status == http.StatusTooManyRequests:
		return "a limit is reached: revoke leases that are no longer needed, or try again later"
	case status == http.StatusServiceUnavailable:
		return fmt.Sprintf("the server may be sealed: see %s status", s.program)
	case status >= http.StatusInternalServerError:
		return "the cause is in the server's log"
	default:
		return "check the path and the parameters"
	}
}

// unreachableHint says what to do when no answer came.
func unreachableHint(err error) string {
	var authority x509.UnknownAuthorityError
	var hostname x509.HostnameError
	var tooLarge *http.MaxBytesError
	switch text := err.Error(); {
	case errors.As(err, &authority):
		return "name the CA with -ca-cert or VAULT_CACERT"
	case errors.As(err, &hostname):
		return "use the name in the certificate, or give it with -tls-server-name"
	case errors.As(err, &tooLarge):
		return "no answer of this API is that large: check the address"
	case strings.Contains(text, "server gave HTTP response to HTTPS client"):
		return "the server speaks plain HTTP: write http:// in -address or VAULT_ADDR"
	default:
		return "is the server running there? The address comes from -address, SECUREVAULT_ADDR or VAULT_ADDR"
	}
}

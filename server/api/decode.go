package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/hashicorp/go-secure-stdlib/parseutil"
	"github.com/hashicorp/go-uuid"
	"github.com/hashicorp/vault/sdk/logical"
)

// prefix starts every path of the API.
const prefix = "/v1/"

// decode turns an HTTP request into one for the core.
func decode(r *http.Request) (*logical.Request, error) {
	path, err := decodePath(r.URL.Path)
	if err != nil {
		return nil, err
	}
	if err := refuseHeaders(r.Header); err != nil {
		return nil, err
	}
	wrap, err := wrapInfo(r.Header)
	if err != nil {
		return nil, err
	}
	op, err := operation(r)
	if err != nil {
		return nil, err
	}
	if op == logical.ListOperation && !strings.HasSuffix(path, "/") {
		path += "/"
	}
	data, err := decodeData(r, op)
	if err != nil {
		return nil, err
	}
	id, err := uuid.GenerateUUID()
	if err != nil {
		return nil, fmt.Errorf("making a request id: %w", err)
	}
	return &logical.Request{
		ID:          id,
		Operation:   op,
		Path:        path,
		Data:        data,
		ClientToken: clientToken(r.Header),
		Connection:  connection(r),
		WrapInfo:    wrap,
	}, nil
}

// maxPath bounds a path, in bytes. Names in it become keys of the storage, of
// which PostgreSQL takes 2,700 bytes at most.
const maxPath = 2000

// decodePath returns the path below /v1/. Repeated slashes count as one;
// what climbs or hides is refused.
func decodePath(urlPath string) (string, error) {
	rest, ok := strings.CutPrefix(urlPath, prefix)
	if !ok {
		return "", logical.CodedError(http.StatusNotFound, "")
	}
	if len(rest) > maxPath {
		return "", badRequest("the path is longer than %d bytes", maxPath)
	}
	folder := strings.HasSuffix(rest, "/")
	var segments []string
	for segment := range strings.SplitSeq(rest, "/") {
		switch {
		case segment == "":
			continue
		case segment == "." || segment == "..":
			return "", badRequest("the path must not contain %q", segment)
		case strings.ContainsFunc(segment, unicode.IsControl):
			return "", badRequest("the path must not contain control characters")
		case !utf8.ValidString(segment):
			return "", badRequest("the path must be UTF-8")
		}
		segments = append(segments, segment)
	}
	path := strings.Join(segments, "/")
	if folder && path != "" {
		path += "/"
	}
	return path, nil
}

// refuseHeaders refuses what the server does not do, rather than doing
// something else; and what a proxy may read differently than the server does.
func refuseHeaders(h http.Header) error {
	for _, name := range []string{"X-Vault-Token", "Authorization", "X-Vault-Namespace", "X-Vault-Wrap-TTL"} {
		if n := len(h.Values(name)); n > 1 {
			return badRequest("%s is there %d times: send one", name, n)
		}
	}
	if namespace := strings.Trim(h.Get("X-Vault-Namespace"), "/"); namespace != "" && namespace != "root" {
		return badRequest("namespaces are not supported: leave X-Vault-Namespace (VAULT_NAMESPACE) empty")
	}
	return nil
}

// wrapInfo reads for how long the client wants the answer wrapped, nil if it
// does not.
func wrapInfo(h http.Header) (*logical.RequestWrapInfo, error) {
	asked := h.Get("X-Vault-Wrap-TTL")
	if asked == "" {
		return nil, nil
	}
	ttl, err := parseutil.ParseDurationSecond(asked)
	if err != nil || ttl < 0 || ttl > 0 && ttl < time.Second {
		return nil, badRequest("X-Vault-Wrap-TTL (-wrap-ttl): %q is not a duration of a second or more; write it like 60s, 5m or 300", asked)
	}
	return &logical.RequestWrapInfo{TTL: ttl}, nil
}

func operation(r *http.Request) (logical.Operation, error) {
	switch r.Method {
	case http.MethodGet:
		if help, _ := strconv.ParseBool(r.URL.Query().Get("help")); help {
			return logical.HelpOperation, nil
		}
		if list, _ := strconv.ParseBool(r.URL.Query().Get("list")); list {
			return logical.ListOperation, nil
		}
		return logical.ReadOperation, nil
	case "LIST":
		return logical.ListOperation, nil
	case http.MethodPost, http.MethodPut:
		return logical.UpdateOperation, nil
	case http.MethodPatch:
		return logical.PatchOperation, nil
	case http.MethodDelete:
		return logical.DeleteOperation, nil
	}
	return "", logical.CodedError(http.StatusMethodNotAllowed, logical.ErrUnsupportedOperation.Error())
}

// decodeData returns the fields of a request: from its body when it writes,
// else from its query.
func decodeData(r *http.Request, op logical.Operation) (map[string]any, error) {
	switch op {
	case logical.UpdateOperation, logical.PatchOperation:
		return decodeBody(r.Body)
	}
	data := map[string]any{}
	for name, values := range r.URL.Query() {
		switch {
		case name == "list":
		case len(values) == 1:
			data[name] = values[0]
		default:
			data[name] = values
		}
	}
	return data, nil
}

// decodeBody reads one JSON object, or nothing at all. Numbers stay exact.
func decodeBody(body io.Reader) (map[string]any, error) {
	decoder := json.NewDecoder(body)
	decoder.UseNumber()
	data := map[string]any{}
	err := decoder.Decode(&data)
	switch {
	case errors.Is(err, io.EOF):
		return map[string]any{}, nil
	case err != nil:
		return nil, bodyError(err)
	case data == nil: // the body is null
		data = map[string]any{}
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, bodyError(errors.New("there is something after the JSON object"))
	}
	return data, nil
}

// bodyError explains a body that cannot be read, without quoting it.
func bodyError(err error) error {
	var tooLarge *http.MaxBytesError
	var wrongType *json.UnmarshalTypeError
	switch {
	case errors.As(err, &tooLarge):
		return logical.CodedError(http.StatusRequestEntityTooLarge, fmt.Sprintf("the body is larger than %d bytes", tooLarge.Limit))
	case errors.As(err, &wrongType):
		return badRequest("the body must be a JSON object, not a JSON %s", wrongType.Value)
	}
	return badRequest("the body must be a JSON object: %v", err)
}

func clientToken(h http.Header) string {
	if token := h.Get("X-Vault-Token"); token != "" {
		return token
	}
	scheme, token, _ := strings.Cut(h.Get("Authorization"), " ")
	if strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(token)
	}
	return ""
}

func connection(r *http.Request) *logical.Connection {
	host, port, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	number, _ := strconv.Atoi(port)
	return &logical.Connection{RemoteAddr: host, RemotePort: number, ConnState: r.TLS}
}

func badRequest(format string, args ...any) error {
	return logical.CodedError(http.StatusBadRequest, fmt.Sprintf(format, args...))
}

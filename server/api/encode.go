package api

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/helper/wrapping"
	"github.com/hashicorp/vault/sdk/logical"
)

// writeResponse answers with what the core said; nothing said is 204.
func writeResponse(w http.ResponseWriter, req *logical.Request, resp *logical.Response) {
	if resp == nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	if status, ok := resp.Data[logical.HTTPStatusCode].(int); ok {
		writeRaw(w, status, resp.Data)
		return
	}
	if req.Operation == logical.HelpOperation {
		writeJSON(w, http.StatusOK, resp.Data)
		return
	}
	envelope := logical.LogicalResponseToHTTPResponse(resp)
	envelope.RequestID = req.ID
	envelope.WrapInfo = wrapAnswer(resp.WrapInfo)
	if readBare(req.Path) && envelope.WrapInfo == nil {
		writeJSON(w, http.StatusOK, logical.HTTPSysInjector{Response: envelope})
		return
	}
	writeJSON(w, http.StatusOK, envelope)
}

// wrapAnswer tells where a wrapped answer is, nil if it is not wrapped.
func wrapAnswer(info *wrapping.ResponseWrapInfo) *logical.HTTPWrapInfo {
	if info == nil {
		return nil
	}
	return &logical.HTTPWrapInfo{
		Token:           info.Token,
		Accessor:        info.Accessor,
		TTL:             int(info.TTL.Seconds()),
		CreationTime:    info.CreationTime.UTC().Format(time.RFC3339Nano),
		CreationPath:    info.CreationPath,
		WrappedAccessor: info.WrappedAccessor,
	}
}

// readBare reports whether older clients read the answer of a path without its
// envelope; it then carries the data twice.
func readBare(path string) bool {
	for _, family := range []string{"sys/mounts", "sys/auth", "sys/policy", "sys/capabilities", "sys/key-status"} {
		if strings.HasPrefix(path, family) {
			return true
		}
	}
	return false
}

// writeRaw answers with the status, type and body that an engine chose.
func writeRaw(w http.ResponseWriter, status int, data map[string]any) {
	if kind, ok := data[logical.HTTPContentType].(string); ok {
		w.Header().Set("Content-Type", kind)
	}
	w.WriteHeader(status)
	switch body := data[logical.HTTPRawBody].(type) {
	case string:
		_, _ = w.Write([]byte(body)) // a client that has gone cannot be told
	case []byte:
		_, _ = w.Write(body)
	}
}

// writeJSON answers with body. It is encoded first, so that a body that cannot
// be is an error and not half an answer.
func writeJSON(w http.ResponseWriter, status int, body any) {
	encoded, err := json.Marshal(body)
	if err != nil {
		status, encoded = http.StatusInternalServerError, []byte(`{"errors":["the answer cannot be encoded as JSON"]}`)
	}
	encoded = append(encoded, '\n')
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(encoded))) // else long answers come in chunks
	w.WriteHeader(status)
	_, _ = w.Write(encoded) // a client that has gone cannot be told
}

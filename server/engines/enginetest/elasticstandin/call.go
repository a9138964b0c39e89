package elasticstandin

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
)

// call is one request whose sender is known. The server's mutex is held.
type call struct {
	server *Server
	w      http.ResponseWriter
	r      *http.Request
	who    account
}

func (c *call) refuse(status int, kind, reason string) { c.server.refuse(c.w, status, kind, reason) }

func (c *call) answer(body any) { write(c.w, http.StatusOK, body) }

func (c *call) about() {
	version := map[string]any{"number": "8.17.0", "build_flavor": "default"}
	if c.server.settings.OpenSearch {
		version = map[string]any{"number": "2.18.0", "distribution": "opensearch"}
	}
	c.answer(map[string]any{"name": "stand-in", "cluster_name": "stand-in", "version": version})
}

// body decodes the request's body into target and refuses unknown fields. It
// answers itself when it returns false.
func (c *call) body(target any) bool {
	if !strings.HasPrefix(c.r.Header.Get("Content-Type"), "application/json") {
		c.refuse(http.StatusNotAcceptable, "media_type_header_exception", "Content-Type header is not supported")
		return false
	}
	decoder := json.NewDecoder(c.r.Body)
	decoder.DisallowUnknownFields()
	err := decoder.Decode(target)
	if err == nil {
		_, err = decoder.Token()
	}
	if err != io.EOF {
		c.refuse(http.StatusBadRequest, "x_content_parse_exception", "failed to parse the body")
		return false
	}
	return true
}

// may answers with a refusal, and false, unless the sender has the privilege on
// the cluster.
func (c *call) may(privilege string) bool {
	if c.who.mayCluster(privilege) {
		return true
	}
	c.refuse(http.StatusForbidden, "security_exception",
		"action [cluster:admin/xpack/security] is unauthorized for user ["+c.who.name+"], this action is granted by the cluster privileges ["+privilege+",all]")
	return false
}

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

const openSearchTagline = "The OpenSearch Project: https://opensearch.org/"

// about tells what the server is to those who may monitor it.
func (c *call) about() {
	if !c.who.mayCluster("monitor") {
		reason := "action [cluster:monitor/main] is unauthorized for user [" + c.who.name + "], this action is granted by the cluster privileges [monitor,manage,all]"
		if c.server.settings.OpenSearch {
			reason = "no permissions for [cluster:monitor/main] and User [name=" + c.who.name + ", backend_roles=[], requestedTenant=null]"
		}
		c.refuse(http.StatusForbidden, "security_exception", reason)
		return
	}
	version, tagline := map[string]any{"number": "8.17.0", "build_flavor": "default"}, "You Know, for Search"
	switch {
	case c.server.settings.Compatible:
		version, tagline = map[string]any{"number": "7.10.2"}, openSearchTagline
	case c.server.settings.OpenSearch:
		version, tagline = map[string]any{"number": "2.18.0", "distribution": "opensearch"}, openSearchTagline
	}
	c.answer(map[string]any{"name": "stand-in", "cluster_name": "stand-in", "version": version, "tagline": tagline})
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

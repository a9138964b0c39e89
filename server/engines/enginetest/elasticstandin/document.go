package elasticstandin

import (
	"encoding/json"
	"net/http"
	"strings"
)

// document answers what apps ask: GET /INDEX/_search and POST /INDEX/_doc. It
// returns false for any other request.
func (c *call) document() bool {
	index, verb, _ := strings.Cut(strings.Trim(c.r.URL.Path, "/"), "/")
	if strings.HasPrefix(index, "_") {
		return false
	}
	switch c.r.Method + " " + verb {
	case "GET _search":
		if c.mayUse(index, "read") {
			c.search(index)
		}
	case "POST _doc":
		if c.mayUse(index, "write") {
			c.index(index)
		}
	default:
		return false
	}
	return true
}

func (c *call) mayUse(index, privilege string) bool {
	if c.who.mayIndex(index, privilege) {
		return true
	}
	c.refuse(http.StatusForbidden, "security_exception",
		"action [indices:data] is unauthorized for user ["+c.who.name+"] on indices ["+index+"], this action is granted by the index privileges ["+privilege+",all]")
	return false
}

func (c *call) search(index string) {
	found, ok := c.server.documents[index]
	if !ok {
		c.refuse(http.StatusNotFound, "index_not_found_exception", "no such index ["+index+"]")
		return
	}
	hits := make([]any, len(found))
	for i, document := range found {
		hits[i] = map[string]any{"_index": index, "_source": document}
	}
	c.answer(map[string]any{"hits": map[string]any{"total": map[string]any{"value": len(hits), "relation": "eq"}, "hits": hits}})
}

func (c *call) index(index string) {
	var document json.RawMessage
	if c.body(&document) {
		c.server.documents[index] = append(c.server.documents[index], document)
		write(c.w, http.StatusCreated, map[string]any{"_index": index, "result": "created"})
	}
}

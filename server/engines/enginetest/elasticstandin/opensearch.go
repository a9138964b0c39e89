package elasticstandin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"
)

// openSearchSecurity answers the access control API of OpenSearch. It returns
// false for any other request.
func (c *call) openSearchSecurity() bool {
	if c.r.URL.Path == "/_plugins/_security/authinfo" && c.r.Method == http.MethodGet {
		c.answer(map[string]any{"user_name": c.who.name, "user_requested_tenant": nil, "backend_roles": []string{}})
		return true
	}
	rest, ok := strings.CutPrefix(c.r.URL.Path, "/_plugins/_security/api/")
	if !ok {
		return false
	}
	kind, name, _ := strings.Cut(rest, "/")
	paths := map[string]func(name string){
		"internalusers GET":    c.getInternalUser,
		"internalusers PUT":    c.putInternalUser,
		"internalusers PATCH":  c.patchInternalUser,
		"internalusers DELETE": c.deleteInternalUser,
		"roles PUT":            c.putOpenSearchRole,
		"roles DELETE":         c.deleteOpenSearchRole,
	}
	answer, ok := paths[kind+" "+c.r.Method]
	if ok && !c.who.mayCluster("all") {
		c.say(http.StatusForbidden, "FORBIDDEN", "No permission to access REST API: User "+c.who.name+" is not admin")
		return true
	}
	if ok && (c.r.Method == http.MethodGet || c.undisturbed(kind)) {
		answer(name)
	}
	return ok
}

// writing is how long it takes to write the document in which all users, or all
// roles, are.
const writing = 2 * time.Millisecond

// undisturbed answers with a refusal, and false, if another request has changed the
// document of that kind while this one was writing it. Meanwhile the server answers
// others.
func (c *call) undisturbed(kind string) bool {
	s := c.server
	read := s.changes[kind]
	s.mu.Unlock()
	time.Sleep(writing)
	s.mu.Lock()
	if found := s.changes[kind]; found != read {
		c.say(http.StatusConflict, "CONFLICT", fmt.Sprintf(
			"[%s]: version conflict, required seqNo [%d], primary term [1]. current document has seqNo [%d] and primary term [1]", kind, read, found))
		return false
	}
	s.changes[kind]++
	return true
}

// say answers in the shape of the security plugin.
func (c *call) say(status int, word, message string) {
	write(c.w, status, map[string]any{"status": word, "message": message})
}

func (c *call) getInternalUser(name string) {
	shown := map[string]any{}
	for known, u := range c.server.users {
		if name == "" || name == known {
			shown[known] = map[string]any{"hash": "", "reserved": false, "opendistro_security_roles": u.roles}
		}
	}
	if name != "" && len(shown) == 0 {
		c.say(http.StatusNotFound, "NOT_FOUND", "Resource '"+name+"' not found.")
		return
	}
	c.answer(shown)
}

func (c *call) putInternalUser(name string) {
	var body struct {
		Password     string            `json:"password"`
		Roles        []string          `json:"opendistro_security_roles"`
		BackendRoles []string          `json:"backend_roles"`
		Attributes   map[string]string `json:"attributes"`
		Description  string            `json:"description"`
	}
	if !c.body(&body) || !c.strong(body.Password) {
		return
	}
	if strings.Contains(name, ":") {
		c.say(http.StatusBadRequest, "BAD_REQUEST", "A restricted character(s) was detected in the account name. Please remove: ':'")
		return
	}
	before := c.server.users[name]
	c.server.users[name] = &user{password: body.Password, roles: body.Roles, enabled: true}
	if before != nil {
		c.say(http.StatusOK, "OK", "'"+name+"' updated.")
		return
	}
	c.say(http.StatusCreated, "CREATED", "'"+name+"' created.")
}

// strong refuses passwords as the validation of OpenSearch's demo configuration
// does, but for special characters.
func (c *call) strong(password string) bool {
	if len(password) >= 8 && slices.ContainsFunc([]rune(password), unicode.IsDigit) && slices.ContainsFunc([]rune(password), unicode.IsUpper) {
		return true
	}
	write(c.w, http.StatusBadRequest, map[string]any{"status": "error", "reason": "Weak password"})
	return false
}

// patchInternalUser knows the changes that give another password and other roles.
func (c *call) patchInternalUser(name string) {
	var body []struct {
		Op    string          `json:"op"`
		Path  string          `json:"path"`
		Value json.RawMessage `json:"value"`
	}
	if !c.body(&body) {
		return
	}
	found := c.server.users[name]
	switch {
	case found == nil:
		c.say(http.StatusNotFound, "NOT_FOUND", "Resource '"+name+"' not found.")
	case len(body) == 1 && body[0].Op == "add" && body[0].Path == "/opendistro_security_roles" && json.Unmarshal(body[0].Value, &found.roles) == nil:
		c.say(http.StatusOK, "OK", "'"+name+"' updated.")
	case len(body) == 1 && body[0].Op == "add" && body[0].Path == "/password":
		var password string
		if json.Unmarshal(body[0].Value, &password) == nil && c.strong(password) {
			found.password = password
			c.say(http.StatusOK, "OK", "'"+name+"' updated.")
		}
	default:
		write(c.w, http.StatusBadRequest, map[string]any{"status": "error", "reason": "Invalid configuration"})
	}
}

func (c *call) deleteInternalUser(name string) {
	if c.server.users[name] == nil {
		c.say(http.StatusNotFound, "NOT_FOUND", "Resource '"+name+"' not found.")
		return
	}
	delete(c.server.users, name)
	c.say(http.StatusOK, "OK", "'"+name+"' deleted.")
}

func (c *call) putOpenSearchRole(name string) {
	var body struct {
		ClusterPermissions []string `json:"cluster_permissions"`
		IndexPermissions   []struct {
			Patterns []string `json:"index_patterns"`
			Actions  []string `json:"allowed_actions"`
		} `json:"index_permissions"`
		TenantPermissions []any  `json:"tenant_permissions"`
		Description       string `json:"description"`
	}
	if !c.body(&body) {
		return
	}
	made := role{cluster: body.ClusterPermissions}
	for _, index := range body.IndexPermissions {
		made.indices = append(made.indices, grant{index.Patterns, index.Actions}) // action groups: read, write
	}
	c.server.roles[name] = made
	c.say(http.StatusCreated, "CREATED", "'"+name+"' created.")
}

func (c *call) deleteOpenSearchRole(name string) {
	if _, ok := c.server.roles[name]; !ok {
		c.say(http.StatusNotFound, "NOT_FOUND", "Resource '"+name+"' not found.")
		return
	}
	delete(c.server.roles, name)
	c.say(http.StatusOK, "OK", "'"+name+"' deleted.")
}

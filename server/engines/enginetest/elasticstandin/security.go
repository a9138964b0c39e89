package elasticstandin

import (
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"time"
)

const shortestPassword = 6 // characters

// security answers the security APIs of Elasticsearch. It returns false for any
// other request.
func (c *call) security() bool {
	rest, ok := strings.CutPrefix(c.r.URL.Path, "/_security/")
	if !ok {
		return false
	}
	kind, name, _ := strings.Cut(rest, "/")
	name, verb, _ := strings.Cut(name, "/")
	method := c.r.Method
	if method == http.MethodPost {
		method = http.MethodPut // the same everywhere here
	}
	paths := map[string]func(name string){
		"_authenticate  GET": c.authenticated,
		"user  GET":          c.getUser,
		"user  PUT":          c.putUser,
		"user  DELETE":       c.deleteUser,
		"user _disable PUT":  func(name string) { c.setEnabled(name, false) },
		"user _enable PUT":   func(name string) { c.setEnabled(name, true) },
		"user _password PUT": c.setPassword,
		"role  PUT":          c.putRole,
		"role  DELETE":       c.deleteRole,
		"api_key  PUT":       c.createKey,
		"api_key  GET":       c.findKeys,
		"api_key  DELETE":    c.endKeys,
		"oauth2  PUT":        c.createToken,
		"oauth2  DELETE":     c.endTokens,
	}
	answer, ok := paths[kind+" "+verb+" "+method]
	if ok {
		answer(name)
	}
	return ok
}

func (c *call) missing() { write(c.w, http.StatusNotFound, map[string]any{"found": false}) }

// invalid refuses to change a user that does not exist: not with status 404.
func (c *call) invalid(reason string) {
	c.refuse(http.StatusBadRequest, "validation_exception", "Validation Failed: 1: "+reason+";")
}

// unacceptable refuses a request that the server does not even begin with.
func (c *call) unacceptable(reason string) {
	c.refuse(http.StatusBadRequest, "action_request_validation_exception", "Validation Failed: 1: "+reason+";")
}

// licensed answers with a refusal, and false, unless there may be bearer tokens.
func (c *call) licensed() bool {
	if !c.server.settings.Paid {
		c.refuse(http.StatusForbidden, "security_exception", "current license is non-compliant for [security tokens]")
	}
	return c.server.settings.Paid
}

// authenticated tells who asks.
func (c *call) authenticated(string) {
	c.answer(map[string]any{"username": c.who.name, "enabled": true, "metadata": map[string]any{}, "authentication_type": "realm"})
}

// getUser shows a user, or all.
func (c *call) getUser(name string) {
	if !c.may("manage_security") {
		return
	}
	shown := map[string]any{}
	for known, u := range c.server.users {
		if name == "" || name == known {
			shown[known] = map[string]any{"username": known, "roles": u.roles, "enabled": u.enabled}
		}
	}
	if name != "" && len(shown) == 0 {
		write(c.w, http.StatusNotFound, shown)
		return
	}
	c.answer(shown)
}

func (c *call) putUser(name string) {
	var body struct {
		Password string   `json:"password"`
		Roles    []string `json:"roles"`
		FullName string   `json:"full_name"`
		Email    string   `json:"email"`
		Metadata any      `json:"metadata"`
		Enabled  *bool    `json:"enabled"`
	}
	if !c.may("manage_security") || !c.body(&body) {
		return
	}
	before := c.server.users[name]
	switch {
	case name == "" || before == nil && len(body.Password) < shortestPassword:
		c.unacceptable("password must be specified unless you are updating an existing user")
		return
	case body.Roles == nil:
		c.unacceptable("roles are missing")
		return
	}
	if body.Password == "" {
		body.Password = before.password
	}
	c.server.users[name] = &user{password: body.Password, roles: body.Roles, enabled: body.Enabled == nil || *body.Enabled}
	c.answer(map[string]any{"created": before == nil})
}

func (c *call) deleteUser(name string) {
	switch {
	case !c.may("manage_security"):
	case c.server.users[name] == nil:
		c.missing()
	default:
		delete(c.server.users, name)
		c.answer(map[string]any{"found": true})
	}
}

func (c *call) setEnabled(name string, enabled bool) {
	switch found := c.server.users[name]; {
	case !c.may("manage_security"):
	case found == nil:
		c.invalid("only existing users can be " + map[bool]string{true: "enabled", false: "disabled"}[enabled])
	default:
		found.enabled = enabled
		c.answer(map[string]any{})
	}
}

// setPassword is for administrators, and for every user's own.
func (c *call) setPassword(name string) {
	var body struct {
		Password string `json:"password"`
	}
	if name != c.who.name && !c.may("manage_security") || !c.body(&body) {
		return
	}
	found := c.server.users[name]
	switch {
	case found == nil:
		c.invalid("user must exist in order to change password")
	case len(body.Password) < shortestPassword:
		c.unacceptable("passwords must be at least [6] characters long")
	default:
		found.password = body.Password
		c.answer(map[string]any{})
	}
}

func (c *call) putRole(name string) {
	var body descriptor
	if !c.may("manage_security") || !c.body(&body) {
		return
	}
	made, wrong := body.role()
	if wrong != "" {
		c.unacceptable(wrong)
		return
	}
	_, before := c.server.roles[name]
	c.server.roles[name] = made
	c.answer(map[string]any{"role": map[string]any{"created": !before}})
}

func (c *call) deleteRole(name string) {
	_, found := c.server.roles[name]
	switch {
	case !c.may("manage_security"):
	case !found:
		c.missing()
	default:
		delete(c.server.roles, name)
		c.answer(map[string]any{"found": true})
	}
}

func (c *call) createKey(name string) {
	var body struct {
		Name        string                `json:"name"`
		Expiration  string                `json:"expiration"`
		Descriptors map[string]descriptor `json:"role_descriptors"`
		Metadata    map[string]any        `json:"metadata"`
	}
	if name != "" || !c.who.mayCluster("manage_own_api_key") && !c.may("manage_api_key") || !c.body(&body) {
		return
	}
	made := &key{name: body.Name, secret: rand.Text(), owner: c.who.name, descriptors: c.who.roles, limit: c.who.roles}
	if len(body.Descriptors) > 0 {
		made.descriptors = nil
	}
	for _, d := range body.Descriptors {
		r, wrong := d.role()
		if wrong != "" {
			c.unacceptable(wrong)
			return
		}
		made.descriptors = append(made.descriptors, r)
	}
	answer := map[string]any{"name": body.Name, "api_key": made.secret}
	if body.Expiration != "" {
		life, err := time.ParseDuration(body.Expiration) // of its units, d is not known here
		if err != nil || life <= 0 {
			c.refuse(http.StatusBadRequest, "illegal_argument_exception", "failed to parse setting [expiration]")
			return
		}
		made.expires = time.Now().Add(life)
		answer["expiration"] = made.expires.UnixMilli()
	}
	id := rand.Text()
	c.server.keys[id] = made
	answer["id"], answer["encoded"] = id, base64.StdEncoding.EncodeToString([]byte(id+":"+made.secret))
	c.answer(answer)
}

// findKeys shows the keys of a name, or all.
func (c *call) findKeys(string) {
	if !c.may("manage_api_key") {
		return
	}
	shown, name := []any{}, c.r.URL.Query().Get("name")
	for id, k := range c.server.keys {
		if name == "" || name == k.name {
			shown = append(shown, map[string]any{"id": id, "name": k.name, "invalidated": k.invalidated, "username": k.owner})
		}
	}
	c.answer(map[string]any{"api_keys": shown})
}

// endKeys invalidates keys by their name, or all of a user.
func (c *call) endKeys(string) {
	var body struct {
		Name     string `json:"name"`
		Username string `json:"username"`
	}
	if !c.may("manage_api_key") || !c.body(&body) {
		return
	}
	if (body.Name == "") == (body.Username == "") {
		c.unacceptable("One of [api key id(s), api key name, username, realm name] must be specified")
		return
	}
	ended := []string{}
	for id, k := range c.server.keys {
		if !k.invalidated && (body.Name != "" && k.name == body.Name || body.Username != "" && k.owner == body.Username) {
			k.invalidated = true
			ended = append(ended, id)
		}
	}
	slices.Sort(ended)
	c.answer(map[string]any{"invalidated_api_keys": ended, "previously_invalidated_api_keys": []string{}, "error_count": 0})
}

// createToken gives the sender a bearer token.
func (c *call) createToken(name string) {
	var body struct {
		GrantType string `json:"grant_type"`
	}
	if name != "token" || !c.licensed() || !c.body(&body) {
		return
	}
	if body.GrantType != "client_credentials" {
		c.refuse(http.StatusBadRequest, "unsupported_grant_type", "the stand-in knows client_credentials alone")
		return
	}
	token := rand.Text()
	c.server.tokens[token] = c.who.name
	c.answer(map[string]any{"access_token": token, "type": "Bearer", "expires_in": 1200})
}

// endTokens invalidates the bearer tokens of a user.
func (c *call) endTokens(name string) {
	var body struct {
		Username string `json:"username"`
	}
	if name != "token" || !c.licensed() || !c.may("manage_token") || !c.body(&body) {
		return
	}
	ended := 0
	for token, owner := range c.server.tokens {
		if owner == body.Username {
			delete(c.server.tokens, token)
			ended++
		}
	}
	status := http.StatusOK
	if ended == 0 {
		status = http.StatusNotFound
	}
	write(c.w, status, map[string]any{"invalidated_tokens": ended, "previously_invalidated_tokens": 0, "error_count": 0})
}

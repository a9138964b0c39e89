package elasticstandin

import (
	"encoding/base64"
	"net/http"
	"strings"
	"time"
)

// user is a native user.
type user struct {
	password string
	roles    []string // names
	enabled  bool
}

// key is an API key.
type key struct {
	name, secret string
	owner        string // who made it
	descriptors  []role
	limit        []role // what its owner could do when it was made
	expires      time.Time
	invalidated  bool
}

// account is who sends a request: everything that any of its roles grants, but
// for a key nothing that its owner had not.
type account struct {
	name  string
	roles []role
	limit []role // nil: none
}

func (a account) mayCluster(privilege string) bool {
	return grantsCluster(a.roles, privilege) && (a.limit == nil || grantsCluster(a.limit, privilege))
}

func (a account) mayIndex(index, privilege string) bool {
	return grantsIndex(a.roles, index, privilege) && (a.limit == nil || grantsIndex(a.limit, index, privilege))
}

// authenticate finds out who sends a request; the mutex is held.
func (s *Server) authenticate(r *http.Request) (account, bool) {
	scheme, credential, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	switch {
	case strings.EqualFold(scheme, "Basic"):
		name, password, ok := r.BasicAuth()
		found := s.users[name]
		if !ok || found == nil || !found.enabled || found.password != password {
			return account{}, false
		}
		return s.account(name), true
	case s.settings.OpenSearch:
		return account{}, false
	case strings.EqualFold(scheme, "Bearer"):
		name, ok := s.tokens[credential]
		if !ok || s.users[name] == nil || !s.users[name].enabled {
			return account{}, false
		}
		return s.account(name), true
	case strings.EqualFold(scheme, "ApiKey"):
		return s.byKey(credential)
	}
	return account{}, false
}

func (s *Server) byKey(credential string) (account, bool) {
	decoded, err := base64.StdEncoding.DecodeString(credential)
	if err != nil {
		return account{}, false
	}
	id, secret, _ := strings.Cut(string(decoded), ":")
	found := s.keys[id]
	if found == nil || found.secret != secret || found.invalidated || !found.expires.IsZero() && time.Now().After(found.expires) {
		return account{}, false
	}
	return account{name: found.owner, roles: found.descriptors, limit: found.limit}, true
}

// account returns what a user may do now; roles that do not exist grant nothing.
func (s *Server) account(name string) account {
	who := account{name: name}
	for _, named := range s.users[name].roles {
		if r, ok := s.roles[named]; ok {
			who.roles = append(who.roles, r)
		}
	}
	return who
}

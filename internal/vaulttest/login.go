package vaulttest

import (
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Method is an auth method that gives a token to whoever passes its check.
type Method struct {
	Check func(body map[string]any) error // nil for no check; its error is told to the client
	Token Token                           // that a login returns; its ID is made up
	Batch bool                            // the token is a batch token
}

// LoginCall is one login, whether it was refused or not.
type LoginCall struct {
	At        time.Time
	Path      string // "auth/kubernetes/login"
	Namespace string
	Body      map[string]any
}

// wrapping is an answer that was not given but put aside.
type wrapping struct {
	answer       answer
	creationPath string
	ends         time.Time
}

// Method makes a login path, such as "auth/kubernetes/login".
func (s *Server) Method(path string, m Method) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.methods[path] = m
}

// Logins returns every login so far, oldest first.
func (s *Server) Logins() []LoginCall {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]LoginCall(nil), s.logins...)
}

// Wrap puts data aside, as if the answer to a request of creationPath had
// been asked for wrapped, and returns the wrapping token.
func (s *Server) Wrap(creationPath string, ttl time.Duration, data map[string]any) (token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.putAside(creationPath, ttl, found(data))
}

func (s *Server) putAside(creationPath string, ttl time.Duration, a answer) (token string) {
	s.serial++
	token = fmt.Sprintf("hvs.wrapping-%d", s.serial)
	s.wrapped[token] = wrapping{answer: a, creationPath: creationPath, ends: time.Now().Add(ttl)}
	return token
}

func (s *Server) loginBy(m Method, r request) answer {
	if m.Check != nil {
		if err := m.Check(r.body); err != nil {
			return refuse(http.StatusBadRequest, err.Error())
		}
	}
	t := m.Token
	t.ID, t.orphan = "", true
	if m.Batch {
		t.ID, t.NonRenewable = fmt.Sprintf("hvb.token-%d", s.serial+1), true
	}
	return granted(s.newToken(t))
}

// wrap puts an answer aside if the request asks for that.
func (s *Server) wrap(r request, a answer) answer {
	if r.wrapTTL == 0 || a.status != http.StatusOK {
		return a
	}
	accessor := ""
	if body, ok := a.body.(map[string]any); ok {
		if auth, ok := body["auth"].(map[string]any); ok {
			accessor, _ = auth["accessor"].(string)
		}
	}
	return answer{status: http.StatusOK, body: envelope(map[string]any{"wrap_info": map[string]any{
		"token": s.putAside(r.path, r.wrapTTL, a), "accessor": "wrapping", "ttl": seconds(r.wrapTTL), "creation_time": time.Now(),
		"creation_path": r.path, "wrapped_accessor": accessor,
	}})}
}

// unwrapping answers what the holder of a wrapping token asks, which is good
// for one look.
func (s *Server) unwrapping(r request) (out answer, ok bool) {
	action, ok := strings.CutPrefix(r.path, "sys/wrapping/")
	if !ok || (action != "lookup" && action != "unwrap") {
		return answer{}, false
	}
	token, _ := r.body["token"].(string)
	if token == "" {
		token = r.token
	}
	w, known := s.wrapped[token]
	switch {
	case !known || !time.Now().Before(w.ends):
		return refuse(http.StatusBadRequest, "wrapping token is not valid or does not exist"), true
	case action == "lookup":
		return found(map[string]any{"creation_path": w.creationPath, "creation_ttl": seconds(time.Until(w.ends)), "creation_time": time.Now()}), true
	}
	delete(s.wrapped, token)
	return w.answer, true
}

package vaulttest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

type request struct {
	op     Op
	method string
	path   string // "database/creds/app"
	target string // what faults and permissions go by: the lease id, or path
	token  string
	body   map[string]any

	namespace string
	wrapTTL   time.Duration // that the answer is to be wrapped for; 0 for not
}

type answer struct {
	status int
	body   any    // nil for an empty answer
	lease  string // that it is about
}

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	req, err := decode(r)
	if err != nil {
		refuse(http.StatusBadRequest, err.Error()).write(w)
		return
	}
	event, fault := s.arrive(req)
	out, delivered := s.respond(r.Context(), req, fault)
	s.leave(event, out, delivered)
	if !delivered {
		panic(http.ErrAbortHandler)
	}
	out.write(w)
}

func decode(r *http.Request) (request, error) {
	req := request{method: r.Method, path: strings.Trim(strings.TrimPrefix(r.URL.Path, "/v1/"), "/"), body: map[string]any{}}
	req.token, req.namespace = r.Header.Get("X-Vault-Token"), r.Header.Get("X-Vault-Namespace")
	if seconds, err := strconv.Atoi(r.Header.Get("X-Vault-Wrap-TTL")); err == nil {
		req.wrapTTL = time.Duration(seconds) * time.Second
	}
	if bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok && req.token == "" {
		req.token = bearer
	}
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return req, fmt.Errorf("reading the request: %w", err)
	}
	if len(text) > 0 {
		if err := json.Unmarshal(text, &req.body); err != nil {
			return req, fmt.Errorf("failed to parse JSON input: %w", err)
		}
	}
	list := r.Method == "LIST" || slices.Contains([]string{"true", "True", "1"}, r.URL.Query().Get("list"))
	req.op, req.target = classify(r.Method, req.path, list), req.path
	if id, ok := req.body["lease_id"].(string); ok {
		req.target = id
	}
	return req, nil
}

func classify(method, path string, list bool) Op {
	exact := map[string]Op{
		"sys/leases/renew": Renew, "sys/leases/revoke": Revoke, "sys/leases/lookup": LookupLease,
		"auth/token/lookup-self": LookupSelf, "auth/token/renew-self": RenewSelf, "auth/token/revoke-self": RevokeSelf,
	}
	op, known := exact[path]
	switch {
	case known:
		return op
	case strings.HasPrefix(path, "sys/leases/revoke-prefix/"), strings.HasPrefix(path, "sys/leases/revoke-force/"):
		return RevokePrefix
	case strings.HasPrefix(path, "sys/internal/ui/mounts/"):
		return Probe
	case strings.HasPrefix(path, "auth/") && strings.Contains(path+"/", "/login/"):
		return Login
	case strings.HasPrefix(path, "sys/"):
		return System
	case list:
		return List
	case method == http.MethodDelete:
		return Delete
	case method == http.MethodGet:
		return Read
	default:
		return Write
	}
}

// arrive notes a request and returns its number and its fault.
func (s *Server) arrive(r request) (event int, fault *Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inFlight++
	s.peak = max(s.peak, s.inFlight)
	s.history = append(s.history, Event{At: time.Now(), Op: r.op, Path: r.path, Token: r.token})
	return len(s.history) - 1, s.takeFault(r)
}

func (s *Server) leave(event int, out answer, delivered bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inFlight--
	s.history[event].Lease = out.lease
	if delivered {
		s.history[event].Status = out.status
	}
}

// respond returns the answer to a request, and whether it reaches the client.
func (s *Server) respond(ctx context.Context, r request, f *Fault) (out answer, delivered bool) {
	if f == nil {
		f = &Fault{}
	}
	if !f.hold(ctx) {
		return answer{}, false
	}
	if f.Status != 0 {
		return refuse(f.Status, f.Messages...), true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.perform(r).of(s.mountType(r.path)), !f.DropAfter
}

func (s *Server) perform(r request) answer {
	if r.op == Login {
		return s.wrap(r, s.login(r))
	}
	if out, ok := s.unwrapping(r); ok {
		return out
	}
	if out, ok := s.status(r); ok {
		return out
	}
	t, ok := s.tokens[r.token]
	switch {
	case !ok || !t.alive(time.Now()):
		if s.wordy {
			return refuse(http.StatusForbidden, "2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n")
		}
		return denied()
	case s.allow != nil && !s.allow(r.token, r.op, r.target):
		return denied()
	}
	switch r.op {
	case Renew:
		return s.renew(r)
	case Revoke:
		return s.revokeLease(r)
	case RevokePrefix:
		return s.revokePrefix(r)
	case LookupLease:
		return s.lookupLease(r)
	case LookupSelf:
		return lookupSelf(t)
	case RenewSelf:
		return renewSelf(t, r)
	case RevokeSelf:
		s.endToken(r.token)
		return answer{status: http.StatusNoContent}
	case Probe:
		return s.probe(r)
	case System:
		if r.path == "sys/wrapping/wrap" && r.wrapTTL > 0 {
			return s.wrap(r, found(r.body))
		}
		return s.system(r)
	}
	if s.mountType(r.path) == "" {
		return refuse(http.StatusNotFound, fmt.Sprintf("no handler for route %q: no engine is mounted there; see secrets list", r.path))
	}
	switch r.op {
	case List:
		return s.list(r)
	case Delete:
		delete(s.static, r.path)
		return answer{status: http.StatusNoContent}
	default:
		return s.readOrWrite(r)
	}
}

func (s *Server) revokePrefix(r request) answer {
	prefix := strings.SplitN(r.path, "/", 4)[3] + "/"
	for _, l := range s.leases {
		if strings.HasPrefix(l.ID, prefix) {
			s.revoke(l)
		}
	}
	return answer{status: http.StatusNoContent}
}

func (s *Server) login(r request) answer {
	s.logins = append(s.logins, LoginCall{At: time.Now(), Path: r.path, Namespace: r.namespace, Body: r.body})
	if m, ok := s.methods[r.path]; ok {
		return s.loginBy(m, r)
	}
	id, _ := r.body["role_id"].(string)
	secret, _ := r.body["secret_id"].(string)
	role, ok := s.appRoles[id]
	if !ok || r.path != role.Mount+"/login" || secret != role.SecretID || (role.SecretIDUses > 0 && role.logins >= role.SecretIDUses) {
		return refuse(http.StatusBadRequest, "invalid role or secret ID")
	}
	role.logins++
	t := s.newToken(Token{
		TTL: role.TokenTTL, MaxTTL: role.TokenMaxTTL, NonRenewable: role.NonRenewable, Policies: role.Policies,
		orphan: true, metadata: map[string]string{"role_name": role.Name},
	})
	return granted(t)
}

func (s *Server) renew(r request) answer {
	l, ok := s.byID[r.target]
	if !ok || !s.live(l) {
		return refuse(http.StatusBadRequest, "lease not found")
	}
	if !l.Renewable {
		return refuse(http.StatusBadRequest, "lease is not renewable")
	}
	l.Expires = clamp(l.Issued, time.Now(), increment(r, l.role.TTL), l.role.MaxTTL)
	return answer{status: http.StatusOK, lease: l.ID, body: envelope(map[string]any{
		"lease_id": l.ID, "renewable": true, "lease_duration": seconds(time.Until(l.Expires)),
	})}
}

func (s *Server) revokeLease(r request) answer {
	if l, ok := s.byID[r.target]; ok {
		s.revoke(l)
	}
	if r.body["sync"] == false {
		return answer{status: http.StatusAccepted, lease: r.target}
	}
	return answer{status: http.StatusNoContent, lease: r.target}
}

// increment returns what a renewal asks for, or what it gets by default.
func increment(r request, byDefault time.Duration) time.Duration {
	var asked time.Duration
	switch v := r.body["increment"].(type) {
	case float64:
		asked = time.Duration(v) * time.Second
	case string:
		asked, _ = time.ParseDuration(v)
	}
	if asked <= 0 {
		return byDefault
	}
	return asked
}

func (s *Server) lookupLease(r request) answer {
	l, ok := s.byID[r.target]
	if !ok || !s.live(l) {
		return refuse(http.StatusBadRequest, "lease not found")
	}
	return found(map[string]any{
		"id": l.ID, "issue_time": l.Issued, "expire_time": l.Expires, "last_renewal": nil,
		"renewable": l.Renewable, "ttl": seconds(time.Until(l.Expires)),
	})
}

func lookupSelf(t *token) answer {
	data := map[string]any{
		"id": t.ID, "accessor": t.accessor, "policies": t.policies(), "path": "auth/token/create",
		"meta": t.metadata, "display_name": "token", "num_uses": 0, "orphan": t.orphan,
		"issue_time": t.issued, "creation_time": t.issued.Unix(),
		"creation_ttl": seconds(t.TTL), "expire_time": nil, "ttl": 0, "explicit_max_ttl": 0,
		"entity_id": "", "type": "service", "renewable": !t.NonRenewable && t.TTL > 0,
	}
	if !t.expires.IsZero() {
		data["expire_time"], data["ttl"] = t.expires, seconds(time.Until(t.expires))
	}
	return found(data)
}

func renewSelf(t *token, r request) answer {
	if t.NonRenewable || t.TTL == 0 {
		return refuse(http.StatusBadRequest, "lease is not renewable")
	}
	t.expires = clamp(t.issued, time.Now(), increment(r, t.TTL), t.MaxTTL)
	return granted(t)
}

func found(data map[string]any) answer {
	return answer{status: http.StatusOK, body: envelope(map[string]any{"data": data})}
}

func granted(t *token) answer {
	ttl := time.Duration(0)
	if !t.expires.IsZero() {
		ttl = time.Until(t.expires)
	}
	return answer{status: http.StatusOK, body: envelope(map[string]any{"auth": map[string]any{
		"client_token": t.ID, "accessor": t.accessor, "policies": t.policies(), "token_policies": t.policies(),
		"metadata": t.metadata, "lease_duration": seconds(ttl), "renewable": !t.NonRenewable && t.TTL > 0, "entity_id": "",
		"token_type": "service", "orphan": t.orphan, "mfa_requirement": nil, "num_uses": 0,
	}})}
}

func (t *token) policies() []string {
	policies := append([]string{"default"}, t.Policies...)
	slices.Sort(policies)
	return policies
}

func denied() answer { return refuse(http.StatusForbidden, "permission denied") }

func refuse(status int, messages ...string) answer {
	if messages == nil {
		messages = []string{}
	}
	return answer{status: status, body: map[string][]string{"errors": messages}}
}

// envelope returns the frame of every answer, with some fields filled in.
func envelope(fields map[string]any) map[string]any {
	frame := map[string]any{
		"request_id": "00000000-0000-0000-0000-000000000000", "lease_id": "", "renewable": false, "lease_duration": 0,
		"data": nil, "wrap_info": nil, "warnings": nil, "auth": nil, "mount_type": "",
	}
	maps.Copy(frame, fields)
	return frame
}

// of returns the answer of an engine of that type.
func (a answer) of(mountType string) answer {
	if body, ok := a.body.(map[string]any); ok && body["request_id"] != nil {
		body["mount_type"] = mountType
	}
	return a
}

func (a answer) write(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(a.status)
	if a.body != nil {
		// The client may have gone away; there is nobody left to tell.
		_ = json.NewEncoder(w).Encode(a.body)
	}
}

// seconds rounds up, so that a full TTL is never told as one second less.
func seconds(d time.Duration) int {
	return int((d + time.Second - 1) / time.Second)
}

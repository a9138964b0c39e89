package audit

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
)

// Record is one request, or one answer, as the core sees it.
type Record struct {
	Time     time.Time
	Auth     *Auth // nil where no token was needed, or none was good
	Request  *logical.Request
	Response *logical.Response // nil for a request, or an answer without content
	Answer   bool              // whether this is an answer
	Err      error             // why the request was refused or failed
}

// Auth is who sent a request.
type Auth struct {
	Accessor    string
	DisplayName string
	Policies    []string
	Metadata    map[string]string
	EntityID    string
	TokenType   string
	TTL         time.Duration
	IssueTime   time.Time
	Allowed     bool
}

// format turns records into the lines of one device.
type format struct {
	salt         []byte
	prefix       string
	raw          bool // secrets in the clear
	hashAccessor bool
	elideLists   bool // lists of names as their number
}

func newFormat(salt []byte, o *options) format {
	f := format{
		salt:         salt,
		prefix:       o.text("prefix", ""),
		raw:          o.flag("log_raw", false),
		hashAccessor: o.flag("hmac_accessor", true),
		elideLists:   o.flag("elide_list_responses", false),
	}
	if kind := o.text("format", "json"); kind != "json" {
		o.err = errors.Join(o.err, fmt.Errorf("option format: %q is not supported; use json", kind))
	}
	return f
}

// The shape of a line.
type (
	entry struct {
		Time     string         `json:"time"`
		Type     string         `json:"type"`
		Auth     *entryAuth     `json:"auth,omitempty"`
		Request  *entryRequest  `json:"request"`
		Response *entryResponse `json:"response,omitempty"`
		Error    string         `json:"error,omitempty"`
	}
	entryAuth struct {
		ClientToken    string            `json:"client_token,omitempty"`
		Accessor       string            `json:"accessor,omitempty"`
		DisplayName    string            `json:"display_name,omitempty"`
		Policies       []string          `json:"policies,omitempty"`
		TokenPolicies  []string          `json:"token_policies,omitempty"`
		Results        *results          `json:"policy_results,omitempty"`
		Metadata       map[string]string `json:"metadata,omitempty"`
		EntityID       string            `json:"entity_id,omitempty"`
		TokenType      string            `json:"token_type,omitempty"`
		TokenTTL       int64             `json:"token_ttl,omitempty"` // seconds
		TokenIssueTime string            `json:"token_issue_time,omitempty"`
		NumUses        int               `json:"num_uses,omitempty"`
	}
	results struct {
		Allowed bool `json:"allowed"`
	}
	entryRequest struct {
		ID                  string         `json:"id,omitempty"`
		Operation           string         `json:"operation"`
		MountPoint          string         `json:"mount_point,omitempty"`
		MountType           string         `json:"mount_type,omitempty"`
		MountAccessor       string         `json:"mount_accessor,omitempty"`
		ClientToken         string         `json:"client_token,omitempty"`
		ClientTokenAccessor string         `json:"client_token_accessor,omitempty"`
		Namespace           namespace      `json:"namespace"`
		Path                string         `json:"path"`
		Data                map[string]any `json:"data,omitempty"`
		RemoteAddress       string         `json:"remote_address,omitempty"`
		RemotePort          int            `json:"remote_port,omitempty"`
		WrapTTL             int64          `json:"wrap_ttl,omitempty"` // seconds
	}
	namespace struct {
		ID string `json:"id"`
	}
	entryResponse struct {
		Auth          *entryAuth     `json:"auth,omitempty"`
		MountPoint    string         `json:"mount_point,omitempty"`
		MountType     string         `json:"mount_type,omitempty"`
		MountAccessor string         `json:"mount_accessor,omitempty"`
		Secret        *entrySecret   `json:"secret,omitempty"`
		Data          map[string]any `json:"data,omitempty"`
		WrapInfo      *entryWrap     `json:"wrap_info,omitempty"`
		Warnings      []string       `json:"warnings,omitempty"`
	}
	entrySecret struct {
		LeaseID string `json:"lease_id"`
	}
	entryWrap struct {
		TTL             int64  `json:"ttl"` // seconds
		Token           string `json:"token"`
		Accessor        string `json:"accessor,omitempty"`
		CreationTime    string `json:"creation_time"`
		CreationPath    string `json:"creation_path,omitempty"`
		WrappedAccessor string `json:"wrapped_accessor,omitempty"`
	}
)

// line encodes a record.
func (f *format) line(r *Record) ([]byte, error) {
	e := entry{
		Time: r.Time.UTC().Format(time.RFC3339Nano), Type: "request",
		Auth: f.auth(r), Request: f.request(r),
	}
	if r.Answer {
		e.Type, e.Response = "response", f.response(r)
	}
	if r.Err != nil {
		e.Error = f.withoutValue(r.Err.Error())
	}
	encoded, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("encoding an audit record: %w", err)
	}
	return append(append([]byte(f.prefix), encoded...), '\n'), nil
}

// withoutValue leaves out of an error the value that a field could not take,
// which the decoder quotes at its end: it may be a password of the wrong type.
func (f *format) withoutValue(text string) string {
	if before, _, quoted := strings.Cut(text, ", value: '"); quoted && !f.raw {
		return before
	}
	return text
}

func (f *format) accessor(accessor string) string {
	if !f.hashAccessor {
		return accessor
	}
	return f.hide(accessor)
}

func (f *format) auth(r *Record) *entryAuth {
	a := r.Auth
	if a == nil {
		return nil
	}
	out := &entryAuth{
		ClientToken: f.hide(r.Request.ClientToken), Accessor: f.accessor(a.Accessor), DisplayName: a.DisplayName,
		Policies: a.Policies, TokenPolicies: a.Policies, Results: &results{a.Allowed}, Metadata: a.Metadata,
		EntityID: a.EntityID, TokenType: a.TokenType, TokenTTL: int64(a.TTL.Seconds()),
	}
	if !a.IssueTime.IsZero() {
		out.TokenIssueTime = a.IssueTime.UTC().Format(time.RFC3339)
	}
	return out
}

func (f *format) request(r *Record) *entryRequest {
	req := r.Request
	out := &entryRequest{
		ID: req.ID, Operation: string(req.Operation), Path: req.Path, Namespace: namespace{"root"},
		MountPoint: req.MountPoint, MountType: req.MountType, MountAccessor: req.MountAccessor,
		ClientToken: f.hide(req.ClientToken), Data: f.hideAll(req.Data),
	}
	if r.Auth != nil {
		out.ClientTokenAccessor = f.accessor(r.Auth.Accessor)
	}
	if c := req.Connection; c != nil {
		out.RemoteAddress, out.RemotePort = c.RemoteAddr, c.RemotePort
	}
	if w := req.WrapInfo; w != nil {
		out.WrapTTL = int64(w.TTL.Seconds())
	}
	return out
}

func (f *format) response(r *Record) *entryResponse {
	resp := r.Response
	out := &entryResponse{MountPoint: r.Request.MountPoint, MountType: r.Request.MountType, MountAccessor: r.Request.MountAccessor}
	if resp == nil {
		return out
	}
	out.Warnings = resp.Warnings
	data := resp.Data
	if f.elideLists && r.Request.Operation == logical.ListOperation {
		data = elided(data)
	}
	out.Data = f.hideAll(data)
	if resp.Secret != nil && resp.Secret.LeaseID != "" {
		out.Secret = &entrySecret{resp.Secret.LeaseID}
	}
	if a := resp.Auth; a != nil {
		out.Auth = &entryAuth{
			ClientToken: f.hide(a.ClientToken), Accessor: f.accessor(a.Accessor), DisplayName: a.DisplayName,
			Policies: a.Policies, TokenPolicies: a.TokenPolicies, Metadata: a.Metadata, EntityID: a.EntityID,
			TokenType: a.TokenType.String(), TokenTTL: int64(a.TTL.Seconds()), NumUses: a.NumUses,
		}
	}
	if w := resp.WrapInfo; w != nil {
		out.WrapInfo = &entryWrap{
			TTL: int64(w.TTL.Seconds()), Token: f.hide(w.Token), Accessor: f.accessor(w.Accessor),
			CreationTime: w.CreationTime.UTC().Format(time.RFC3339), CreationPath: w.CreationPath,
			WrappedAccessor: f.accessor(w.WrappedAccessor),
		}
	}
	return out
}

// elided returns the number of what a list holds in its place.
func elided(data map[string]any) map[string]any {
	short := make(map[string]any, len(data))
	for name, value := range data {
		switch v := value.(type) {
		case []string:
			short[name] = len(v)
		case []any:
			short[name] = len(v)
		case map[string]any:
			short[name] = len(v)
		default:
			short[name] = value
		}
	}
	return short
}

package config

import (
	"net/url"
	"slices"
)

// File is a whole configuration: one file, or several taken together. Every
// value has its default filled in; [Origin.Has] tells whether it was written.
type File struct {
	Origin
	ExitAfterAuth          bool     `hcl:"exit_after_auth"`
	PIDFile                string   `hcl:"pid_file"`
	LogLevel               string   `hcl:"log_level" default:"info"`          // trace, debug, info, warn or error
	LogFormat              string   `hcl:"log_format" default:"standard"`     // standard or json
	LogFile                string   `hcl:"log_file"`                          // standard error when empty
	LogRotateBytes         int      `hcl:"log_rotate_bytes"`                  // 0 for no limit
	LogRotateDuration      Duration `hcl:"log_rotate_duration" default:"24h"` // 0 for no limit
	LogRotateMaxFiles      int      `hcl:"log_rotate_max_files"`              // 0 keeps all, -1 none
	DisableIdleConnections []string `hcl:"disable_idle_connections"`
	DisableKeepAlives      []string `hcl:"disable_keep_alives"`
	// RevokeOnExit ends at shutdown what the agent holds. It is false by
	// default where a state lets the next start take over.
	RevokeOnExit   bool           `hcl:"revoke_on_exit" default:"true"`
	Vault          Vault          `hcl:"vault"`
	AutoAuth       *AutoAuth      `hcl:"auto_auth"` // nil when not written
	TemplateConfig TemplateConfig `hcl:"template_config"`
	Templates      []Template     `hcl:"template"`
	Groups         []Group        `hcl:"group"`
	EnvFiles       []EnvFile      `hcl:"env_file"`
	EnvTemplates   []EnvTemplate  `hcl:"env_template"` // the environment of the child
	Child          *Child         `hcl:"exec"`         // nil when not written
	Credentials    *Credentials   `hcl:"credentials"`  // nil when not written
	Lease          Lease          `hcl:"lease"`
	State          *State         `hcl:"state"`  // nil when not written
	Notify         []Notify       `hcl:"notify"` // told of every change
	Listeners      []Listener     `hcl:"listener"`
	Cache          *Cache         `hcl:"cache"`     // nil when not written
	APIProxy       *APIProxy      `hcl:"api_proxy"` // nil when not written
	Telemetry      *Telemetry     `hcl:"telemetry"` // nil when not written

	// Read holds the files and folders that this was read from.
	Read []string

	// Warnings name what was accepted and has no effect, or a doubtful one.
	Warnings []Problem

	_ struct{} `ignored:"cluster_name disable_mlock"`
}

// Vault says which server to use. An empty value leaves what the environment
// says.
type Vault struct {
	Origin
	Address       string `hcl:"address"`
	CACert        string `hcl:"ca_cert"`
	CAPath        string `hcl:"ca_path"`
	ClientCert    string `hcl:"client_cert"`
	ClientKey     string `hcl:"client_key"`
	TLSSkipVerify bool   `hcl:"tls_skip_verify"`
	TLSServerName string `hcl:"tls_server_name"`
	Namespace     string `hcl:"namespace"`
	Retry         Retry  `hcl:"retry"`
}

// Retry says how often a failed request of a template is tried again.
type Retry struct {
	Origin
	NumRetries int `hcl:"num_retries" default:"12"`
}

// Limit returns the number of retries: 0 in the file stands for 12, -1 for
// none.
func (r Retry) Limit() int {
	if r.NumRetries == 0 {
		return 12
	}
	return max(r.NumRetries, 0)
}

// Lease says when leases are renewed and replaced.
type Lease struct {
	Origin
	RenewAt float64 `hcl:"renew_at" default:"0.5"` // fraction of the TTL
	// Overlap is how long a replaced credential lives on beside its
	// successor; 0 leaves it to the TTL.
	Overlap Duration `hcl:"overlap"`
	Jitter  float64  `hcl:"jitter" default:"0.1"` // fraction by which delays vary; 0 for none
	// MaxStale is how long a secret still counts as good after its end or, if
	// it has none, after the first read that failed; 0 for as long as it takes.
	MaxStale Duration `hcl:"max_stale"`
	// RotationWindow holds the times at which a credential that could live
	// on is replaced, so that its end falls into none but these.
	RotationWindow Windows `hcl:"rotation_window"`
}

// State says where the agent keeps what its next start takes over. At most
// one of KeyFile and Credential is set; without either the key is made
// beside the state.
type State struct {
	Origin
	Path       string `hcl:"path,required"`
	KeyFile    string `hcl:"key_file"`
	Credential string `hcl:"credential"` // name of a file in $CREDENTIALS_DIRECTORY
	Optional   bool   // the agent starts without one that cannot be opened
}

func (v Vault) check(r *report) {
	if v.Address != "" {
		address, err := url.Parse(v.Address)
		known := err == nil && slices.Contains([]string{"http", "https", "unix"}, address.Scheme)
		if !known || address.Host == "" && address.Path == "" {
			r.problem(v.Where("address"), "write it as https://host:8200", "address: %q is no address of a server", v.Address)
		}
	}
	checkPair(r, v.Origin, "client_cert", "client_key")
	if v.Retry.NumRetries < -1 {
		r.problem(v.Retry.Where("num_retries"), "-1 turns retries off, 0 means 12", "num_retries: want -1 or more, got %d", v.Retry.NumRetries)
	}
}

func (l Lease) check(r *report) {
	checkFraction(r, l.Origin, "renew_at", l.RenewAt)
	checkPositive(r, l.Origin, "overlap", l.Overlap, "remove it to have it follow from the TTL")
	checkPositive(r, l.Origin, "max_stale", l.MaxStale, "remove it for no limit")
	if !(l.Jitter >= 0 && l.Jitter <= 0.5) {
		r.problem(l.Where("jitter"), "0.1 lets delays vary by 10 %", "jitter: want a fraction from 0 to 0.5")
	}
}

func (s State) check(r *report) {
	checkFilled(r, s.Origin, "path", s.Path)
	checkFilled(r, s.Origin, "key_file", s.KeyFile)
	checkFilled(r, s.Origin, "credential", s.Credential)
	if s.Has("key_file") && s.Has("credential") {
		r.problem(s.Where("credential"), "keep one of them", "the state has both key_file and credential")
	}
}

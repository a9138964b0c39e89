package config

// File is a whole configuration: one file, or several taken together. Every
// value has its default filled in; [Origin.Has] tells whether it was written.
type File struct {
	Origin
	ExitAfterAuth bool   `hcl:"exit_after_auth"`
	PIDFile       string `hcl:"pid_file"`
	LogLevel      string `hcl:"log_level" default:"info"`      // trace, debug, info, warn or error
	LogFormat     string `hcl:"log_format" default:"standard"` // standard or json
	LogFile       string `hcl:"log_file"`                      // standard error when empty
	// RevokeOnExit ends at shutdown what the agent holds.
	RevokeOnExit   bool           `hcl:"revoke_on_exit" default:"true"`
	Vault          Vault          `hcl:"vault"`
	AutoAuth       *AutoAuth      `hcl:"auto_auth"` // nil when not written
	TemplateConfig TemplateConfig `hcl:"template_config"`
	Templates      []Template     `hcl:"template"`
	Lease          Lease          `hcl:"lease"`
	Notify         []Notify       `hcl:"notify"` // told of every change

	// Warnings name what was accepted and has no effect.
	Warnings []Problem

	_ struct{} `later:"api_proxy cache disable_idle_connections disable_keep_alives env_file env_template exec group listener log_rotate_bytes log_rotate_duration log_rotate_max_files state telemetry" ignored:"cluster_name disable_mlock"`
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

// AutoAuth says how the agent logs in and where the token goes.
type AutoAuth struct {
	Origin
	Method Method `hcl:"method,required"`
	Sinks  []Sink `hcl:"sink"`

	_ struct{} `later:"enable_reauth_on_new_credentials sinks"`
}

// Method is one way to log in. Which of the configurations is set follows
// from the type.
type Method struct {
	Origin
	Type       string   `hcl:"type,label" later:"aws azure cert gcp jwt kubernetes ldap userpass"`
	MountPath  string   `hcl:"mount_path"` // auth/TYPE when empty
	MinBackoff Duration `hcl:"min_backoff" default:"1s"`
	MaxBackoff Duration `hcl:"max_backoff" default:"5m"`
	ExitOnErr  bool     `hcl:"exit_on_err"`

	AppRole   *AppRole   `hcl:"config,required" when:"approle"`
	TokenFile *TokenFile `hcl:"config,required" when:"token_file"`

	_ struct{} `later:"namespace wrap_ttl"`
}

// AppRole is the configuration of the method "approle".
type AppRole struct {
	Origin
	RoleIDFilePath   string `hcl:"role_id_file_path,required"`
	SecretIDFilePath string `hcl:"secret_id_file_path"` // empty for a role without secret ids
	RemoveSecretID   bool   `hcl:"remove_secret_id_file_after_reading" default:"true"`

	_ struct{} `later:"secret_id_response_wrapping_path"`
}

// TokenFile is the configuration of the method "token_file".
type TokenFile struct {
	Origin
	Path string `hcl:"token_file_path,required"`
}

// Sink is a place for the token.
type Sink struct {
	Origin
	Type string    `hcl:"type,label"`
	File *FileSink `hcl:"config,required" when:"file"`

	_ struct{} `later:"aad aad_env_var derive_key dh_path dh_type wrap_ttl"`
}

// FileSink is the configuration of the sink "file".
type FileSink struct {
	Origin
	Path  string  `hcl:"path,required"`
	Mode  Mode    `hcl:"mode|perms"`
	Owner Account `hcl:"owner|user|uid"`
	Group Account `hcl:"group|gid"`
}

// TemplateConfig holds what all templates have in common.
type TemplateConfig struct {
	Origin
	ExitOnRetryFailure         bool     `hcl:"exit_on_retry_failure"`
	StaticSecretRenderInterval Duration `hcl:"static_secret_render_interval" default:"5m"`
	MaxConnectionsPerHost      int      `hcl:"max_connections_per_host" default:"10"`
	LeaseRenewalThreshold      float64  `hcl:"lease_renewal_threshold" default:"0.9"` // fraction of the TTL
}

// Template is a file to render.
type Template struct {
	Origin
	Source           string   `hcl:"source"`   // the path of a template …
	Contents         string   `hcl:"contents"` // … or the template itself
	Destination      string   `hcl:"destination,required"`
	CreateDestDirs   bool     `hcl:"create_dest_dirs" default:"true"`
	Command          Command  `hcl:"command"`
	CommandTimeout   Duration `hcl:"command_timeout" default:"30s"`
	Exec             *Exec    `hcl:"exec"`
	Notify           []Notify `hcl:"notify"`
	ErrorOnMissing   bool     `hcl:"error_on_missing_key"`
	ErrorFatal       bool     `hcl:"error_fatal" default:"true"`
	Mode             Mode     `hcl:"perms|mode"` // 0 when not written
	Owner            Account  `hcl:"owner|user|uid"`
	Group            Account  `hcl:"group|gid"`
	Backup           bool     `hcl:"backup"`
	LeftDelimiter    string   `hcl:"left_delimiter"`
	RightDelimiter   string   `hcl:"right_delimiter"`
	FunctionDenylist []string `hcl:"function_denylist|function_blacklist"`
	SandboxPath      string   `hcl:"sandbox_path"`
	Wait             *Wait    `hcl:"wait"`
	// RenewAt and Overlap are those of the lease stanza unless written here.
	RenewAt float64  `hcl:"renew_at"`
	Overlap Duration `hcl:"overlap"`

	_ struct{} `later:"check format in_place"`
}

// Hook returns the command to run after the template has changed, written
// either way, and how long it may take. The command may be zero.
func (t Template) Hook() (Command, Duration) {
	if t.Exec != nil {
		return t.Exec.Command, t.Exec.Timeout
	}
	return t.Command, t.CommandTimeout
}

// Exec is the other way to write the command of a template.
type Exec struct {
	Origin
	Command Command  `hcl:"command,required"`
	Timeout Duration `hcl:"timeout" default:"30s"`
}

// Lease says when leases are renewed and replaced.
type Lease struct {
	Origin
	RenewAt float64 `hcl:"renew_at" default:"0.5"` // fraction of the TTL
	// Overlap is how long a replaced credential lives on beside its
	// successor; 0 leaves it to the TTL.
	Overlap Duration `hcl:"overlap"`
	Jitter  float64  `hcl:"jitter" default:"0.1"` // fraction by which delays vary; 0 for none
}

// Notify says how the app is told of a change: by a signal to the process
// that exactly one of PID, PIDFile and Process names, or by a command.
type Notify struct {
	Origin
	Type    string   `hcl:"type,label" later:"child systemd webhook"`
	Signal  Signal   `hcl:"signal" when:"signal" default:"SIGHUP"`
	PID     int      `hcl:"pid" when:"signal"`
	PIDFile string   `hcl:"pidfile" when:"signal"`
	Process string   `hcl:"process" when:"signal"`
	Command Command  `hcl:"command,required" when:"command"`
	Timeout Duration `hcl:"timeout" when:"command" default:"30s"`
}

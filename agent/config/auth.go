package config

// AutoAuth says how the agent logs in and where the token goes.
type AutoAuth struct {
	Origin
	Method Method `hcl:"method,required"`
	Sinks  []Sink `hcl:"sink" within:"sinks"`
	// Reauth logs in again when the files of the method change.
	Reauth bool `hcl:"enable_reauth_on_new_credentials"`
}

// Method is one way to log in. Which of the configurations is set follows
// from the type.
type Method struct {
	Origin
	Type       string   `hcl:"type,label"`
	MountPath  string   `hcl:"mount_path"` // auth/TYPE when empty
	Namespace  string   `hcl:"namespace"`  // that of the vault stanza when empty
	WrapTTL    Duration `hcl:"wrap_ttl"`   // of the wrapped token that is asked for; 0 for a plain one
	MinBackoff Duration `hcl:"min_backoff" default:"1s"`
	MaxBackoff Duration `hcl:"max_backoff" default:"5m"`
	ExitOnErr  bool     `hcl:"exit_on_err"`

	AppRole    *AppRole    `hcl:"config,required,merge" when:"approle"`
	TokenFile  *TokenFile  `hcl:"config,required,merge" when:"token_file"`
	Kubernetes *Kubernetes `hcl:"config,required,merge" when:"kubernetes"`
	JWT        *JWT        `hcl:"config,required,merge" when:"jwt"`
	Cert       *Cert       `hcl:"config,merge" when:"cert"` // never nil for that type
	UserPass   *Password   `hcl:"config,required,merge" when:"userpass"`
	LDAP       *Password   `hcl:"config,required,merge" when:"ldap"`
	AWS        *AWS        `hcl:"config,required,merge" when:"aws"`
	Azure      *Azure      `hcl:"config,required,merge" when:"azure"`
	GCP        *GCP        `hcl:"config,required,merge" when:"gcp"`
}

// instead says what takes the place of a method that other agents have and
// this one leaves out; "" for any other.
func (Method) instead(name string) string {
	switch name {
	case "kerberos":
		return "use \"ldap\" with a password file, or \"cert\" with the machine's certificate"
	case "alicloud":
		return "use \"jwt\" with the pod's OIDC token, or \"approle\""
	case "cf":
		return "use \"cert\" with the instance's certificate, $CF_INSTANCE_CERT and $CF_INSTANCE_KEY"
	case "oci":
		return "use \"kubernetes\" or \"jwt\" with the workload's token, or \"approle\""
	default:
		return ""
	}
}

// AppRole is the configuration of the method "approle".
type AppRole struct {
	Origin
	RoleIDFilePath   string `hcl:"role_id_file_path,required"`
	SecretIDFilePath string `hcl:"secret_id_file_path"` // empty for a role without secret ids
	RemoveSecretID   bool   `hcl:"remove_secret_id_file_after_reading" default:"true"`
	// WrappingPath is where a wrapped secret id must have been created, such
	// as auth/approle/role/app/secret-id; empty for a plain secret id.
	WrappingPath string `hcl:"secret_id_response_wrapping_path"`
}

// TokenFile is the configuration of the method "token_file".
type TokenFile struct {
	Origin
	Path string `hcl:"token_file_path,required"`
}

// Kubernetes is the configuration of the method "kubernetes".
type Kubernetes struct {
	Origin
	Role      string `hcl:"role,required"`
	TokenPath string `hcl:"token_path" default:"/var/run/secrets/kubernetes.io/serviceaccount/token"`
}

// JWT is the configuration of the method "jwt".
type JWT struct {
	Origin
	Path           string   `hcl:"path,required"`
	Role           string   `hcl:"role,required"`
	Remove         bool     `hcl:"remove_jwt_after_reading" default:"true"`
	FollowSymlinks bool     `hcl:"remove_jwt_follows_symlinks"` // removes the target too
	ReadPeriod     Duration `hcl:"jwt_read_period"`             // 0.5s when removed after reading, else 1m
}

// Cert is the configuration of the method "cert". What is empty is that of
// the vault stanza.
type Cert struct {
	Origin
	Name         string   `hcl:"name"` // of the role; any that matches when empty
	CACert       string   `hcl:"ca_cert"`
	ClientCert   string   `hcl:"client_cert"`
	ClientKey    string   `hcl:"client_key"`
	Reload       bool     `hcl:"reload"`
	ReloadPeriod Duration `hcl:"reload_period" default:"1m"`
}

// Password is the configuration of the methods "userpass" and "ldap".
type Password struct {
	Origin
	Username   string   `hcl:"username,required"`
	FilePath   string   `hcl:"password_file_path,required"`
	Remove     bool     `hcl:"remove_password_after_reading"`
	ReadPeriod Duration `hcl:"password_read_period"` // 0.5s when removed after reading, else 1m
}

// AWS is the configuration of the method "aws".
type AWS struct {
	Origin
	Type         string   `hcl:"type,required"` // iam or ec2
	Role         string   `hcl:"role,required"`
	Region       string   `hcl:"region" default:"us-east-1"`
	HeaderValue  string   `hcl:"header_value"`
	Nonce        string   `hcl:"nonce"`
	AccessKey    string   `hcl:"access_key"` // from environment, files or metadata when empty
	SecretKey    string   `hcl:"secret_key"`
	SessionToken string   `hcl:"session_token"`
	PollInterval Duration `hcl:"credential_poll_interval" default:"1m"`
}

// Azure is the configuration of the method "azure".
type Azure struct {
	Origin
	Role            string `hcl:"role,required"`
	Resource        string `hcl:"resource,required"`
	ObjectID        string `hcl:"object_id"`
	ClientID        string `hcl:"client_id"`
	Scope           string `hcl:"scope"`
	FromEnvironment bool   `hcl:"authenticate_from_environment"`
}

// GCP is the configuration of the method "gcp".
type GCP struct {
	Origin
	Type           string `hcl:"type,required"` // gce or iam
	Role           string `hcl:"role,required"`
	ServiceAccount string `hcl:"service_account"`
	Credentials    string `hcl:"credentials"` // path of a key file
	Project        string `hcl:"project"`     // accepted: Google finds the account by its name
	JWTMinutes     int    `hcl:"jwt_exp" default:"15"`
}

// Sink is a place for the token.
type Sink struct {
	Origin
	Type      string    `hcl:"type,label"`
	WrapTTL   Duration  `hcl:"wrap_ttl"` // 0 for a token that is not wrapped
	DHType    string    `hcl:"dh_type" default:"curve25519"`
	DHPath    string    `hcl:"dh_path"` // of the reader's public key; empty for a token in the clear
	DeriveKey bool      `hcl:"derive_key"`
	AAD       string    `hcl:"aad"`
	AADEnvVar string    `hcl:"aad_env_var"` // variable that holds the additional data, instead of AAD
	File      *FileSink `hcl:"config,required,merge" when:"file"`
}

// FileSink is the configuration of the sink "file".
type FileSink struct {
	Origin
	Path    string  `hcl:"path,required"`
	Mode    Mode    `hcl:"mode|perms"`
	Owner   Account `hcl:"owner|user|uid"`
	Group   Account `hcl:"group|gid"`
	InPlace bool    `hcl:"in_place"` // written over, for a file that is mounted by itself
}

func (a AutoAuth) check(r *report) {
	m := a.Method
	if m.MinBackoff == 0 && m.Has("min_backoff") {
		r.problem(m.Where("min_backoff"), "1s is the default", "min_backoff: want more than 0")
	}
	if m.MinBackoff > m.MaxBackoff {
		r.problem(m.Where("max_backoff"), "raise max_backoff", "max_backoff %s is less than min_backoff %s", m.MaxBackoff, m.MinBackoff)
	}
	m.checkConfig(r)
	for _, s := range a.Sinks {
		s.check(r)
	}
	switch {
	case m.WrapTTL == 0:
	case !a.Has("sink"):
		r.problem(m.Where("wrap_ttl"), "add a sink, or remove wrap_ttl", "a token that is wrapped by the server has no sink to go to")
	case len(a.Sinks) > 1:
		r.problem(m.Where("wrap_ttl"), "set wrap_ttl of the sinks instead", "a token that is wrapped by the server fits one sink, and there are %d", len(a.Sinks))
	case len(a.Sinks) == 1 && a.Sinks[0].WrapTTL != 0:
		r.problem(a.Sinks[0].Where("wrap_ttl"), "keep one of them", "wrap_ttl is set for both the method and the sink")
	}
}

// checkWrapped refuses what needs a token that the agent never sees, because
// the server wraps it for whoever reads the sink.
func (f *File) checkWrapped(r *report) {
	if f.AutoAuth == nil || f.AutoAuth.Method.WrapTTL == 0 {
		return
	}
	const hint = "set wrap_ttl of the sink instead of the method's"
	for _, key := range []string{"template", "group", "env_file", "env_template", "exec", "credentials"} {
		if f.Has(key) {
			r.problem(f.Where(key), hint, "%s needs the token, which the server wraps for the sink", key)
		}
	}
	if f.APIProxy != nil && f.APIProxy.UseAutoAuthToken != UseCallers {
		r.problem(f.APIProxy.Where("use_auto_auth_token"), hint, "api_proxy needs the token, which the server wraps for the sink")
	}
	if f.Cache != nil && f.Cache.UseAutoAuthToken != UseCallers {
		r.problem(f.Cache.Where("use_auto_auth_token"), hint, "cache needs the token, which the server wraps for the sink")
	}
}

// checkConfig checks the configuration of the method, whichever it is.
func (m Method) checkConfig(r *report) {
	switch {
	case m.AppRole != nil:
		checkFilled(r, m.AppRole.Origin, "role_id_file_path", m.AppRole.RoleIDFilePath)
		if m.AppRole.Has("secret_id_response_wrapping_path") && !m.AppRole.Has("secret_id_file_path") {
			r.problem(m.AppRole.Where("secret_id_response_wrapping_path"), "set secret_id_file_path", "there is no secret id to unwrap")
		}
	case m.TokenFile != nil:
		checkFilled(r, m.TokenFile.Origin, "token_file_path", m.TokenFile.Path)
	case m.Kubernetes != nil:
		checkFilled(r, m.Kubernetes.Origin, "role", m.Kubernetes.Role)
		checkFilled(r, m.Kubernetes.Origin, "token_path", m.Kubernetes.TokenPath)
	case m.JWT != nil:
		checkFilled(r, m.JWT.Origin, "path", m.JWT.Path)
		checkFilled(r, m.JWT.Origin, "role", m.JWT.Role)
	case m.Cert != nil:
		checkPair(r, m.Cert.Origin, "client_cert", "client_key")
		if m.Cert.Reload && !m.Cert.Has("client_cert") {
			r.warning(m.Cert.Where("reload"), "set client_cert and client_key", "reload has no effect on the certificate of vault")
		}
	case m.AWS != nil:
		checkWord(r, m.AWS.Origin, "type", m.AWS.Type, "iam", "ec2")
		checkPair(r, m.AWS.Origin, "access_key", "secret_key")
	case m.GCP != nil:
		checkWord(r, m.GCP.Origin, "type", m.GCP.Type, "gce", "iam")
		if m.GCP.Type == "iam" && !m.GCP.Has("service_account") {
			r.problem(m.GCP.At, "set service_account", "the type \"iam\" needs a service account")
		}
		checkLeast(r, m.GCP.Origin, "jwt_exp", m.GCP.JWTMinutes, 1)
		if m.GCP.Has("project") {
			r.warning(m.GCP.Where("project"), "remove it", "project has no effect here: Google finds the account by its name")
		}
	}
	for _, p := range []*Password{m.UserPass, m.LDAP} {
		if p != nil {
			checkFilled(r, p.Origin, "username", p.Username)
			checkFilled(r, p.Origin, "password_file_path", p.FilePath)
		}
	}
}

func (s Sink) check(r *report) {
	if s.File != nil {
		checkFilled(r, s.File.Origin, "path", s.File.Path)
	}
	checkWord(r, s.Origin, "dh_type", s.DHType, "curve25519")
	for _, key := range []string{"dh_type", "derive_key", "aad", "aad_env_var"} {
		if s.Has(key) && !s.Has("dh_path") {
			r.problem(s.Where(key), "set dh_path to the reader's public key", "%s encrypts nothing without a key", key)
		}
	}
	if s.Has("aad") && s.Has("aad_env_var") {
		r.problem(s.Where("aad"), "keep aad_env_var, which goes first in other agents", "aad and aad_env_var are two values for one thing")
	}
	checkFilled(r, s.Origin, "dh_path", s.DHPath)
	checkFilled(r, s.Origin, "aad_env_var", s.AADEnvVar)
}

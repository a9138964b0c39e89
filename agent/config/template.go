package config

import (
	"path/filepath"
)

// TemplateConfig holds what all templates have in common.
type TemplateConfig struct {
	Origin
	ExitOnRetryFailure         bool     `hcl:"exit_on_retry_failure"`
	StaticSecretRenderInterval Duration `hcl:"static_secret_render_interval" default:"5m"`
	MaxConnectionsPerHost      int      `hcl:"max_connections_per_host" default:"10"`
	LeaseRenewalThreshold      float64  `hcl:"lease_renewal_threshold" default:"0.9"` // fraction of the TTL
}

// Text is what to render: exactly one of Source, Contents and Secret is set.
type Text struct {
	Source           string   `hcl:"source"`   // the path of a template …
	Contents         string   `hcl:"contents"` // … or the template itself …
	Secret           string   `hcl:"secret"`   // … or the path of a secret, written out as Format says
	Format           string   `hcl:"format"`   // json, yaml, env or properties
	Fields           []string `hcl:"fields"`   // of the secret; all when empty
	Prefix           string   `hcl:"prefix"`   // of the name of each field
	ErrorOnMissing   bool     `hcl:"error_on_missing_key"`
	ErrorFatal       bool     `hcl:"error_fatal" default:"true"`
	LeftDelimiter    string   `hcl:"left_delimiter"`
	RightDelimiter   string   `hcl:"right_delimiter"`
	FunctionDenylist []string `hcl:"function_denylist|function_blacklist"`
	SandboxPath      string   `hcl:"sandbox_path"`
}

// Reaction is what happens on a change: Check must succeed before it is
// published, Command and Notify tell of it afterwards.
type Reaction struct {
	Check          Command  `hcl:"check"`
	CheckTimeout   Duration `hcl:"check_timeout" default:"30s"`
	Command        Command  `hcl:"command"`
	CommandTimeout Duration `hcl:"command_timeout" default:"30s"`
	Notify         []Notify `hcl:"notify"`
}

// Template is a file to render.
type Template struct {
	Origin
	Text
	Reaction
	Destination    string  `hcl:"destination,required"`
	CreateDestDirs bool    `hcl:"create_dest_dirs" default:"true"`
	Exec           *Exec   `hcl:"exec"`
	Mode           Mode    `hcl:"perms|mode"` // 0 when not written
	Owner          Account `hcl:"owner|user|uid"`
	Group          Account `hcl:"group|gid"`
	Backup         bool    `hcl:"backup"`
	InPlace        bool    `hcl:"in_place"` // written over, for a file that is mounted by itself
	Wait           *Wait   `hcl:"wait"`
	// These are those of the lease stanza unless written here.
	RenewAt        float64  `hcl:"renew_at"`
	Overlap        Duration `hcl:"overlap"`
	MaxStale       Duration `hcl:"max_stale"`
	RotationWindow Windows  `hcl:"rotation_window"`
	// RefreshInterval is that of template_config unless written here.
	RefreshInterval Interval `hcl:"refresh_interval"` // of secrets without a lease
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

// Group is a folder whose files change all at once. The destinations of its
// templates are relative to it.
type Group struct {
	Origin
	Reaction
	Name      string     `hcl:"name,label"`
	Directory string     `hcl:"directory,required"`
	Keep      int        `hcl:"keep" default:"1"` // generations kept beside the current one
	Mode      Mode       `hcl:"perms|mode"`       // of the folder; 0 when not written
	Owner     Account    `hcl:"owner|user|uid"`
	Group     Account    `hcl:"group|gid"`
	Templates []Template `hcl:"template,required"`
}

// EnvFile is a file of variables, one NAME="value" a line, for the
// EnvironmentFile of a systemd unit.
type EnvFile struct {
	Origin
	Reaction
	Destination    string        `hcl:"destination,required"`
	CreateDestDirs bool          `hcl:"create_dest_dirs" default:"true"`
	Mode           Mode          `hcl:"perms|mode"` // 0 when not written
	Owner          Account       `hcl:"owner|user|uid"`
	Group          Account       `hcl:"group|gid"`
	Backup         bool          `hcl:"backup"`
	InPlace        bool          `hcl:"in_place"` // written over, for a file that is mounted by itself
	Variables      []EnvTemplate `hcl:"env_template,required"`
}

// EnvTemplate is an environment variable to render.
type EnvTemplate struct {
	Origin
	Text
	Name string `hcl:"name,label"`
}

// Child is the program that the agent starts and supervises. Its environment
// has the variables of the env_template stanzas.
type Child struct {
	Origin
	Command     Command  `hcl:"command,required"`
	Restart     string   `hcl:"restart_on_secret_changes" default:"always"` // always or never
	StopSignal  Signal   `hcl:"restart_stop_signal" default:"SIGTERM"`
	KillTimeout Duration `hcl:"kill_timeout" default:"30s"` // from StopSignal to SIGKILL
	Stdout      string   `hcl:"child_process_stdout"`       // path of a file; the agent's own when empty
	Stderr      string   `hcl:"child_process_stderr"`       // path of a file; the agent's own when empty
	Splay       Duration `hcl:"splay"`                      // at most this long before a restart, by instance
	Budget      Budget   `hcl:"budget"`                     // of restarts; zero for no limit
}

// Credentials serves rendered texts to systemd over a unix socket that units
// name in LoadCredential=.
type Credentials struct {
	Origin
	Socket      string       `hcl:"socket,required"`
	Mode        Mode         `hcl:"perms|mode"` // of the socket; 0 when not written
	Owner       Account      `hcl:"owner|user|uid"`
	Group       Account      `hcl:"group|gid"`
	Credentials []Credential `hcl:"credential,required"`
}

// Credential is one text that systemd may ask for.
type Credential struct {
	Origin
	Text
	Name string `hcl:"name,label"`
	Unit string `hcl:"unit"` // that may ask for it; any when empty
}

func (c TemplateConfig) check(r *report) {
	if c.StaticSecretRenderInterval == 0 && c.Has("static_secret_render_interval") {
		r.problem(c.Where("static_secret_render_interval"), "5m is the default", "static_secret_render_interval: want more than 0")
	}
	if c.MaxConnectionsPerHost < 1 && c.Has("max_connections_per_host") {
		r.problem(c.Where("max_connections_per_host"), "10 is the default", "max_connections_per_host: want 1 or more, got %d", c.MaxConnectionsPerHost)
	}
	checkFraction(r, c.Origin, "lease_renewal_threshold", c.LeaseRenewalThreshold)
	if c.Has("lease_renewal_threshold") {
		r.warning(c.Where("lease_renewal_threshold"), "set renew_at or overlap in a lease stanza", "lease_renewal_threshold has no effect here")
	}
}

// check checks a text that is to be rendered for the stanza that holds it.
func (t Text) check(r *report, o Origin, stanza string) {
	var given []string
	for _, key := range []string{"source", "contents", "secret"} {
		if o.Has(key) {
			given = append(given, key)
		}
	}
	switch {
	case len(given) == 0:
		r.problem(o.At, "set source to a path, or contents to the template itself", "the %s has neither source nor contents", stanza)
	case len(given) > 1:
		r.problem(o.Where(given[1]), "keep one of them", "the %s has both %s and %s", stanza, given[0], given[1])
	}
	checkFilled(r, o, "source", t.Source)
	checkFilled(r, o, "secret", t.Secret)
	for _, key := range []string{"format", "fields", "prefix"} {
		if o.Has(key) && !o.Has("secret") {
			r.problem(o.Where(key), "set secret to a path, or remove "+key, "%s is that of a secret without a template", key)
		}
	}
	switch {
	case !o.Has("secret"):
	case !o.Has("format"):
		r.problem(o.Where("secret"), "set format to json, yaml, env or properties", "the secret has no format")
	default:
		checkWord(r, o, "format", t.Format, "json", "yaml", "env", "properties")
	}
	if (t.LeftDelimiter == "") != (t.RightDelimiter == "") {
		r.problem(o.At, "set both or none", "left_delimiter and right_delimiter go together")
	}
}

// check checks what happens on a change of the stanza with the origin.
func (c Reaction) check(r *report, o Origin) {
	checkPositive(r, o, "check_timeout", c.CheckTimeout, "30s is the default")
	checkPositive(r, o, "command_timeout", c.CommandTimeout, "30s is the default")
	for _, n := range c.Notify {
		n.check(r)
	}
}

// checkInPlace refuses a check of what lies nowhere before it is in use.
func (c Reaction) checkInPlace(r *report, o Origin, inPlace bool) {
	if inPlace && !c.Check.IsZero() {
		r.problem(o.Where("in_place"), "remove one of them", "in_place and check do not go together: what is written into a file is in use at once")
	}
}

func (t Template) check(r *report) {
	t.Text.check(r, t.Origin, "template")
	t.Reaction.check(r, t.Origin)
	checkFilled(r, t.Origin, "destination", t.Destination)
	if t.Has("command") && t.Has("exec") {
		r.problem(t.Where("exec"), "keep one of them", "the template has both command and exec")
	}
	if t.Has("wait") {
		r.warning(t.Where("wait"), "changes that come together are told together anyway", "wait has no effect here")
	}
	t.checkInPlace(r, t.Origin, t.InPlace)
	if t.Wait != nil && t.Wait.Min > t.Wait.Max {
		r.problem(t.Where("wait"), "write wait = \"min:max\"", "wait: the least time %s is more than the most %s", t.Wait.Min, t.Wait.Max)
	}
	if t.Has("renew_at") {
		checkFraction(r, t.Origin, "renew_at", t.RenewAt)
	}
	checkPositive(r, t.Origin, "overlap", t.Overlap, "remove it to have it follow from the TTL")
	checkPositive(r, t.Origin, "max_stale", t.MaxStale, "remove it for that of the lease stanza")
	if t.Exec != nil {
		checkPositive(r, t.Exec.Origin, "timeout", t.Exec.Timeout, "30s is the default")
	}
}

func (g Group) check(r *report) {
	g.Reaction.check(r, g.Origin)
	checkFilled(r, g.Origin, "directory", g.Directory)
	checkLeast(r, g.Origin, "keep", g.Keep, 0)
	for _, t := range g.Templates {
		t.check(r)
		if t.Destination != "" && !filepath.IsLocal(t.Destination) {
			r.problem(t.Where("destination"), "write it relative to the group's directory", "%q is outside of the group", t.Destination)
		}
		if t.InPlace {
			r.problem(t.Where("in_place"), "remove it", "in_place: the files of a group are switched, not written over")
		}
	}
}

func (e EnvFile) check(r *report) {
	e.Reaction.check(r, e.Origin)
	e.checkInPlace(r, e.Origin, e.InPlace)
	checkFilled(r, e.Origin, "destination", e.Destination)
	checkVariables(r, e.Variables)
}

// checkVariables checks that each variable has a name of its own.
func checkVariables(r *report, variables []EnvTemplate) {
	first := make(map[string]Position)
	for _, v := range variables {
		v.check(r, v.Origin, "env_template")
		if !isVariable(v.Name) {
			r.problem(v.At, "use letters, digits and _", "%q is no name of an environment variable", v.Name)
		}
		if at, taken := first[v.Name]; taken {
			r.problem(v.At, "give each its own name", "the variable %q is set by %s already", v.Name, at)
		}
		first[v.Name] = v.At
	}
}

func (c Credentials) check(r *report) {
	checkFilled(r, c.Origin, "socket", c.Socket)
	first := make(map[string]Position) // name and unit → where they were named first
	for _, one := range c.Credentials {
		one.check(r, one.Origin, "credential")
		key := one.Name + "\x00" + one.Unit
		if at, taken := first[key]; taken {
			r.problem(one.At, "give each its own name", "the credential %q is that of %s already", one.Name, at)
		}
		first[key] = one.At
	}
}

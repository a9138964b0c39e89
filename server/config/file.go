package config

import (
	"net/url"
	"slices"
	"strings"
	"time"
)

// File is a whole configuration: one file, or several taken together. Every
// value has its default filled in; [Origin.Has] tells whether it was written.
type File struct {
	Origin
	Storage   *Storage   `conf:"storage|backend"`       // nil when not written
	HAStorage *Storage   `conf:"ha_storage|ha_backend"` // nil when not written
	Seal      *Seal      `conf:"seal"`                  // nil: Shamir's shares
	Listeners []Listener `conf:"listener|listeners"`
	Telemetry Telemetry  `conf:"telemetry"`

	APIAddr     string `conf:"api_addr"`     // URL that clients reach this node at
	ClusterAddr string `conf:"cluster_addr"` // URL that other nodes reach it at
	ClusterName string `conf:"cluster_name" default:"securevault"`
	// ClusterCAFile is PEM of the CA of the other nodes' certificates; the
	// system's when empty.
	ClusterCAFile string `conf:"cluster_ca_file"`
	// ClusterCertFile is PEM of what this node shows others that ask for a
	// certificate; ClusterKeyFile is its key.
	ClusterCertFile string `conf:"cluster_cert_file"`
	ClusterKeyFile  string `conf:"cluster_key_file"`
	PIDFile         string `conf:"pid_file"`
	UI              bool   `conf:"ui" default:"true"`

	LogLevel  string `conf:"log_level" default:"info"`      // trace, debug, info, warn or error
	LogFormat string `conf:"log_format" default:"standard"` // standard or json
	LogFile   string `conf:"log_file"`                      // standard error when empty

	DefaultLeaseTTL Duration `conf:"default_lease_ttl" default:"768h"`
	MaxLeaseTTL     Duration `conf:"max_lease_ttl" default:"768h"`

	DefaultMaxRequestDuration Duration `conf:"default_max_request_duration" default:"90s"` // of listeners that say nothing

	LeaseLimits []LeaseLimit `conf:"lease_limits|lease_limit"`
	Alerts      []Alert      `conf:"alerts|alert"`
	SMTP        *SMTP        `conf:"smtp"` // nil when not written

	UserLockout *UserLockout `conf:"user_lockout"` // nil when not written

	PluginDirectory string `conf:"plugin_directory"`

	// Warnings name what was accepted and has no effect, or a doubtful one.
	Warnings []Problem

	_ struct{} `ignored:"disable_mlock disable_cache cache_size disable_clustering disable_sealwrap disable_performance_standby disable_indexing disable_printable_check license_path plugin_file_uid plugin_file_permissions raw_storage_endpoint introspection_endpoint enable_response_header_hostname enable_response_header_raft_node_id experiments detect_deadlocks imprecise_lease_role_tracking administrative_namespace_path log_requests_level log_rotate_bytes log_rotate_duration log_rotate_max_files service_registration reporting entropy kms_library sentinel replication request_limiter adaptive_overload_protection"`
}

// LeaseLimit bounds the leases of the mounts of one type of engine.
type LeaseLimit struct {
	Origin
	Engine           string   `conf:"engine,label"`
	DefaultTTL       Duration `conf:"default_ttl"`         // 0: the server's
	MaxTTL           Duration `conf:"max_ttl"`             // 0: the server's
	MaxLeasesPerRole int      `conf:"max_leases_per_role"` // 0: no limit
}

// UserLockout says when failed logins lock a user out, where the mount of the
// auth method says nothing. A zero value leaves the default.
type UserLockout struct {
	Origin
	Type         string   `conf:"type,label" types:"all"`
	Threshold    int      `conf:"lockout_threshold"`     // failed logins in a row
	Duration     Duration `conf:"lockout_duration"`      // of the lock
	CounterReset Duration `conf:"lockout_counter_reset"` // after the last failure
	Disabled     bool     `conf:"disable_lockout"`
}

// engineTypes are the types that limits are expected for: those of the guide,
// whether or not this server has them yet.
var engineTypes = [...]string{"aws", "azure", "consul", "database", "gcp", "kubernetes", "kv", "ldap", "nomad", "pki", "ssh"}

// Unservable returns what is missing for a server that is not in dev mode, nil
// if nothing is.
func (f *File) Unservable() error {
	r := &report{}
	at := Position{File: f.At.File}
	if f.Storage == nil {
		r.problem(at, `write storage "file" { path = "…" }, or start it with -dev`, "there is no storage stanza")
	}
	if len(f.Listeners) == 0 {
		r.problem(at, `write listener "tcp" { address = "127.0.0.1:8200" … }`, "there is no listener stanza")
	}
	return r.err()
}

func (f *File) check(r *report) {
	f.checkWords(r)
	checkTTLs(r, f.Origin, "default_lease_ttl", f.DefaultLeaseTTL, "max_lease_ttl", f.MaxLeaseTTL)
	checkURL(r, f.Origin, "api_addr", f.APIAddr)
	checkURL(r, f.Origin, "cluster_addr", f.ClusterAddr)
	if f.PluginDirectory != "" {
		r.problem(f.Where("plugin_directory"), "remove it", "plugin_directory: engines are part of the program, plugins from outside are not run")
	}
	if f.HAStorage != nil {
		r.problem(f.HAStorage.At, "remove it; storage \"postgresql\" and \"etcd\" elect the active node themselves", "ha_storage is not supported")
	}
	for i := range f.Listeners {
		l := &f.Listeners[i]
		if !l.Has("max_request_duration") {
			l.MaxRequestDuration = f.DefaultMaxRequestDuration
		}
		l.check(r)
	}
	if f.UserLockout != nil && f.UserLockout.Threshold < 0 {
		r.problem(f.UserLockout.Where("lockout_threshold"), "use disable_lockout for none", "lockout_threshold cannot be negative")
	}
	f.checkAddresses(r)
	f.Telemetry.check(r)
	f.checkLimits(r)
	f.checkAlerts(r)
}

func (f *File) checkWords(r *report) {
	checkWord(r, f.Origin, "log_level", strings.ToLower(f.LogLevel), "trace", "debug", "info", "warn", "error")
	checkWord(r, f.Origin, "log_format", f.LogFormat, "standard", "json")
}

// checkAddresses finds two listeners that want the same address.
func (f *File) checkAddresses(r *report) {
	taken := map[string]Listener{}
	for _, l := range f.Listeners {
		before, twice := taken[l.Address]
		if twice && !strings.HasSuffix(l.Address, ":0") {
			r.problem(l.Where("address"), "choose another", "the listener of line %d already has the address %s", before.At.Line, l.Address)
		}
		taken[l.Address] = l
	}
}

func (f *File) checkLimits(r *report) {
	var named []string
	for _, l := range f.LeaseLimits {
		if slices.Contains(named, l.Engine) {
			r.problem(l.At, "keep one", "the limits of %q are set twice", l.Engine)
		}
		named = append(named, l.Engine)
		if !slices.Contains(engineTypes[:], l.Engine) {
			r.warning(l.At, suggest(l.Engine, engineTypes[:]), "lease_limits: no engine has the type %q", l.Engine)
		}
		checkTTLs(r, l.Origin, "default_ttl", l.DefaultTTL, "max_ttl", l.MaxTTL)
		if l.MaxLeasesPerRole < 0 {
			r.problem(l.Where("max_leases_per_role"), "remove it for no limit", "max_leases_per_role cannot be negative, got %d", l.MaxLeasesPerRole)
		}
	}
}

// checkTTLs compares a default lifetime with the longest, where both are set.
func checkTTLs(r *report, o Origin, least string, byDefault Duration, most string, longest Duration) {
	for key, ttl := range map[string]Duration{least: byDefault, most: longest} {
		if o.Has(key) && ttl < Duration(time.Second) {
			r.problem(o.Where(key), "remove it for the server's", "%s is shorter than a second", key)
		}
	}
	if longest > 0 && byDefault > longest {
		at := o.Where(least)
		if !o.Has(least) {
			at = o.Where(most)
		}
		r.problem(at, "raise "+most+" or lower "+least, "%s %s is longer than %s %s", least, byDefault, most, longest)
	}
}

func checkWord(r *report, o Origin, key, given string, words ...string) {
	if !slices.Contains(words, given) {
		r.problem(o.Where(key), suggest(given, words), "%s: %q is not known", key, given)
	}
}

func checkURL(r *report, o Origin, key, given string) {
	if given == "" {
		return
	}
	parsed, err := url.Parse(given)
	if err != nil || parsed.Host == "" || parsed.Scheme != "http" && parsed.Scheme != "https" {
		r.problem(o.Where(key), "write it as https://host:8200", "%s: %q is no URL", key, given)
	}
}

// checkPair finds one of two keys that only make sense together.
func checkPair(r *report, o Origin, one, other string) {
	if o.Has(one) != o.Has(other) {
		if o.Has(other) {
			one, other = other, one
		}
		r.problem(o.Where(one), "set "+other+" too", "%s stands without %s", one, other)
	}
}

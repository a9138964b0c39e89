package config

import "path/filepath"

// persistedState is the name of the state in the folder of a persistent cache.
const persistedState = "securevault-agent.state"

// Listener is an address on which the agent answers.
type Listener struct {
	Origin
	Type                 string   `hcl:"type,label" types:"tcp unix"`
	Address              string   `hcl:"address" default:"127.0.0.1:8200"` // of type "unix" the path of the socket
	TLSDisable           bool     `hcl:"tls_disable"`
	TLSCertFile          string   `hcl:"tls_cert_file"`
	TLSKeyFile           string   `hcl:"tls_key_file"`
	TLSMinVersion        string   `hcl:"tls_min_version" default:"tls12"`
	TLSMaxVersion        string   `hcl:"tls_max_version" default:"tls13"`
	TLSCipherSuites      string   `hcl:"tls_cipher_suites"` // names with commas between
	TLSClientCAFile      string   `hcl:"tls_client_ca_file"`
	TLSRequireClientCert bool     `hcl:"tls_require_and_verify_client_cert"`
	Role                 string   `hcl:"role" default:"default"` // default or metrics_only
	RequireRequestHeader bool     `hcl:"require_request_header" default:"true"`
	AgentAPI             AgentAPI `hcl:"agent_api"`
	SocketMode           Mode     `hcl:"socket_mode" when:"unix"`
	SocketOwner          Account  `hcl:"socket_user" when:"unix"`
	SocketGroup          Account  `hcl:"socket_group" when:"unix"`

	_ struct{} `ignored:"chroot_namespace cluster_address custom_response_headers disable_replication_status_endpoints disable_request_limiter http_idle_timeout http_read_header_timeout http_read_timeout http_write_timeout inflight_requests_logging max_request_duration max_request_size profiling proxy_api proxy_protocol_authorized_addrs proxy_protocol_behavior redact_addresses redact_cluster_name redact_version telemetry tls_disable_client_certs tls_prefer_server_cipher_suites x_forwarded_for_authorized_addrs x_forwarded_for_hop_skips x_forwarded_for_reject_not_authorized x_forwarded_for_reject_not_present"`
}

// AgentAPI says what a listener lets callers do to the agent itself.
type AgentAPI struct {
	Origin
	EnableQuit bool `hcl:"enable_quit"`
}

// Cache keeps answers of the server for callers of the listeners.
type Cache struct {
	Origin
	UseAutoAuthToken UseToken `hcl:"use_auto_auth_token"`
	Persist          *Persist `hcl:"persist"`

	_ struct{} `ignored:"enforce_consistency when_inconsistent"`
}

// Persist hands the cache of an init container to the agent beside the app. It
// stands for a [State], unless there is one.
type Persist struct {
	Origin
	Type                    string `hcl:"type,label" types:"kubernetes"`
	Path                    string `hcl:"path,required"`     // of a folder
	KeepAfterImport         bool   `hcl:"keep_after_import"` // accepted: the state stays in use
	ExitOnErr               bool   `hcl:"exit_on_err" default:"true"`
	ServiceAccountTokenFile string `hcl:"service_account_token_file"` // accepted: a key of its own seals the state
}

// APIProxy passes requests of callers of the listeners on to the server.
type APIProxy struct {
	Origin
	UseAutoAuthToken UseToken `hcl:"use_auto_auth_token"`

	_ struct{} `ignored:"enforce_consistency when_inconsistent"`
}

// Telemetry says where metrics go.
type Telemetry struct {
	Origin
	PrometheusRetentionTime Duration `hcl:"prometheus_retention_time" default:"24h"` // accepted: figures are made when asked for
	StatsdAddress           string   `hcl:"statsd_address"`
	StatsiteAddress         string   `hcl:"statsite_address"`
	DogstatsdAddr           string   `hcl:"dogstatsd_addr"`
	DogstatsdTags           []string `hcl:"dogstatsd_tags"`
	MetricsPrefix           string   `hcl:"metrics_prefix"`
	DisableHostname         bool     `hcl:"disable_hostname"`
	EnableHostnameLabel     bool     `hcl:"enable_hostname_label"`
	FilterDefault           bool     `hcl:"filter_default" default:"true"`
	PrefixFilter            []string `hcl:"prefix_filter"` // "+name" lets through, "-name" holds back

	_ struct{} `ignored:"add_lease_metrics_namespace_labels add_mount_point_rollback_metrics circonus_api_app circonus_api_token circonus_api_url circonus_broker_id circonus_broker_select_tag circonus_check_display_name circonus_check_force_metric_activation circonus_check_id circonus_check_instance_id circonus_check_search_tag circonus_check_tags circonus_submission_interval circonus_submission_url lease_metrics_epsilon maximum_gauge_cardinality num_lease_metrics_buckets stackdriver_debug_logs stackdriver_location stackdriver_namespace stackdriver_project_id usage_gauge_period"`
}

// state returns the state that a persistent cache stands for.
func (p Persist) state() *State {
	return &State{Origin: Origin{At: p.At}, Path: filepath.Join(p.Path, persistedState), Optional: !p.ExitOnErr}
}

// check names what has another meaning than in the agent that the stanza was
// written for.
func (p Persist) check(r *report, hasState bool) {
	checkFilled(r, p.Origin, "path", p.Path)
	if hasState {
		r.warning(p.At, "keep one of them", "persist has no effect beside the stanza state")
		return
	}
	if p.Has("keep_after_import") && !p.KeepAfterImport {
		r.warning(p.Where("keep_after_import"), "remove it", "keep_after_import: the file is kept all the same, since the agent goes on writing to it")
	}
	if p.Has("service_account_token_file") {
		r.warning(p.Where("service_account_token_file"), "remove it, or write state with a key_file",
			"service_account_token_file has no effect here: the state is sealed by a key of its own, which outlives the account's tokens")
	}
}

func (l Listener) check(r *report) {
	checkWord(r, l.Origin, "role", l.Role, "default", "metrics_only")
	versions := []string{"tls10", "tls11", "tls12", "tls13"}
	checkWord(r, l.Origin, "tls_min_version", l.TLSMinVersion, versions...)
	checkWord(r, l.Origin, "tls_max_version", l.TLSMaxVersion, versions...)
	if l.TLSMinVersion > l.TLSMaxVersion {
		r.problem(l.Where("tls_min_version"), "raise tls_max_version", "tls_min_version %s is above tls_max_version %s", l.TLSMinVersion, l.TLSMaxVersion)
	}
	checkPair(r, l.Origin, "tls_cert_file", "tls_key_file")
	switch {
	case l.Type == "unix" && !l.Has("address"):
		r.problem(l.At, "set address to its path", "the socket has no path")
	case l.Type == "tcp" && !l.TLSDisable && !l.Has("tls_cert_file") && !l.Has("tls_key_file"):
		r.problem(l.At, "set tls_cert_file and tls_key_file, or tls_disable = true", "the listener has no certificate")
	}
	if l.TLSRequireClientCert && !l.Has("tls_client_ca_file") {
		r.problem(l.Where("tls_require_and_verify_client_cert"), "set tls_client_ca_file", "there is no CA to verify the callers' certificates")
	}
}

func (t Telemetry) check(r *report) {
	if t.Has("prometheus_retention_time") {
		r.warning(t.Where("prometheus_retention_time"), "remove it", "prometheus_retention_time has no effect here: figures are made when asked for")
	}
}

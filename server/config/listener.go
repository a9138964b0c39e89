package config

import (
	"net"
	"net/netip"
	"strings"
)

// Listener is an address on which the server answers.
type Listener struct {
	Origin
	Type    string `conf:"type,label" types:"tcp unix"`
	Address string `conf:"address" default:"127.0.0.1:8200"` // of type "unix" the path of the socket

	TLSDisable           bool   `conf:"tls_disable"`
	TLSCertFile          string `conf:"tls_cert_file"`
	TLSKeyFile           string `conf:"tls_key_file"`
	TLSMinVersion        string `conf:"tls_min_version" default:"tls12"`
	TLSMaxVersion        string `conf:"tls_max_version" default:"tls13"`
	TLSCipherSuites      string `conf:"tls_cipher_suites"` // names with commas between
	TLSClientCAFile      string `conf:"tls_client_ca_file"`
	TLSRequireClientCert bool   `conf:"tls_require_and_verify_client_cert"`
	TLSNoClientCerts     bool   `conf:"tls_disable_client_certs"`

	MaxRequestSize     int      `conf:"max_request_size" default:"33554432"` // bytes of a body
	MaxRequestDuration Duration `conf:"max_request_duration" default:"90s"`
	IdleTimeout        Duration `conf:"http_idle_timeout" default:"5m"`
	HeaderTimeout      Duration `conf:"http_read_header_timeout" default:"10s"`
	ReadTimeout        Duration `conf:"http_read_timeout" default:"30s"`
	WriteTimeout       Duration `conf:"http_write_timeout"` // 0: follows from max_request_duration

	// Proxies in front that may tell whom they speak for, as CIDR blocks.
	ForwardedFor              []string `conf:"x_forwarded_for_authorized_addrs"`
	ForwardedHops             int      `conf:"x_forwarded_for_hop_skips"`
	ForwardedRejectAbsent     bool     `conf:"x_forwarded_for_reject_not_present" default:"true"`
	ForwardedRejectUnapproved bool     `conf:"x_forwarded_for_reject_not_authorized" default:"true"`

	SocketMode  Mode   `conf:"socket_mode"`
	SocketUser  string `conf:"socket_user"`
	SocketGroup string `conf:"socket_group"`

	Telemetry ListenerTelemetry `conf:"telemetry"`

	_ struct{} `ignored:"cluster_address custom_response_headers disable_replication_status_endpoints disable_request_limiter inflight_requests_logging profiling tls_prefer_server_cipher_suites redact_addresses redact_cluster_name redact_version max_json_depth max_json_string_value_length max_json_object_entry_count max_json_array_element_count"`
}

// ListenerTelemetry says who may read metrics on a listener.
type ListenerTelemetry struct {
	Origin
	Unauthenticated bool `conf:"unauthenticated_metrics_access"`
}

func (l *Listener) check(r *report) {
	if l.Type == "unix" {
		l.checkSocket(r)
	} else {
		l.checkTCP(r)
	}
	versions := []string{"tls10", "tls11", "tls12", "tls13"}
	checkWord(r, l.Origin, "tls_min_version", l.TLSMinVersion, versions...)
	checkWord(r, l.Origin, "tls_max_version", l.TLSMaxVersion, versions...)
	if l.TLSMinVersion > l.TLSMaxVersion {
		r.problem(l.Where("tls_min_version"), "raise tls_max_version", "tls_min_version %s is above tls_max_version %s", l.TLSMinVersion, l.TLSMaxVersion)
	}
	if l.TLSRequireClientCert && l.TLSClientCAFile == "" {
		r.problem(l.Where("tls_require_and_verify_client_cert"), "set tls_client_ca_file", "there is no CA to verify the callers' certificates")
	}
	if l.TLSRequireClientCert && l.TLSNoClientCerts {
		r.problem(l.Where("tls_disable_client_certs"), "keep one", "client certificates are both required and disabled")
	}
	if l.MaxRequestSize <= 0 {
		r.problem(l.Where("max_request_size"), "remove it for 32 MiB", "max_request_size must be positive, got %d", l.MaxRequestSize)
	}
	if l.MaxRequestDuration == 0 {
		r.problem(l.Where("max_request_duration"), "remove it for 90s", "max_request_duration must be positive")
	}
	for _, block := range l.ForwardedFor {
		_, single := netip.ParseAddr(block)
		_, several := netip.ParsePrefix(block)
		if single != nil && several != nil {
			r.problem(l.Where("x_forwarded_for_authorized_addrs"), "write 10.0.0.0/8 or 10.0.0.1", "x_forwarded_for_authorized_addrs: %q is no address", block)
		}
	}
	if l.ForwardedHops < 0 {
		r.problem(l.Where("x_forwarded_for_hop_skips"), "0 trusts the nearest proxy only", "x_forwarded_for_hop_skips cannot be negative")
	}
}

func (l *Listener) checkSocket(r *report) {
	if !l.Has("address") || !strings.ContainsRune(l.Address, '/') {
		r.problem(l.Where("address"), "set address to its path", "the socket has no path")
	}
}

func (l *Listener) checkTCP(r *report) {
	if _, port, err := net.SplitHostPort(l.Address); err != nil || port == "" {
		r.problem(l.Where("address"), "write it as host:port, like 127.0.0.1:8200", "address: %q has no port", l.Address)
	}
	for _, key := range []string{"socket_mode", "socket_user", "socket_group"} {
		if l.Has(key) {
			r.problem(l.Where(key), `write listener "unix" for a socket`, "%s has no meaning for a TCP listener", key)
		}
	}
	checkPair(r, l.Origin, "tls_cert_file", "tls_key_file")
	switch {
	case !l.TLSDisable && !l.Has("tls_cert_file") && !l.Has("tls_key_file"):
		r.problem(l.At, "set tls_cert_file and tls_key_file, or tls_disable = true", "the listener has no certificate")
	case l.TLSDisable && !isLoopback(l.Address):
		r.warning(l.Where("tls_disable"), "set tls_cert_file and tls_key_file", "secrets cross the network in the clear on %s", l.Address)
	}
}

func isLoopback(address string) bool {
	host, _, _ := net.SplitHostPort(address)
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

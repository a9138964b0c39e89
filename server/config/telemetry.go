package config

import "strings"

// Telemetry says where metrics go besides sys/metrics.
type Telemetry struct {
	Origin
	PrometheusRetention Duration `conf:"prometheus_retention_time" default:"24h"`
	StatsdAddress       string   `conf:"statsd_address"`
	StatsiteAddress     string   `conf:"statsite_address"`
	DogstatsdAddr       string   `conf:"dogstatsd_addr"`
	DogstatsdTags       []string `conf:"dogstatsd_tags"`
	MetricsPrefix       string   `conf:"metrics_prefix"` // before every name; none by default
	DisableHostname     bool     `conf:"disable_hostname"`
	EnableHostnameLabel bool     `conf:"enable_hostname_label"`
	FilterDefault       bool     `conf:"filter_default" default:"true"`
	PrefixFilter        []string `conf:"prefix_filter"` // "+name" lets through, "-name" holds back

	_ struct{} `ignored:"add_lease_metrics_namespace_labels add_mount_point_rollback_metrics circonus_api_app circonus_api_token circonus_api_url circonus_broker_id circonus_broker_select_tag circonus_check_display_name circonus_check_force_metric_activation circonus_check_id circonus_check_instance_id circonus_check_search_tag circonus_check_tags circonus_submission_interval circonus_submission_url lease_metrics_epsilon maximum_gauge_cardinality num_lease_metrics_buckets stackdriver_debug_logs stackdriver_location stackdriver_namespace stackdriver_project_id usage_gauge_period unauthenticated_metrics_access"`
}

// notInNames reports whether no name of a metric may hold c.
func notInNames(c rune) bool {
	return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("_-.", c)
}

func (t *Telemetry) check(r *report) {
	if t.MetricsPrefix != "" && (t.MetricsPrefix[0] >= '0' && t.MetricsPrefix[0] <= '9' || strings.ContainsFunc(t.MetricsPrefix, notInNames)) {
		r.problem(t.Where("metrics_prefix"), "use letters, digits, _, - and dots, and begin with no digit", "metrics_prefix: %q cannot begin the name of a metric", t.MetricsPrefix)
	}
	for _, rule := range t.PrefixFilter {
		if !strings.HasPrefix(rule, "+") && !strings.HasPrefix(rule, "-") {
			r.problem(t.Where("prefix_filter"), "+ lets through, - holds back", "prefix_filter: %q begins with neither + nor -", rule)
		}
	}
}

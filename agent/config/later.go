package config

// later is the one list of what the vocabulary knows and no stage does yet:
// "key" at the top level, "stanza key" in a stanza, "stanza:type" for a type of
// block. Whoever builds a feature takes its line out.
func later() []string {
	return []string{
		"credentials",
		"disable_idle_connections",
		"disable_keep_alives",
		"env_template",
		"exec",
		"log_rotate_bytes",
		"log_rotate_duration",
		"log_rotate_max_files",

		"cache persist",
		"lease rotation_window",
		"notify budget",
		"notify retries",
		"notify splay",
		"notify:child",
		"sink aad",
		"sink aad_env_var",
		"sink derive_key",
		"sink dh_path",
		"sink dh_type",
		"sink wrap_ttl",
		"template rotation_window",
	}
}

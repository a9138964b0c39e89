package config

import (
	"strings"
	"testing"
)

// job is a template that makes a configuration complete.
const job = "template {\n source = \"a\"\n destination = \"b\"\n}\n"

func TestProblems(t *testing.T) {
	tests := []struct {
		name    string
		content string // begins on line 5, after job
		want    []string
	}{
		{"an unknown key at the top", `pid_fiel = "x"`,
			[]string{`agent.hcl:5: unknown key "pid_fiel"; did you mean "pid_file"?`}},
		{"an unknown key in a stanza", "vault {\n adress = \"x\"\n}",
			[]string{`agent.hcl:6: unknown key "adress" in vault; did you mean "address"?`}},
		{"a key that resembles none", "template_config {\n zzz = 1\n}",
			[]string{`agent.hcl:6: unknown key "zzz" in template_config; known here: exit_on_retry_failure, static_secret_render_interval, max_connections_per_host, lease_renewal_threshold`}},
		{"an unknown method", "auto_auth {\n method \"aprole\" {\n }\n}",
			[]string{`agent.hcl:6: unknown method "aprole"; did you mean "approle"?`}},
		{"a method without a type", "auto_auth {\n method {\n }\n}",
			[]string{`agent.hcl:6: method has no type; write method "approle" { … }`}},
		{"a method with two types", "auto_auth {\n method \"approle\" {\n  type = \"token_file\"\n }\n}",
			[]string{`agent.hcl:6: method has more than one type; keep one`}},
		{"two methods", "auto_auth {\n method \"token_file\" {\n  config { token_file_path = \"x\" }\n }\n method \"token_file\" {\n }\n}",
			[]string{`agent.hcl:9: "method" was already set on line 6; keep one`}},
		{"no method", "auto_auth {\n}",
			[]string{`agent.hcl:5: "method" is missing in auto_auth; set "method"`}},
		{"a method without its configuration", "auto_auth {\n method \"approle\" {\n }\n}",
			[]string{`agent.hcl:6: "config" is missing in method; set "config"`}},
		{"the configuration of another method", "auto_auth {\n method \"approle\" {\n  config { token_file_path = \"x\" }\n }\n}",
			[]string{`agent.hcl:7: unknown key "token_file_path" in config; did you mean "role_id_file_path"?`}},
		{"a misspelt key that is required, for which a check looks too", "template {\n source = \"c\"\n destinaton = \"d\"\n}\nstate {\n pth = \"x\"\n}",
			[]string{`agent.hcl:7: unknown key "destinaton" in template; did you mean "destination"?`, `agent.hcl:10: unknown key "pth" in state; did you mean "path"?`}},
		{"a misspelt key beside the right one", "state {\n pth = \"x\"\n path = \"y\"\n}",
			[]string{`agent.hcl:6: unknown key "pth" in state; did you mean "path"?`}},
		{"an unknown key that is like none does not hide what is missing", "state {\n colour = \"x\"\n}",
			[]string{`agent.hcl:5: "path" is missing in state; set "path"`, `agent.hcl:6: unknown key "colour" in state; known here: path, key_file, credential`}},
		{"a label where none belongs", "vault \"main\" {\n}",
			[]string{`agent.hcl:5: vault takes no label; write vault { … }`}},
		{"a stanza twice", "vault {\n}\nvault {\n}",
			[]string{`agent.hcl:7: "vault" was already set on line 5; keep one`}},
		{"two names of one key", "template {\n source = \"c\"\n destination = \"d\"\n perms = 600\n mode = 640\n}",
			[]string{`agent.hcl:9: "mode" was already set on line 8; keep one of: perms, mode`}},
		{"a value instead of a block", "vault = \"https://x:8200\"",
			[]string{`agent.hcl:5: vault: want a block, got a text`}},
		{"values instead of blocks", "auto_auth = 5\ntemplate = [{ source = \"c\", destination = \"d\" }, \"e\"]",
			[]string{`agent.hcl:5: auto_auth: want a block, got a number`, `agent.hcl:6: template: want a block, got a text`}},
		{"a value instead of a wrapper", "auto_auth {\n method \"token_file\" {\n  config { token_file_path = \"x\" }\n }\n sinks = [\"file\"]\n}",
			[]string{`agent.hcl:9: sinks: want a block, got a text`}},
		{"a block instead of a value", "pid_file {\n}",
			[]string{`agent.hcl:5: pid_file: want a text in double quotes, got a block`}},
		{"wrong types, without repeating what may be a secret", "pid_file = 12345\nexit_after_auth = \"maybe\"\nlease {\n renew_at = \"half\"\n overlap = [1, 2]\n}",
			[]string{`agent.hcl:5: pid_file: want a text in double quotes, got a number`, `agent.hcl:6: exit_after_auth: want true or false, got "maybe"`,
				`agent.hcl:8: renew_at: want a number, got "half"`, `agent.hcl:9: overlap: want a duration such as "5m" or a number of seconds, got a list`}},
		{"null", "pid_file = null\nexit_after_auth = null",
			[]string{`agent.hcl:5: pid_file: want a text in double quotes, got null`, `agent.hcl:6: exit_after_auth: want true or false, got null`}},
		{"bad durations", "template_config {\n static_secret_render_interval = \"5 minutes\"\n}\nlease {\n overlap = -5\n}",
			[]string{`agent.hcl:6: static_secret_render_interval: want a duration such as "5m" or a number of seconds, got "5 minutes"`, `agent.hcl:9: overlap: a duration cannot be negative, got -5`}},
		{"bad modes", "template {\n source = \"c\"\n destination = \"d\"\n perms = 0689\n}\ntemplate {\n source = \"e\"\n destination = \"f\"\n perms = 10000\n}",
			[]string{`agent.hcl:8: perms: want file permissions as octal digits such as "0640", got 0689`, `agent.hcl:13: perms: file permissions end at 07777, got 10000`}},
		{"bad lists", "template {\n source = \"c\"\n destination = \"d\"\n function_denylist = \"env\"\n command = [1]\n}",
			[]string{`agent.hcl:8: function_denylist: want a list of texts, got a text`, `agent.hcl:9: command: want a command as a text or a list of texts, got a list with a number in it`}},
		{"expressions", "pid_file = x\nlog_file = env(\"A\")\nexit_after_auth = 1 == 1\nlog_level = \"a\" + \"b\"",
			[]string{`agent.hcl:5: a word without quotes is no value; put it between double quotes`, `agent.hcl:6: the function "env" is not called here: a configuration is plain values; write the value itself`,
				`agent.hcl:7: an expression is not evaluated: a configuration is plain values; write the value itself`, `agent.hcl:8: an expression is not evaluated: a configuration is plain values; write the value itself`}},
		{"broken syntax", "vault {\n",
			[]string{`agent.hcl:5: unclosed configuration block; there is no closing brace for this block before the end of the file. This may be caused by incorrect brace nesting elsewhere in this file`}},
		{"a text that does not end", "pid_file = \"x\n",
			[]string{`agent.hcl:5: invalid multi-line string; quoted strings may not be split over multiple lines. To produce a multi-line string, either use the \n escape to represent a newline character or use the "heredoc" multi-line template syntax`}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := parseText([]byte(job + test.content))
			wantProblems(t, err, test.want...)
		})
	}
}

func TestStanzasThatDoNotFit(t *testing.T) {
	const method = "auto_auth {\n method \"token_file\" {\n  config { token_file_path = \"x\" }\n }\n"
	tests := []struct {
		name    string
		content string
		want    []string
	}{
		{"nothing to do", "vault {\n}",
			[]string{`agent.hcl: the configuration gives the agent nothing to do; add a template, or auto_auth with a sink`}},
		{"a token for nobody", method + "}",
			[]string{`agent.hcl:1: auto_auth gets a token that nobody uses; add a sink or a template`}},
		{"a template without a text", "template {\n destination = \"b\"\n}",
			[]string{`agent.hcl:1: the template has neither source nor contents; set source to a path, or contents to the template itself`}},
		{"a template with two texts", "template {\n source = \"a\"\n contents = \"a\"\n destination = \"b\"\n}",
			[]string{`agent.hcl:3: the template has both source and contents; keep one of them`}},
		{"a template without a destination", "template {\n source = \"a\"\n}",
			[]string{`agent.hcl:1: "destination" is missing in template; set "destination"`}},
		{"empty names", "template {\n source = \"\"\n destination = \"\"\n}",
			[]string{`agent.hcl:2: source is empty; write a value or remove the key`, `agent.hcl:3: destination is empty; write a value or remove the key`}},
		{"command and exec", "template {\n source = \"a\"\n destination = \"b\"\n command = \"x\"\n exec {\n  command = \"y\"\n }\n}",
			[]string{`agent.hcl:5: the template has both command and exec; keep one of them`}},
		{"half a pair of delimiters", "template {\n source = \"a\"\n destination = \"b\"\n left_delimiter = \"[[\"\n}",
			[]string{`agent.hcl:1: left_delimiter and right_delimiter go together; set both or none`}},
		{"a wait that never ends before it begins", "template {\n source = \"a\"\n destination = \"b\"\n wait = \"10s:2s\"\n}",
			[]string{`agent.hcl:4: wait: the least time 10s is more than the most 2s; write wait = "min:max"`}},
		{"two writers of one file", method + " sink \"file\" {\n  config { path = \"/run/x\" }\n }\n}\ntemplate {\n source = \"a\"\n destination = \"/run/./x\"\n}",
			[]string{`agent.hcl:11: "/run/x" is written by agent.hcl:6 already; give each its own file`}},
		{"fractions", job + "lease {\n renew_at = 1\n jitter = 0.9\n overlap = 0\n}\ntemplate_config {\n lease_renewal_threshold = \"NaN\"\n}",
			[]string{`agent.hcl:6: renew_at: want a fraction between 0 and 1; 0.5 is half of the lease's time`, `agent.hcl:7: jitter: want a fraction from 0 to 0.5; 0.1 lets delays vary by 10 %`,
				`agent.hcl:8: overlap: want more than 0; remove it to have it follow from the TTL`, `agent.hcl:11: lease_renewal_threshold: want a fraction between 0 and 1; 0.5 is half of the lease's time`}},
		{"numbers without a meaning", job + "template_config {\n max_connections_per_host = 0\n static_secret_render_interval = 0\n}\nvault {\n retry {\n  num_retries = -2\n }\n}",
			[]string{`agent.hcl:6: max_connections_per_host: want 1 or more, got 0; 10 is the default`, `agent.hcl:7: static_secret_render_interval: want more than 0; 5m is the default`,
				`agent.hcl:11: num_retries: want -1 or more, got -2; -1 turns retries off, 0 means 12`}},
		{"addresses", job + "vault {\n address = \"localhost:8200\"\n client_key = \"k\"\n}",
			[]string{`agent.hcl:5: client_cert and client_key go together; set both or none`, `agent.hcl:6: address: "localhost:8200" is no address of a server; write it as https://host:8200`}},
		{"log words", job + "log_level = \"inof\"\nlog_format = \"xml\"",
			[]string{`agent.hcl:5: log_level: unknown value "inof"; known here: trace, debug, info, warn, error`, `agent.hcl:6: log_format: unknown value "xml"; known here: standard, json`}},
		{"backoff", strings.Replace(method, "  config", "  min_backoff = \"10m\"\n  config", 1) + "}\n" + job,
			[]string{`agent.hcl:2: max_backoff 5m0s is less than min_backoff 10m0s; raise max_backoff`}},
		{"signals", job + "notify \"signal\" {\n signal = \"RELOAD\"\n process = \"x\"\n}\nnotify \"signal\" {\n pid = 0\n pidfile = \"x\"\n}\nnotify \"signal\" {\n}",
			[]string{`agent.hcl:6: signal: unknown signal "RELOAD"; write it as "SIGHUP", "HUP" or 1`, `agent.hcl:9: the signal has more than one target: pid, pidfile; set exactly one of pid, pidfile and process`,
				`agent.hcl:10: pid: want the number of a process, got 0`, `agent.hcl:13: the signal has no target; set exactly one of pid, pidfile and process`}},
		{"keys of another notifier", job + "notify \"command\" {\n comand = \"x\"\n timeout = \"0s\"\n}\nnotify \"signal\" {\n pid = 1\n pid_file = \"x\"\n}",
			[]string{`agent.hcl:6: unknown key "comand" in notify; did you mean "command"?`, `agent.hcl:7: timeout: want more than 0; 30s is the default`,
				`agent.hcl:9: the signal has more than one target: pid, pidfile; set exactly one of pid, pidfile and process`, `agent.hcl:11: unknown key "pid_file" in notify; did you mean "pidfile"?`}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := parseText([]byte(test.content))
			wantProblems(t, err, test.want...)
		})
	}
}

func TestStanzasOfServingAndRenderingThatDoNotFit(t *testing.T) {
	const login = "auto_auth {\n method \"token_file\" {\n  wrap_ttl = \"1m\"\n  config { token_file_path = \"x\" }\n }\n"
	const sink = " sink \"file\" {\n  config { path = \"PATH\" }\n }\n"
	method := func(name, config string) string {
		return job + "auto_auth {\n method \"" + name + "\" {\n  config {\n" + config + "\n  }\n }\n}"
	}
	inTemplate := func(keys string) string { return "template {\n destination = \"b\"\n" + keys + "\n}" }
	tests := []struct {
		name    string
		content string
		want    []string
	}{
		{"a cache for nobody", "cache {\n}", []string{`agent.hcl:1: cache has neither a listener nor a template; add listener "tcp" { … } or a template`}},
		{"a proxy that nobody reaches", job + "api_proxy {\n}", []string{`agent.hcl:5: api_proxy has no listener; add listener "tcp" { … }`}},
		{"a token that no caller gets", strings.Replace(login, "wrap_ttl = \"1m\"", "", 1) + "}\napi_proxy {\n}\nlistener \"unix\" {\n address = \"/x\"\n}",
			[]string{`agent.hcl:1: auto_auth gets a token that nobody uses; add a sink or a template`}},
		{"a wrapped token for two", login + strings.Replace(sink, "PATH", "a", 1) + strings.Replace(sink, "PATH", "b", 1) + "}",
			[]string{`agent.hcl:3: a token that is wrapped by the server fits one sink, and there are 2; set wrap_ttl of the sinks instead`}},
		{"a token wrapped twice", login + strings.Replace(sink, "  config", "  wrap_ttl = \"1m\"\n  config", 1) + "}",
			[]string{`agent.hcl:7: wrap_ttl is set for both the method and the sink; keep one of them`}},
		{"a wrapped token for nobody", login + "}\nlistener \"unix\" {\n address = \"/x\"\n}\napi_proxy {\n use_auto_auth_token = true\n}",
			[]string{`agent.hcl:3: a token that is wrapped by the server has no sink to go to; add a sink, or remove wrap_ttl`,
				`agent.hcl:11: api_proxy needs the token, which the server wraps for the sink; set wrap_ttl of the sink instead of the method's`}},
		{"a wrapped token for the agent's own work", login + strings.Replace(sink, "PATH", "a", 1) + "}\n" + inTemplate(`contents = "x"`) +
			"\ngroup \"g\" {\n directory = \"d\"\n template {\n  contents = \"x\"\n  destination = \"f\"\n }\n}\nenv_file {\n destination = \"e\"\n env_template \"A\" {\n  contents = \"x\"\n }\n}\ncache {\n use_auto_auth_token = true\n}",
			[]string{`agent.hcl:10: template needs the token, which the server wraps for the sink; set wrap_ttl of the sink instead of the method's`,
				`agent.hcl:14: group needs the token, which the server wraps for the sink; set wrap_ttl of the sink instead of the method's`,
				`agent.hcl:21: env_file needs the token, which the server wraps for the sink; set wrap_ttl of the sink instead of the method's`,
				`agent.hcl:28: cache needs the token, which the server wraps for the sink; set wrap_ttl of the sink instead of the method's`}},
		{"additional data twice", strings.Replace(login, "wrap_ttl", "min_backoff", 1) + strings.Replace(sink, "  config", "  dh_path = \"k\"\n  aad = \"x\"\n  aad_env_var = \"Y\"\n  config", 1) + "}",
			[]string{`agent.hcl:8: aad and aad_env_var are two values for one thing; keep aad_env_var, which goes first in other agents`}},
		{"an exchange that is not known", login + strings.Replace(sink, "  config", "  dh_path = \"\"\n  dh_type = \"p256\"\n  config", 1) + "}",
			[]string{`agent.hcl:7: dh_path is empty; write a value or remove the key`, `agent.hcl:8: dh_type: unknown value "p256"; known here: curve25519`}},
		{"encryption without a key", login + strings.Replace(sink, "  config", "  aad = \"x\"\n  config", 1) + "}",
			[]string{`agent.hcl:7: aad encrypts nothing without a key; set dh_path to the reader's public key`}},
		{"variables without a child", "env_template \"A\" {\n contents = \"x\"\n}", []string{`agent.hcl:1: env_template is the environment of a child, and there is none; add exec with the command, or use env_file`}},
		{"a child without a secret", "exec {\n command = \"x\"\n}", []string{`agent.hcl: the configuration gives the agent nothing to do; add a template, or auto_auth with a sink`, `agent.hcl:1: exec starts a child that has no secret; add env_template "NAME" { … } or a template`}},
		{"a message to no child", job + "notify \"child\" {\n}", []string{`agent.hcl:5: there is no child to tell; add exec with the command, or use another type`}},
		{"names of variables", "exec {\n command = \"x\"\n}\nenv_template \"A-B\" {\n contents = \"x\"\n}\nenv_template {\n contents = \"x\"\n}\nenv_template \"C\" {\n contents = \"x\"\n}\nenv_template \"C\" {\n contents = \"x\"\n}",
			[]string{`agent.hcl:4: "A-B" is no name of an environment variable; use letters, digits and _`, `agent.hcl:7: env_template has no name; write env_template "NAME" { … }`, `agent.hcl:13: the variable "C" is set by agent.hcl:10 already; give each its own name`}},
		{"keys that a variable has not", "exec {\n command = \"x\"\n}\nenv_template \"A\" {\n contents = \"x\"\n perms = 0600\n}", []string{`agent.hcl:6: unknown key "perms" in env_template; known here: source, contents, secret, format, fields, prefix, error_on_missing_key, error_fatal, left_delimiter, right_delimiter, function_denylist, function_blacklist, sandbox_path, name`}},
		{"a format of a template", inTemplate("contents = \"x\"\nformat = \"json\""), []string{`agent.hcl:4: format is that of a secret without a template; set secret to a path, or remove format`}},
		{"fields of a template", inTemplate("contents = \"x\"\nfields = [\"a\"]\nprefix = \"b\""), []string{
			`agent.hcl:4: fields is that of a secret without a template; set secret to a path, or remove fields`,
			`agent.hcl:5: prefix is that of a secret without a template; set secret to a path, or remove prefix`,
		}},
		{"a check of an env file that is written over", "env_file {\n destination = \"/e\"\n check = \"x\"\n in_place = true\n env_template \"A\" {\n  contents = \"x\"\n }\n}",
			[]string{`agent.hcl:4: in_place and check do not go together: what is written into a file is in use at once; remove one of them`}},
		{"a secret without a format", inTemplate(`secret = "kv/x"`), []string{`agent.hcl:3: the secret has no format; set format to json, yaml, env or properties`}},
		{"an unknown format", inTemplate("secret = \"kv/x\"\nformat = \"jsn\""), []string{`agent.hcl:4: format: unknown value "jsn"; did you mean "json"?`}},
		{"schedules", inTemplate("contents = \"x\"\nmax_stale = 0\nrefresh_interval = 0\nrotation_window = [\"noon\"]\nnotify \"command\" {\n command = \"x\"\n budget = 3\n}"),
			[]string{`agent.hcl:4: max_stale: want more than 0; remove it for that of the lease stanza`, `agent.hcl:5: refresh_interval: want more than 0, or "never"`,
				`agent.hcl:6: rotation_window: want a time such as "Mon-Fri 02:00-04:30" or "Sun 23:00-01:00 UTC", got "noon"`, `agent.hcl:9: budget: want a number in a time, such as "3/1h", got 3`}},
		{"files outside of a group", "group \"g\" {\n directory = \"/d\"\n keep = -1\n template {\n  contents = \"x\"\n  destination = \"../b\"\n }\n template {\n  contents = \"x\"\n  destination = \"/b\"\n  in_place = true\n }\n}",
			[]string{`agent.hcl:3: keep: want 0 or more, got -1`, `agent.hcl:6: "../b" is outside of the group; write it relative to the group's directory`, `agent.hcl:10: "/b" is outside of the group; write it relative to the group's directory`, `agent.hcl:11: in_place: the files of a group are switched, not written over; remove it`}},
		{"one folder for two groups", "group \"g\" {\n directory = \"/d\"\n template {\n  contents = \"x\"\n  destination = \"b\"\n }\n}\ngroup \"h\" {\n directory = \"/d/\"\n template {\n  contents = \"x\"\n  destination = \"c\"\n }\n}",
			[]string{`agent.hcl:9: "/d" is written by agent.hcl:2 already; give each its own file`}},
		{"an empty group", "group \"g\" {\n directory = \"/d\"\n}", []string{`agent.hcl:1: "template" is missing in group; set "template"`}},
		{"two keys of a state", job + "state {\n path = \"p\"\n key_file = \"k\"\n credential = \"c\"\n}", []string{`agent.hcl:8: the state has both key_file and credential; keep one of them`}},
		{"listeners", job + "listener \"tcp\" {\n}\nlistener \"unix\" {\n}\nlistener \"tcp\" {\n tls_disable = 1\n tls_min_version = \"tls13\"\n tls_max_version = \"tls12\"\n role = \"metrics\"\n tls_require_and_verify_client_cert = true\n socket_mod = \"0600\"\n}\nlistener \"unix\" {\n address = \"/x\"\n socket_mod = \"0600\"\n}",
			[]string{`agent.hcl:5: the listener has no certificate; set tls_cert_file and tls_key_file, or tls_disable = true`, `agent.hcl:7: the socket has no path; set address to its path`,
				`agent.hcl:11: tls_min_version tls13 is above tls_max_version tls12; raise tls_max_version`, `agent.hcl:13: role: unknown value "metrics"; known here: default, metrics_only`,
				`agent.hcl:14: there is no CA to verify the callers' certificates; set tls_client_ca_file`, `agent.hcl:15: unknown key "socket_mod" in listener; known here: type, address, tls_disable, tls_cert_file, tls_key_file, tls_min_version, tls_max_version, tls_cipher_suites, tls_client_ca_file, tls_require_and_verify_client_cert, role, require_request_header, agent_api`,
				`agent.hcl:19: unknown key "socket_mod" in listener; did you mean "socket_mode"?`}},
		{"connections and logs", job + "disable_keep_alives = [\"cache\"]\nlog_rotate_bytes = -1\nlog_file = \"x\"", []string{`agent.hcl:5: disable_keep_alives: unknown value "cache"; known here: auto-auth, caching, proxying, templating`, `agent.hcl:6: log_rotate_bytes: want 0 or more, got -1`}},
		{"webhooks and units", job + "notify \"webhook\" {\n url = \"app\"\n headers = { a = 1 }\n}\nnotify \"systemd\" {\n unit = \"\"\n}",
			[]string{`agent.hcl:6: url: want an address of HTTP; write it as https://host/path`, `agent.hcl:7: headers: want a block of texts, got one with a number in it`, `agent.hcl:10: unit is empty; write a value or remove the key`}},
		{"credentials", "credentials {\n socket = \"s\"\n credential \"a\" {\n  contents = \"x\"\n }\n credential \"a\" {\n  contents = \"x\"\n }\n}", []string{`agent.hcl:6: the credential "a" is that of agent.hcl:3 already; give each its own name`}},
		{"aws", method("aws", "type = \"sts\"\nrole = \"r\"\naccess_key = \"a\""), []string{`agent.hcl:7: access_key and secret_key go together; set both or none`, `agent.hcl:8: type: unknown value "sts"; known here: iam, ec2`}},
		{"gcp", method("gcp", "type = \"iam\"\nrole = \"r\"\njwt_exp = 0"), []string{`agent.hcl:7: the type "iam" needs a service account; set service_account`, `agent.hcl:10: jwt_exp: want 1 or more, got 0`}},
		{"approle", method("approle", "role_id_file_path = \"r\"\nsecret_id_response_wrapping_path = \"w\""), []string{`agent.hcl:9: there is no secret id to unwrap; set secret_id_file_path`}},
		{"passwords", method("ldap", "username = \"\"\npassword_file_path = \"\""), []string{`agent.hcl:8: username is empty; write a value or remove the key`, `agent.hcl:9: password_file_path is empty; write a value or remove the key`}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := parseText([]byte(test.content))
			wantProblems(t, err, test.want...)
		})
	}
}

func TestALogThatIsNotAFileIsNotRotated(t *testing.T) {
	f, err := parseText([]byte(job + "log_rotate_bytes = 5"))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "warnings", texts(f.Warnings), []string{`agent.hcl:5: log_rotate_bytes has no effect without a log file; set log_file`})
}

func TestMethodsOfOtherAgentsNameWhatToUse(t *testing.T) {
	for name, hint := range map[string]string{
		"kerberos": `use "ldap" with a password file, or "cert" with the machine's certificate`,
		"alicloud": `use "jwt" with the pod's OIDC token, or "approle"`,
		"cf":       `use "cert" with the instance's certificate, $CF_INSTANCE_CERT and $CF_INSTANCE_KEY`,
		"oci":      `use "kubernetes" or "jwt" with the workload's token, or "approle"`,
	} {
		_, err := parseText([]byte(job + "auto_auth {\n method \"" + name + "\" {\n  mount_path = 5\n }\n}"))
		wantProblems(t, err, "agent.hcl:6: method \""+name+"\" is not supported; "+hint)
	}
}

func TestAPersistentCacheIsAStateUnlessThereIsOne(t *testing.T) {
	const persist = "cache {\n persist \"kubernetes\" {\n  path = \"/cache\"\n"
	tests := []struct {
		name, content string
		path          string
		optional      bool
		warnings      []string
	}{
		{"with its defaults", persist + " }\n}", "/cache/securevault-agent.state", false, nil},
		{"one that may fail", persist + "exit_on_err = false\n }\n}", "/cache/securevault-agent.state", true, nil},
		{"keys of the injector", persist + "keep_after_import = true\nexit_on_err = true\n }\n}", "/cache/securevault-agent.state", false, nil},
		{"keys without effect", persist + "keep_after_import = false\nservice_account_token_file = \"token\"\n }\n}", "/cache/securevault-agent.state", false, []string{
			`agent.hcl:8: keep_after_import: the file is kept all the same, since the agent goes on writing to it; remove it`,
			`agent.hcl:9: service_account_token_file has no effect here: the state is sealed by a key of its own, which outlives the account's tokens; remove it, or write state with a key_file`,
		}},
		{"beside a state", persist + "exit_on_err = false\n }\n}\nstate {\n path = \"/state\"\n}", "/state", false, []string{
			`agent.hcl:6: persist has no effect beside the stanza state; keep one of them`,
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := load(t, job+test.content)
			equal(t, "state", []any{f.State.Path, f.State.Optional, f.RevokeOnExit}, []any{test.path, test.optional, false})
			var got []string
			for _, warning := range f.Warnings {
				got = append(got, warning.String())
			}
			equal(t, "warnings", got, test.warnings)
		})
	}
	if f := load(t, job+"cache {\n}"); f.State != nil {
		t.Errorf("a cache in memory has the state %q", f.State.Path)
	}
}

func TestPartsAreReadFromAVariable(t *testing.T) {
	got, err := ParseParts(" auto-auth,proxying, ")
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "parts", got, []string{PartAutoAuth, PartProxying})
	if _, err := ParseParts("templating,autoauth"); err == nil || err.Error() != `unknown value "autoauth"; did you mean "auto-auth"?` {
		t.Errorf("an unknown part leads to %v", err)
	}
}

func TestKeysWithoutEffectAreNamed(t *testing.T) {
	const gcp = "\nauto_auth {\n method \"gcp\" {\n  config = { type = \"gce\", role = \"r\", project = \"p\" }\n }\n}"
	f := load(t, job+"disable_mlock = true\ncluster_name = \"x\"\ntelemetry {\n prometheus_retention_time = \"30s\"\n}"+gcp)
	var got []string
	for _, warning := range f.Warnings {
		got = append(got, warning.String())
	}
	equal(t, "warnings", got, []string{
		`agent.hcl:5: "disable_mlock" has no effect here; remove it`,
		`agent.hcl:6: "cluster_name" has no effect here; remove it`,
		`agent.hcl:8: prometheus_retention_time has no effect here: figures are made when asked for; remove it`,
		`agent.hcl:12: project has no effect here: Google finds the account by its name; remove it`,
	})
	f = load(t, job+"auto_auth {\n method \"cert\" {\n  config = { reload = true }\n }\n}")
	equal(t, "warnings", texts(f.Warnings), []string{`agent.hcl:7: reload has no effect on the certificate of vault; set client_cert and client_key`})
}

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
		{"a stanza that comes later", "cache {\n}\nlistener \"tcp\" {\n}",
			[]string{`agent.hcl:5: "cache" is not supported yet; remove it`, `agent.hcl:7: "listener" is not supported yet; remove it`}},
		{"a key that comes later", "auto_auth {\n method \"token_file\" {\n  wrap_ttl = \"5m\"\n  config { token_file_path = \"x\" }\n }\n sink \"file\" {\n  dh_type = \"curve25519\"\n  config { path = \"c\" }\n }\n}",
			[]string{`agent.hcl:7: "wrap_ttl" in method is not supported yet; remove it`, `agent.hcl:11: "dh_type" in sink is not supported yet; remove it`}},
		{"a method that comes later", "auto_auth {\n method \"kubernetes\" {\n  config { role = \"x\" }\n }\n}",
			[]string{`agent.hcl:6: method "kubernetes" is not supported yet; supported are: approle, token_file`}},
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
			[]string{`agent.hcl:7: unknown key "token_file_path" in config; did you mean "role_id_file_path"?`, `agent.hcl:7: "role_id_file_path" is missing in config; set "role_id_file_path"`}},
		{"a label where none belongs", "vault \"main\" {\n}",
			[]string{`agent.hcl:5: vault takes no label; write vault { … }`}},
		{"a key twice", "log_level = \"info\"\nlog_level = \"info\"",
			[]string{`agent.hcl:6: attribute redefined; the argument "log_level" was already set at agent.hcl:5,1-10. Each argument may be set only once`}},
		{"a stanza twice", "vault {\n}\nvault {\n}",
			[]string{`agent.hcl:7: "vault" was already set on line 5; keep one`}},
		{"two names of one key", "template {\n source = \"c\"\n destination = \"d\"\n perms = 600\n mode = 640\n}",
			[]string{`agent.hcl:9: "mode" was already set on line 8; keep one of: perms, mode`}},
		{"a value instead of a block", "vault = \"https://x:8200\"",
			[]string{`agent.hcl:5: vault: want a block, got a text`}},
		{"values instead of blocks", "auto_auth = 5\ntemplate = [{ source = \"c\", destination = \"d\" }, \"e\"]",
			[]string{`agent.hcl:5: auto_auth: want a block, got a number`, `agent.hcl:6: template: want a block, got a text`}},
		{"a block instead of a value", "pid_file {\n}",
			[]string{`agent.hcl:5: pid_file: want a text in double quotes, got a block`}},
		{"wrong types, without repeating what may be a secret", "pid_file = 12345\nexit_after_auth = \"maybe\"\nlease {\n renew_at = \"half\"\n overlap = [1]\n}",
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
		{"keys of another notifier", job + "notify \"command\" {\n pidfile = \"x\"\n timeout = \"0s\"\n}\nnotify \"webhook\" {\n}",
			[]string{`agent.hcl:5: "command" is missing in notify; set "command"`, `agent.hcl:6: unknown key "pidfile" in notify; known here: type, command, timeout`,
				`agent.hcl:7: timeout: want more than 0; 30s is the default`, `agent.hcl:9: notify "webhook" is not supported yet; supported are: signal, command`}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := parseText([]byte(test.content))
			wantProblems(t, err, test.want...)
		})
	}
}

func TestKeysWithoutEffectAreNamed(t *testing.T) {
	f := load(t, job+"disable_mlock = true\ncluster_name = \"x\"")
	var got []string
	for _, warning := range f.Warnings {
		got = append(got, warning.String())
	}
	equal(t, "warnings", got, []string{
		`agent.hcl:5: "disable_mlock" has no effect here; remove it`,
		`agent.hcl:6: "cluster_name" has no effect here; remove it`,
	})
}

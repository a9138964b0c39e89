package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// isLegacy is the warning about a file that HCL2 refuses.
func isLegacy(line, why string) string {
	return "agent.hcl:" + line + ": the file is legacy HCL: " + why + "; securevault agent convert rewrites it"
}

func TestHabitsOfLegacyFiles(t *testing.T) {
	login := func(config string) string {
		return job + "auto_auth {\n method \"approle\" {\n" + config + "\n }\n}"
	}
	mode := func(f *File) any { return f.Templates[1].Mode }
	roleAndSecret := func(f *File) any {
		c := f.AutoAuth.Method.AppRole
		return []string{c.RoleIDFilePath, c.SecretIDFilePath}
	}
	tests := []struct {
		name     string
		content  string
		got      func(*File) any
		want     any
		warnings []string
	}{
		{"config as a block", login(`config { role_id_file_path = "r" }`), roleAndSecret, []string{"r", ""}, nil},
		{"config as an object", login(`config = { role_id_file_path = "r" }`), roleAndSecret, []string{"r", ""}, nil},
		{"config as a list", login(`config = [{ role_id_file_path = "r" }, { secret_id_file_path = "s" }]`), roleAndSecret, []string{"r", "s"}, nil},
		{"config in pieces", login("config { role_id_file_path = \"r\" }\nconfig { secret_id_file_path = \"s\" }"), roleAndSecret, []string{"r", "s"}, nil},
		{"pieces that disagree", login("config {\n role_id_file_path = \"r\"\n}\nconfig {\n role_id_file_path = \"q\"\n}"), roleAndSecret, []string{"q", ""},
			[]string{`agent.hcl:11: "role_id_file_path" was already set on line 8, and this one counts; keep one`}},
		{"keys in quotes", `"auto_auth" = { "method" = { "type" = "approle", "config" = { "role_id_file_path" = "r" } } }` + "\n" + job, roleAndSecret, []string{"r", ""},
			[]string{isLegacy("1", "invalid argument name")}},
		{"labels in quotes", job + `"auto_auth" { "method" "approle" { "config" = { "role_id_file_path" = "r" } } }`, roleAndSecret, []string{"r", ""},
			[]string{isLegacy("5", "invalid argument name")}},
		{"a label as a key", job + `auto_auth { method = { approle = { config = { role_id_file_path = "r" } } } }`, roleAndSecret, []string{"r", ""}, nil},
		{"several keys on a line", job + `vault { address = "http://x:1" namespace = "n" }`, func(f *File) any { return []string{f.Vault.Address, f.Vault.Namespace} }, []string{"http://x:1", "n"},
			[]string{isLegacy("5", "invalid single-argument block definition")}},
		{"capital letters", job + "Vault {\n ADDRESS = \"http://x:1\"\n}\nauto_auth {\n Method \"AppRole\" {\n  Config = { Role_ID_File_Path = \"r\" }\n }\n}", roleAndSecret, []string{"r", ""}, nil},
		{"a value twice", job + "log_level = \"warn\"\nlog_level = \"error\"", func(f *File) any { return f.LogLevel }, "error",
			[]string{isLegacy("6", "attribute redefined"), `agent.hcl:6: "log_level" was already set on line 5, and this one counts; keep one`}},
		{"a wrapper of sinks", job + "auto_auth {\n method \"approle\" {\n  config = { role_id_file_path = \"r\" }\n }\n sinks {\n  sink \"file\" {\n   config = { path = \"one\" }\n  }\n }\n sinks = [{ sink = { file = { config = { path = \"two\" } } } }]\n}",
			func(f *File) any { return []string{f.AutoAuth.Sinks[0].File.Path, f.AutoAuth.Sinks[1].File.Path} }, []string{"one", "two"}, nil},
		{"an interpolation", job + "\"log_file\" = \"${HOME}/a \\\"${b \"c\"}\\\"\"", func(f *File) any { return f.LogFile }, `${HOME}/a "${b "c"}"`,
			[]string{isLegacy("5", "invalid argument name")}},
		{"a heredoc", job + "\"log_file\" = <<-EOT\n    a\n      ${b}\n    EOT\n", func(f *File) any { return f.LogFile }, "a\n  ${b}\n",
			[]string{isLegacy("5", "invalid argument name")}},
		{"octal permissions", job + strings.Replace(job, "\"b\"", "\"c\"\n perms = 0644", 1), mode, Mode(0o644), nil},
		{"permissions without the zero", job + strings.Replace(job, "\"b\"", "\"c\"\n perms = 640", 1), mode, Mode(0o640),
			[]string{`agent.hcl:8: perms: 640 is taken to mean 0640; write "0640"`}},
		{"permissions in decimal", job + strings.Replace(job, "\"b\"", "\"c\"\n perms = 420", 1), mode, Mode(0o644),
			[]string{`agent.hcl:8: perms: 420 is taken to mean 0644; write "0644"`}},
		{"an octal number", job + "vault {\n retry {\n  num_retries = 010\n }\n}", func(f *File) any { return f.Vault.Retry.NumRetries }, 8,
			[]string{`agent.hcl:7: num_retries: 010 is taken to mean 8; write 8`}},
		{"a number in quotes", job + "vault {\n retry {\n  num_retries = \"3\"\n }\n}", func(f *File) any { return f.Vault.Retry.NumRetries }, 3, nil},
		{"1 for true", job + "exit_after_auth = 1", func(f *File) any { return f.ExitAfterAuth }, true, nil},
		{"a list of one value", job + `log_file = ["a"]`, func(f *File) any { return f.LogFile }, "a", nil},
		{"a command with spaces", strings.Replace(job, "\"b\"", "\"b\"\n command = \"a b\"", 1), func(f *File) any { return f.Templates[0].Command }, Command{Line: "a b"}, nil},
		{"a command in a list", strings.Replace(job, "\"b\"", "\"b\"\n command = [\"a b\", \"c\"]", 1), func(f *File) any { return f.Templates[0].Command }, Command{Args: []string{"a b", "c"}}, nil},
		{"a line in a list", strings.Replace(job, "\"b\"", "\"b\"\n command = [\"a b\"]", 1), func(f *File) any { return f.Templates[0].Command }, Command{Line: "a b"},
			[]string{`agent.hcl:4: command: a list of one text with spaces is run by sh -c; write it without brackets`}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := load(t, test.content)
			equal(t, "value", test.got(f), test.want)
			equal(t, "warnings", strings.Join(texts(f.Warnings), "\n"), strings.Join(test.warnings, "\n"))
		})
	}
}

func texts(problems []Problem) []string {
	var out []string
	for _, p := range problems {
		out = append(out, p.String())
	}
	return out
}

func TestModesInDoubt(t *testing.T) {
	for written, want := range map[string]Mode{
		"640": 0o640, "600": 0o600, "644": 0o644, "755": 0o755, "400": 0o400, "0640": 0o640, "1777": 0o1777,
		"384": 0o600, "416": 0o640, "420": 0o644, "436": 0o664, "493": 0o755,
	} {
		var got Mode
		if err := got.decode(value{kind: number, scalar: written}); err != nil || got != want {
			t.Errorf("%s without quotes is read as %s (%v), want %s", written, got, err, want)
		}
	}
	var got Mode
	if err := got.decode(value{kind: text, scalar: "420"}); err != nil || got != 0o420 {
		t.Errorf("\"420\" in quotes is read as %s (%v)", got, err)
	}
}

// injected is what a sidecar injector for Kubernetes writes.
const injected = `{
  "auto_auth": {
    "method": {
      "type": "kubernetes",
      "mount_path": "auth/kubernetes",
      "config": {"role": "app", "token_path": "/var/run/token"}
    },
    "sink": [{"type": "file", "config": {"path": "/home/vault/.vault-token"}}]
  },
  "exit_after_auth": false,
  "pid_file": "/home/vault/.pid",
  "vault": {"address": "https://vault.svc:8200", "namespace": null},
  "template": [{
    "destination": "/vault/secrets/db",
    "contents": "{{ with secret \"database/creds/app\" }}${x}\n{{ end }}",
    "perms": "0640",
    "left_delimiter": "{{",
    "right_delimiter": "}}"
  }],
  "template_config": {"exit_on_retry_failure": true},
  "listener": [{"type": "tcp", "address": "127.0.0.1:8200", "tls_disable": true}],
  "cache": {"use_auto_auth_token": "force", "persist": {"type": "kubernetes", "path": "/vault/agent-cache"}}
}`

func TestConfigurationOfAnInjector(t *testing.T) {
	f, err := parseText([]byte(injected))
	if err != nil {
		t.Fatal(err)
	}
	m, one := f.AutoAuth.Method, f.Templates[0]
	equal(t, "method", []string{m.Type, m.Kubernetes.Role, m.Kubernetes.TokenPath}, []string{"kubernetes", "app", "/var/run/token"})
	equal(t, "sink", f.AutoAuth.Sinks[0].File.Path, "/home/vault/.vault-token")
	equal(t, "a null", f.Vault.Has("namespace"), false)
	equal(t, "template", []any{one.Contents, one.Mode}, []any{"{{ with secret \"database/creds/app\" }}${x}\n{{ end }}", Mode(0o640)})
	equal(t, "listener", []any{f.Listeners[0].Address, f.Listeners[0].TLSDisable}, []any{"127.0.0.1:8200", true})
	equal(t, "cache", []any{f.Cache.UseAutoAuthToken, f.Cache.Persist.Path}, []any{ForceOwn, "/vault/agent-cache"})
	equal(t, "lines", []string{m.Kubernetes.Where("token_path").String(), one.Where("perms").String(), f.Cache.At.String()}, []string{"agent.hcl:6", "agent.hcl:16", "agent.hcl:22"})
	equal(t, "warnings", f.Warnings, nil)
}

func TestProblemsOfJSONHaveTheirLine(t *testing.T) {
	_, err := parseText([]byte("{\n \"template\": [\n  {\"source\": \"a\",\n   \"destination\": 5},\n  \"x\"\n ],\n \"pid_fil\": \"x\"\n}"))
	wantProblems(t, err,
		"agent.hcl:4: destination: want a text in double quotes, got a number",
		"agent.hcl:5: template: want a block, got a text",
		`agent.hcl:7: unknown key "pid_fil"; did you mean "pid_file"?`)
}

func TestConvert(t *testing.T) {
	folder := put(t, map[string]string{
		"old.hcl": `# The agent of the app.
"vault" = { "address" = "http://x:8200" } // the server

/* Logs in
   by role. */
auto_auth {
  method = { approle = { config = { role_id_file_path = "r" secret_id_file_path = "s" } } }
  // a sink
  sink { type = "file" config = { path = "/run/token" mode = 640 } } # the token
  # the end of it
}

template {
  contents = <<EOT
{{ with secret "a" }}${x}{{ end }}
EOT
  destination = "app" # here
  command = "reload app"
}
# the end
`,
		"more.json": `{"template": [{"source": "b", "destination": "c", "function_blacklist": ["env"], "wait": {"min": "1m"}}], "log_level": "warn"}`,
	})
	t.Chdir(folder)
	source, file, err := Convert("old.hcl", "more.json")
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "result", string(source), `# The agent of the app.
vault { // the server
  address = "http://x:8200"
}

/* Logs in
   by role. */
auto_auth {
  method "approle" {
    config {
      role_id_file_path   = "r"
      secret_id_file_path = "s"
    }
  }

  // a sink
  sink "file" { # the token
    config {
      path = "/run/token"
      mode = "0640"
    }
  }
  # the end of it
}

template {
  contents    = <<EOT
{{ with secret "a" }}${x}{{ end }}
EOT
  destination = "app" # here
  command     = "reload app"
}

log_level = "warn"

template {
  source            = "b"
  function_denylist = ["env"]
  destination       = "c"
  wait              = "1m:4m"
}
# the end
`)
	again, err := parseText(source)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "what it loads to", shape(again), shape(file))
	if err := os.WriteFile(filepath.Join(folder, "new.hcl"), source, 0o600); err != nil {
		t.Fatal(err)
	}
	second, _, err := Convert("new.hcl")
	equal(t, "a second time", string(second), string(source))
	if err != nil {
		t.Fatal(err)
	}
}

func TestConvertKeepsEverything(t *testing.T) {
	f, source := everything(t)
	c := converter{comments: make(map[string][]comment)}
	c.visit("agent.hcl", source)
	got, err := c.convert(newDecoder(&report{}), f)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "result", words(string(got)), words(string(source)))
}

// words leaves out white space, which printing is free to choose.
func words(s string) string { return strings.Join(strings.Fields(s), " ") }

func TestConvertRefusesWhatHCLCannotHold(t *testing.T) {
	path := filepath.Join(put(t, map[string]string{"a.json": `{"template": [{"contents": "e\u0301", "destination": "b"}]}`}), "a.json")
	_, _, err := Convert(path)
	if err == nil || !strings.Contains(err.Error(), "a text has characters that HCL cannot hold") {
		t.Errorf("a decomposed letter: %v", err)
	}
}

func TestQuotedTextReadsTheSame(t *testing.T) {
	for _, text := range []string{
		"", "a\nb", "a\nb\n", "\t\r\n", "EOT\n", "  EOT  \nx\n", `${HOME}/x`, `$${x}`, `$$${x} $`, `%{if}`, `${a "b" \c}`, `${`, "${a\nb}", "${\t}",
		`\${x}`, `"quoted"`, "\x00\x7f\u2028", "\U0001f512 grün", `${a{b}`, "#{x} // y",
	} {
		f := load(t, job+"log_file = "+expression(value{kind: 1, scalar: text}))
		equal(t, "text", f.LogFile, text)
	}
}

package config

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"
)

// parseText decodes the text of one file, "agent.hcl".
func parseText(source []byte) (*File, error) {
	r := &report{}
	d := newDecoder(r)
	whole := d.file("", nil)
	return finish(whole, r, d.add(whole, "agent.hcl", source))
}

// put writes configuration files into a folder and returns it.
func put(t *testing.T, files map[string]string) string {
	t.Helper()
	folder := t.TempDir()
	for name, content := range files {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

// load reads one file's content, which must be right.
func load(t *testing.T, content string) *File {
	t.Helper()
	f, err := parseText([]byte(content))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func equal[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s is %#v, want %#v", what, got, want)
	}
}

const whole = `
# Everything that is supported.
exit_after_auth = true
pid_file        = "./agent.pid"
log_level       = "debug"
log_format      = "json"
log_file        = "agent.log"
revoke_on_exit  = false

vault {
  address         = "https://vault.example:8200"
  ca_cert         = "/etc/ca.pem"
  ca_path         = "/etc/ca"
  client_cert     = "/etc/cert.pem"
  client_key      = "/etc/key.pem"
  tls_skip_verify = "true"
  tls_server_name = "vault"
  namespace       = "team/a"
  retry { num_retries = -1 }
}

auto_auth {
  method "approle" {
    mount_path  = "auth/my-approle"
    min_backoff = "2s"
    max_backoff = 60
    exit_on_err = true
    config = {
      role_id_file_path   = "/etc/role-id"
      secret_id_file_path = "/etc/secret-id"
      remove_secret_id_file_after_reading = false
    }
  }
  sink "file" {
    config {
      path = "/run/token"
      mode = 0640
    }
  }
  sink {
    type   = "file"
    config = { "path" = "/run/token-too", uid: 1000, group = "app" }
  }
}

template_config {
  exit_on_retry_failure         = true
  static_secret_render_interval = "1m"
  max_connections_per_host      = 5
  lease_renewal_threshold       = 0.75
}

lease {
  renew_at = 0.6
  overlap  = "30s"
  jitter   = 0
}

notify "signal" {
  signal  = "USR1"
  process = "app"
}

template {
  source               = "db.ctmpl"
  destination          = "/run/db.env"
  create_dest_dirs     = false
  error_on_missing_key = true
  error_fatal          = false
  perms                = "0600"
  user                 = "app"
  gid                  = 33
  backup               = true
  left_delimiter       = "[["
  right_delimiter      = "]]"
  function_denylist    = ["plugin", "env"]
  sandbox_path         = "/etc/templates"
  wait                 = "2s:10s"
  renew_at             = 0.3
  overlap              = 90
  command              = "systemctl reload app"
  command_timeout      = "1m"
  notify "signal" { pidfile = "/run/app.pid" }
  notify "command" {
    command = ["/bin/reload", "a b"]
    timeout = "5s"
  }
}

template {
  destination = "app.conf"
  contents    = <<-EOT
    {{ with secret "database/creds/app" }}{{ .Data.username }}{{ end }}
  EOT
  exec {
    command = ["reload"]
    timeout = 10
  }
  wait { min = "5s" }
}
`

func TestWholeConfiguration(t *testing.T) {
	f := load(t, whole)
	equal(t, "exit_after_auth", f.ExitAfterAuth, true)
	equal(t, "pid_file", f.PIDFile, "./agent.pid")
	equal(t, "log", []string{f.LogLevel, f.LogFormat, f.LogFile}, []string{"debug", "json", "agent.log"})
	equal(t, "revoke_on_exit", f.RevokeOnExit, false)

	v := f.Vault
	equal(t, "vault", []string{v.Address, v.CACert, v.CAPath, v.ClientCert, v.ClientKey, v.TLSServerName, v.Namespace},
		[]string{"https://vault.example:8200", "/etc/ca.pem", "/etc/ca", "/etc/cert.pem", "/etc/key.pem", "vault", "team/a"})
	equal(t, "tls_skip_verify", v.TLSSkipVerify, true)
	equal(t, "retries", v.Retry.Limit(), 0)

	m := f.AutoAuth.Method
	equal(t, "method", []string{m.Type, m.MountPath, m.AppRole.RoleIDFilePath, m.AppRole.SecretIDFilePath},
		[]string{"approle", "auth/my-approle", "/etc/role-id", "/etc/secret-id"})
	equal(t, "backoff", []Duration{m.MinBackoff, m.MaxBackoff}, []Duration{seconds(2), seconds(60)})
	equal(t, "exit_on_err and removal", []bool{m.ExitOnErr, m.AppRole.RemoveSecretID}, []bool{true, false})
	equal(t, "token_file", m.TokenFile, nil)

	first, second := f.AutoAuth.Sinks[0].File, f.AutoAuth.Sinks[1].File
	equal(t, "sinks", []string{first.Path, second.Path, string(second.Owner), string(second.Group)},
		[]string{"/run/token", "/run/token-too", "1000", "app"})
	equal(t, "sink modes", []Mode{first.Mode, second.Mode}, []Mode{0o640, 0})

	c := f.TemplateConfig
	equal(t, "template_config", []any{c.ExitOnRetryFailure, c.StaticSecretRenderInterval, c.MaxConnectionsPerHost, c.LeaseRenewalThreshold},
		[]any{true, seconds(60), 5, 0.75})
	equal(t, "lease", []any{f.Lease.RenewAt, f.Lease.Overlap, f.Lease.Jitter, f.Lease.Has("jitter")}, []any{0.6, seconds(30), 0.0, true})
	equal(t, "notify", []any{f.Notify[0].Type, f.Notify[0].Signal, f.Notify[0].Process}, []any{"signal", Signal(syscall.SIGUSR1), "app"})
	var warnings []string
	for _, warning := range f.Warnings {
		warnings = append(warnings, warning.Message)
	}
	equal(t, "warnings", warnings, []string{"lease_renewal_threshold has no effect here", "wait has no effect here", "wait has no effect here"})
}

func TestWholeTemplates(t *testing.T) {
	f := load(t, whole)
	one := f.Templates[0]
	equal(t, "names", []string{one.Source, one.Contents, one.Destination, string(one.Owner), string(one.Group), one.LeftDelimiter, one.RightDelimiter, one.SandboxPath},
		[]string{"db.ctmpl", "", "/run/db.env", "app", "33", "[[", "]]", "/etc/templates"})
	equal(t, "switches", []bool{one.CreateDestDirs, one.ErrorOnMissing, one.ErrorFatal, one.Backup}, []bool{false, true, false, true})
	equal(t, "mode", one.Mode, 0o600)
	equal(t, "denylist", one.FunctionDenylist, []string{"plugin", "env"})
	equal(t, "wait", []Duration{one.Wait.Min, one.Wait.Max}, []Duration{seconds(2), seconds(10)})
	equal(t, "schedule", []any{one.RenewAt, one.Overlap}, []any{0.3, seconds(90)})
	command, timeout := one.Hook()
	equal(t, "command", []any{command, timeout}, []any{Command{Line: "systemctl reload app"}, seconds(60)})
	signal, hook := one.Notify[0], one.Notify[1]
	equal(t, "signal", []any{signal.Type, signal.Signal, signal.PIDFile}, []any{"signal", Signal(syscall.SIGHUP), "/run/app.pid"})
	equal(t, "hook", []any{hook.Type, hook.Command, hook.Timeout}, []any{"command", Command{Args: []string{"/bin/reload", "a b"}}, seconds(5)})

	two := f.Templates[1]
	equal(t, "contents", two.Contents, "{{ with secret \"database/creds/app\" }}{{ .Data.username }}{{ end }}\n")
	command, timeout = two.Hook()
	equal(t, "exec", []any{command, timeout}, []any{Command{Args: []string{"reload"}}, seconds(10)})
	equal(t, "wait of a block", []Duration{two.Wait.Min, two.Wait.Max}, []Duration{seconds(5), seconds(20)})
	equal(t, "inherited schedule", []any{two.RenewAt, two.Overlap}, []any{0.6, seconds(30)})
}

func seconds(n int) Duration { return Duration(time.Duration(n) * time.Second) }

func TestDefaults(t *testing.T) {
	f := load(t, `
		auto_auth {
			method "token_file" {
				config { token_file_path = "token" }
			}
		}
		template {
			source      = "a"
			destination = "b"
		}`)
	equal(t, "top level", []any{f.LogLevel, f.LogFormat, f.RevokeOnExit, f.ExitAfterAuth, f.Vault.Address, f.Vault.Retry.Limit()},
		[]any{"info", "standard", true, false, "", 12})
	m := f.AutoAuth.Method
	equal(t, "method", []any{m.Type, m.MountPath, m.TokenFile.Path, m.MinBackoff, m.MaxBackoff, m.AppRole == nil},
		[]any{"token_file", "auth/token_file", "token", seconds(1), seconds(300), true})
	equal(t, "template_config", []any{f.TemplateConfig.StaticSecretRenderInterval, f.TemplateConfig.MaxConnectionsPerHost, f.TemplateConfig.LeaseRenewalThreshold},
		[]any{seconds(300), 10, 0.9})
	equal(t, "lease", []any{f.Lease.RenewAt, f.Lease.Overlap, f.Lease.Jitter}, []any{0.5, seconds(0), 0.1})
	one := f.Templates[0]
	command, timeout := one.Hook()
	equal(t, "template", []any{one.CreateDestDirs, one.ErrorFatal, one.ErrorOnMissing, one.Mode, one.Wait == nil, one.RenewAt, command.IsZero(), timeout},
		[]any{true, true, false, Mode(0), true, 0.5, true, seconds(30)})
	equal(t, "written", []bool{one.Has("source"), one.Has("contents")}, []bool{true, false})
	equal(t, "position", []string{one.Where("destination").String(), one.Where("contents").String()}, []string{"agent.hcl:9", "agent.hcl:7"})
}

func TestTextIsLiteral(t *testing.T) {
	tests := []struct{ name, written, want string }{
		{"a variable", `"${HOME}/x"`, `${HOME}/x`},
		{"what only a shell understands", `"${HOME:-/root} ${A#*/} ${B//a/b}"`, `${HOME:-/root} ${A#*/} ${B//a/b}`},
		{"quotes and backslashes inside braces", `"${file("a\b")} \"c\""`, `${file("a\b")} "c"`},
		{"braces inside braces", `"${a{b}c} d"`, `${a{b}c} d`},
		{"an escaped variable", `"$${x} $$${y} $$"`, `$${x} $$${y} $$`},
		{"a brace that is never closed", `"a ${ b"`, `a ${ b`},
		{"directives", `"date +%{x} %%{y}"`, `date +%{x} %%{y}`},
		{"template actions", `"{{ env \"A\" }}\t{{/* c */}} # no comment // none"`, "{{ env \"A\" }}\t{{/* c */}} # no comment // none"},
		{"a heredoc", "<<EOT\n  {{ \"a\\n\" }} ${b \"c\" # d\n<<X\n%{if}\n  EOT", "  {{ \"a\\n\" }} ${b \"c\" # d\n<<X\n%{if}\n"},
		{"an indented heredoc", "<<-EOT\n    a\n      b\n  EOT\n", "a\n  b\n"},
		{"an empty text", `""`, ""},
		{"unicode", `"grün \u00fc"`, "grün ü"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := load(t, "/* \" ${ */ template {\n # don't\n // \"\n destination = \"x\"\n contents = "+test.written+"\n}")
			equal(t, "contents", f.Templates[0].Contents, test.want)
		})
	}
}

func TestSeveralFilesAreTakenTogether(t *testing.T) {
	folder := put(t, map[string]string{
		"conf.d/20.hcl":      "log_level = \"warn\"\nvault { address = \"http://two:8200\" }\nnotify \"signal\" { process = \"two\" }\ntemplate {\n source = \"b\"\n destination = \"b\"\n}",
		"conf.d/10.hcl":      "log_level = \"debug\"\nlog_format = \"json\"\nvault { namespace = \"one\" }\nnotify \"signal\" { process = \"one\" }\ntemplate {\n source = \"a\"\n destination = \"a\"\n}",
		"conf.d/15.json":     `{"template": [{"source": "c", "destination": "c"}]}`,
		"conf.d/notes.txt":   "not a configuration",
		"conf.d/sub/30.hcl":  "not read",
		"conf.d/dir.hcl/x.y": "not read either",
		"last":               "lease { renew_at = 0.7 }",
	})
	f, err := Load(filepath.Join(folder, "conf.d"), filepath.Join(folder, "last"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, one := range f.Templates {
		got = append(got, one.Source)
	}
	for _, n := range f.Notify {
		got = append(got, n.Process)
	}
	equal(t, "lists", got, []string{"a", "c", "b", "one", "two"})
	equal(t, "the last value wins, and of a stanza all of it", []string{f.LogLevel, f.LogFormat, f.Vault.Address, f.Vault.Namespace},
		[]string{"warn", "json", "http://two:8200", ""})
	equal(t, "a stanza later in line is inherited from", f.Templates[0].RenewAt, 0.7)
}

func TestFilesThatCannotBeUsed(t *testing.T) {
	folder := put(t, map[string]string{
		"empty.hcl":     " \n\t\n",
		"comments.hcl":  "# nothing\n/* at all */",
		"agent.json":    "pid_file = 1",
		"json.hcl":      "\n {\"pid_file\": \"x\",\n}",
		"list.json":     `["pid_file"]`,
		"nested.json":   strings.Repeat("[", 5000) + strings.Repeat("]", 5000),
		"truncated.hcl": job + "log_level =",
		"empty/x.txt":   "",
		"two/one.hcl":   "nonsense =",
		"two/two.hcl":   "pid_fil = \"x\"",
		"huge.hcl":      strings.Repeat("# huge\n", maxSize/7+1),
		"nested.hcl":    "a = " + strings.Repeat("[", 1<<20),
		"operators.hcl": "\na = " + strings.Repeat("-", 1<<20) + "1",
	})
	tests := []struct {
		name  string
		paths []string
		want  []string
	}{
		{"no file at all", nil, []string{"there is no configuration; name a file or a folder with -config"}},
		{"a missing file", []string{"none.hcl"}, []string{"none.hcl: opening the configuration: no such file or directory; check the path"}},
		{"a file where a folder should be", []string{"empty.hcl/x"}, []string{"empty.hcl/x: opening the configuration: not a directory"}},
		{"an empty file", []string{"empty.hcl"}, []string{"empty.hcl: the file is empty; it needs a template or an auto_auth stanza"}},
		{"a file of comments", []string{"comments.hcl"}, []string{"comments.hcl: the file sets nothing; it needs a template or an auto_auth stanza"}},
		{"JSON by its name", []string{"agent.json"}, []string{"agent.json:1: invalid JSON: invalid character 'p' looking for beginning of value"}},
		{"JSON by its content", []string{"json.hcl"}, []string{"json.hcl:3: invalid JSON: invalid character '}' looking for beginning of object key string"}},
		{"a list of JSON", []string{"list.json"}, []string{"list.json:1: a configuration in JSON is one object, not a list; write { … }"}},
		{"brackets of JSON", []string{"nested.json"}, []string{"nested.json:1: nested more than 100 deep"}},
		{"a key without a value at the end", []string{"truncated.hcl"}, []string{"truncated.hcl:5: invalid expression; expected the start of an expression, but found an invalid expression token"}},
		{"a folder without configuration", []string{"empty"}, []string{"empty: the folder holds no configuration file; name the files *.hcl or *.json"}},
		{"a file that is too large", []string{"huge.hcl"}, []string{"huge.hcl: the file is larger than 16777216 bytes; split it into several files"}},
		{"brackets without end", []string{"nested.hcl"}, []string{"nested.hcl:1: nested more than 100 deep; look for a bracket that is never closed"}},
		{"operators without end", []string{"operators.hcl"}, []string{"operators.hcl:2: nested more than 100 deep; look for a bracket that is never closed"}},
		{"several, all of them told", []string{"none.hcl", "two"}, []string{
			"none.hcl: opening the configuration: no such file or directory; check the path",
			"two/one.hcl:1: invalid expression; expected the start of an expression, but found an invalid expression token",
			`two/two.hcl:1: unknown key "pid_fil"; did you mean "pid_file"?`,
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Chdir(folder)
			f, err := Load(test.paths...)
			if f != nil {
				t.Error("there is a configuration beside the error")
			}
			wantProblems(t, err, test.want...)
		})
	}
}

func TestUnreadableFileSaysWhoMustReadIt(t *testing.T) {
	path := filepath.Join(put(t, map[string]string{"agent.hcl": job}), "agent.hcl")
	if err := os.Chmod(path, 0); err != nil {
		t.Fatal(err)
	}
	_, err := Load(path)
	if os.Geteuid() == 0 { // who reads it all the same
		r := &report{}
		r.failed(path, "opening the configuration", &os.PathError{Op: "open", Path: path, Err: syscall.EACCES})
		err = r.err()
	}
	wantProblems(t, err, path+": opening the configuration: permission denied; let the user of the agent read it")
}

// wantProblems checks every line of an error.
func wantProblems(t *testing.T, err error, want ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("there was no error, want %q", want)
	}
	if _, ok := errors.AsType[*Error](err); !ok {
		t.Fatalf("the error is a %T", err)
	}
	if got := err.Error(); got != strings.Join(want, "\n") {
		t.Errorf("the error is\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
}

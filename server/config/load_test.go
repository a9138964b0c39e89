package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// load reads text as a file of that name.
func load(t testing.TB, name, text string) (*File, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return Load(path)
}

func TestTheGuidesConfigurationIsRead(t *testing.T) {
	f, err := Load("testdata/guide.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var limits, alerts []string
	for _, l := range f.LeaseLimits {
		limits = append(limits, fmt.Sprintf("%s %s %s %d", l.Engine, l.DefaultTTL, l.MaxTTL, l.MaxLeasesPerRole))
	}
	for _, a := range f.Alerts {
		alerts = append(alerts, fmt.Sprintf("%s|%s|%s|%s", a.Name, a.Condition, a.Severity, a.Notify))
	}
	got := strings.Join(append(limits, alerts...), "\n")
	want := `database 1h0m0s 24h0m0s 100
aws 1h0m0s 4h0m0s 50
high-lease-creation|rate(secret.dynamic.create) > 100/min|warning|[security@novatech.com]
lease-renewal-failures|rate(secret.lease.renew.failure) > 10/min|critical|[ops@novatech.com]`
	if got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	if len(f.Warnings) != 1 || !strings.Contains(f.Warnings[0].String(), "guide.yaml:12: alerts are mailed through 127.0.0.1:25; write an smtp stanza") {
		t.Errorf("warnings: %v", f.Warnings)
	}
}

func TestVaultsHCLIsRead(t *testing.T) {
	f, err := Load("testdata/server.hcl")
	if err != nil {
		t.Fatal(err)
	}
	l := f.Listeners
	if len(l) != 2 || l[0].MaxRequestSize != 1<<20 || !l[0].Telemetry.Unauthenticated || l[0].TLSMinVersion != "tls12" ||
		l[1].Type != "unix" || l[1].SocketMode != 0o660 || l[1].MaxRequestDuration != Duration(90*time.Second) {
		t.Errorf("listeners: %+v", l)
	}
	if f.Storage.Type != "postgresql" || f.Storage.Settings.Get("ha_enabled") != "true" || f.Seal.Settings.Get("key_name") != "unseal" {
		t.Errorf("storage %+v, seal %+v", f.Storage, f.Seal)
	}
	if f.MaxLeaseTTL != Duration(7*24*time.Hour) || !f.UI || f.LeaseLimits[0].Engine != "database" || f.Alerts[0].For != Duration(time.Minute) {
		t.Errorf("%+v", f)
	}
	if len(f.Warnings) != 1 || !strings.HasSuffix(f.Warnings[0].String(), `server.hcl:37: "disable_mlock" has no effect; remove it`) {
		t.Errorf("warnings: %v", f.Warnings)
	}
	if err := f.Unservable(); err != nil {
		t.Error(err)
	}
}

func TestTheSameInEverySyntaxIsTheSame(t *testing.T) {
	forms := map[string]string{
		"a.hcl":  `storage "file" { path = "/data" } listener "tcp" { address = "127.0.0.1:1" tls_disable = 1 } listener "tcp" { address = "127.0.0.1:2" tls_disable = true }`,
		"a.yaml": "storage:\n  file:\n    path: /data\nlistener:\n- tcp: {address: \"127.0.0.1:1\", tls_disable: true}\n- tcp: {address: \"127.0.0.1:2\", tls_disable: true}\n",
		"b.yaml": "storage: {type: file, path: /data}\nlisteners:\n- {type: tcp, address: \"127.0.0.1:1\", tls_disable: true}\n- {type: tcp, address: \"127.0.0.1:2\", tls_disable: true}\n",
		"a.json": `{"storage": {"file": {"path": "/data"}}, "listener": [{"tcp": {"address": "127.0.0.1:1", "tls_disable": "true"}}, {"tcp": {"address": "127.0.0.1:2", "tls_disable": true}}]}`,
		"noext":  "# a comment\nstorage \"file\" {\n  path = \"/data\"\n}\nlistener \"tcp\" {\n  address = \"127.0.0.1:1\"\n  tls_disable = true\n}\nlistener \"tcp\" {\n  address = \"127.0.0.1:2\"\n  tls_disable = true\n}\n",
	}
	for name, text := range forms {
		f, err := load(t, name, text)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if f.Storage.Type != "file" || f.Storage.Settings.Get("path") != "/data" || len(f.Listeners) != 2 ||
			f.Listeners[1].Address != "127.0.0.1:2" || !f.Listeners[0].TLSDisable || !f.Listeners[1].TLSDisable {
			t.Errorf("%s: %+v", name, f)
		}
	}
}

func TestFilesOfAFolderAddUp(t *testing.T) {
	folder := t.TempDir()
	for name, text := range map[string]string{
		"10.hcl":  "storage \"inmem\" {}\nlog_level = \"info\"\nlistener \"tcp\" {\n tls_disable = true\n}",
		"20.yaml": "log_level: warn\nlistener: {unix: {address: /run/x.sock}}\n",
		"note":    "not read",
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f, err := Load(folder)
	if err != nil {
		t.Fatal(err)
	}
	if f.LogLevel != "warn" || len(f.Listeners) != 2 || f.Storage.Type != "inmem" {
		t.Errorf("%+v", f)
	}
}

func TestEveryMistakeIsReportedWithItsLine(t *testing.T) {
	cases := []struct{ name, file, text, want string }{
		{"unknown keys", "a.yaml", "lease_limits:\n  database:\n    max_tll: 1h\nlog_levl: info\n",
			`a.yaml:3: unknown key "max_tll" in lease_limits; did you mean "max_ttl"?
a.yaml:4: unknown key "log_levl"; did you mean "log_level"?`},
		{"wrong values", "a.hcl", "default_lease_ttl = \"soon\"\nui = \"perhaps\"\nlog_level = \"lud\"\n",
			`a.hcl:1: default_lease_ttl: want a duration such as "5m" or a number of seconds, got "soon"
a.hcl:2: ui: want true or false, got "perhaps"
a.hcl:3: log_level: "lud" is not known; known here: trace, debug, info, warn, error`},
		{"a maximum below the default", "a.yaml", "lease_limits:\n  aws:\n    default_ttl: 5h\n    max_ttl: 4h\n",
			"a.yaml:3: default_ttl 5h0m0s is longer than max_ttl 4h0m0s; raise max_ttl or lower default_ttl"},
		{"a key twice", "a.yaml", "ui: true\nui: false\n", `a.yaml:2: the key "ui" is set twice; keep one`},
		{"a key twice in HCL", "a.hcl", "ui = true\nui = false\n", `already`},
		{"unknown storage", "a.hcl", "storage \"fil\" {}\n", `a.hcl:1: storage "fil" is not to be had here; did you mean "file"?`},
		{"raft", "a.hcl", "storage \"raft\" {\n path = \"x\"\n}\n", `use "file" for one node, "postgresql" or "etcd" for several`},
		{"unknown key of a storage", "a.hcl", "storage \"file\" {\n pth = \"x\"\n}\n", `a.hcl:2: unknown key "pth" in storage; did you mean "path"?`},
		{"no certificate", "a.hcl", "listener \"tcp\" {\n}\n", "a.hcl:1: the listener has no certificate; set tls_cert_file and tls_key_file, or tls_disable = true"},
		{"one address twice", "a.hcl", "listener \"tcp\" {\n tls_disable = true\n}\nlistener \"tcp\" {\n tls_disable = true\n}\n",
			"a.hcl:4: the listener of line 1 already has the address 127.0.0.1:8200; choose another"},
		{"a lockout of one method", "a.hcl", "user_lockout \"userpas\" {}\n", `a.hcl:1: unknown type "userpas" in user_lockout; known here: all`},
		{"a condition that cannot be read", "a.yaml", "alerts:\n- name: x\n  condition: rate(a) > 1/day\n", `a.yaml:3: condition: column 16: unknown unit "day"; use s, min or h; write it like rate(secret.dynamic.create) > 100/min`},
		{"a metric that there is not", "a.yaml", "alerts:\n- name: x\n  condition: rate(secret.dynamic.creat) > 1/min\n",
			`a.yaml:3: condition: there is no metric "secret.dynamic.creat"; did you mean "secret.dynamic.create"?`},
		{"a prefix of no metric", "a.hcl", "telemetry {\n metrics_prefix = \"my app\"\n}\n", `a.hcl:2: metrics_prefix: "my app" cannot begin the name of a metric`},
		{"no time for requests", "a.hcl", "default_max_request_duration = 0\nlistener \"tcp\" {\n tls_disable = true\n}\n", "max_request_duration must be positive"},
		{"a plugin folder", "a.hcl", "plugin_directory = \"/x\"\n", "plugins from outside are not run; remove it"},
		{"a bad mail address", "a.yaml", "alerts:\n- name: x\n  condition: core.unsealed < 1\n  notify: [ops]\n", `a.yaml:4: notify: "ops" is neither a mail address nor a URL; write name@host or https://host/path`},
		{"an alert without condition", "a.yaml", "alerts:\n- name: x\n", `a.yaml:2: "condition" is missing in alerts; set "condition"`},
		{"an alias", "a.yaml", "a: &x [1]\nb: *x\n", "a.yaml:2: aliases are not supported; write the value out"},
		{"broken YAML", "a.yaml", "a: [\n", "a.yaml:1: invalid YAML: did not find expected node content"},
		{"broken HCL", "a.hcl", "storage \"file\" {\n", "a.hcl:2: invalid HCL: object expected closing RBRACE got: EOF"},
		{"an empty file", "a.yaml", "# nothing\n", "a.yaml: the file sets nothing; it needs a storage and a listener stanza"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := load(t, c.file, c.text)
			if err == nil {
				t.Fatal("no error")
			}
			var lines []string
			for line := range strings.Lines(err.Error()) {
				lines = append(lines, filepath.Base(strings.TrimSpace(line[:strings.Index(line+":", ":")]))+strings.TrimSpace(line[strings.Index(line+":", ":"):]))
			}
			if got := strings.Join(lines, "\n"); !strings.Contains(got, c.want) {
				t.Errorf("got:\n%s\nwant:\n%s", got, c.want)
			}
		})
	}
}

func TestWhatVaultTakesIsTakenToo(t *testing.T) {
	f, err := load(t, "a.hcl", "log_level = \"Warn\"\ndefault_max_request_duration = \"30s\"\n"+
		"listener \"tcp\" {\n tls_disable = true\n}\nlistener \"unix\" {\n address = \"/run/x\"\n max_request_duration = \"5s\"\n}\n")
	if err != nil {
		t.Fatal(err)
	}
	if l := f.Listeners; l[0].MaxRequestDuration != Duration(30*time.Second) || l[1].MaxRequestDuration != Duration(5*time.Second) {
		t.Errorf("%+v", l)
	}
}

// Limits of a misspelt engine were taken, and held for none.
func TestLimitsOfAnUnknownEngineAreDoubted(t *testing.T) {
	f, err := load(t, "a.yaml", "lease_limits:\n  databse: {max_ttl: 1h}\n")
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Warnings) != 1 || !strings.HasSuffix(f.Warnings[0].String(), `a.yaml:2: lease_limits: no engine has the type "databse"; did you mean "database"?`) {
		t.Errorf("%v", f.Warnings)
	}
}

func TestAMissingFileIsNamed(t *testing.T) {
	_, err := Load("testdata/none.yaml")
	if err == nil || err.Error() != "testdata/none.yaml: opening the configuration: no such file or directory; check the path" {
		t.Fatal(err)
	}
}

func TestSecretsDoNotShow(t *testing.T) {
	f, err := Load("testdata/server.hcl")
	if err != nil {
		t.Fatal(err)
	}
	var encoded bytes.Buffer
	if err := json.NewEncoder(&encoded).Encode(f.Storage); err != nil {
		t.Fatal(err)
	}
	shown := fmt.Sprintf("%v %+v %#v %s", f.Storage, *f.Storage, *f.Storage, encoded.String())
	if strings.Contains(shown, "s3cret") {
		t.Error(shown)
	}
	if f.Storage.Settings.Get("connection_url") != "postgres://vault:s3cret@127.0.0.1/vault" {
		t.Error("the setting itself is lost")
	}
}

func FuzzLoad(f *testing.F) {
	for _, path := range []string{"testdata/guide.yaml", "testdata/server.hcl"} {
		text, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(filepath.Ext(path), text)
	}
	f.Add(".json", []byte(`{"listener": [{"tcp": {"tls_disable": true}}], "storage": {"file": null}}`))
	f.Add(".yaml", []byte("lease_limits: {a: {max_ttl: 9223372036854775807}}\n? [x]\n: y\n<<: {ui: true}\n"))
	f.Add(".hcl", []byte("a = \"\\x\"\nb = <<X\nX\n"))
	f.Fuzz(func(t *testing.T, extension string, text []byte) {
		if !slices.Contains(extensions[:], extension) {
			extension = ".yaml"
		}
		d := decoder{&report{}}
		whole := d.file("", nil)
		if d.add(whole, "a"+extension, text) {
			d.check(whole)
		}
		for _, p := range append(d.problems, d.warnings...) {
			if p.Message == "" || p.At.Line < 0 {
				t.Fatalf("an empty problem: %+v", p)
			}
		}
	})
}

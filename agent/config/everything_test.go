package config

import (
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
)

// everything decodes testdata/everything.hcl, whether it is built or not.
func everything(t *testing.T) (*File, []byte) {
	t.Helper()
	source, err := os.ReadFile("testdata/everything.hcl")
	if err != nil {
		t.Fatal(err)
	}
	f, err := parseText(source)
	if err != nil {
		t.Fatal(err)
	}
	return f, source
}

func TestEveryStanza(t *testing.T) {
	f, _ := everything(t)
	minute := seconds(60)
	equal(t, "rotation of the log", []any{f.LogRotateBytes, f.LogRotateDuration, f.LogRotateMaxFiles}, []any{1048576, 720 * minute, 3})
	equal(t, "connections", [][]string{f.DisableIdleConnections, f.DisableKeepAlives}, [][]string{{"auto-auth", "caching"}, {"proxying", "templating"}})
	m, s := f.AutoAuth.Method, f.AutoAuth.Sinks[0]
	equal(t, "method", []any{f.AutoAuth.Reauth, m.Namespace, m.WrapTTL, m.AppRole.WrappingPath}, []any{true, "team/b", Duration(0), "auth/app/role/app/secret-id"})
	equal(t, "sink", []any{s.WrapTTL, s.DHType, s.DHPath, s.DeriveKey, s.AAD, f.AutoAuth.Sinks[1].AADEnvVar, s.File.InPlace}, []any{5 * minute, "curve25519", "reader.json", true, "app", "AAD", true})
	one, two := f.Templates[0], f.Templates[1]
	equal(t, "in_place", f.Templates[len(f.Templates)-1].InPlace, true)
	equal(t, "template", []any{one.Check.Args, one.CheckTimeout, one.MaxStale, one.RefreshInterval}, []any{[]string{"psql", "-c", "select 1"}, seconds(5), 60 * minute, Never})
	week := Window{Days: [7]bool{1: true, 2: true, 3: true, 4: true, 5: true}, From: 120 * minute, To: 270 * minute}
	equal(t, "windows", one.RotationWindow, Windows{week, {Days: [7]bool{true, true, true, true, true, true, true}, From: 23 * 60 * minute, To: 60 * minute, UTC: true}})
	equal(t, "secret without a template", []any{two.Secret, two.Format, two.RefreshInterval, two.MaxStale}, []any{"kv/data/app", "yaml", Interval(minute), 120 * minute})
	equal(t, "a window of the lease stanza", two.RotationWindow, f.Lease.RotationWindow)
	g := f.Groups[0]
	equal(t, "group", []any{g.Name, g.Directory, g.Keep, g.Mode, g.Check.Args, g.Notify[0].Unit, g.Notify[0].Restart, g.Templates[1].Destination}, []any{"db", "/run/db", 2, Mode(0o750), []string{"verify"}, "app.service", true, "tls/key.pem"})
	equal(t, "a template of a group", []any{g.Templates[0].Contents, g.Templates[0].RenewAt}, []any{"{{ with secret \"pki/issue/app\" \"ttl=${TTL}\" }}{{ .Data.certificate }}{{ end }}\n", 0.6})
	e := f.EnvFiles[0]
	equal(t, "env_file", []any{e.Destination, e.Variables[0].Name, e.Variables[0].Contents, e.Notify[0].Headers, e.Notify[0].Retries}, []any{"/run/app.env", "PASSWORD", "{{ x }}", Pairs{"X-Reload": "yes"}, 0})
	equal(t, "env_template", []any{f.EnvTemplates[0].Name, f.EnvTemplates[1].Source, f.EnvTemplates[2].Format}, []any{"USER", "host.ctmpl", "json"})
	c := f.Child
	equal(t, "exec", []any{c.Command.Args, c.Restart, c.StopSignal.encode().scalar, c.KillTimeout, c.Splay, c.Budget}, []any{[]string{"app", "serve now"}, "never", "SIGINT", seconds(10), seconds(10), Budget{5, 30 * minute}})
	equal(t, "credentials", []any{f.Credentials.Socket, f.Credentials.Credentials[0].Unit}, []any{"/run/credentials.sock", "app.service"})
	equal(t, "state", []any{f.State.Path, f.State.KeyFile, f.RevokeOnExit}, []any{"/var/lib/agent/state", "/etc/agent/key", true})
	equal(t, "listeners", []any{f.Listeners[0].Role, f.Listeners[0].AgentAPI.EnableQuit, f.Listeners[0].RequireRequestHeader, f.Listeners[1].SocketMode, f.Listeners[1].RequireRequestHeader}, []any{"metrics_only", true, false, Mode(0o660), true})
	equal(t, "serving", []any{f.Cache.UseAutoAuthToken, f.Cache.Persist.Type, f.APIProxy.UseAutoAuthToken}, []any{UseOwn, "kubernetes", ForceOwn})
	equal(t, "telemetry", []any{f.Telemetry.PrometheusRetentionTime, f.Telemetry.DogstatsdTags, f.Telemetry.FilterDefault}, []any{seconds(30), []string{"env:prod"}, false})
}

func TestEverythingIsEverything(t *testing.T) {
	f, _ := everything(t)
	written := make(map[string]bool)
	for _, key := range unwritten(reflect.ValueOf(f).Elem(), "", written) {
		if !written[key] && !strings.HasPrefix(key, "config ") && key != "state credential" && !strings.HasPrefix(key, "wait ") {
			t.Errorf("testdata/everything.hcl never sets %q", key)
		}
	}
}

// unwritten lists the keys that a stanza, or one in it, does not set, and notes
// those that are set.
func unwritten(in reflect.Value, stanza string, written map[string]bool) (unset []string) {
	origin := in.FieldByName("Origin").Interface().(Origin)
	for _, f := range newVocabulary(in.Type()).fields {
		key := strings.TrimSpace(stanza + " " + f.names[0])
		if !origin.Has(f.names[0]) {
			unset = append(unset, key)
			continue
		}
		written[key] = true
		field := in.FieldByIndex(f.index)
		switch {
		case f.repeatable:
			for i := range field.Len() {
				unset = append(unset, unwritten(field.Index(i), f.names[0], written)...)
			}
		case f.stanza != nil && (field.Kind() != reflect.Pointer || !field.IsNil()):
			unset = append(unset, unwritten(reflect.Indirect(field), f.names[0], written)...)
		}
	}
	return unset
}

func TestMethods(t *testing.T) {
	tests := []struct {
		method, config string
		got            func(Method) any
		want           any
	}{
		{"kubernetes", `role = "r"`, func(m Method) any { return []string{m.Kubernetes.Role, m.Kubernetes.TokenPath} },
			[]string{"r", "/var/run/secrets/kubernetes.io/serviceaccount/token"}},
		{"jwt", `path = "p", role = "r", remove_jwt_follows_symlinks = true, jwt_read_period = "2s"`,
			func(m Method) any {
				return []any{m.JWT.Path, m.JWT.Role, m.JWT.Remove, m.JWT.FollowSymlinks, m.JWT.ReadPeriod}
			}, []any{"p", "r", true, true, seconds(2)}},
		{"cert", `name = "n", ca_cert = "a", client_cert = "c", client_key = "k", reload = true`,
			func(m Method) any {
				return []any{m.Cert.Name, m.Cert.CACert, m.Cert.ClientCert, m.Cert.ClientKey, m.Cert.Reload, m.Cert.ReloadPeriod}
			}, []any{"n", "a", "c", "k", true, seconds(60)}},
		{"userpass", `username = "u", password_file_path = "p", remove_password_after_reading = true`,
			func(m Method) any {
				return []any{m.UserPass.Username, m.UserPass.FilePath, m.UserPass.Remove, m.LDAP == nil}
			}, []any{"u", "p", true, true}},
		{"ldap", `username = "u", password_file_path = "p", password_read_period = 5`,
			func(m Method) any { return []any{m.LDAP.Username, m.LDAP.Remove, m.LDAP.ReadPeriod, m.UserPass == nil} }, []any{"u", false, seconds(5), true}},
		{"aws", `type = "iam", role = "r", header_value = "h", nonce = "n", access_key = "a", secret_key = "s", session_token = "t", credential_poll_interval = 30`,
			func(m Method) any {
				return []any{m.AWS.Type, m.AWS.Role, m.AWS.Region, m.AWS.HeaderValue, m.AWS.Nonce, m.AWS.AccessKey, m.AWS.SecretKey, m.AWS.SessionToken, m.AWS.PollInterval}
			}, []any{"iam", "r", "us-east-1", "h", "n", "a", "s", "t", seconds(30)}},
		{"azure", `role = "r", resource = "x", object_id = "o", client_id = "c", scope = "s", authenticate_from_environment = true`,
			func(m Method) any {
				return []any{m.Azure.Role, m.Azure.Resource, m.Azure.ObjectID, m.Azure.ClientID, m.Azure.Scope, m.Azure.FromEnvironment}
			}, []any{"r", "x", "o", "c", "s", true}},
		{"gcp", `type = "iam", role = "r", service_account = "s", credentials = "c", project = "p"`,
			func(m Method) any {
				return []any{m.GCP.Type, m.GCP.Role, m.GCP.ServiceAccount, m.GCP.Credentials, m.GCP.Project, m.GCP.JWTMinutes}
			}, []any{"iam", "r", "s", "c", "p", 15}},
	}
	for _, test := range tests {
		t.Run(test.method, func(t *testing.T) {
			f, err := parseText([]byte(job + "auto_auth {\n method \"" + test.method + "\" {\n config = { " + test.config + " }\n }\n}"))
			if err != nil {
				t.Fatal(err)
			}
			equal(t, "config", test.got(f.AutoAuth.Method), test.want)
			equal(t, "mount", f.AutoAuth.Method.MountPath, "auth/"+test.method)
		})
	}
	f, err := parseText([]byte(job + "auto_auth {\n method \"cert\" {\n }\n}"))
	if err != nil || f.AutoAuth.Method.Cert == nil {
		t.Errorf("the method cert needs a configuration: %v", err)
	}
}

func TestJSONIsTheSame(t *testing.T) {
	f, _ := everything(t)
	d := newDecoder(&report{})
	tree := (&encoder{decoder: d}).stanza(reflect.ValueOf(f).Elem())
	for name, wrap := range map[string]bool{"plain": false, "each block in a list": true} {
		source, err := json.MarshalIndent(asJSON(tree, wrap), "", " ")
		if err != nil {
			t.Fatal(err)
		}
		again, err := parseText(source)
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, source)
		}
		equal(t, name, shape(again), shape(f))
	}
}

// asJSON turns a tree into what JSON would hold in its place: blocks of one
// name in a list, under their label if they have one.
func asJSON(tree body, wrap bool) map[string]any {
	out := make(map[string]any)
	blocks := make(map[string][]any)
	for _, e := range tree {
		switch e.value.kind {
		case object:
			var block any = asJSON(e.value.body, wrap)
			for _, label := range e.labels {
				block = map[string]any{label: block}
			}
			blocks[e.key] = append(blocks[e.key], block)
			out[e.key] = blocks[e.key]
			if len(blocks[e.key]) == 1 && !wrap {
				out[e.key] = block
			}
		case list:
			texts := []string{}
			for _, item := range e.value.items {
				texts = append(texts, item.scalar)
			}
			out[e.key] = texts
		case text:
			out[e.key] = e.value.scalar
		default:
			out[e.key] = json.RawMessage(e.value.scalar)
		}
	}
	return out
}

// shape returns a configuration without its positions: what is set, to what.
func shape(f *File) File {
	out := *f
	out.Warnings = nil
	strip(reflect.ValueOf(&out).Elem())
	return out
}

func strip(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			fresh := reflect.New(v.Type().Elem())
			fresh.Elem().Set(v.Elem())
			strip(fresh.Elem())
			v.Set(fresh)
		}
	case reflect.Slice:
		fresh := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		reflect.Copy(fresh, v)
		for i := range v.Len() {
			strip(fresh.Index(i))
		}
		if v.Len() > 0 {
			v.Set(fresh)
		}
	case reflect.Struct:
		if o, ok := v.Addr().Interface().(*Origin); ok {
			keys := make(map[string]Position)
			for key := range o.keys {
				keys[key] = Position{}
			}
			*o = Origin{keys: keys}
			return
		}
		if w, ok := v.Addr().Interface().(*Wait); ok {
			w.Origin = Origin{} // a text has none
			return
		}
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				strip(v.Field(i))
			}
		}
	}
}

func TestWindows(t *testing.T) {
	for _, test := range []struct{ written, want string }{
		{"02:00-04:30", "02:00-04:30"},
		{"mon-fri 02:00-04:30", "Mon,Tue,Wed,Thu,Fri 02:00-04:30"},
		{"Fri-Mon 23:00-01:00 utc", "Sun,Mon,Fri,Sat 23:00-01:00 UTC"},
		{"Sun,Wed 00:00-24:00", "Sun,Wed 00:00-24:00"},
		{"Sun-Sat 00:00-24:00", "00:00-24:00"},
		{"", ""}, {"UTC", ""}, {"Mon", ""}, {"Mon 02:00", ""}, {"Mo 02:00-03:00", ""}, {"Mon- 02:00-03:00", ""},
		{"25:00-26:00", ""}, {"02:00-03:60", ""}, {"Mon Tue 02:00-03:00", ""}, {"02:00-03:00 CET", ""},
	} {
		w, ok := parseWindow(test.written)
		if ok != (test.want != "") || ok && w.String() != test.want {
			t.Errorf("%q is read as %q, %t", test.written, w, ok)
		}
	}
	if w, _ := parseWindow("02:05-03:00"); time.Duration(w.From) != 2*time.Hour+5*time.Minute {
		t.Errorf("02:05 is %s", w.From)
	}
}

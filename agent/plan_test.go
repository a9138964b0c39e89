package agent

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/novatech/securevault/agent/schedule"
	"github.com/novatech/securevault/internal/vault"
	"github.com/novatech/securevault/internal/vaulttest"
)

// reader is a template that reads a path into a file of that name.
func reader(name, path string) string {
	return `
template {
  contents    = "{{ with secret \"` + path + `\" }}{{ .Data.username }}{{ end }}"
  destination = "DIR/` + name + `"
}
`
}

// plan runs the command on a configuration, and returns what it said and its
// exit code. Nothing may be issued by it, nor any token be left.
func (r *rig) plan(text string, args ...string) (stdout, stderr string, code int) {
	r.Helper()
	r.write("agent.hcl", strings.ReplaceAll(text, "DIR", r.dir))
	var out, errs bytes.Buffer
	issued, before := r.server.Issued(""), len(r.server.History())
	command := Plan{
		Ctx: r.Context(), Stdout: &out, Stderr: &errs, Transport: r.server.Transport(),
		Getenv: func(string) string { return "" },
	}
	code = command.Run(append([]string{"-config=" + r.path("agent.hcl"), "-address=" + vaulttest.Address}, args...))
	r.expect("leases issued by the plan", r.server.Issued("")-issued, 0)
	tokens := 0 // that were made and not revoked
	for _, event := range r.server.History()[before:] {
		switch {
		case event.Op == vaulttest.Login && event.Status == http.StatusOK:
			tokens++
		case event.Op == vaulttest.RevokeSelf:
			tokens--
		}
	}
	r.expect("tokens left by the plan", tokens, 0)
	return out.String(), errs.String(), code
}

// planned is the plan in JSON.
func (r *rig) planned(text string, args ...string) forecast {
	r.Helper()
	stdout, stderr, code := r.plan(text, append(args, "-format=json")...)
	var f forecast
	if err := json.Unmarshal([]byte(stdout), &f); err != nil {
		r.Fatalf("%v; exit code %d, %s", err, code, stderr)
	}
	return f
}

// Reference, section 3, row 7.
func TestThePlanForeseesWhatTheAgentThenDoes(t *testing.T) {
	within(t, func(r *rig) {
		r.server.Static("database/roles/app", map[string]any{"default_ttl": 100, "max_ttl": "250s"})
		f := r.planned(approle + pair("db"))
		s := f.Secrets[0]
		if s.Path != creds || s.Missing || s.Kind != lifeLease || s.TTL != 100 || s.MaxTTL != 250 || s.Source != "role" {
			t.Errorf("foreseen: %+v", s)
		}
		r.expect("file before the agent", r.read("db"), "")
		r.expect("secret id", r.read("secret-id"), "the-secret\n")
		steps := s.Next
		if len(steps) != 2 || steps[0].Action != "renew" || steps[1].Action != "rotate" {
			t.Fatalf("steps: %+v", steps)
		}
		r.start = time.Now()
		r.launch(approle+pair("db"), Options{})
		r.at(time.Duration(steps[0].After-1) * time.Second)
		r.expect("renewals before the time", r.server.Count(vaulttest.Renew), 0)
		r.at(time.Duration(steps[0].After+1) * time.Second)
		r.expect("renewals after it", r.server.Count(vaulttest.Renew), 1)
		r.at(time.Duration(steps[1].After-2) * time.Second)
		r.expect("issued before the time", r.server.Issued(creds), 1)
		r.at(time.Duration(steps[1].After+2) * time.Second)
		r.expect("issued after it", r.server.Issued(creds), 2)
		if err := r.end(); err != nil {
			t.Error(err)
		}
	})
}

// Reference, section 3, row 7.
func TestThePlanTellsWhatTheTokenMayNotHave(t *testing.T) {
	within(t, func(r *rig) {
		r.server.Role("aws/creds/app", vaulttest.Role{TTL: time.Hour})
		r.server.Allow(func(_ string, op vaulttest.Op, path string) bool {
			return path != "aws/creds/app" && path != revokePath
		})
		stdout, stderr, code := r.plan(approle + pair("db") + reader("cloud", "aws/creds/app"))
		r.expect("exit code", code, ExitSecret)
		for _, want := range []string{"read: NO", "read: yes", "what is replaced lives until its TTL", "2, of which 2 new; 1 NOT ALLOWED"} {
			if !strings.Contains(strings.Join(strings.Fields(stdout), " "), want) {
				t.Errorf("the plan does not say %q:\n%s", want, stdout)
			}
		}
		if want := `path "aws/creds/app" { capabilities = ["read"] }`; !strings.Contains(stderr, want) {
			t.Errorf("the error does not say %q: %s", want, stderr)
		}
	})
}

func TestOnlyKeyValueSecretsAreReadToFindOthers(t *testing.T) {
	within(t, func(r *rig) {
		r.server.Static("secret/data/app", map[string]any{"role": "app", "password": "hidden-value"})
		nested := `
template {
  contents    = "{{ with secret \"secret/app\" }}{{ with secret (printf \"database/creds/%s\" .Data.data.role) }}{{ with secret .Data.username }}{{ end }}{{ end }}{{ end }}"
  destination = "DIR/nested"
}
`
		f := r.planned(approle + nested)
		if len(f.Secrets) != 2 || f.Secrets[0].Path != creds || f.Secrets[1].Request != "secret/data/app" || f.Secrets[1].Kind != lifeStatic {
			t.Errorf("secrets: %+v", f.Secrets)
		}
		r.expect("more behind a secret that is not read", f.Outputs[0].Hidden, true)
		stdout, _, _ := r.plan(approle + nested)
		if strings.Contains(stdout, "hidden-value") {
			t.Error("the plan shows a secret")
		}
		reads := r.server.Count(vaulttest.Read)
		r.plan(approle + reader("plain", "secret/app"))
		r.expect("reads of a secret that hides nothing", r.server.Count(vaulttest.Read)-reads, 0)
	})
}

func TestThePlanKnowsWhatTheStateHolds(t *testing.T) {
	within(t, func(r *rig) {
		text := "state { path = \"DIR/state\" }\n" + approle + pair("db")
		f := r.planned(text)
		if f.Secrets[0].Adopted || f.Token.Origin == "the state" {
			t.Errorf("without a state: %+v, %+v", f.Secrets[0], f.Token)
		}
		r.expect("state made by a plan", r.read("state")+r.read("state.key"), "")
		opts := Options{Server: vault.Config{Address: vaulttest.Address}, Getenv: func(string) string { return "" }}
		file := r.load(text)
		held, err := openState(file, clientConfig(file, opts), opts.Getenv, zap.NewNop())
		if err != nil {
			t.Fatal(err)
		}
		defer r.close(held)
		r.launch(approle+pair("db"), Options{State: held})
		logins := len(r.server.Logins())
		f = r.planned(text) // beside the agent, which has the state locked
		if !f.Secrets[0].Adopted || f.Token.Origin != "the state" {
			t.Errorf("with a state: %+v, %+v", f.Secrets[0], f.Token)
		}
		r.expect("logins of the plan", len(r.server.Logins())-logins, 0)
		r.expect("the file", f.Outputs[0].Files[0].Change, fileReplaced)
		if err := r.end(); err != nil {
			t.Error(err)
		}
	})
}

// Reference, section 3, row 7.
func TestThePlanShowsWhatBecomesOfEachFile(t *testing.T) {
	within(t, func(r *rig) {
		fixed := func(name, text string) string {
			return "template {\n  contents = \"" + text + "\"\n  destination = \"DIR/" + name + "\"\n}\n"
		}
		r.write("same", "text")
		r.write("other", "TEXT")
		r.write("longer", "text and more")
		f := r.planned(approle + fixed("same", "text") + fixed("other", "text") + fixed("longer", "text") + fixed("new", "text") + `
group "pair" {
  directory = "DIR/pair"
  template {
    destination = "one"
    contents    = "1"
  }
  check = "true"
}
env_file {
  destination = "DIR/env"
  env_template "DB_USER" {
    contents = "{{ with secret \"database/creds/app\" }}{{ .Data.username }}{{ end }}"
  }
}
exec {
  command = ["app"]
}
env_template "TOKEN" {
  contents = "1"
}
`)
		var got []string
		for _, o := range f.Outputs {
			for _, file := range o.Files {
				got = append(got, o.Kind+" "+strings.TrimPrefix(file.Path, r.dir+"/")+" "+file.Change+" "+file.Mode)
			}
		}
		want := []string{
			"file same unchanged ", "file other changed ", "file longer changed ", "file new new 0600",
			"group pair/one new 0600", "file env new 0600",
		}
		if !slices.Equal(got, want) {
			t.Errorf("files:\n%s", strings.Join(got, "\n"))
		}
		if f.Child == nil || f.Child.Command != `command "app"` || !slices.Equal(f.Child.Variables, []string{"TOKEN"}) {
			t.Errorf("child: %+v", f.Child)
		}
		r.expect("checks of the group", len(f.Outputs[4].Checks), 1)
	})
}

func TestExitCodesOfAPlan(t *testing.T) {
	const failing = `
template {
  contents    = "{{ mustEnv \"NOT_SET_ANYWHERE\" }}"
  destination = "DIR/failing"
}
`
	wrapped := strings.Replace(approle, "secret_id_file_path ", "secret_id_response_wrapping_path = \"auth/approle/role/app/secret-id\"\n      secret_id_file_path ", 1)
	tests := map[string]struct {
		text string
		args []string
		code int
		says string // on standard error
	}{
		"all is well":                     {approle + pair("db"), nil, ExitOK, ""},
		"the server is not asked":         {wrapped + pair("db"), []string{"-offline"}, ExitOK, ""},
		"the format is unknown":           {approle + pair("db"), []string{"-format=xml"}, ExitConfig, "table or json"},
		"the configuration is wrong":      {"tempalte {}\n", nil, ExitConfig, "template"},
		"the login is refused":            {strings.ReplaceAll(approle, "DIR/role-id", "DIR/secret-id") + pair("db"), nil, ExitAuth, "authenticating"},
		"the secret id is wrapped":        {wrapped + pair("db"), nil, ExitAuth, "-offline"},
		"there is no token at all":        {pair("db"), nil, ExitAuth, "VAULT_TOKEN"},
		"the template cannot be parsed":   {approle + strings.Replace(pair("db"), "}}\"", "\"", 1), nil, ExitTemplate, "agent.hcl"},
		"the template fails":              {approle + failing, nil, ExitTemplate, "NOT_SET_ANYWHERE"},
		"the destination cannot be there": {approle + pair("role-id/db"), nil, ExitSink, "role-id"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			within(t, func(r *rig) {
				_, stderr, code := r.plan(test.text, test.args...)
				r.expect("exit code", code, test.code)
				if !strings.Contains(stderr, test.says) {
					t.Errorf("stderr does not say %q: %s", test.says, stderr)
				}
			})
		})
	}
}

func TestReplacementIsForeseenWithoutRunningThroughEachRenewal(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	policy := schedule.Policy{}.WithDefaults()
	tests := map[string]struct {
		ttl, maximum time.Duration
		renew        int64
		rotate       int64 // 0 for none foreseen
	}{
		"a month of renewals each half minute": {time.Minute, 30 * 24 * time.Hour, 30, 30*24*3600 - 13},
		"a maximum that allows no renewal":     {time.Minute, time.Minute, 30, 47},
		"no maximum that is known":             {time.Hour, 0, 1800, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			life := lifeOf(lifeLease, test.ttl, test.maximum, "role", policy, now)
			if life.Next[0].After != test.renew {
				t.Errorf("renewed after %d s, want %d", life.Next[0].After, test.renew)
			}
			if test.rotate == 0 && len(life.Next) != 1 || test.rotate > 0 && (len(life.Next) != 2 || life.Next[1].After != test.rotate) {
				t.Errorf("steps %+v, want the replacement after %d s", life.Next, test.rotate)
			}
		})
	}
}

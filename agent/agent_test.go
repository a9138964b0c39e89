package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	logged "go.uber.org/zap/zaptest/observer"

	"github.com/novatech/securevault/agent/config"
	"github.com/novatech/securevault/agent/state"
	"github.com/novatech/securevault/internal/vault"
	"github.com/novatech/securevault/internal/vaulttest"
)

const creds = "database/creds/app"

// rig is a folder with a configuration, and a fake server for it.
type rig struct {
	*testing.T
	dir    string
	server *vaulttest.Server
	logs   *logged.ObservedLogs
	agent  *Agent
	stop   context.CancelFunc
	done   chan error
	start  time.Time
}

// within runs a test in a synctest bubble, on a fake server with an AppRole
// and a role whose leases last 100 s, 250 s at most.
func within(t *testing.T, test func(r *rig)) {
	synctest.Test(t, func(t *testing.T) {
		r := &rig{T: t, dir: t.TempDir(), server: vaulttest.New(), start: time.Now()}
		r.server.Role(creds, vaulttest.Role{TTL: 100 * time.Second, MaxTTL: 250 * time.Second})
		r.server.AppRole(vaulttest.AppRole{RoleID: "the-role", SecretID: "the-secret", TokenTTL: time.Hour, TokenMaxTTL: 24 * time.Hour})
		r.write("role-id", "the-role\n")
		r.write("secret-id", "the-secret\n")
		test(r)
	})
}

func (r *rig) path(name string) string { return filepath.Join(r.dir, name) }

func (r *rig) write(name, content string) {
	r.Helper()
	if err := os.WriteFile(r.path(name), []byte(content), 0o600); err != nil {
		r.Fatal(err)
	}
}

func (r *rig) read(name string) string {
	content, err := os.ReadFile(r.path(name))
	if err != nil {
		return ""
	}
	return string(content)
}

// approle is the usual way to log in; %s is for what follows it.
const approle = `
auto_auth {
  method "approle" {
    config = {
      role_id_file_path                   = "DIR/role-id"
      secret_id_file_path                 = "DIR/secret-id"
      remove_secret_id_file_after_reading = false
    }
  }
}
lease { jitter = 0 }
`

// pair is a template whose output shows whether it is whole.
func pair(name string) string {
	return fmt.Sprintf(`
template {
  contents    = "{{ with secret \"database/creds/app\" }}{{ .Data.username }}:{{ .Data.password }}{{ end }}"
  destination = "DIR/%s"
}
`, name)
}

// launch starts an agent on a configuration in which DIR stands for the
// folder. It returns once nothing happens any more without time passing.
func (r *rig) launch(text string, opts Options) {
	r.Helper()
	a := r.build(text, opts)
	r.agent = a
	ctx, cancel := context.WithCancel(r.Context())
	r.stop, r.done = cancel, make(chan error, 1)
	go func() { r.done <- a.Run(ctx) }()
	synctest.Wait()
}

func (r *rig) build(text string, opts Options) *Agent {
	r.Helper()
	if opts.State != nil {
		text = "state { path = \"DIR/state\" }\n" + text
	}
	file := r.load(text)
	core, logs := logged.New(zap.DebugLevel)
	r.logs, opts.Log = logs, zap.New(core)
	if opts.Server.Address == "" {
		opts.Server.Address, opts.Transport = vaulttest.Address, cmp.Or(opts.Transport, r.server.Transport())
	}
	if opts.Getenv == nil {
		opts.Getenv = func(string) string { return "" }
	}
	a, err := New(file, opts)
	if err != nil {
		r.Fatal(err)
	}
	r.agent = a
	return a
}

// load reads a configuration in which DIR stands for the folder.
func (r *rig) load(text string) *config.File {
	r.Helper()
	r.write("agent.hcl", strings.ReplaceAll(text, "DIR", r.dir))
	file, err := config.Load(r.path("agent.hcl"))
	if err != nil {
		r.Fatal(err)
	}
	return file
}

// reload gives the running agent another configuration.
func (r *rig) reload(text string) {
	r.Helper()
	r.agent.Reload(r.load(text))
	synctest.Wait()
}

// at lets the time pass until the given offset from the start.
func (r *rig) at(offset time.Duration) {
	time.Sleep(time.Until(r.start.Add(offset)))
	synctest.Wait()
}

// end stops the agent and returns what it ended with.
func (r *rig) end() error {
	r.stop()
	return <-r.done
}

func (r *rig) expect(what string, got, want any) {
	r.Helper()
	if got != want {
		r.Errorf("at +%s: %s = %v, want %v", time.Since(r.start), what, got, want)
	}
}

// Reference, section 2, row 4.
func TestRendersRotatesAndRevokesWhatItHoldsAtShutdown(t *testing.T) {
	within(t, func(r *rig) {
		r.launch(approle+pair("db"), Options{})
		r.expect("file", r.read("db"), "v-app-1:password-1")
		r.at(240 * time.Second)
		r.expect("file after max TTL drew near", r.read("db"), "v-app-2:password-2")
		r.at(260 * time.Second)
		r.expect("revoked after the overlap", r.server.Count(vaulttest.Revoke), 1)
		if err := r.end(); err != nil {
			t.Errorf("a stopped agent ended with %v", err)
		}
		r.expect("live leases after shutdown", len(r.server.Live()), 0)
		r.expect("tokens revoked", r.server.Count(vaulttest.RevokeSelf), 1)
	})
}

// Reference, section 3, row 1.
func TestTheOldLeaseLivesUntilTheAppWasTold(t *testing.T) {
	within(t, func(r *rig) {
		r.write("app.pid", "1\n") // replaced below by a pid that does not exist
		r.write("app.pid", "4194305\n")
		r.launch(approle+pair("db")+`notify "signal" { pidfile = "DIR/app.pid" }`, Options{})
		r.at(249 * time.Second)
		r.expect("file", r.read("db"), "v-app-2:password-2")
		r.expect("live leases while the app cannot be told", len(r.server.Live()), 2)
		r.expect("revocations", r.server.Count(vaulttest.Revoke), 0)
		r.expect("credentials", r.server.Issued(creds), 2)
		if err := r.end(); err != nil {
			t.Errorf("a stopped agent ended with %v", err)
		}
	})
}

func TestOneShotLeavesItsLeasesToTheApp(t *testing.T) {
	within(t, func(r *rig) {
		r.launch(approle+pair("db"), Options{Once: true, Deadline: time.Minute})
		r.expect("end", <-r.done, nil)
		r.expect("file", r.read("db"), "v-app-1:password-1")
		r.expect("live leases", len(r.server.Live()), 1)
		r.expect("requests: a login and a secret", r.server.Requests(), 2)
	})
}

// Reference, section 2, row 4.
func TestAnAgentToldToKeepItsLeasesKeepsThem(t *testing.T) {
	within(t, func(r *rig) {
		r.launch("revoke_on_exit = false\n"+approle+pair("db"), Options{})
		r.expect("end", r.end(), nil)
		r.expect("live leases", len(r.server.Live()), 1)
	})
}

// endless asks for one more secret each time it gets one.
const endless = `
template {
  contents    = "{{ define \"next\" }}{{ with secret (printf \"database/creds/%s\" .) }}{{ template \"next\" .Data.username }}{{ end }}{{ end }}{{ template \"next\" \"a\" }}"
  destination = "DIR/endless"
}`

// Reference, section 2, row 20.
func TestOneShotFailuresHaveTheirOwnExitCodesAndLeaveNothing(t *testing.T) {
	tests := []struct {
		name  string
		text  string
		fault *vaulttest.Fault
		setup func(r *rig)
		code  int
		says  string
	}{
		{name: "the login is refused", setup: func(r *rig) { r.write("secret-id", "wrong") }, code: ExitAuth, says: "auth/approle/login"},
		{name: "the role id is missing", setup: func(r *rig) { _ = os.Remove(r.path("role-id")) }, code: ExitAuth, says: "role-id"},
		{name: "a secret is refused", fault: &vaulttest.Fault{Op: vaulttest.Read, Status: 403, Messages: []string{"permission denied"}}, code: ExitSecret, says: "policies"},
		{name: "a role is unknown", fault: &vaulttest.Fault{Op: vaulttest.Read, Status: 404}, code: ExitSecret, says: creds},
		{name: "the server is down", fault: &vaulttest.Fault{Drop: true}, code: ExitServer, says: "check the address"},
		{name: "the server hangs", fault: &vaulttest.Fault{Op: vaulttest.Read, Hang: true}, code: ExitServer, says: "time is up"},
		{name: "the server fails", fault: &vaulttest.Fault{Op: vaulttest.Read, Status: 500}, code: ExitServer, says: "500"},
		{name: "a template fails", text: "template {\n contents = \"{{ with secret \\\"database/creds/app\\\" }}{{ index .Data.username 99 }}{{ end }}\"\n destination = \"DIR/broken\"\n}\n", code: ExitTemplate, says: "agent.hcl"},
		{name: "a template never settles", text: endless, code: ExitTemplate, says: "depend on the time"},
		{name: "a hook fails", text: `notify "signal" { pid = 4194305 }`, code: ExitNotify, says: "4194305"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			within(t, func(r *rig) {
				if test.setup != nil {
					test.setup(r)
				}
				if test.fault != nil {
					r.server.Inject(*test.fault)
				}
				r.server.Role("database/creds/*", vaulttest.Role{TTL: 100 * time.Second})
				r.launch(approle+pair("db")+test.text, Options{Once: true, Deadline: time.Minute})
				err := <-r.done
				r.expect("exit code", ExitCode(err), test.code)
				if err == nil || !strings.Contains(err.Error(), test.says) {
					t.Errorf("error %q does not say %q", err, test.says)
				}
				for _, secret := range []string{"password-", "the-secret", "hvs."} {
					r.expect("the error or the log holds "+secret, strings.Contains(err.Error()+r.logged(), secret), false)
				}
				r.expect("live leases", len(r.server.Live()), 0)
				if n := r.server.Issued(""); n > maxPasses+2 {
					t.Errorf("credentials issued = %d", n)
				}
			})
		})
	}
}

// Reference, section 2, row 8.
func TestAFailingTemplateDoesNotHoldUpTheRest(t *testing.T) {
	within(t, func(r *rig) {
		r.server.Inject(vaulttest.Fault{Op: vaulttest.Read, Path: "secret/data/other", Status: 403})
		r.launch(approle+`
template {
  contents    = "{{ with secret \"secret/data/other\" }}{{ .Data }}{{ end }}"
  destination = "DIR/other"
}
template {
  contents    = "{{ with secret \"database/creds/app\" }}{{ index .Data.username 99 }}{{ end }}"
  destination = "DIR/broken"
}`+pair("db"), Options{})
		r.expect("file of the good template", r.read("db"), "v-app-1:password-1")
		for _, name := range []string{"other", "broken"} {
			if _, err := os.Stat(r.path(name)); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("file %q of a failing template: %v", name, err)
			}
		}
		r.at(10 * time.Minute)
		if n := r.server.Count(vaulttest.Read); n > 30 {
			t.Errorf("reads in ten minutes = %d: a refused secret is asked for too eagerly", n)
		}
		r.expect("end", r.end(), nil)
	})
}

// Reference, section 2, row 15.
func TestTemplatesThatShareASecretSwitchTogether(t *testing.T) {
	within(t, func(r *rig) {
		r.launch(approle+pair("one")+pair("two"), Options{})
		r.expect("credentials", r.server.Issued(creds), 1)
		r.expect("first file", r.read("one"), "v-app-1:password-1")
		r.expect("second file", r.read("two"), "v-app-1:password-1")

		// The second file cannot be replaced any more: neither may the first.
		if err := os.Remove(r.path("two")); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(r.path("two/in-the-way"), 0o700); err != nil {
			t.Fatal(err)
		}
		r.at(245 * time.Second)
		r.expect("first file while the second cannot be written", r.read("one"), "v-app-1:password-1")
		r.expect("live leases", len(r.server.Live()), 2)
		if err := os.RemoveAll(r.path("two")); err != nil {
			t.Fatal(err)
		}
		r.at(255 * time.Second)
		r.expect("first file", r.read("one"), "v-app-2:password-2")
		r.expect("second file", r.read("two"), "v-app-2:password-2")
		r.expect("end", r.end(), nil)
	})
}

func TestUnwritableDestinationsAreFoundBeforeAnythingIsIssued(t *testing.T) {
	within(t, func(r *rig) {
		r.write("file", "")
		r.launch(approle+pair("db")+strings.Replace(pair("file/below"), "template {", "template {\n create_dest_dirs = false", 1), Options{})
		err := <-r.done
		r.expect("exit code", ExitCode(err), ExitSink)
		r.expect("requests", r.server.Requests(), 0)
	})
}

func TestADeadTokenLeadsToANewLoginAndNewLeases(t *testing.T) {
	for _, wordy := range []bool{false, true} {
		t.Run(fmt.Sprintf("server names invalid tokens: %v", wordy), func(t *testing.T) {
			within(t, func(r *rig) {
				if wordy {
					r.server.NameInvalidTokens()
				}
				r.launch(approle+pair("db"), Options{})
				r.server.EndToken(r.server.Leases()[0].Token)
				r.at(60 * time.Second) // the renewal at 50 s is refused
				r.expect("logins", r.server.Count(vaulttest.Login), 2)
				r.expect("file", r.read("db"), "v-app-2:password-2")
				r.expect("live leases", len(r.server.Live()), 1)
				r.expect("end", r.end(), nil)
			})
		})
	}
}

// Reference, section 2, row 1.
func TestATokenNearItsEndIsReplacedWithItsLeases(t *testing.T) {
	within(t, func(r *rig) {
		r.server.AppRole(vaulttest.AppRole{RoleID: "the-role", SecretID: "the-secret", TokenTTL: 60 * time.Second, TokenMaxTTL: 90 * time.Second})
		r.launch(approle+pair("db"), Options{})
		for second := time.Duration(1); second <= 600; second++ {
			r.at(second * time.Second)
			user, _, _ := strings.Cut(r.read("db"), ":")
			alive := false
			for _, l := range r.server.Live() {
				alive = alive || l.Data["username"] == user
			}
			if !alive {
				t.Fatalf("at +%ds the file holds %q, whose lease has ended", second, user)
			}
		}
		if n := r.server.Issued(creds); n > 12 {
			t.Errorf("credentials over ten minutes and about eight tokens = %d", n)
		}
		r.expect("end", r.end(), nil)
		r.expect("live leases", len(r.server.Live()), 0)
	})
}

func TestTheTokenIsWrittenToItsSinks(t *testing.T) {
	within(t, func(r *rig) {
		text := strings.Replace(approle, "lease {", `auto_auth_sink {`, 1)
		text = strings.Replace(text, "auto_auth_sink { jitter = 0 }", "", 1)
		text = strings.TrimSuffix(strings.TrimSpace(text), "}") + `
  sink "file" { config = { path = "DIR/token" } }
}`
		r.launch(text, Options{Once: true, Deadline: time.Minute})
		r.expect("end", <-r.done, nil)
		token := r.read("token")
		if _, err := r.server.Client(t).LookupSelf(r.Context(), vault.Sensitive(token)); err != nil {
			t.Errorf("the token in the sink does not work: %v", err)
		}
		info, err := os.Stat(r.path("token"))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("mode of the token file = %v, %v; want 0600", info.Mode(), err)
		}
	})
}

// Reference, section 2, row 24.
func TestATokenOfTheEnvironmentNeedsNoLogin(t *testing.T) {
	within(t, func(r *rig) {
		r.launch(pair("db"), Options{Once: true, Deadline: time.Minute, Getenv: func(name string) string {
			return map[string]string{"VAULT_TOKEN": vaulttest.RootToken}[name]
		}})
		r.expect("end", <-r.done, nil)
		r.expect("file", r.read("db"), "v-app-1:password-1")
		r.expect("logins", r.server.Count(vaulttest.Login), 0)
	})
}

func TestNoSecretReachesTheLog(t *testing.T) {
	within(t, func(r *rig) {
		r.launch(approle+pair("db")+`
template {
  contents    = "{{ with secret \"database/creds/app\" }}{{ .Data.password | parseInt }}{{ end }}"
  destination = "DIR/broken"
}`, Options{})
		r.server.Inject(vaulttest.Fault{Op: vaulttest.Renew, Status: 500})
		r.at(10 * time.Minute)
		r.expect("end", r.end(), nil)
		if r.logs.Len() < 10 {
			t.Fatalf("only %d lines were logged", r.logs.Len())
		}
		for _, line := range r.logs.All() {
			text := line.Message + fmt.Sprint(line.ContextMap())
			for _, secret := range []string{"password-", "the-secret", "hvs."} {
				if strings.Contains(text, secret) {
					t.Errorf("the log holds %q: %s", secret, text)
				}
			}
		}
	})
}

// state opens the state of the rig, for one run of an agent after the other.
func (r *rig) state() *state.Log {
	r.Helper()
	log, _, err := state.Open(state.Config{Path: r.path("state"), Getenv: func(string) string { return "" }})
	if err != nil {
		r.Fatal(err)
	}
	return log
}

func (r *rig) close(log *state.Log) {
	r.Helper()
	if err := log.Close(); err != nil {
		r.Fatal(err)
	}
}

// Reference, section 2, row 6.
func TestARestartAdoptsTokenAndLeases(t *testing.T) {
	within(t, func(r *rig) {
		log := r.state()
		r.launch(approle+pair("db"), Options{State: log})
		r.at(60 * time.Second) // the lease was renewed at 50 s
		r.expect("end", r.end(), nil)
		r.close(log)
		r.expect("live leases between two runs", len(r.server.Live()), 1)

		r.at(120 * time.Second)
		log = r.state()
		r.launch(approle+pair("db"), Options{State: log})
		r.at(140 * time.Second)
		r.expect("credentials", r.server.Issued(creds), 1)
		r.expect("logins", r.server.Count(vaulttest.Login), 1)
		r.expect("renewals: one before, one to see whether it lives", r.server.Count(vaulttest.Renew), 2)
		r.at(260 * time.Second)
		r.expect("file after max TTL", r.read("db"), "v-app-2:password-2")
		r.expect("end", r.end(), nil)
		r.close(log)
	})
}

// Reference, section 3, row 4.
func TestAKilledAgentLeavesNothingUnaccounted(t *testing.T) {
	within(t, func(r *rig) {
		r.launch(approle+pair("db"), Options{State: r.state()})
		// A kill: what is on the disk now is all that the next start has.
		r.copy("state", "killed")
		r.copy("state.key", "killed.key")
		r.expect("end", r.end(), nil)

		log, warnings, err := state.Open(state.Config{Path: r.path("killed"), Getenv: func(string) string { return "" }})
		if err != nil || len(warnings) != 1 {
			t.Fatal(warnings, err)
		}
		r.launch(approle+pair("db"), Options{State: log})
		r.at(10 * time.Second)
		r.expect("credentials", r.server.Issued(creds), 1)
		r.expect("file", r.read("db"), "v-app-1:password-1")
		r.expect("end", r.end(), nil)
	})
}

func (r *rig) copy(from, to string) {
	r.Helper()
	r.write(to, r.read(from))
}

func TestALeaseThatEndedDuringARestartIsReplacedOnce(t *testing.T) {
	within(t, func(r *rig) {
		log := r.state()
		r.launch(approle+pair("db"), Options{State: log})
		r.expect("end", r.end(), nil)
		r.close(log)
		r.at(10 * time.Minute)
		log = r.state()
		r.launch(approle+pair("db"), Options{State: log})
		r.at(10*time.Minute + 10*time.Second)
		r.expect("credentials", r.server.Issued(creds), 2)
		r.expect("file", r.read("db"), "v-app-2:password-2")
		r.expect("live leases", len(r.server.Live()), 1)
		r.expect("end", r.end(), nil)
		r.close(log)
	})
}

func TestATokenThatEndedDuringARestartIsReplacedWithItsLeases(t *testing.T) {
	within(t, func(r *rig) {
		log := r.state()
		r.launch(approle+pair("db"), Options{State: log})
		r.expect("end", r.end(), nil)
		r.close(log)
		r.server.EndToken(r.server.Leases()[0].Token)
		log = r.state()
		r.launch(approle+pair("db"), Options{State: log})
		r.at(20 * time.Second)
		r.expect("credentials", r.server.Issued(creds), 2)
		r.expect("logins", r.server.Count(vaulttest.Login), 2)
		r.expect("file", r.read("db"), "v-app-2:password-2")
		r.expect("end", r.end(), nil)
		r.close(log)
	})
}

// Reference, section 2, row 5.
func TestTheSidecarTakesOverFromTheInitContainer(t *testing.T) {
	within(t, func(r *rig) {
		r.server.Role("database/creds/*", vaulttest.Role{TTL: 100 * time.Second})
		other := strings.NewReplacer("creds/app", "creds/other").Replace(pair("other"))
		log := r.state()
		r.launch(approle+pair("db")+other, Options{State: log, Once: true, Deadline: time.Minute})
		r.expect("end", <-r.done, nil)
		r.close(log)
		log = r.state()
		r.launch(approle+pair("db"), Options{State: log})
		r.at(30 * time.Second)
		r.expect("credentials", r.server.Issued(""), 2)
		r.expect("logins", r.server.Count(vaulttest.Login), 1)
		live := r.server.Live()
		if len(live) != 1 || live[0].Path != creds {
			t.Errorf("live leases = %v, want the one that is still wanted", live)
		}
		r.expect("end", r.end(), nil)
		r.close(log)
	})
}

// Reference, section 2, row 10.
func TestAServerThatIsDownAtTheStartLeavesTheAdoptedSecretsInUse(t *testing.T) {
	within(t, func(r *rig) {
		log := r.state()
		r.launch(approle+pair("db"), Options{State: log})
		r.expect("end", r.end(), nil)
		r.close(log)
		if err := os.Remove(r.path("db")); err != nil { // a memory file system after a reboot
			t.Fatal(err)
		}
		r.server.Inject(vaulttest.Fault{Drop: true, For: 30 * time.Second})
		log = r.state()
		r.launch(approle+pair("db"), Options{State: log})
		r.expect("file during the outage", r.read("db"), "v-app-1:password-1")
		r.at(90 * time.Second)
		r.expect("credentials", r.server.Issued(creds), 1)
		r.expect("end", r.end(), nil)
		r.close(log)
	})
}

func TestNothingIsPublishedWhileTheStateCannotBeWritten(t *testing.T) {
	within(t, func(r *rig) {
		log := r.state()
		r.close(log) // every write fails from now on: a folder is in the way
		if err := os.Remove(r.path("state")); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(r.path("state/in-the-way"), 0o700); err != nil {
			t.Fatal(err)
		}
		r.launch(approle+pair("db"), Options{State: log})
		r.at(20 * time.Second)
		if _, err := os.Stat(r.path("db")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("a secret was published that a kill would orphan: %v", err)
		}
		if err := os.RemoveAll(r.path("state")); err != nil {
			t.Fatal(err)
		}
		r.at(30 * time.Second)
		r.expect("file once the state can be written", r.read("db"), "v-app-1:password-1")
		r.expect("credentials", r.server.Issued(creds), 1)
		r.expect("end", r.end(), nil)
	})
}

// Reference, section 2, row 11.
func TestAReloadKeepsTheLeasesOfWhatIsStillWanted(t *testing.T) {
	within(t, func(r *rig) {
		r.server.Role("database/creds/*", vaulttest.Role{TTL: 100 * time.Second})
		other := strings.NewReplacer("creds/app", "creds/other").Replace(pair("other"))
		r.launch(approle+pair("db"), Options{})
		r.reload(approle + pair("db") + pair("copy") + other)
		r.expect("credentials after two more templates", r.server.Issued(""), 2)
		r.expect("the copy", r.read("copy"), "v-app-1:password-1")
		r.expect("the other file", r.read("other"), "v-other-2:password-2")

		r.reload(approle + other)
		r.at(20 * time.Second) // past the overlap of 15 s
		live := r.server.Live()
		if len(live) != 1 || live[0].Path != "database/creds/other" {
			t.Errorf("live leases = %v, want the one that is still wanted", live)
		}
		r.expect("logins", r.server.Count(vaulttest.Login), 1)
		r.expect("end", r.end(), nil)
	})
}

// Reference, section 2, row 11.
func TestABadConfigurationKeepsTheOldOneRunning(t *testing.T) {
	within(t, func(r *rig) {
		r.launch(approle+pair("db"), Options{})
		r.write("file", "")
		for _, broken := range []string{
			"template {\n contents = \"{{ nonsense }}\"\n destination = \"DIR/x\"\n}",
			strings.Replace(pair("file/below"), "template {", "template {\n create_dest_dirs = false", 1),
		} {
			r.reload(approle + broken)
		}
		r.expect("errors logged", r.logs.FilterMessage(notReloaded).Len(), 2)
		r.at(240 * time.Second)
		r.expect("file", r.read("db"), "v-app-2:password-2")
		r.expect("end", r.end(), nil)
	})
}

func TestAReloadedTemplateThatFailsLeavesFileAndLease(t *testing.T) {
	within(t, func(r *rig) {
		r.launch(approle+pair("db"), Options{})
		r.reload(approle + strings.Replace(pair("db"), ".Data.username", "index .Data.username 99", 1))
		r.at(60 * time.Second)
		r.expect("file", r.read("db"), "v-app-1:password-1")
		r.expect("live leases", len(r.server.Live()), 1)
		r.expect("end", r.end(), nil)
	})
}

// Reference, section 3, row 3.
func TestACheckMustPassBeforeTheFileChanges(t *testing.T) {
	within(t, func(r *rig) {
		r.write("verdict", "")
		checked := strings.Replace(pair("db"), "}\n", "  check = \". DIR/verdict; grep -q password $SECUREVAULT_STAGED_FILE\"\n}\n", 1)
		r.launch(approle+checked, Options{})
		r.expect("file", r.read("db"), "v-app-1:password-1")

		r.write("verdict", "exit 1\n")
		r.at(245 * time.Second)
		r.expect("file while the check fails", r.read("db"), "v-app-1:password-1")
		r.expect("credentials", r.server.Issued(creds), 2)
		r.expect("live leases", len(r.server.Live()), 2)
		r.write("verdict", "")
		r.at(256 * time.Second)
		r.expect("file once the check passes", r.read("db"), "v-app-2:password-2")
		r.expect("credentials", r.server.Issued(creds), 2)
		r.expect("end", r.end(), nil)
	})
}

func TestAFailingCheckOfAOneShotRunHasItsOwnExitCode(t *testing.T) {
	within(t, func(r *rig) {
		r.launch(approle+strings.Replace(pair("db"), "}\n", "  check = \"false\"\n}\n", 1), Options{Once: true, Deadline: time.Minute})
		r.expect("exit code", ExitCode(<-r.done), ExitNotify)
		r.expect("file", r.read("db"), "")
		r.expect("live leases", len(r.server.Live()), 0)
	})
}

func TestFilesThatATemplateWritesOnTheSideSwitchWithIt(t *testing.T) {
	within(t, func(r *rig) {
		r.launch(approle+`
template {
  contents    = "{{ with secret \"database/creds/app\" }}{{ .Data.username }}{{ .Data.password | writeToFile \"DIR/side/password\" \"\" \"\" \"0640\" }}{{ end }}"
  destination = "DIR/user"
}`, Options{})
		r.expect("destination", r.read("user"), "v-app-1")
		r.expect("side", r.read("side/password"), "password-1")
		info, err := os.Stat(r.path("side/password"))
		if err != nil || info.Mode().Perm() != 0o640 {
			t.Errorf("mode of the file on the side = %v, %v", info.Mode(), err)
		}
		r.at(240 * time.Second)
		r.expect("destination", r.read("user"), "v-app-2")
		r.expect("side", r.read("side/password"), "password-2")
		r.expect("end", r.end(), nil)
	})
}

func TestTwoTemplatesCannotWriteOneFile(t *testing.T) {
	within(t, func(r *rig) {
		r.launch(approle+pair("db")+`
template {
  contents    = "{{ \"x\" | writeToFile \"DIR/db\" \"\" \"\" \"0600\" }}"
  destination = "DIR/other"
}`, Options{Once: true, Deadline: time.Minute})
		err := <-r.done
		r.expect("exit code", ExitCode(err), ExitTemplate)
		if !strings.Contains(err.Error(), "give each its own") {
			t.Error(err)
		}
	})
}

func TestASecretIsWrittenWithoutATemplate(t *testing.T) {
	within(t, func(r *rig) {
		r.launch(approle+`
template {
  secret      = "database/creds/app"
  format      = "env"
  destination = "DIR/app.env"
}`, Options{})
		if got := r.read("app.env"); !strings.Contains(got, "PASSWORD=") || !strings.Contains(got, "password-1") {
			t.Errorf("file = %q", got)
		}
		r.expect("end", r.end(), nil)
	})
}

// Reference, section 2, row 13.
func TestTheServiceManagerIsToldWhatHappens(t *testing.T) {
	// Outside of a bubble: a socket is no part of one.
	socket := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: socket})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	r := &rig{T: t, dir: t.TempDir(), server: vaulttest.New(), start: time.Now()}
	r.server.Role(creds, vaulttest.Role{TTL: time.Hour})
	environment := map[string]string{"NOTIFY_SOCKET": socket, "VAULT_TOKEN": vaulttest.RootToken}
	const slow = `notify "command" { command = "echo >DIR/telling; until test -e DIR/go; do sleep 0.01; done" }`
	a := r.build(pair("db")+slow, Options{Getenv: func(name string) string { return environment[name] }})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	receive := func() string {
		message := make([]byte, 1000)
		_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		n, err := conn.Read(message)
		if err != nil {
			t.Fatal(err)
		}
		return string(message[:n])
	}
	r.until("the hook", func() bool { return r.read("telling") != "" })
	_ = conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if n, err := conn.Read(make([]byte, 1000)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a message of %d bytes, %v, before the app was told", n, err)
	}
	r.write("go", "")
	if got := receive(); !strings.HasPrefix(got, "READY=1\nSTATUS=1 secret") || r.read("db") == "" {
		t.Errorf("first message = %q, file = %q", got, r.read("db"))
	}
	cancel()
	if got := receive(); got != "STOPPING=1" {
		t.Errorf("last message = %q", got)
	}
	r.expect("end", <-done, nil)
}

func TestAnEnvFileHoldsTheVariablesOfItsTemplates(t *testing.T) {
	within(t, func(r *rig) {
		r.launch(approle+`
env_file {
  destination = "DIR/app.env"
  env_template "DB_USER" { contents = "{{ with secret \"database/creds/app\" }}{{ .Data.username }}{{ end }}" }
  env_template "DB_PASSWORD" { contents = "{{ with secret \"database/creds/app\" }}{{ .Data.password }}{{ end }}" }
}`, Options{})
		r.expect("file", r.read("app.env"), "DB_USER=\"v-app-1\"\nDB_PASSWORD=\"password-1\"\n")
		r.expect("credentials", r.server.Issued(creds), 1)
		r.at(240 * time.Second)
		r.expect("file", r.read("app.env"), "DB_USER=\"v-app-2\"\nDB_PASSWORD=\"password-2\"\n")
		r.expect("end", r.end(), nil)
	})
}

// The check of a template was once given the file of another that came before
// it and shares its secret.
func TestACheckFindsTheFileOfItsOwnTemplateFirst(t *testing.T) {
	within(t, func(r *rig) {
		r.write("mounted", "old")
		over := strings.Replace(pair("mounted"), "}\n", "  in_place = true\n}\n", 1)
		checked := strings.Replace(pair("db"), "}\n", "  check = \"cp $SECUREVAULT_STAGED_FILE DIR/saw; echo $SECUREVAULT_STAGED >DIR/list\"\n}\n", 1)
		r.launch(approle+strings.Replace(pair("other"), ":", "/", 1)+over+checked, Options{})
		r.expect("what the check saw", r.read("saw"), "v-app-1:password-1")
		if list := r.read("list"); !strings.Contains(list, r.path("other")) || strings.Contains(list, r.path("mounted")) {
			t.Errorf("the list %s must have the other file, and not the one that is written over", list)
		}
		r.expect("end", r.end(), nil)
	})
}

// Reference, section 3, row 2.
func TestTheFilesOfAGroupSwitchAtOnce(t *testing.T) {
	within(t, func(r *rig) {
		r.launch(approle+`
group "db" {
  directory = "DIR/db"
  template {
    destination = "user"
    contents    = "{{ with secret \"database/creds/app\" }}{{ .Data.username }}{{ end }}"
  }
  template {
    destination = "password"
    contents    = "{{ with secret \"database/creds/app\" }}{{ .Data.password }}{{ end }}"
    perms       = "0640"
  }
  check = "grep -q password- $SECUREVAULT_STAGED_FILE || grep -q v-app- $SECUREVAULT_STAGED_FILE"
}`, Options{})
		r.expect("user", r.read("db/user"), "v-app-1")
		r.expect("password", r.read("db/password"), "password-1")
		first, err := os.Readlink(r.path("db/..data"))
		if err != nil {
			t.Fatal(err)
		}
		r.at(240 * time.Second)
		r.expect("user", r.read("db/user"), "v-app-2")
		r.expect("password", r.read("db/password"), "password-2")
		r.expect("the generation before", r.read(filepath.Join("db", first, "user")), "v-app-1")
		r.expect("end", r.end(), nil)
	})
}

// Groups and env files once ignored max_stale, and stayed ready for ever.
func TestMaxStaleHoldsForEveryKindOfOutput(t *testing.T) {
	within(t, func(r *rig) {
		a := r.build(strings.Replace(approle, "jitter = 0", "jitter = 0\n max_stale = \"10m\"", 1)+pair("db")+`
env_file {
  destination = "DIR/app.env"
  env_template "A" { contents = "x" }
}
group "plain" {
  directory = "DIR/plain"
  template {
    destination = "a"
    contents    = "x"
  }
}
group "strict" {
  directory = "DIR/strict"
  template {
    destination = "a"
    contents    = "x"
    max_stale   = "5m"
  }
  template {
    destination = "b"
    contents    = "x"
  }
}`, Options{})
		limits := make(map[string]time.Duration)
		for _, o := range a.outputs {
			limits[filepath.Base(o.place.Path())] = o.maxStale
		}
		for name, want := range map[string]time.Duration{"db": 10 * time.Minute, "app.env": 10 * time.Minute, "plain": 10 * time.Minute, "strict": 5 * time.Minute} {
			r.expect("limit of "+name, limits[name], want)
		}
	})
}

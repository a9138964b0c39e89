package agent

import (
	"context"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/novatech/securevault/internal/vaulttest"
)

// outside is a rig for what a bubble cannot hold, such as processes.
func outside(t *testing.T) *rig {
	r := &rig{T: t, dir: t.TempDir(), server: vaulttest.New(), start: time.Now()}
	r.server.Role(creds, vaulttest.Role{TTL: time.Hour})
	return r
}

// run starts an agent with a token of its own.
func (r *rig) run(text string, opts Options) {
	r.Helper()
	opts.Getenv = func(name string) string { return map[string]string{"VAULT_TOKEN": vaulttest.RootToken}[name] }
	a := r.build(text, opts)
	ctx, cancel := context.WithCancel(r.Context())
	r.stop, r.done = cancel, make(chan error, 1)
	go func() { r.done <- a.Run(ctx) }()
	r.Cleanup(cancel)
}

// until waits for a condition to hold.
func (r *rig) until(what string, holds func() bool) {
	r.Helper()
	for range 6000 {
		if holds() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	r.Fatalf("%s does not come; the log is %v", what, r.logs.All())
}

// app is a program that says what it was started with, and then waits.
const app = `exec {
  command = ["sh", "-c", "echo $DB_USER $(cat DIR/db) >>DIR/started; trap 'echo reload $(cat DIR/db) >>DIR/started' HUP; while :; do sleep 0.02; done"]
}
env_template "DB_USER" {
  contents = "{{ with secret \"database/creds/app\" }}{{ .Data.username }}{{ end }}"
}
`

// Reference, section 3, row 10.
func TestTheChildStartsWhenEverythingIsRenderedAndRestartsWithItsEnvironment(t *testing.T) {
	r := outside(t)
	r.server.Role(creds, vaulttest.Role{TTL: 4 * time.Second, MaxTTL: 4 * time.Second})
	r.run(app+pair("db"), Options{})
	r.until("the first start", func() bool { return r.lines("started") == 1 })
	r.expect("environment and file", r.read("started"), "v-app-1 v-app-1:password-1\n")
	r.until("the restart", func() bool { return r.lines("started") == 2 })
	r.expect("environment and file after the rotation", strings.Split(r.read("started"), "\n")[1], "v-app-2 v-app-2:password-2")
	r.until("the end of the old lease", func() bool { return r.server.Count(vaulttest.Revoke) > 0 || len(r.server.Live()) == 1 })
	r.expect("end", r.end(), nil)
	r.expect("live leases after the end", len(r.server.Live()), 0)
}

// Reference, section 3, row 10.
func TestAFileReloadsTheChildThatItsVariablesWouldRestart(t *testing.T) {
	r := outside(t)
	r.server.Role("database/creds/file", vaulttest.Role{TTL: 4 * time.Second, MaxTTL: 4 * time.Second})
	file := strings.Replace(strings.ReplaceAll(pair("db"), "creds/app", "creds/file"), "template {", "template {\n notify \"child\" {\n signal = \"HUP\"\n }", 1)
	r.run(app+file, Options{})
	r.until("the reload", func() bool { return r.lines("started") == 2 })
	if saw := r.read("started"); !regexp.MustCompile(`^v-app-\d v-file-\d:password-\d\nreload v-file-3:password-3\n$`).MatchString(saw) {
		t.Errorf("the program saw %q", saw)
	}
	r.expect("end", r.end(), nil)
}

func TestAChildThatIsNotToBeRestartedKeepsItsCredentialAlive(t *testing.T) {
	r := outside(t)
	r.server.Role(creds, vaulttest.Role{TTL: 6 * time.Second, MaxTTL: 6 * time.Second})
	r.run(strings.Replace(app, "exec {", "exec {\n restart_on_secret_changes = \"never\"", 1)+pair("db"), Options{})
	r.until("the rotation", func() bool { return r.read("db") == "v-app-2:password-2" })
	time.Sleep(1500 * time.Millisecond) // the overlap, within which it would be revoked, is 0.9 s
	r.expect("revocations", r.server.Count(vaulttest.Revoke), 0)
	r.expect("starts", r.lines("started"), 1)
	r.expect("end", r.end(), nil)
}

// Reference, section 2, rows 14 and 20.
func TestTheAgentEndsWithTheCodeOfItsChild(t *testing.T) {
	for command, code := range map[string]int{"exit 7": 7, "exit 0": 0, "kill -KILL $$": 128 + int(syscall.SIGKILL)} {
		t.Run(command, func(t *testing.T) {
			r := outside(t)
			r.run(`exec { command = ["sh", "-c", "`+command+`"] }`+pair("db"), Options{})
			select {
			case err := <-r.done:
				r.expect("exit code", ExitCode(err), code)
			case <-time.After(time.Minute):
				t.Fatal("the agent does not end")
			}
			r.expect("live leases", len(r.server.Live()), 0)
		})
	}
}

func TestAChildThatCannotStartIsFoundBeforeAnythingIsIssued(t *testing.T) {
	r := outside(t)
	r.run(`exec { command = ["no-such-program"] }`+pair("db"), Options{})
	err := <-r.done
	r.expect("exit code", ExitCode(err), ExitConfig)
	r.expect("requests", r.server.Requests(), 0)
	if err == nil || !strings.Contains(err.Error(), "agent.hcl:1: ") || !strings.Contains(err.Error(), "no-such-program") {
		t.Errorf("error = %v", err)
	}
}

func TestARunThatEndsByItselfStartsNoChild(t *testing.T) {
	r := outside(t)
	r.run(app+pair("db"), Options{Once: true, Deadline: time.Minute})
	r.expect("end", <-r.done, nil)
	r.expect("file", r.read("db"), "v-app-1:password-1")
	r.expect("starts", r.read("started"), "")
}

// The agent once waited for the pidfile before it started the program that
// writes it, for ever.
func TestAPidfileThatTheChildWritesIsNotWaitedForBeforeItStarts(t *testing.T) {
	const hook = `notify "signal" {
  pidfile = "DIR/app.pid"
}
`
	program := strings.Replace(app, "echo $DB_USER", "echo $$ >DIR/app.pid; echo $DB_USER", 1)
	r := outside(t)
	r.server.Role("database/creds/file", vaulttest.Role{TTL: 4 * time.Second, MaxTTL: 4 * time.Second})
	r.run(program+hook+strings.ReplaceAll(pair("db"), "creds/app", "creds/file"), Options{})
	r.until("the start", func() bool { return r.lines("started") == 1 })
	r.until("the signal of the rotation", func() bool { return strings.Contains(r.read("started"), "reload v-file-") })
	r.expect("end", r.end(), nil)

	r = outside(t)
	r.run(program+hook+pair("db"), Options{Once: true, Deadline: time.Minute})
	r.expect("end of a run that starts no child", <-r.done, nil)
}

// An app that crashed, or ended with an error when it was asked to stop, once
// took the leases along that the state keeps for the next start.
func TestALeaseInTheStateOutlivesAnAppThatEndsWithAnError(t *testing.T) {
	r := outside(t)
	log := r.state()
	r.run(`exec { command = ["sh", "-c", "exit 7"] }`+pair("db"), Options{State: log})
	r.expect("exit code", ExitCode(<-r.done), 7)
	r.expect("live leases", len(r.server.Live()), 1)
	r.close(log)
}

func TestTheChildIsStoppedBeforeItsCredentialIsRevoked(t *testing.T) {
	r := outside(t)
	r.run(`exec { command = ["sh", "-c", "trap 'sleep 0.2; cat DIR/db >DIR/last; exit 0' TERM; echo >DIR/started; while :; do sleep 0.02; done"] }`+pair("db"), Options{})
	r.until("the start", func() bool { return r.read("started") != "" })
	r.expect("end", r.end(), nil)
	r.expect("what the program wrote at its end", r.read("last"), "v-app-1:password-1")
	stopped, err := os.Stat(r.path("last"))
	if err != nil {
		t.Fatal(err)
	}
	for _, event := range r.server.History() {
		if event.Op == vaulttest.Revoke && event.At.Before(stopped.ModTime()) {
			t.Errorf("revoked %s before the program had stopped", stopped.ModTime().Sub(event.At))
		}
	}
	r.expect("live leases", len(r.server.Live()), 0)
}

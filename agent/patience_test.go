package agent

import (
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/novatech/securevault/internal/vaulttest"
)

// lasting makes the credentials live long enough for going back to one: 1,000 s,
// 2,500 s at most.
func (r *rig) lasting() {
	r.server.Role(creds, vaulttest.Role{TTL: 1000 * time.Second, MaxTTL: 2500 * time.Second})
}

// lines counts the lines of a file.
func (r *rig) lines(name string) int { return strings.Count(r.read(name), "\n") }

// wait lets time pass until a condition holds, an hour at most.
func (r *rig) wait(what string, holds func() bool) {
	r.Helper()
	for range 3600 {
		if holds() {
			return
		}
		time.Sleep(time.Second)
		synctest.Wait()
	}
	r.Fatalf("at +%s: %s does not come", time.Since(r.start), what)
}

// Reference, section 3, row 2.
func TestAGroupGoesBackWhenTheAppCannotBeTold(t *testing.T) {
	within(t, func(r *rig) {
		r.lasting()
		r.write("picky", "")
		r.launch(approle+`
group "app" {
  directory = "DIR/app"
  command   = "test ! -e DIR/picky || grep -q v-app-1: DIR/app/db"
  `+strings.Replace(pair("db"), "DIR/", "", 1)+`
}`, Options{})
		r.expect("file", r.read("app/db"), "v-app-1:password-1")
		told := func() bool { return r.logs.FilterMessageSnippet("went back").Len() > 0 }
		r.wait("going back", told)
		r.expect("file after going back", r.read("app/db"), "v-app-1:password-1")
		r.expect("live leases", len(r.server.Live()), 2)
		r.expect("credentials", r.server.Issued(creds), 2)
		time.Sleep(30 * time.Second)
		synctest.Wait()
		r.expect("revoked while the app uses the old one", r.server.Count(vaulttest.Revoke), 0)

		if err := os.Remove(r.path("picky")); err != nil {
			t.Fatal(err)
		}
		r.wait("the new generation", func() bool { return r.read("app/db") == "v-app-2:password-2" })
		r.wait("the end of the old lease", func() bool { return len(r.server.Live()) == 1 })
		r.expect("credentials", r.server.Issued(creds), 2)
		r.expect("end", r.end(), nil)
	})
}

func TestAGroupDoesNotGoBackToACredentialThatEnds(t *testing.T) {
	within(t, func(r *rig) { // leases of 250 s at most, replaced 22.5 s before their end
		r.launch(approle+`
group "app" {
  directory = "DIR/app"
  command   = "grep -q v-app-1: DIR/app/db"
  `+strings.Replace(pair("db"), "DIR/", "", 1)+`
}`, Options{})
		r.wait("the new generation", func() bool { return r.read("app/db") == "v-app-2:password-2" })
		time.Sleep(40 * time.Second)
		synctest.Wait()
		r.expect("file", r.read("app/db"), "v-app-2:password-2")
		r.expect("went back", r.logs.FilterMessageSnippet("went back").Len(), 0)
		r.expect("end", r.end(), nil)
	})
}

// Reference, section 2, row 9.
func TestAFailingHookIsTriedAgainAloneAndLessAndLessOften(t *testing.T) {
	within(t, func(r *rig) {
		r.lasting()
		r.launch(approle+pair("db")+`notify "command" {
  command = "echo x >>DIR/calls; exit 1"
  retries = 2
}`, Options{})
		r.at(4 * time.Second) // at 0, 1 and 3 s
		r.expect("quick calls", r.lines("calls"), 3)
		r.at(62 * time.Second)
		r.expect("calls within a minute", r.lines("calls"), 3)
		r.at(10 * time.Minute)
		if n := r.lines("calls"); n < 11 || n > 13 {
			t.Errorf("calls within ten minutes = %d, want one a minute", n)
		}
		r.expect("credentials", r.server.Issued(creds), 1)
		r.expect("reads", r.server.Count(vaulttest.Read), 1)
		r.expect("end", r.end(), nil)
	})
}

// Reference, section 3, row 6.
func TestABudgetBoundsHowOftenTheAppIsTold(t *testing.T) {
	within(t, func(r *rig) { // rotates about every 230 s
		r.launch(approle+pair("db")+`notify "command" {
  command = "echo x >>DIR/calls"
  budget  = "2/1h"
}`, Options{})
		r.expect("told of the first rendering", r.lines("calls"), 1)
		r.at(58 * time.Minute)
		r.expect("told within an hour", r.lines("calls"), 2)
		if n := r.server.Issued(creds); n < 10 {
			t.Errorf("credentials = %d: rotation must go on", n)
		}
		r.at(61 * time.Minute)
		r.expect("told when the hour is over", r.lines("calls"), 3)
		r.expect("end", r.end(), nil)
	})
}

// Reference, section 3, row 6.
func TestASplayHoldsUpAllButTheFirstMessage(t *testing.T) {
	within(t, func(r *rig) {
		r.launch(approle+pair("db")+`notify "command" {
  command = "cat DIR/db >>DIR/calls; echo >>DIR/calls"
  splay   = "20s"
}`, Options{Getenv: func(name string) string { return map[string]string{"POD_NAME": "web-1"}[name] }})
		r.expect("told of the first rendering", r.read("calls"), "v-app-1:password-1\n")
		r.wait("the second credential", func() bool { return r.read("db") == "v-app-2:password-2" })
		published := time.Now()
		r.wait("the message", func() bool { return r.lines("calls") == 2 })
		if waited := time.Since(published); waited < time.Second || waited > 20*time.Second {
			t.Errorf("the app was told %s after the publication", waited)
		}
		r.expect("end", r.end(), nil)
	})
}

// Reference, section 3, row 6.
func TestACredentialThatCouldLiveOnIsReplacedInTheWindow(t *testing.T) {
	within(t, func(r *rig) { // the bubble's time begins at midnight, UTC
		r.server.Role(creds, vaulttest.Role{TTL: 10 * time.Minute})
		r.server.AppRole(vaulttest.AppRole{RoleID: "the-role", SecretID: "the-secret", TokenTTL: 100 * time.Hour})
		r.launch(strings.Replace(approle, "jitter = 0", "jitter = 0\n rotation_window = \"02:00-03:00 UTC\"", 1)+pair("db"), Options{})
		r.at(119 * time.Minute)
		r.expect("credentials before the window", r.server.Issued(creds), 1)
		r.at(126 * time.Minute)
		r.expect("credentials soon after it has opened", r.server.Issued(creds), 2)
		r.expect("file", r.read("db"), "v-app-2:password-2")
		r.at(25 * time.Hour)
		r.expect("credentials until the next", r.server.Issued(creds), 2)
		r.at(26*time.Hour + 6*time.Minute)
		r.expect("credentials in the next", r.server.Issued(creds), 3)
		r.expect("end", r.end(), nil)
	})
}

// Reference, section 3, row 3.
func TestACheckHoldsUpNobodyElse(t *testing.T) {
	r := outside(t)
	r.server.Role("database/creds/other", vaulttest.Role{TTL: time.Hour})
	r.run(strings.Replace(pair("db"), "template {", "template {\n check = \"until test -e DIR/go; do sleep 0.01; done\"", 1)+
		strings.ReplaceAll(pair("other"), "creds/app", "creds/other"), Options{})
	r.until("the file without a check", func() bool { return r.read("other") != "" })
	r.expect("file that is being checked", r.read("db"), "")
	r.write("go", "")
	r.until("the file that was checked", func() bool { return strings.HasPrefix(r.read("db"), "v-app-") })
	r.expect("end", r.end(), nil)
}

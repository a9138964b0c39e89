package agent

import (
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/novatech/securevault/agent/config"
	"github.com/novatech/securevault/internal/vaulttest"
)

// method returns the configuration with a change in its method.
func method(change string) string {
	return strings.Replace(approle, "config = {", change+"\n config = {", 1)
}

// Reference, section 2, rows 1 and 11.
func TestANewLoginKeepsTheLeasesUntilEachHasItsSuccessor(t *testing.T) {
	within(t, func(r *rig) {
		r.launch(approle+pair("db"), Options{})
		r.reload(method(`min_backoff = "2s"`) + pair("db"))
		r.expect("logins", r.server.Count(vaulttest.Login), 2)
		r.expect("file", r.read("db"), "v-app-2:password-2")
		r.expect("live leases, of which one drains", len(r.server.Live()), 2)
		r.at(time.Minute)
		r.expect("live leases", len(r.server.Live()), 1)
		r.expect("old tokens revoked", r.server.Count(vaulttest.RevokeSelf), 1)
		r.expect("end", r.end(), nil)
		r.expect("live leases at the end", len(r.server.Live()), 0)
		r.expect("tokens revoked", r.server.Count(vaulttest.RevokeSelf), 2)
	})
}

// Reference, section 2, row 11.
func TestAnotherWayToReachTheServerKeepsTokenAndLeases(t *testing.T) {
	within(t, func(r *rig) {
		r.launch(approle+pair("db"), Options{})
		r.reload("vault {\n retry {\n num_retries = 3\n }\n}\n" + approle + pair("db"))
		r.at(30 * time.Second)
		r.expect("logins", r.server.Count(vaulttest.Login), 1)
		r.expect("credentials", r.server.Issued(creds), 1)
		r.at(4 * time.Minute)
		r.expect("file after max TTL drew near", r.read("db"), "v-app-2:password-2")
		r.expect("end", r.end(), nil)
		r.expect("live leases at the end", len(r.server.Live()), 0)
	})
}

func TestALoginThatFailsKeepsTheOldConfigurationRunning(t *testing.T) {
	within(t, func(r *rig) {
		r.launch(approle+pair("db"), Options{})
		r.write("wrong", "wrong\n")
		bad := strings.Replace(approle, "DIR/secret-id", "DIR/wrong", 1)
		r.reload(bad + pair("other"))
		r.at(4 * time.Minute)
		r.expect("file of the old configuration after max TTL drew near", r.read("db"), "v-app-2:password-2")
		r.expect("file of the new one", r.read("other"), "")
		r.write("wrong", "the-secret\n") // mended
		r.at(10 * time.Minute)
		if r.read("other") == "" {
			t.Error("the new configuration is not in force though its login works")
		}
		r.expect("end", r.end(), nil)
		r.expect("live leases at the end", len(r.server.Live()), 0)
	})
}

func TestALoginThatMayEndTheAgentAtItsStartDoesNotEndItLater(t *testing.T) {
	within(t, func(r *rig) {
		r.launch(approle+pair("db"), Options{})
		r.write("wrong", "wrong\n")
		r.reload(strings.Replace(method("exit_on_err = true"), "DIR/secret-id", "DIR/wrong", 1) + pair("other"))
		r.at(4 * time.Minute)
		r.expect("file of the old configuration after max TTL drew near", r.read("db"), "v-app-2:password-2")
		r.expect("end", r.end(), nil)
	})
}

func TestATokenThatIsNotNeededAfterAllIsRevoked(t *testing.T) {
	within(t, func(r *rig) {
		r.launch(approle+pair("db"), Options{})
		r.write("file", "")
		r.reload("listener \"unix\" { address = \"DIR/file/socket\" }\n" + method(`min_backoff = "2s"`) + pair("db"))
		r.expect("refusals", r.logs.FilterMessage(notReloaded).Len(), 1)
		r.expect("logins", r.server.Count(vaulttest.Login), 2)
		r.expect("tokens revoked", r.server.Count(vaulttest.RevokeSelf), 1)
		r.expect("credentials", r.server.Issued(creds), 1)
		r.expect("end", r.end(), nil)
		r.expect("live leases at the end", len(r.server.Live()), 0)
	})
}

func TestAReloadGivesUpTheOneThatStillWaits(t *testing.T) {
	within(t, func(r *rig) {
		r.launch(approle+pair("db"), Options{})
		r.write("wrong", "wrong\n")
		r.reload(strings.Replace(approle, "DIR/secret-id", "DIR/wrong", 1) + pair("other"))
		r.reload(approle + pair("third"))
		r.expect("file", r.read("third"), "v-app-1:password-1")
		logins := r.server.Count(vaulttest.Login)
		r.at(10 * time.Minute)
		r.expect("logins since", r.server.Count(vaulttest.Login), logins)
		r.expect("end", r.end(), nil)
	})
}

func TestAnotherServerHasItsOwnCredentialsBeforeTheOldOnesEnd(t *testing.T) {
	within(t, func(r *rig) {
		r.server.Method("auth/second/login", vaulttest.Method{})
		r.launch(approle+pair("db"), Options{})
		r.server.Inject(vaulttest.Fault{Op: vaulttest.Read, Status: 500})
		r.reload("vault {\n namespace = \"team\"\n}\n" + approle + pair("db"))
		time.Sleep(time.Minute)
		synctest.Wait()
		r.expect("file while the other server fails", r.read("db"), "v-app-1:password-1")
		r.expect("live leases", len(r.server.Live()), 1)
		r.expect("end", r.end(), nil)
		r.expect("live leases at the end", len(r.server.Live()), 0)
	})
}

func TestListenersAreReplacedOrStayAsTheyWere(t *testing.T) {
	r := outside(t)
	taken := "listener \"unix\" {\n address = \"DIR/file/socket\"\n}\n" // a file is no folder
	r.write("file", "")
	serving := func(name string) string { return "listener \"unix\" {\n address = \"DIR/" + name + "\"\n}\n" }
	r.run(serving("one")+pair("db"), Options{})
	answers := func(name string) func() bool {
		return func() bool {
			resp, err := dialSocket(r.path(name)).Get("http://agent/live")
			if err != nil {
				return false
			}
			defer func() { _ = resp.Body.Close() }()
			return resp.StatusCode == http.StatusOK
		}
	}
	r.until("the first listener", answers("one"))
	r.agent.Reload(r.load(serving("two") + pair("db")))
	r.until("the second listener", answers("two"))
	r.expect("first listener answers", answers("one")(), false)
	r.agent.Reload(r.load(taken + pair("db")))
	r.until("the refusal", func() bool { return r.logs.FilterMessage(notReloaded).Len() == 1 })
	r.until("the second listener again", answers("two"))
	r.expect("credentials", r.server.Issued(creds), 1)
	r.expect("end", r.end(), nil)
}

func TestAReloadMendsAHookThatFails(t *testing.T) {
	within(t, func(r *rig) {
		r.launch(approle+pair("db")+`notify "command" { command = "exit 1" }`, Options{})
		r.at(time.Minute)
		r.expect("ready", r.agent.ready, false)
		r.reload(approle + pair("db") + `notify "command" { command = "echo told >>DIR/calls" }`)
		r.expect("calls", r.read("calls"), "told\n")
		r.expect("ready", r.agent.ready, true)
		r.expect("end", r.end(), nil)
	})
}

func TestAReloadReplacesTheChild(t *testing.T) {
	r := outside(t)
	child := func(word string) string {
		return `exec { command = ["sh", "-c", "echo ` + word + ` $DB >>DIR/started; while :; do sleep 0.02; done"] }
env_template "DB" { contents = "{{ with secret \"database/creds/app\" }}{{ .Data.username }}{{ end }}" }
`
	}
	r.run(child("first"), Options{})
	r.until("the first child", func() bool { return r.read("started") == "first v-app-1\n" })
	r.agent.Reload(r.load(child("second")))
	r.until("the second child", func() bool { return r.read("started") == "first v-app-1\nsecond v-app-1\n" })
	r.agent.Reload(r.load("log_level = \"debug\"\n" + child("second") + pair("db")))
	r.until("a file beside it", func() bool { return r.read("db") == "v-app-1:password-1" })
	r.expect("starts", r.lines("started"), 2)
	r.expect("end", r.end(), nil)
}

func TestTheTokenGoesToTheSinksOfTheNewConfiguration(t *testing.T) {
	within(t, func(r *rig) {
		r.launch(approle+pair("db"), Options{})
		r.reload(strings.Replace(approle, "method \"approle\"", "sink \"file\" {\n config = {\n path = \"DIR/token\"\n }\n }\n method \"approle\"", 1) + pair("db"))
		if r.read("token") == "" {
			t.Error("the new sink has no token")
		}
		r.expect("logins", r.server.Count(vaulttest.Login), 1)
		r.expect("credentials", r.server.Issued(creds), 1)
		r.expect("end", r.end(), nil)
	})
}

func TestWhoStartedTheAgentLearnsOfTheNewConfiguration(t *testing.T) {
	within(t, func(r *rig) {
		var levels []string
		r.launch(approle+pair("db"), Options{Reloaded: func(file *config.File) { levels = append(levels, file.LogLevel) }})
		r.reload("log_level = \"debug\"\npid_file = \"DIR/pid\"\n" + approle + pair("db"))
		r.expect("levels", strings.Join(levels, " "), "debug")
		if r.read("pid") == "" {
			t.Error("the new pid file was not written")
		}
		r.reload(approle + pair("db"))
		if _, err := os.Stat(r.path("pid")); err == nil {
			t.Error("the pid file is left")
		}
		r.expect("end", r.end(), nil)
	})
}

package agent

import (
	"errors"
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/novatech/securevault/internal/vaulttest"
)

// logged returns everything that the agent has logged, as one text.
func (r *rig) logged() string {
	var text strings.Builder
	for _, entry := range r.logs.All() {
		fields := entry.ContextMap()
		text.WriteString(entry.Message)
		for _, key := range slices.Sorted(maps.Keys(fields)) {
			fmt.Fprintf(&text, " %s=%v", key, fields[key])
		}
		text.WriteString("\n")
	}
	return text.String()
}

// clean fails for a text that holds a secret of the fake server, or that lacks
// the mark of one that was hidden.
func (r *rig) clean(what, text string, secrets ...string) {
	r.Helper()
	if !strings.Contains(text, "**redacted**") {
		r.Errorf("%s hides nothing:\n%s", what, text)
	}
	for _, secret := range append(secrets, "password-1", "password-2") {
		if strings.Contains(text, secret) {
			r.Errorf("%s holds %q:\n%s", what, secret, text)
		}
	}
}

func TestNoSecretThatAProgramPrintsIsLogged(t *testing.T) {
	tests := map[string]string{
		"a command":           `command = "cat DIR/db DIR/token >&2; exit 1"`,
		"a command of a list": `command = ["sh", "-c", "cat DIR/db DIR/token; exit 1"]`,
		"a notification":      "notify \"command\" {\n command = \"base64 -w0 DIR/db | base64 -d; cat DIR/db DIR/token; exit 1\"\n}",
		"a check":             `check = "cat $SECUREVAULT_STAGED_FILE DIR/token; exit 1"`,
	}
	for name, hook := range tests {
		t.Run(name, func(t *testing.T) {
			within(t, func(r *rig) {
				withSink := strings.Replace(approle, "auto_auth {", "auto_auth {\nsink \"file\" {\n config = { path = \"DIR/token\" }\n}", 1)
				r.launch(withSink+strings.Replace(pair("db"), "template {", "template {\n"+hook, 1), Options{Once: true, Deadline: time.Minute})
				err := <-r.done
				r.expect("exit code", ExitCode(err), ExitNotify)
				r.clean("the error", err.Error(), r.read("token"))
				r.clean("the log", r.logged(), r.read("token"))
			})
		})
	}
}

func TestASecretThatWasReplacedIsNotLoggedEither(t *testing.T) {
	within(t, func(r *rig) {
		hook := "backup = true\n command = \"test ! -e DIR/db.bak || ! cat DIR/db.bak DIR/db\""
		r.launch(approle+strings.Replace(pair("db"), "template {", "template {\n"+hook, 1), Options{})
		r.at(245 * time.Second)
		r.expect("file", r.read("db"), "v-app-2:password-2")
		r.expect("backup", r.read("db.bak"), "v-app-1:password-1")
		r.clean("the log", r.logged())
		r.clean("the error", r.agent.announcer.Err().Error())
		r.expect("end", r.end(), nil)
	})
}

func TestARedactedErrorIsStillTheErrorThatItWas(t *testing.T) {
	within(t, func(r *rig) {
		hook := `check = "cat $SECUREVAULT_STAGED_FILE; exit 3"`
		r.launch(approle+strings.Replace(pair("db"), "template {", "template {\n"+hook, 1), Options{Once: true, Deadline: time.Minute})
		err := <-r.done
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok || exit.ExitCode() != 3 {
			t.Errorf("the status of the program is lost in %v", err)
		}
		r.expect("credentials", r.server.Issued(creds), 1)
		r.expect("live leases", len(r.server.Live()), 0)
	})
}

func TestTheRedactorForgetsWhatIsNotWantedAnyMore(t *testing.T) {
	within(t, func(r *rig) {
		r.server.Role("database/creds/*", vaulttest.Role{TTL: time.Hour})
		other := strings.ReplaceAll(pair("other"), "creds/app", "creds/other")
		r.launch(approle+pair("db"), Options{})
		r.reload(approle + other)
		r.expect("secrets that are hidden", len(r.agent.redactor.known), 1)
		r.at(time.Minute)
		r.expect("end", r.end(), nil)
	})
}

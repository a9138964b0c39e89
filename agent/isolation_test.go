package agent

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/novatech/securevault/agent/admin"
	"github.com/novatech/securevault/internal/vaulttest"
)

// Reference, section 2, rows 8 and 12.
func TestATemplateThatGoesTooFarFailsAlone(t *testing.T) {
	tests := map[string]struct{ contents, says string }{
		"a loop without end":            {`{{ range 9223372036854775807 }}{{ end }}`, "turns"},
		"a template that calls itself":  {`{{ define \"t\" }}{{ template \"t\" }}{{ end }}{{ template \"t\" }}`, "too deep"},
		"a file outside of its sandbox": {`{{ file \"/etc/passwd\" }}`, "outside of the sandbox"},
		"a file written outside of it":  {`{{ \"x\" | writeToFile \"DIR/outside\" \"\" \"\" \"0600\" }}`, "outside of the sandbox"},
		"more than 16 MiB":              {`{{ $s := \"0123456789\" }}{{ range loop 30 }}{{ $s = print $s $s }}{{ end }}{{ $s }}`, "larger than"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			within(t, func(r *rig) {
				r.server.Role(creds, vaulttest.Role{TTL: 20 * time.Second, MaxTTL: 20 * time.Second})
				r.launch(approle+observed+pair("db")+fmt.Sprintf(`
template {
  contents     = "%s"
  destination  = "DIR/broken"
  sandbox_path = "DIR/sandbox"
}`, test.contents), Options{})
				r.expect("file of the other template", r.read("db"), "v-app-1:password-1")
				r.at(18 * time.Second)
				r.expect("file of the other template after its rotation", r.read("db"), "v-app-2:password-2")
				r.expect("files of the broken one", r.read("broken")+r.read("outside"), "")
				status := r.status()
				for _, o := range status.Outputs {
					broken := o.Destination == r.path("broken")
					r.expect("state of "+o.Destination, o.State == admin.Failed, broken)
					if broken && (!strings.Contains(o.Error, test.says) || !strings.Contains(o.Error, "agent.hcl:")) {
						t.Errorf("the error %q does not say %q and where", o.Error, test.says)
					}
				}
				r.probe("/metrics", 200, fmt.Sprintf("securevault_agent_template_up{destination=%q} 0\n", r.path("broken")))
				r.probe("/metrics", 200, fmt.Sprintf("securevault_agent_template_up{destination=%q} 1\n", r.path("db")))
				r.probe("/ready", 503, r.path("broken"))
				r.expect("credentials", r.server.Issued(creds), 2)
				r.expect("end", r.end(), nil)
			})
		})
	}
}

func TestAFileThatCannotBeWrittenStaysAndTheLogSaysSoOnce(t *testing.T) {
	within(t, func(r *rig) {
		r.server.Role(creds, vaulttest.Role{TTL: 20 * time.Second, MaxTTL: 20 * time.Second})
		r.launch(approle+pair("db"), Options{})
		said := func() int { return r.logs.FilterMessage("publishing failed").FilterLevelExact(zap.ErrorLevel).Len() }
		for times := 1; times <= 2; times++ {
			before := r.read("db")
			if err := errors.Join(os.Rename(r.path("db"), r.path("kept")), os.Mkdir(r.path("db"), 0o700)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(3 * time.Minute)
			synctest.Wait()
			r.expect("old file", r.read("kept"), before)
			r.expect("errors in the log", said(), times)
			if err := os.Remove(r.path("db")); err != nil {
				t.Fatal(err)
			}
			time.Sleep(retryDelay)
			synctest.Wait()
			if now := r.read("db"); now == "" || now == before {
				t.Errorf("the file holds %q, want what is current", now)
			}
		}
		r.expect("end", r.end(), nil)
	})
}

// Reference, section 2, row 23.
func TestRequestsStayWithinTheConfiguredNumberOfConnections(t *testing.T) {
	within(t, func(r *rig) {
		const secrets = 50
		r.server.Role("database/creds/*", vaulttest.Role{TTL: 20 * time.Minute})
		text := "template_config {\n max_connections_per_host = 3\n}\n" + approle
		for i := range secrets {
			text += strings.ReplaceAll(pair(fmt.Sprintf("db-%d", i)), creds, fmt.Sprintf("database/creds/app-%d", i))
		}
		r.server.Inject(vaulttest.Fault{Latency: 100 * time.Millisecond})
		r.launch(text, Options{})
		r.at(time.Hour) // with renewals, which all come due at the same time
		r.expect("credentials", r.server.Issued(""), secrets)
		r.expect("renewals", r.server.Count(vaulttest.Renew) >= 5*secrets, true)
		r.expect("requests at once", r.server.Peak(), 3)
		r.expect("end", r.end(), nil)
		r.expect("live leases", len(r.server.Live()), 0)
		r.expect("requests at once, the revocations included", r.server.Peak(), 3)
	})
}

// Reference, section 2, row 18.
func TestEachStaticSecretIsReadAtItsOwnInterval(t *testing.T) {
	const read = "template {\n contents = \"{{ with secret \\\"secret/data/NAME\\\" }}{{ .Data.data.key }}{{ end }}\"\n destination = \"DIR/NAME\"\n KEYS\n}\n"
	shapes := map[string]string{
		"files":  read,
		"groups": "group \"NAME\" {\n directory = \"DIR/in-NAME\"\n" + strings.Replace(read, "DIR/", "", 1) + "}\n",
	}
	intervals := map[string]string{"often": `refresh_interval = "1m"`, "usual": "", "seldom": `refresh_interval = "30m"`, "once": `refresh_interval = "never"`}
	for shape, stanza := range shapes {
		t.Run(shape, func(t *testing.T) {
			within(t, func(r *rig) {
				text := "template_config {\n static_secret_render_interval = \"10m\"\n}\n" + approle
				for name, interval := range intervals {
					r.server.Static("secret/data/"+name, map[string]any{"key": "one"})
					text += strings.NewReplacer("NAME", name, "KEYS", interval).Replace(stanza)
				}
				r.launch(text, Options{})
				r.at(time.Hour - time.Second)
				reads := make(map[string]int)
				for _, e := range r.server.History() {
					reads[strings.TrimPrefix(e.Path, "secret/data/")]++
				}
				for name, want := range map[string]int{"often": 60, "usual": 6, "seldom": 2, "once": 1} {
					r.expect("reads of "+name, reads[name], want)
				}
				for name := range intervals {
					r.server.Static("secret/data/"+name, map[string]any{"key": "two"})
				}
				r.at(3 * time.Hour)
				file := func(name string) string { return r.read(name) + r.read("in-"+name+"/"+name) }
				r.expect("what is read each minute", file("often"), "two")
				r.expect("what is read at the interval of all", file("usual"), "two")
				r.expect("what is read once", file("once"), "one")
				r.expect("end", r.end(), nil)
			})
		})
	}
}

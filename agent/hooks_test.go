package agent

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/novatech/securevault/internal/vaulttest"
)

// A unit that is ordered after the agent starts when the agent is ready, which
// once waited for the pidfile that the unit writes.
func TestAnAppThatStartsAfterTheAgentIsNotWaitedForAndToldWhenItIsThere(t *testing.T) {
	r := outside(t)
	r.run(`notify "signal" { pidfile = "DIR/app.pid" }`+pair("db"), Options{})
	r.until("the end of the first rendering", func() bool { return r.logs.FilterMessage("everything is rendered").Len() == 1 })
	r.expect("failures of hooks", r.logs.FilterMessageSnippet("telling the app failed").Len(), 0)
	app := exec.Command("sh", "-c", "trap 'echo >>signals' HUP; echo $$ >app.pid; while :; do sleep 0.02; done")
	app.Dir = r.dir
	if err := app.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = app.Process.Kill()
		_ = app.Wait()
	})
	r.until("the signal", func() bool { return r.lines("signals") == 1 })
	r.expect("end", r.end(), nil)
}

// Reference, section 2, row 22.
func TestTheAppIsToldOfASuccessorInEveryWay(t *testing.T) {
	r := outside(t)
	r.server.Role(creds, vaulttest.Role{TTL: 4 * time.Second, MaxTTL: 4 * time.Second})
	r.write("systemctl", "#!/bin/sh\necho \"$@: $(cat "+r.path("db")+")\" >>"+r.path("units")+"\n")
	if err := os.Chmod(r.path("systemctl"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", r.dir+":"+os.Getenv("PATH"))
	var mu sync.Mutex
	var changed []string
	webhook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		var event struct{ Changed []string }
		err := json.NewDecoder(req.Body).Decode(&event)
		mu.Lock()
		defer mu.Unlock()
		if changed = append(changed, event.Changed...); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(webhook.Close)
	app := exec.Command("sh", "-c", "trap 'cat db >>signals; echo >>signals' HUP; echo $$ >app.pid; while :; do sleep 0.02; done")
	app.Dir = r.dir
	if err := app.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = app.Process.Kill()
		_ = app.Wait()
	})
	for r.read("app.pid") == "" {
		time.Sleep(10 * time.Millisecond)
	}
	r.run(`notify "signal" { pidfile = "DIR/app.pid" }
notify "command" { command = "cat DIR/db >>DIR/commands; echo >>DIR/commands" }
notify "systemd" { unit = "app.service" }
notify "webhook" { url = "`+webhook.URL+`" }
`+pair("db"), Options{})
	hears := func(name string) func() bool {
		return func() bool { return strings.Contains(r.read(name), "v-app-2:password-2\n") }
	}
	r.until("the signal", hears("signals"))
	r.until("the command", hears("commands"))
	r.until("systemd", hears("units"))
	r.until("the webhook", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return strings.Join(changed, " ") == r.path("db")+" "+r.path("db")
	})
	r.until("the end of the old lease", func() bool { return len(r.server.Live()) == 1 })
	r.expect("end", r.end(), nil)
}

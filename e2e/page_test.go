package e2e

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	browserlog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// pageConfig has a credential that is replaced every few seconds, and a page
// to watch it on.
const pageConfig = `
listener "tcp" {
  address     = "127.0.0.1:0"
  tls_disable = true
}
auto_auth {
  method "approle" {
    config = {
      role_id_file_path                   = "role-id"
      secret_id_file_path                 = "secret-id"
      remove_secret_id_file_after_reading = false
    }
  }
}
template {
  destination = "app.env"
  contents    = "{{ with secret \"database/creds/app-readonly\" }}{{ .Data.username }} {{ .Data.password }}{{ end }}"
}
`

// TestTheStatusPageLivesInABrowser watches a credential live and be replaced,
// as somebody would who leaves the page open.
func TestTheStatusPageLivesInABrowser(t *testing.T) {
	t.Parallel()
	w := testWorld(t, "8s", "8s")
	writeFile(t, filepath.Join(w.folder, "agent.hcl"), pageConfig)
	agent := startAgent(t, w)
	b := openPage(t, "http://"+listenerOf(t, agent)+"/")
	b.until(t, "an agent that is ready", `document.body.innerText.includes("✓ Ready")`)
	b.until(t, "the lease", `document.querySelector("tbody").innerText.includes("database/creds/app-readonly/")`)
	secrets := secretsOf(t, w)

	// Whatever changes from now on does so in place: a new page has no mark.
	b.until(t, "a mark and opened details", `(document.body.marked = true) && (document.querySelector("details").open = true)`)
	const bar = `Number(document.querySelectorAll("progress")[1].getAttribute("value"))`
	b.until(t, "a first look", `(document.body.least = 100) === 100`)
	b.until(t, "a bar that shrinks", `(document.body.least = Math.min(document.body.least, `+bar+`)) < 60`)
	b.until(t, "a bar that is full again", bar+` > document.body.least + 20`)
	b.until(t, "the replacement in the history, still open", `document.body.marked && document.querySelector("details[open]").innerText.includes("rotate")`)

	secrets = append(secrets, secretsOf(t, w)...)
	shown := b.read(t, `document.documentElement.outerHTML`)
	for _, secret := range secrets {
		if strings.Contains(shown, secret) {
			t.Error("the page holds a secret")
		}
	}
	if err := agent.signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	b.until(t, "the news that the agent is gone", `document.body.innerText.includes("The agent does not answer. What you see is old.")`)
}

// listenerOf returns the address that an agent listens on.
func listenerOf(t *testing.T, agent *process) (address string) {
	t.Helper()
	listening := regexp.MustCompile(`listening.*(127\.0\.0\.1:[1-9]\d*)`)
	waitFor(t, "the agent's listener", func() bool {
		text, err := os.ReadFile(agent.log)
		found := listening.FindSubmatch(text)
		if err == nil && found != nil {
			address = string(found[1])
		}
		return address != ""
	})
	return address
}

// secretsOf returns what nobody may see of a world.
func secretsOf(t *testing.T, w *world) []string {
	t.Helper()
	secrets := []string{w.rootToken}
	for _, name := range []string{"app.env", "secret-id"} {
		text, err := os.ReadFile(filepath.Join(w.folder, name))
		if err != nil {
			t.Fatal(err)
		}
		fields := strings.Fields(string(text))
		secrets = append(secrets, fields[len(fields)-1])
	}
	return secrets
}

// browserPage is a page in a real browser. It fails the test when the page
// breaks its own policy, throws, or asks another host for anything.
type browserPage struct {
	ctx context.Context

	mu    sync.Mutex
	wrong []string // guarded by mu
}

func openPage(t *testing.T, address string) *browserPage {
	t.Helper()
	binary, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatalf("%v; install Debian's chromium (make packages)", err)
	}
	host, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := chromedp.NewContext(context.Background(), chromedp.WithAllocatorOptions(chromedp.ExecPath(binary), chromedp.NoSandbox))
	b := &browserPage{ctx: ctx}
	t.Cleanup(func() {
		stop()
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, wrong := range b.wrong {
			t.Error(wrong)
		}
	})
	if err := chromedp.Listen(ctx, func(event any) { b.watch(event, host.Host) }); err != nil {
		t.Fatalf("starting chromium: %v", err)
	}
	for _, enable := range []cdp.Command[cdp.Empty, cdp.Empty]{browserlog.Enable, runtime.Enable} {
		if _, err := chromedp.Call(ctx, enable, cdp.Empty{}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := chromedp.Call(ctx, network.Enable, network.EnableParams{}); err != nil {
		t.Fatal(err)
	}
	if err := chromedp.Do(ctx, chromedp.Navigate(address)); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *browserPage) watch(event any, host string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		if asked, err := url.Parse(e.Request.URL); err != nil || asked.Host != host && asked.Scheme != "data" {
			b.wrong = append(b.wrong, "the page asks "+e.Request.URL)
		}
	case *runtime.EventExceptionThrown:
		b.wrong = append(b.wrong, fmt.Sprint("the page throws ", e.ExceptionDetails.Text))
	case *browserlog.EventEntryAdded:
		if e.Entry.Source == browserlog.EntrySourceSecurity || e.Entry.Source == browserlog.EntrySourceJavascript {
			b.wrong = append(b.wrong, "the browser refuses: "+e.Entry.Text)
		}
	}
}

// until waits for an expression to be true.
func (b *browserPage) until(t *testing.T, what, expression string) {
	t.Helper()
	waitFor(t, what, func() bool {
		is, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool](expression))
		return err == nil && is
	})
}

// read returns what an expression is.
func (b *browserPage) read(t *testing.T, expression string) string {
	t.Helper()
	text, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](expression))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

package ui_test

import (
	"context"
	"fmt"
	"net/url"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

const (
	// patience bounds the wait for something to appear on the page.
	patience  = time.Minute
	pollDelay = 50 * time.Millisecond
)

// tab is a page in a real browser. It fails the test when the page breaks its
// own policy, throws, or asks another host for anything.
type tab struct {
	ctx context.Context

	mu       sync.Mutex
	wrong    []string // guarded by mu
	requests []string // guarded by mu; methods and addresses
}

// open shows an address in a browser of its own.
func open(t *testing.T, address string) *tab {
	t.Helper()
	binary, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatalf("%v; install Debian's chromium (make packages)", err)
	}
	ctx, stop := chromedp.NewContext(context.Background(), chromedp.WithAllocatorOptions(
		chromedp.ExecPath(binary), chromedp.NoSandbox, chromedp.WindowSize(1280, 900)))
	b := &tab{ctx: ctx}
	t.Cleanup(func() {
		stop()
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, wrong := range b.wrong {
			t.Error(wrong)
		}
	})
	host, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	if err := chromedp.Listen(ctx, func(event any) { b.watch(event, host.Host) }); err != nil {
		t.Fatalf("starting chromium: %v", err)
	}
	for _, enable := range []cdp.Command[cdp.Empty, cdp.Empty]{log.Enable, runtime.Enable} {
		if _, err := chromedp.Call(ctx, enable, cdp.Empty{}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := chromedp.Call(ctx, network.Enable, network.EnableParams{}); err != nil {
		t.Fatal(err)
	}
	b.do(t, chromedp.Navigate(address))
	return b
}

func (b *tab) watch(event any, host string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		b.requests = append(b.requests, e.Request.Method+" "+e.Request.URL)
		if asked, err := url.Parse(e.Request.URL); err != nil || asked.Host != host {
			b.wrong = append(b.wrong, "the page asks "+e.Request.URL)
		}
	case *runtime.EventExceptionThrown:
		b.wrong = append(b.wrong, "the page throws "+fmt.Sprint(e.ExceptionDetails.Text, e.ExceptionDetails.Exception))
	case *log.EventEntryAdded:
		if e.Entry.Source == log.EntrySourceSecurity || e.Entry.Source == log.EntrySourceJavascript {
			b.wrong = append(b.wrong, "the browser refuses: "+e.Entry.Text)
		}
	}
}

// sent returns the requests so far.
func (b *tab) sent() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.requests...)
}

func (b *tab) do(t *testing.T, actions ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		t.Fatalf("%v; the page shows:\n%s", err, b.text())
	}
}

// evaluate returns what a script says.
func evaluate[T any](b *tab, script string) (T, error) {
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	return chromedp.Run(ctx, chromedp.Evaluate[T](script))
}

// text is what somebody can read on the page.
func (b *tab) text() string {
	text, err := evaluate[string](b, `document.body.innerText`)
	if err != nil {
		return err.Error()
	}
	return text
}

// until waits for an expression to be true.
func (b *tab) until(t *testing.T, what, expression string) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for time.Now().Before(deadline) {
		if is, err := evaluate[bool](b, expression); err == nil && is {
			return
		}
		time.Sleep(pollDelay)
	}
	t.Fatalf("%s is not so; the page shows:\n%s", what, b.text())
}

// see waits for texts to be on the page.
func (b *tab) see(t *testing.T, texts ...string) {
	t.Helper()
	for _, text := range texts {
		b.until(t, "seeing "+text, fmt.Sprintf(`document.body.innerText.includes(%q)`, text))
	}
}

// miss waits for a text not to be in the main part of the page.
func (b *tab) miss(t *testing.T, text string) {
	t.Helper()
	b.until(t, "missing "+text, fmt.Sprintf(`!document.querySelector("main").innerText.includes(%q)`, text))
}

// press clicks the button or link with a name.
func (b *tab) press(t *testing.T, name string) {
	t.Helper()
	find := fmt.Sprintf(`[...document.querySelectorAll("dialog[open] button, body:not(:has(dialog[open])) :is(button, a)")].find(e =>
		(e.getAttribute("aria-label") ?? e.innerText).trim() === %q && !e.disabled)`, name)
	b.until(t, "a button "+name, "Boolean("+find+")")
	b.run(t, find+".click()")
}

// write types into the field with an id, in place of what was there.
func (b *tab) write(t *testing.T, id, text string) {
	t.Helper()
	field := chromedp.CSS("#" + id)
	b.do(t, chromedp.WaitVisible(field))
	b.run(t, fmt.Sprintf("document.getElementById(%q).select()", id))
	b.do(t, chromedp.SendKeys(field, text))
}

// run runs a script.
func (b *tab) run(t *testing.T, script string) {
	t.Helper()
	if _, err := evaluate[bool](b, script+"; true"); err != nil {
		t.Fatalf("%s: %v", script, err)
	}
}

func (b *tab) key(t *testing.T, key string) {
	t.Helper()
	b.do(t, chromedp.KeyEvent(key))
}

// login logs in with a token.
func (b *tab) login(t *testing.T, token string) {
	t.Helper()
	b.write(t, "token", token+kb.Enter)
	b.see(t, "Log out")
}

// readable checks what people without a mouse or without eyes need.
func (b *tab) readable(t *testing.T) {
	t.Helper()
	wrong, err := evaluate[[]string](b, `[
		...[...document.querySelectorAll("input")].filter(e => !e.labels.length).map(e => "no label: " + e.id),
		...[...document.querySelectorAll("button, a")].filter(e => !(e.getAttribute("aria-label") ?? e.innerText).trim()).map(e => "no name: " + e.outerHTML),
		...[...document.querySelectorAll("th")].filter(e => !e.scope).map(e => "no scope: " + e.innerText),
		...[...document.querySelectorAll("progress")].filter(e => !e.getAttribute("aria-label") && !e.getAttribute("aria-labelledby")).map(e => "a bar says nothing"),
		...(document.querySelectorAll("main, h1").length === 2 ? [] : ["not one main, one h1"]),
		...(document.documentElement.scrollWidth > innerWidth ? ["wider than the window"] : []),
	]`)
	if err != nil {
		t.Fatal(err)
	}
	if len(wrong) > 0 {
		t.Error(strings.Join(wrong, "\n"))
	}
}

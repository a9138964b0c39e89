package ui_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/core/coretest"
)

// short is the last part of a lease id.
func short(id string) string { return id[strings.LastIndex(id, "/")+1:] }

func TestAnOperatorLooksAfterLeases(t *testing.T) {
	h := newHouse(t, nil)
	renewals := make(chan bool, 8)
	h.engine.OnRenew = func() error { renewals <- true; return nil }
	app, other, report := h.issue(t, "app"), h.issue(t, "app"), h.issue(t, "report")
	b := open(t, h.url)

	b.write(t, "token", "mistyped"+kb.Enter)
	b.see(t, "the server does not know this token")
	b.login(t, coretest.Root)
	b.see(t, "3 leases on this server", short(app), short(other), short(report), "59m", "of 1h")
	bar := fmt.Sprintf(`document.querySelector("progress[aria-label='time left of %s']")`, app)
	b.until(t, "a bar that is nearly full", bar+".value > 95 && "+bar+".max === 100")

	b.write(t, "prefix", "database/creds/rep"+kb.Enter)
	b.see(t, "To revoke all below a path, open it first", short(report))
	b.miss(t, short(app))
	b.write(t, "prefix", "database/creds/app/"+kb.Enter)
	b.see(t, short(app), short(other))
	b.miss(t, short(report))

	b.press(t, "Renew "+app)
	b.see(t, "Renewed "+app+": it lives for 1h")
	b.until(t, "a row that says so", fmt.Sprintf(`!document.querySelector("tr[data-key='%s']").innerText.includes("not yet")`, app))
	<-renewals

	b.press(t, "Revoke "+app)
	b.see(t, "Revoke this lease?", app, "Revoke 1 lease")
	b.key(t, kb.Escape)
	b.until(t, "the question is gone", `!document.querySelector("dialog")`)
	if live := h.engine.Live(); live != 3 {
		t.Fatalf("%d credentials work after a revocation that was called off", live)
	}
	b.press(t, "Revoke "+app)
	b.press(t, "Revoke 1 lease")
	b.see(t, "Revoked "+app)
	b.miss(t, short(app))
	if live := h.engine.Live(); live != 2 {
		t.Errorf("%d credentials work after one of three was revoked", live)
	}
}

func TestLeasesBelowAPrefixAreRevokedOnceTheirNumberIsConfirmed(t *testing.T) {
	h := newHouse(t, nil)
	for range 3 {
		h.issue(t, "app")
	}
	kept := h.issue(t, "report")
	b := open(t, h.url)
	b.login(t, coretest.Root)
	b.see(t, "4 leases on this server")
	b.until(t, "not everything at once", `document.querySelector("[data-act=revokePrefix]").disabled`)

	b.write(t, "prefix", "database/creds/app/"+kb.Enter)
	b.miss(t, short(kept))
	b.press(t, "Revoke all of these…")
	b.see(t, "Revoke all leases below database/creds/app/?", "3 leases stop working at once", "database/creds/app/ 3", "Revoke 3 leases")
	sure := `[...document.querySelectorAll("dialog button")].at(-1).disabled`
	b.write(t, "typed", "database/creds/ap")
	b.until(t, "a button that waits for the whole prefix", sure)
	b.key(t, kb.Enter)
	if live := h.engine.Live(); live != 4 {
		t.Fatalf("%d of 4 credentials work before anybody agreed", live)
	}
	b.write(t, "typed", "database/creds/app/")
	b.until(t, "a button to press", "!"+sure)
	b.press(t, "Revoke 3 leases")
	b.see(t, "Revoking 3 leases below database/creds/app/", "No lease begins with database/creds/app/")
	if live := h.engine.Live(); live != 1 {
		t.Errorf("%d credentials work, want that of report alone", live)
	}
}

func TestLeasesThatCannotBeRevokedAreNamed(t *testing.T) {
	h := newHouse(t, nil)
	id := h.issue(t, "app")
	behind := h.web.Config.Handler
	// A lease is only irrevocable after minutes of failures.
	stuck := fmt.Sprintf(`{"data":{"lease_count":1,"leases":[{"lease_id":%q,"error":"<b>no database</b>"}]}}`, id)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/sys/leases" {
			_, _ = io.WriteString(w, stuck)
			return
		}
		behind.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	b := open(t, front.URL)
	b.login(t, coretest.Root)
	b.see(t, "1 lease cannot be revoked")
	b.run(t, `document.querySelector("summary").click()`)
	b.see(t, "<b>no database</b>") // what an engine says is no markup
	b.press(t, "Try to revoke "+id+" again")
	b.press(t, "Revoke 1 lease")
	b.see(t, "Revoked "+id)
	if live := h.engine.Live(); live != 0 {
		t.Errorf("%d credentials work, want none", live)
	}
}

func TestMountsLimitsAndAlertsAreShown(t *testing.T) {
	h := newHouse(t, map[string]int{"database": 5})
	for range 4 {
		h.issue(t, "app")
	}
	b := open(t, h.url)
	b.login(t, coretest.Root)
	b.press(t, "Mounts")
	b.see(t, "database/", "Orders and reports", "1h", "1d", "Roles of database/", "report", "orders", "30m", "userpass/")
	b.press(t, "Limits")
	b.see(t, "At most for each role: database/ 5.", "80 % of 5")
	b.until(t, "a bar that warns", `document.querySelector("progress.low").value === 80`)
	b.press(t, "Alerts")
	b.see(t, "many-leases", "secret.lease.count > 1", "● firing", "failed-renewals", "○ inactive", "Apps will lose their database.")
	b.press(t, "Seal")
	b.see(t, "✓ Unsealed", "shamir", "2 of 3 needed", "inmem")
}

func TestASealedServerIsUnsealed(t *testing.T) {
	h := newHouse(t, nil)
	lease := h.issue(t, "app")
	b := open(t, h.url)
	b.login(t, coretest.Root)
	b.see(t, short(lease))
	if err := h.server.Seal(); err != nil {
		t.Fatal(err)
	}
	b.see(t, "✗ Sealed", "0 of 2 key shares given")
	b.readable(t)

	b.write(t, "share", "no share"+kb.Enter)
	b.see(t, "neither hexadecimal nor base64")
	b.write(t, "share", h.shares[0]+kb.Enter)
	b.see(t, "1 of 2 key shares given")
	b.until(t, "a share that is not left in its field", `document.getElementById("share").value === ""`)
	b.press(t, "Start over")
	b.see(t, "0 of 2 key shares given")
	b.write(t, "share", h.shares[1]+kb.Enter)
	b.see(t, "1 of 2 key shares given")
	b.write(t, "share", h.shares[2]+kb.Enter)
	b.see(t, "✓ Unsealed", short(lease)) // the login outlives the seal
}

func TestARefusalSaysWhichPolicyIsMissing(t *testing.T) {
	h := newHouse(t, nil)
	h.issue(t, "app")
	b := open(t, h.url)
	b.press(t, "Username")
	b.write(t, "username", "ada")
	b.write(t, "password", "wrong"+kb.Enter)
	b.see(t, "That did not work", "invalid username or password")
	b.write(t, "password", "correct horse"+kb.Enter)
	b.see(t, "userpass-ada (default, viewer)", "1 lease on this server", "The leases cannot be listed",
		"LIST sys/leases/lookup/",
		"path \"sys/leases/lookup\" {\n  capabilities = [\"update\", \"list\", \"sudo\"]\n}\npath \"sys/leases/lookup/*\" {\n  capabilities = [\"list\", \"sudo\"]\n}")
	b.press(t, "Alerts")
	b.see(t, "path \"sys/alerts\" {\n  capabilities = [\"read\"]\n}")
	b.press(t, "Log out")
	b.see(t, "Logged out", "The token stays in the memory of this page")
	var left []string
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(pollDelay) { // the page does not wait for its token to go
		left = h.must(t, logical.ListOperation, "auth/token/accessors/", nil).Data["keys"].([]string)
		if len(left) == 1 {
			return
		}
	}
	t.Errorf("%d tokens are left, want the root token alone", len(left))
}

func TestThePolicyOfTheDocsIsEnough(t *testing.T) {
	page, err := os.ReadFile("../../docs/ui.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(page), "```\n")
	policy, _, _ := strings.Cut(after, "```")
	h := newHouse(t, map[string]int{"database": 5})
	h.must(t, logical.UpdateOperation, "sys/policies/acl/operator", map[string]any{"policy": policy})
	token := h.must(t, logical.UpdateOperation, "auth/token/create", map[string]any{"policies": "operator"}).Auth.ClientToken
	lease := h.issue(t, "app")
	b := open(t, h.url)
	b.login(t, token)
	for _, look := range [][2]string{{"Mounts", "Roles of database/"}, {"Limits", "20 % of 5"}, {"Alerts", "many-leases"}, {"Leases", short(lease)}} {
		b.press(t, look[0])
		b.see(t, look[1])
		b.miss(t, "your token may not")
	}
	b.press(t, "Renew "+lease)
	b.see(t, "Renewed "+lease)
	b.write(t, "prefix", "database/creds/"+kb.Enter)
	b.press(t, "Revoke all of these…")
	b.write(t, "typed", "database/creds/")
	b.press(t, "Revoke 1 lease")
	b.see(t, "No lease begins with database/creds/")
}

func TestATokenThatHasEndedIsLoggedOut(t *testing.T) {
	h := newHouse(t, nil)
	made := h.must(t, logical.UpdateOperation, "auth/token/create", map[string]any{"policies": "root"}).Auth.ClientToken
	b := open(t, h.url)
	b.login(t, made)
	h.must(t, logical.UpdateOperation, "auth/token/revoke", map[string]any{"token": made})
	b.see(t, "Your token has ended", "Log in")
}

func TestTheTokenIsKeptInMemoryAlone(t *testing.T) {
	h := newHouse(t, nil)
	b := open(t, h.url)
	b.login(t, coretest.Root)
	b.see(t, "There are no leases")
	b.until(t, "a token that is nowhere else", fmt.Sprintf(
		`localStorage.length + sessionStorage.length + document.cookie.length === 0 && ![location.href, document.documentElement.outerHTML, JSON.stringify(history.state)].some(text => text.includes(%q))`, coretest.Root))
	for _, request := range b.sent() {
		if strings.Contains(request, coretest.Root) {
			t.Errorf("the token is in an address: %s", request)
		}
	}
	b.do(t, chromedp.Reload())
	b.see(t, "The token stays in the memory of this page")
}

func TestTenThousandLeasesAreNotTooMany(t *testing.T) {
	h := newHouse(t, nil)
	const many = 10_000
	for range many {
		h.issue(t, "app")
	}
	b := open(t, h.url)
	b.login(t, coretest.Root)
	b.see(t, "10,000 leases on this server", "1 to 50, and more")
	before := len(b.sent())
	b.press(t, "Next →")
	b.see(t, "51 to 100, and more", "← Previous")
	if asked := len(b.sent()) - before; asked > 120 {
		t.Errorf("a page takes %d requests", asked)
	}
	b.until(t, "a page of fifty", `document.querySelectorAll("tbody tr").length === 50 && document.querySelectorAll("*").length < 1500`)
	b.write(t, "prefix", "database/"+kb.Enter)
	b.press(t, "Revoke all of these…")
	b.see(t, "Revoke 10,000 leases")
}

func TestAServerThatDoesNotAnswerIsNoticed(t *testing.T) {
	h := newHouse(t, nil)
	lease := h.issue(t, "app")
	b := open(t, h.url)
	b.login(t, coretest.Root)
	b.see(t, short(lease))
	h.web.CloseClientConnections()
	h.web.Close()
	b.see(t, "The server does not answer. What you see is old.", short(lease))
}

func TestThePageCanBeReadByEverybody(t *testing.T) {
	h := newHouse(t, nil)
	h.issue(t, "app")
	b := open(t, h.url)
	grounds := map[string]bool{}
	for _, scheme := range []string{"light", "dark"} {
		media := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}
		if _, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, media); err != nil {
			t.Fatal(err)
		}
		ground, err := evaluate[string](b, `getComputedStyle(document.body).backgroundColor`)
		if err != nil {
			t.Fatal(err)
		}
		grounds[ground] = true
	}
	if len(grounds) != 2 {
		t.Errorf("light and dark are the same: %v", grounds)
	}
	b.see(t, "Log in")
	b.readable(t)
	b.login(t, coretest.Root)
	for _, width := range []int64{1280, 360} {
		b.do(t, chromedp.EmulateViewport(width, 900))
		for view, holds := range map[string]string{"Mounts": "Secrets engines", "Limits": "no limit", "Alerts": "many-leases", "Seal": "shamir", "Leases": "of 1h"} {
			b.press(t, view)
			b.see(t, holds)
			b.readable(t)
		}
	}
	b.key(t, kb.Tab)
	b.until(t, "the focus shown", `document.activeElement.matches(":focus-visible")`)
}

package admin

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"
)

// pageOf returns the page for a status, parsed, and its policy.
func pageOf(t *testing.T, status Status) (root *html.Node, text, policy string) {
	t.Helper()
	s := newServer(t, Config{Source: &agentStub{status: status}})
	got := ask(s.Handler(local), "GET", "/")
	if got.Code != 200 || !strings.HasPrefix(got.Header().Get("Content-Type"), "text/html") {
		t.Fatalf("page = %d %s", got.Code, got.Body)
	}
	text = got.Body.String()
	root, err := html.Parse(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return root, text, got.Header().Get("Content-Security-Policy")
}

// attributes returns the attributes of every element of a kind; "" for all.
func attributes(root *html.Node, kind string) []map[string]string {
	var out []map[string]string
	for n := range root.Descendants() {
		if n.Type == html.ElementNode && (kind == "" || n.Data == kind) {
			found := map[string]string{"": n.Data}
			for _, a := range n.Attr {
				found[a.Key] = a.Val
			}
			out = append(out, found)
		}
	}
	return out
}

func TestThePageRefersToNothingOutside(t *testing.T) {
	root, text, policy := pageOf(t, busy())
	for _, element := range attributes(root, "") {
		for name, value := range element {
			switch {
			case strings.HasPrefix(name, "on"), name == "style":
				t.Errorf("<%s> has a script or a style in %s", element[""], name)
			case name != "src" && name != "href" && name != "action" && name != "srcset":
			case value != "data:," && value != "status":
				t.Errorf("<%s> refers to %q", element[""], value)
			}
		}
	}
	for _, word := range []string{"@import", "url(", "http://", "//cdn"} {
		if strings.Contains(text, word) {
			t.Errorf("the page holds %q", word)
		}
	}
	for _, element := range []string{"style", "script"} {
		if !strings.Contains(policy, element+"-src "+hashOf([]byte(text), element)) {
			t.Errorf("the policy %q does not allow the page's own %s", policy, element)
		}
	}
	if !strings.HasPrefix(policy, "default-src 'none'") {
		t.Errorf("policy = %q", policy)
	}
}

func TestThePageCanBeReadByEverybody(t *testing.T) {
	root, _, _ := pageOf(t, busy())
	if lang := attributes(root, "html")[0]["lang"]; lang != "en" {
		t.Errorf("lang = %q", lang)
	}
	for kind, count := range map[string]int{"main": 1, "h1": 1, "title": 1, "table": 2} {
		if got := len(attributes(root, kind)); got != count {
			t.Errorf("<%s>: %d, want %d", kind, got, count)
		}
	}
	for _, th := range attributes(root, "th") {
		if th["scope"] == "" {
			t.Error("a header cell has no scope")
		}
	}
	for _, bar := range attributes(root, "progress") {
		if bar["aria-label"] == "" || bar["max"] != "100" {
			t.Errorf("a bar says nothing: %v", bar)
		}
	}
	ids := make(map[string]bool)
	for _, element := range attributes(root, "") {
		ids[element["id"]] = true
	}
	for _, element := range attributes(root, "") {
		if label := element["aria-labelledby"]; label != "" && !ids[label] {
			t.Errorf("nothing has the id %q", label)
		}
		if element["tabindex"] != "" && element["role"] == "" {
			t.Errorf("<%s> takes the focus and has no role", element[""])
		}
	}
}

func TestThePageShowsWhatThereIsToKnow(t *testing.T) {
	_, text, _ := pageOf(t, busy())
	for _, want := range []string{
		"Not ready", "waiting for database/creds/b", "https://vault:8200", "accessor the-accessor",
		"database/creds/app/1", `value="90"`, "1m 30s", ">renew in 40s</time>", "50 % of its time will have passed",
		"rotate now", "failed 3 times since", "10s ago", "1 before it still alive", "/run/a",
		"reading &#34;database/creds/app&#34;: &lt;b&gt;no&lt;/b&gt;", // what a server says is no markup
		"not told: running command", "issue<small>", "template: bad",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the page does not show %q", want)
		}
	}
	if broken, fine := strings.Index(text, "database/creds/app/2"), strings.Index(text, "database/creds/app/1"); broken > fine {
		t.Error("what fails does not stand first")
	}
}

func TestThePageOfAThousandSecretsStaysSmall(t *testing.T) {
	var status Status
	for i := range 10_000 {
		status.Credentials = append(status.Credentials, Credential{Path: fmt.Sprintf("database/creds/app-%d", i)})
	}
	_, text, _ := pageOf(t, status)
	if len(text) > 1<<20 || !strings.Contains(text, "9500 more") {
		t.Errorf("the page has %d bytes", len(text))
	}
}

func TestDurationsAreToldInTwoUnits(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", 999 * time.Millisecond: "1s", 59 * time.Second: "59s", 90 * time.Second: "1m 30s", time.Hour: "1h",
		25*time.Hour + 59*time.Minute: "1d 1h", -30 * time.Second: "30s ago", 768 * time.Hour: "32d",
	} {
		if got := Until(start.Add(d), start); got != want {
			t.Errorf("%s = %q, want %q", d, got, want)
		}
	}
}

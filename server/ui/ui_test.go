package ui

import (
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// behind is what the page stands before.
var behind = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "behind "+r.URL.Path) })

func ask(t *testing.T, method, path string, headers ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, "http://vault"+path, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	Handler(behind).ServeHTTP(w, r)
	return w.Result()
}

func text(t *testing.T, response *http.Response) string {
	t.Helper()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// assetNames returns the names of all files of the page.
func assetNames(t *testing.T) []string {
	t.Helper()
	files, err := fs.ReadDir(assets, "assets")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range files {
		names = append(names, f.Name())
	}
	return names
}

func TestThePageStandsBesideTheAPI(t *testing.T) {
	for _, c := range []struct {
		name, method, path string
		status             int
		want               string // beginning of the body, or where it leads
	}{
		{"the root leads to the page", "GET", "/", 307, "/ui/"},
		{"so does its name without the slash", "HEAD", "/ui", 307, "/ui/"},
		{"the page", "GET", "/ui/", 200, "<!doctype html>"},
		{"a HEAD has no body", "HEAD", "/ui/", 200, ""},
		{"a file of it", "GET", "/ui/main.js", 200, "// The page"},
		{"a file that is not there", "GET", "/ui/other.js", 404, "there is no such page"},
		{"a file outside", "GET", "/ui/../ui.go", 404, "there is no such page"},
		{"writing", "POST", "/ui/", 405, "the web page is only read"},
		{"the API", "POST", "/v1/sys/health", 200, "behind /v1/sys/health"},
		{"a path that only looks like it", "GET", "/uix", 200, "behind /uix"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := ask(t, c.method, c.path)
			said := got.Header.Get("Location")
			if said == "" {
				said = text(t, got)
			}
			if got.StatusCode != c.status || !strings.HasPrefix(said, c.want) || c.want == "" && said != "" {
				t.Errorf("%d %.60q, want %d %q", got.StatusCode, said, c.status, c.want)
			}
		})
	}
}

func TestABrowserMayDoLittleWithThePage(t *testing.T) {
	for _, path := range []string{"/ui/", "/ui/main.js", "/ui/missing"} {
		header := ask(t, "GET", path).Header
		policy := header.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none';", "script-src 'self';", "style-src 'self';", "connect-src 'self';",
			"form-action 'none';", "frame-ancestors 'none';", "base-uri 'none';", "require-trusted-types-for 'script';"} {
			if !strings.Contains(policy, want) {
				t.Errorf("%s: the policy %q lacks %q", path, policy, want)
			}
		}
		if strings.Contains(policy, "unsafe") || strings.Contains(policy, "*") || strings.Contains(policy, "http") {
			t.Errorf("%s: the policy %q is not strict", path, policy)
		}
		for name, want := range map[string]string{"X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"} {
			if got := header.Get(name); got != want {
				t.Errorf("%s: %s: %q, want %q", path, name, got, want)
			}
		}
	}
}

func TestFilesAreSentOnceAndAskedFor(t *testing.T) {
	tags := map[string]string{}
	for _, name := range assetNames(t) {
		first := ask(t, "GET", "/ui/"+name)
		tag := first.Header.Get("ETag")
		if other, twice := tags[tag]; tag == "" || twice {
			t.Errorf("%s has the tag %q, as %s has", name, tag, other)
		}
		tags[tag] = name
		if got := first.Header.Get("Cache-Control"); got != "no-cache" {
			t.Errorf("%s: Cache-Control %q", name, got)
		}
		if again := ask(t, "GET", "/ui/"+name, "If-None-Match", tag); again.StatusCode != 304 || text(t, again) != "" {
			t.Errorf("%s is sent again: %d", name, again.StatusCode)
		}
		if old := ask(t, "GET", "/ui/"+name, "If-None-Match", `"old"`); old.StatusCode != 200 {
			t.Errorf("%s is not sent in place of an old one: %d", name, old.StatusCode)
		}
		if got := first.Header.Get("Content-Type"); strings.HasPrefix(got, "application/octet-stream") {
			t.Errorf("%s has the type %q", name, got)
		}
	}
}

func TestThePageRefersToNothingOutside(t *testing.T) {
	names := assetNames(t)
	outside := regexp.MustCompile(`(?i)https?:|["'(]//|@import|url\(|javascript:|<script>|<style|\son\w+=|\bstyle=`)
	referred := regexp.MustCompile(`(?:src|href)="([^"#]+)"|from "\./([^"]+)"`)
	forbidden := regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|localStorage\.|sessionStorage\.|document\.cookie`)
	for _, name := range names {
		content := text(t, ask(t, "GET", "/ui/"+name))
		bare := strings.ReplaceAll(content, "http://www.w3.org/2000/svg", "")
		for _, pattern := range []*regexp.Regexp{outside, forbidden} {
			if found := pattern.FindString(bare); found != "" {
				t.Errorf("%s holds %q", name, found)
			}
		}
		for _, match := range referred.FindAllStringSubmatch(content, -1) {
			if file := match[1] + match[2]; !slices.Contains(names, file) {
				t.Errorf("%s refers to %q, which is not there", name, file)
			}
		}
	}
}

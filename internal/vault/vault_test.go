package vault

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// answers is a transport that answers each request by a function.
type answers func(*http.Request) (*http.Response, error)

func (f answers) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := f(req)
	if resp != nil {
		resp.Request = req
	}
	return resp, err
}

func answer(status int, body string) *http.Response {
	return &http.Response{
		StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)),
	}
}

func client(t *testing.T, cfg Config, f answers) *Client {
	t.Helper()
	cfg.Address, cfg.Transport = "http://vault.test:8200", f
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func read(t *testing.T, path string) Want {
	t.Helper()
	w, err := ReadWant(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestClassify(t *testing.T) {
	tests := []struct {
		status int
		body   string
		want   Class
	}{
		{500, `{"errors":["internal error"]}`, Later},
		{502, `<html>bad gateway</html>`, Later},
		{503, `{"errors":["Vault is sealed"]}`, Later},
		{412, `{"errors":["required index state not present"]}`, Later},
		{429, `{"errors":["rate limit quota exceeded"]}`, Later},
		{472, `{"errors":[]}`, Later},
		{473, `{"errors":[]}`, Later},
		{400, `{"errors":["lease is not renewable"]}`, Refused},
		{400, `{"errors":["lease not found"]}`, Gone},
		{403, `{"errors":["permission denied"]}`, Refused},
		{403, `{"errors":["2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n"]}`, Login},
		{404, `{"errors":[]}`, Refused},
		{405, `{"errors":["unsupported operation"]}`, Refused},
	}
	for _, test := range tests {
		t.Run(fmt.Sprint(test.status, test.body), func(t *testing.T) {
			c := client(t, Config{}, func(*http.Request) (*http.Response, error) { return answer(test.status, test.body), nil })
			_, err := c.Fetch(t.Context(), Token{}, read(t, "database/creds/app"))
			if got := Classify(err); got != test.want {
				t.Errorf("class = %v, want %v (%v)", got, test.want, err)
			}
			if Status(err) != test.status || !strings.Contains(err.Error(), "database/creds/app") {
				t.Errorf("status = %d, error = %v", Status(err), err)
			}
			if strings.Contains(err.Error(), "<html>") {
				t.Errorf("the error cites a page that is no answer of the API: %v", err)
			}
		})
	}
	refused := client(t, Config{}, func(*http.Request) (*http.Response, error) { return nil, errors.New("connection refused") })
	_, err := refused.Fetch(t.Context(), Token{}, read(t, "a/b"))
	if Classify(err) != Later || !strings.Contains(err.Error(), "check the address") {
		t.Errorf("no answer: class %v, error %v", Classify(err), err)
	}
	if Classify(nil) != None {
		t.Error("no error has a class")
	}
}

func TestRevokingALostLeaseIsNoError(t *testing.T) {
	c := client(t, Config{}, func(*http.Request) (*http.Response, error) {
		return answer(400, `{"errors":["lease not found"]}`), nil
	})
	if err := c.Revoke(t.Context(), Token{}, "a/b/c"); err != nil {
		t.Error(err)
	}
}

func TestARequestCarriesTheTokenAndNamespaceItIsGiven(t *testing.T) {
	t.Setenv("VAULT_TOKEN", "of-the-environment")
	var seen []*http.Request
	c := client(t, Config{Namespace: "team"}, func(req *http.Request) (*http.Response, error) {
		seen = append(seen, req)
		return answer(200, `{"data":{}}`), nil
	})
	w := read(t, "a/b")
	for _, ns := range []string{"", "team/app/"} {
		w.Namespace = ns
		if _, err := c.Fetch(t.Context(), Token{Value: "mine"}, w); err != nil {
			t.Fatal(err)
		}
	}
	for i, want := range []string{"team", "team/app"} {
		if got := seen[i].Header.Get("X-Vault-Namespace"); got != want {
			t.Errorf("namespace of request %d = %q, want %q", i, got, want)
		}
		if got := seen[i].Header.Get("X-Vault-Token"); got != "mine" {
			t.Errorf("token of request %d = %q, want the one given", i, got)
		}
	}
}

func TestAnAnswerBeyondTheLimitIsRefused(t *testing.T) {
	for name, length := range map[string]int64{"announced": MaxAnswer + 1, "not announced": -1} {
		t.Run(name, func(t *testing.T) {
			c := client(t, Config{}, func(*http.Request) (*http.Response, error) {
				endless := io.MultiReader(strings.NewReader(`{"data":{"x":"`), filler("x"))
				return &http.Response{StatusCode: 200, Body: io.NopCloser(endless), ContentLength: length}, nil
			})
			_, err := c.Fetch(t.Context(), Token{}, read(t, "a/b"))
			if err == nil || !strings.Contains(err.Error(), "larger than") {
				t.Errorf("error = %v, want one about the size", err)
			}
		})
	}
}

func TestAnAnswerThatIsLargeOnlyOnceDecodedIsRefused(t *testing.T) {
	tests := []struct {
		name, begins string
		goes         filler
		status       int
		within       int64 // bytes that the error has to come in
		says         string
	}{
		{"text without end", `{"data":{"x":"`, "x", 200, 2 * maxSecret, "larger than 8388608 bytes"},
		{"empty objects without end", `{"data":{"x":[`, "{},", 200, 2 * maxRefusal, "too many elements"},
		{"lists in lists without end", `{"data":{"x":`, "[", 200, 2 * maxRefusal, "too many elements"},
		{"an error without end", `{"errors":["`, "x", 500, 2 * maxRefusal, "larger than 1048576 bytes"},
		{"warnings without end", `{"warnings":["`, "x", 404, 2 * maxRefusal, "larger than 1048576 bytes"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			body := &io.LimitedReader{R: io.MultiReader(strings.NewReader(test.begins), test.goes), N: test.within}
			c := client(t, Config{}, func(*http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: test.status, Body: io.NopCloser(body), ContentLength: -1}, nil
			})
			_, err := c.Fetch(t.Context(), Token{}, read(t, "a/b"))
			if Classify(err) != Later || !strings.Contains(err.Error(), test.says) {
				t.Errorf("error = %v, want %q in it", err, test.says)
			}
			if body.N == 0 {
				t.Error("all of the answer was read")
			}
		})
	}
}

func TestATTLBeyondAllTimeIsTheLongest(t *testing.T) {
	for ttl, want := range map[string]time.Duration{
		"9223372036854775807": 9223372036 * time.Second, "9223372037": 9223372036 * time.Second, "60": time.Minute, "-1": 0,
	} {
		c := client(t, Config{}, func(*http.Request) (*http.Response, error) {
			return answer(200, `{"lease_id":"a/b/1","lease_duration":`+ttl+`,"data":{}}`), nil
		})
		secret, err := c.Fetch(t.Context(), Token{}, read(t, "a/b"))
		if err != nil || secret.TTL != want {
			t.Errorf("lease_duration %s: %v, %v; want %s", ttl, secret, err, want)
		}
	}
}

func TestNoRequestFollowsARedirect(t *testing.T) {
	for _, status := range []int{301, 302, 303, 307, 308} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			requests := 0
			c := client(t, Config{}, func(*http.Request) (*http.Response, error) {
				requests++
				resp := answer(status, "")
				resp.Header.Set("Location", "http://elsewhere.test/v1/a/b")
				return resp, nil
			})
			_, fetched := c.Fetch(t.Context(), Token{Value: "mine"}, read(t, "a/b"))
			_, loggedIn := c.Login(t.Context(), "auth/approle/login", map[string]any{"secret_id": "mine"})
			for _, err := range []error{fetched, loggedIn} {
				if Classify(err) != Later || !strings.Contains(err.Error(), "redirects to another address; name the address of the active server") {
					t.Errorf("error = %v", err)
				}
			}
			if requests != 2 {
				t.Errorf("%d requests, want 2", requests)
			}
		})
	}
}

// filler is a text that is repeated and never ends.
type filler string

func (f filler) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = f[i%len(f)]
	}
	return len(p), nil
}

func TestAServerThatHangsIsGivenUpInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := client(t, Config{Timeout: 5 * time.Second, Connections: 1}, func(req *http.Request) (*http.Response, error) {
			<-req.Context().Done()
			return nil, req.Context().Err()
		})
		start := time.Now()
		_, err := c.Fetch(t.Context(), Token{}, read(t, "a/b"))
		if took := time.Since(start); Classify(err) != Later || took != 5*time.Second {
			t.Errorf("gave up after %s with %v", took, err)
		}
	})
}

func TestAWaitForAFreeConnectionEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := client(t, Config{Connections: 1}, func(req *http.Request) (*http.Response, error) {
			<-req.Context().Done()
			return nil, req.Context().Err()
		})
		go func() { _, _ = c.Fetch(t.Context(), Token{}, read(t, "a/first")) }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		if _, err := c.Fetch(ctx, Token{}, read(t, "a/second")); err == nil || time.Since(start) != time.Second {
			t.Errorf("waited %s, error %v", time.Since(start), err)
		}
	})
}

func TestSecretsDoNotPrint(t *testing.T) {
	const hidden = "hunter2"
	values := []any{
		Sensitive(hidden),
		&Secret{LeaseID: "a/b/c", Data: map[string]any{"password": hidden}},
		Token{Value: hidden},
		Auth{Token: hidden},
		struct{ Nested Token }{Token{Value: hidden}},
	}
	for _, value := range values {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			if text := fmt.Sprintf(verb, value); strings.Contains(text, hidden) || strings.Contains(text, fmt.Sprintf("%x", hidden)) {
				t.Errorf("%T prints its secret under %s: %s", value, verb, text)
			}
		}
		if text, err := json.Marshal(value); err != nil || strings.Contains(string(text), hidden) {
			t.Errorf("%T as JSON: %s, %v", value, text, err)
		}
	}
}

func TestEqualWantsAreEqualWhateverTheOrderOfParameters(t *testing.T) {
	one, err := WriteWant("/v1/pki/issue/web/", map[string]any{"common_name": "a", "ttl": "1h"})
	if err != nil {
		t.Fatal(err)
	}
	two, err := WriteWant("pki/issue/web", map[string]any{"ttl": "1h", "common_name": "a"})
	if err != nil {
		t.Fatal(err)
	}
	if one != two {
		t.Errorf("%#v differs from %#v", one, two)
	}
	if text := one.String(); strings.Contains(text, "1h") || text != "write pki/issue/web" {
		t.Errorf("name = %q, want the path without parameters", text)
	}
	if _, err := ReadWant(" / ", nil); err == nil {
		t.Error("an empty path is no want")
	}
}

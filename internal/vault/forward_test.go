package vault_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/novatech/securevault/internal/vault"
)

// forward sends a caller's request through a client of a server that answers
// by handler, and returns what the server got.
func forward(t *testing.T, handler http.HandlerFunc, change func(*http.Request)) (got *http.Request, resp *http.Response, err error) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r
		handler(w, r)
	}))
	t.Cleanup(server.Close)
	client, err := vault.New(vault.Config{Address: server.URL, Namespace: "team"})
	if err != nil {
		t.Fatal(err)
	}
	in := httptest.NewRequest(http.MethodPost, "/v1/secret/data/a%2Fb?version=1", strings.NewReader("body"))
	in.Header.Set("X-Vault-Token", "theirs")
	in.Header.Set("Cookie", "session=1")
	in.Header.Set("X-Forwarded-For", "10.0.0.1")
	change(in)
	resp, err = client.Forward(t.Context(), in, "ours")
	if err == nil {
		t.Cleanup(func() { _ = resp.Body.Close() })
	}
	return got, resp, err
}

func TestForwardTakesAlongWhatIsOfTheAPI(t *testing.T) {
	ok := func(http.ResponseWriter, *http.Request) {}
	got, _, err := forward(t, ok, func(in *http.Request) { in.Host, in.URL.Host, in.URL.User = "evil.example", "evil.example", nil })
	if err != nil {
		t.Fatal(err)
	}
	if got.Method != http.MethodPost || got.RequestURI != "/v1/secret/data/a%2Fb?version=1" || got.ContentLength != 4 {
		t.Errorf("the server got %s %s with %d bytes", got.Method, got.RequestURI, got.ContentLength)
	}
	for name, want := range map[string]string{
		"X-Vault-Token": "ours", "X-Vault-Namespace": "team", "X-Vault-Request": "true", "Cookie": "", "X-Forwarded-For": "",
	} {
		if value := got.Header.Get(name); value != want {
			t.Errorf("%s = %q, want %q", name, value, want)
		}
	}
	got, _, err = forward(t, ok, func(in *http.Request) { in.Header.Set("X-Vault-Namespace", "other") })
	if err != nil || got.Header.Get("X-Vault-Namespace") != "other" {
		t.Errorf("the caller's own namespace: %v, %v", got.Header, err)
	}
}

func TestForwardFollowsNobodyElsewhere(t *testing.T) {
	var caught bool
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { caught = true }))
	defer elsewhere.Close()
	_, _, err := forward(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
	}, func(*http.Request) {})
	if caught || err == nil || !strings.Contains(err.Error(), "redirects") {
		t.Errorf("a redirect: %v, followed: %t", err, caught)
	}
}

func TestForwardBoundsTheAnswer(t *testing.T) {
	_, resp, err := forward(t, func(w http.ResponseWriter, _ *http.Request) {
		chunk := make([]byte, 1<<20)
		for range vault.MaxAnswer>>20 + 1 {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	}, func(*http.Request) {})
	if err != nil {
		t.Fatal(err)
	}
	n, err := io.Copy(io.Discard, resp.Body)
	if err == nil || errors.Is(err, io.EOF) || n > vault.MaxAnswer {
		t.Errorf("read %d bytes and %v", n, err)
	}
}

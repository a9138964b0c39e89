package api

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/novatech/securevault/server/store"
)

// peers is a cluster as a standby sees it.
type peers struct {
	leader string
	err    error
}

func (p peers) Standby() bool { return true }

func (p peers) Leader(context.Context) (store.Node, error) {
	return store.Node{APIAddr: p.leader}, p.err
}

// standby answers r as a server that stands by.
func standby(p peers, l Limits, r *http.Request) *httptest.ResponseRecorder {
	own := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	w := httptest.NewRecorder()
	(&forwarder{next: own, core: p, limits: l}).ServeHTTP(w, r)
	return w
}

func TestARequestIsPassedOnAsItIs(t *testing.T) {
	var got *http.Request
	var body string
	active := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r
		content, _ := io.ReadAll(r.Body)
		body = string(content)
		w.Header().Set("X-Answer", "active")
		w.WriteHeader(http.StatusAccepted)
		_, _ = io.WriteString(w, "answer")
	}))
	defer active.Close()
	r := httptest.NewRequest("LIST", "/v1/secret/a%2Fb/?list=true", strings.NewReader(`{"a":1}`))
	r.Header.Set("X-Vault-Token", "token")
	r.Header.Set("Connection", "X-Hop")
	r.Header.Set("X-Hop", "1")
	r.Header.Set("X-Forwarded-For", "6.6.6.6")
	w := standby(peers{leader: active.URL}, Limits{}, r)
	if w.Code != http.StatusAccepted || w.Header().Get("X-Answer") != "active" || w.Body.String() != "answer" {
		t.Errorf("answered %d %v %q", w.Code, w.Header(), w.Body)
	}
	if got.Method != "LIST" || got.RequestURI != "/v1/secret/a%2Fb/?list=true" || body != `{"a":1}` || got.Header.Get("X-Vault-Token") != "token" {
		t.Errorf("passed on %s %s %q %v", got.Method, got.RequestURI, body, got.Header)
	}
	if got.Header.Get("X-Hop") != "" || got.Header.Get("X-Forwarded-For") != "" || got.Header.Get(passedOn) == "" {
		t.Errorf("headers %v", got.Header)
	}
}

func TestTheClientIsNamedOnlyWhereProxiesAreBelieved(t *testing.T) {
	var named string
	active := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { named = r.Header.Get("X-Forwarded-For") }))
	defer active.Close()
	believed := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	for want, f := range map[string]Forwarded{
		"":                     {},
		"192.0.2.1":            {Proxies: believed},
		"192.0.2.1, 192.0.2.1": {Proxies: believed, Hops: 1},
	} {
		r := httptest.NewRequest("GET", "/v1/secret/a", nil) // from 192.0.2.1
		r.Header.Set("X-Forwarded-For", "6.6.6.6")
		standby(peers{leader: active.URL}, Limits{Forwarded: f}, r)
		if named != want {
			t.Errorf("%+v names %q, want %q", f, named, want)
		}
	}
}

func TestAStandbySaysWhyItCannotPassOn(t *testing.T) {
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	for name, test := range map[string]struct {
		peers  peers
		header string
		want   string
	}{
		"nobody is active":       {peers{}, "", "no server is active just now; try again in a moment"},
		"the storage is away":    {peers{err: errors.New("no route")}, "", "finding the active server: no route"},
		"the active one is away": {peers{leader: gone.URL}, "", "the active server cannot be reached"},
		"it went round":          {peers{leader: gone.URL}, passedOn, "no server is active just now"},
		"its address is wrong":   {peers{leader: "http://a b"}, "", "api_addr is no URL"},
	} {
		r := httptest.NewRequest("GET", "/v1/secret/a", nil)
		if test.header != "" {
			r.Header.Set(test.header, "1")
		}
		w := standby(test.peers, Limits{}, r)
		if w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), test.want) {
			t.Errorf("%s: %d %s; want %q", name, w.Code, w.Body, test.want)
		}
	}
}

func TestWhatEveryServerAnswersIsNotPassedOn(t *testing.T) {
	for _, path := range []string{"/v1/sys/health", "/v1/sys/init", "/v1/sys/leader", "/v1/sys/seal-status", "/v1/sys/unseal", "/ui/"} {
		if w := standby(peers{}, Limits{}, httptest.NewRequest("GET", path, nil)); w.Code != http.StatusTeapot {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}

func TestABodyThatIsTooLargeIsCalledSo(t *testing.T) {
	active := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
	defer active.Close()
	r := httptest.NewRequest("PUT", "/v1/secret/a", strings.NewReader(strings.Repeat("x", 1000)))
	r.Body = http.MaxBytesReader(nil, r.Body, 100)
	if w := standby(peers{leader: active.URL}, Limits{}, r); w.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

package api

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/novatech/securevault/server/core/seal"
	"github.com/novatech/securevault/server/engines/enginetest/certtest"
	"github.com/novatech/securevault/server/store/inmem"
)

// pair is an active server that tells who its client is, and a standby with the
// same keys.
type pair struct {
	active *httptest.Server
	keys   *seal.Seal
	peers  peers
	client *x509.Certificate
}

// leading is a cluster as the active server sees it.
type leading struct{ peers }

func (leading) Standby() bool { return false }

func newPair(t *testing.T) *pair {
	t.Helper()
	below := inmem.New()
	guard := seal.New(seal.Settings{Store: below})
	shares, err := guard.Init(t.Context(), seal.Split{Shares: 1, Threshold: 1})
	if err != nil {
		t.Fatal(err)
	}
	own := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		names := []string{}
		if r.TLS != nil {
			for _, c := range r.TLS.PeerCertificates {
				names = append(names, c.Subject.CommonName)
			}
		}
		fmt.Fprint(w, names)
	})
	p := &pair{active: httptest.NewServer(&forwarder{next: own, core: leading{}, voucher: guard}), keys: seal.New(seal.Settings{Store: below})}
	t.Cleanup(p.active.Close)
	if _, err := p.keys.Unseal(t.Context(), shares[0]); err != nil {
		t.Fatal(err)
	}
	p.peers = peers{leader: p.active.URL}
	p.client = issue(t, "web")
	return p
}

func issue(t *testing.T, name string) *x509.Certificate {
	t.Helper()
	authority, err := certtest.New("authority")
	if err != nil {
		t.Fatal(err)
	}
	made, err := authority.Issue(name)
	if err != nil {
		t.Fatal(err)
	}
	return made.Leaf
}

// login is a request of a client with these certificates.
func login(shown ...*x509.Certificate) *http.Request {
	r := httptest.NewRequest("POST", "/v1/auth/cert/log%2Fin?x=y;z", nil)
	r.TLS = &tls.ConnectionState{PeerCertificates: shown}
	return r
}

// pass sends r to the standby and returns its answer.
func (p *pair) pass(keys voucher, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	(&forwarder{core: p.peers, voucher: keys}).ServeHTTP(w, r)
	return w
}

func TestAStandbyShowsTheClientsCertificatesToTheActiveServer(t *testing.T) {
	p := newPair(t)
	for want, r := range map[string]*http.Request{
		"[web]": login(p.client), "[web above]": login(p.client, issue(t, "above")), "[]": login(),
	} {
		if w := p.pass(p.keys, r); w.Code != http.StatusOK || w.Body.String() != want {
			t.Errorf("%d %s, want %s", w.Code, w.Body, want)
		}
	}
}

func TestWhoeverIsNoServerOfTheClusterCannotShowACertificate(t *testing.T) {
	p := newPair(t)
	stranger := seal.New(seal.Settings{Store: inmem.New()})
	if _, err := stranger.Init(t.Context(), seal.Split{Shares: 1, Threshold: 1}); err != nil {
		t.Fatal(err)
	}
	if w := p.pass(stranger, login(p.client)); w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), "not vouched for by a server of this cluster") {
		t.Errorf("a server with other keys: %d %s", w.Code, w.Body)
	}

	r := login(p.client)
	captured := http.Header{}
	if err := introduce(captured, r, certificates(r), p.keys); err != nil {
		t.Fatal(err)
	}
	other := base64.StdEncoding.EncodeToString(issue(t, "root").Raw)
	for name, c := range map[string]struct {
		method, path string
		change       func(http.Header)
		want         int
	}{
		"another certificate": {"POST", r.URL.EscapedPath(), func(h http.Header) { h.Set(shownCertificate, other) }, http.StatusForbidden},
		"one certificate more": {"POST", r.URL.EscapedPath(), func(h http.Header) {
			h.Set(shownCertificate, other+","+h.Get(shownCertificate))
		}, http.StatusForbidden},
		"another path":       {"POST", "/v1/auth/cert/renew", func(http.Header) {}, http.StatusForbidden},
		"another method":     {"PUT", r.URL.EscapedPath(), func(http.Header) {}, http.StatusForbidden},
		"no voucher":         {"POST", r.URL.EscapedPath(), func(h http.Header) { h.Del(voucherHeader) }, http.StatusBadRequest},
		"no certificate":     {"POST", r.URL.EscapedPath(), func(h http.Header) { h.Del(shownCertificate) }, http.StatusBadRequest},
		"a voucher of noise": {"POST", r.URL.EscapedPath(), func(h http.Header) { h.Set(voucherHeader, "%") }, http.StatusForbidden},
		"two of them": {"POST", r.URL.EscapedPath(), func(h http.Header) {
			h.Add(shownCertificate, other)
			h.Add(voucherHeader, h.Get(voucherHeader))
		}, http.StatusBadRequest},
	} {
		if got := p.ask(t, c.method, c.path, captured, c.change); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
	for use, want := range []int{http.StatusOK, http.StatusForbidden} {
		if got := p.ask(t, "POST", r.URL.EscapedPath(), captured, func(http.Header) {}); got != want {
			t.Errorf("use %d of what was captured: %d, want %d", use+1, got, want)
		}
	}
}

// ask sends headers to the active server, as anybody can.
func (p *pair) ask(t *testing.T, method, path string, headers http.Header, change func(http.Header)) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, p.active.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header = headers.Clone()
	change(req.Header)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

func TestAStandbyPassesNoCertificateOnThatAClientOnlyNames(t *testing.T) {
	p := newPair(t)
	headers := http.Header{}
	r := login(p.client)
	if err := introduce(headers, r, certificates(r), p.keys); err != nil {
		t.Fatal(err)
	}
	named := login()
	named.Header = headers
	if w := p.pass(p.keys, named); w.Code != http.StatusOK || w.Body.String() != "[]" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestAStandbyIsNotTakenForItsClient(t *testing.T) {
	p := newPair(t)
	active := p.active.Config.Handler
	for header, want := range map[string]string{passedOn: "[]", "X-Other": "[node]"} {
		r := login(issue(t, "node")) // the connection is the standby's
		r.Header.Set(header, "1")
		w := httptest.NewRecorder()
		active.ServeHTTP(w, r)
		if w.Body.String() != want {
			t.Errorf("%s: %s, want %s", header, w.Body, want)
		}
	}
}

func TestAClientWithALongChainIsSentToTheActiveServer(t *testing.T) {
	chain := []*x509.Certificate{{Raw: make([]byte, maxShown)}}
	w := standby(peers{leader: "https://active:8200/"}, Limits{}, login(chain...))
	if w.Code != http.StatusTemporaryRedirect || w.Header().Get("Location") != "https://active:8200/v1/auth/cert/log%2Fin?x=y;z" {
		t.Errorf("%d to %q", w.Code, w.Header().Get("Location"))
	}
}

func FuzzParseChain(f *testing.F) {
	f.Add("")
	f.Add("AAAA,AAAA")
	f.Fuzz(func(t *testing.T, shown string) {
		if chain, err := parseChain(shown); err == nil && len(chain) != strings.Count(shown, ",")+1 {
			t.Errorf("%d certificates of %q", len(chain), shown)
		}
	})
}

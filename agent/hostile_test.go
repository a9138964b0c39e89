package agent

import (
	"bytes"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/novatech/securevault/internal/vault"
	"github.com/novatech/securevault/internal/vaulttest"
)

// hostile is the path that a server misbehaves for.
const hostile = "database/creds/hostile"

// What is said of an answer that does not come in time, and of one without end.
const (
	overdue  = "deadline exceeded"
	tooLarge = "the answer is larger than"
)

// against starts an agent with two secrets on a server that answers for one of
// them by a handler, and for the rest as it should.
func (r *rig) against(handler http.HandlerFunc) {
	r.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if strings.HasSuffix(req.URL.Path, hostile) {
			handler(w, req)
			return
		}
		r.server.ServeHTTP(w, req)
	}))
	r.Cleanup(server.Close)
	r.run(observed+pair("db")+strings.ReplaceAll(pair("hostile"), creds, hostile), Options{Server: vault.Config{Address: server.URL}})
}

func TestAHostileServerIsBoundedAndHoldsUpNothingElse(t *testing.T) {
	var caught, taken atomic.Int64
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		caught.Add(1)
		_, _ = fmt.Fprint(w, `{"data":{"username":"theirs","password":"theirs"}}`)
	}))
	t.Cleanup(elsewhere.Close)
	tests := []struct {
		name    string
		handler http.HandlerFunc
		says    string
	}{
		{"an answer of a gigabyte", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = fmt.Fprint(w, `{"data":{"username":"`)
			chunk := bytes.Repeat([]byte("x"), 1<<20)
			for sent := int64(0); sent < 1<<30; sent += 1 << 20 {
				if _, err := w.Write(chunk); err != nil {
					taken.Store(sent)
					return
				}
			}
			taken.Store(1 << 30)
		}, tooLarge},
		{"an answer that never ends", func(w http.ResponseWriter, req *http.Request) {
			_, _ = fmt.Fprint(w, `{"data":{"username":"`)
			for req.Context().Err() == nil {
				_, _ = fmt.Fprint(w, "x")
				w.(http.Flusher).Flush()
				time.Sleep(10 * time.Millisecond)
			}
		}, overdue},
		{"no answer", func(_ http.ResponseWriter, req *http.Request) { <-req.Context().Done() }, overdue},
		{"a redirect elsewhere", func(w http.ResponseWriter, req *http.Request) {
			http.Redirect(w, req, elsewhere.URL+req.URL.Path, http.StatusTemporaryRedirect)
		}, "redirects"},
		{"a page of a proxy", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, "<html>") }, "decoding the answer"},
		{"no answer of its kind", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, `{"data":[1]}`) }, "decoding the answer"},
		{"nothing where data should be", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, `{"request_id":"1","data":null}`) }, "holds no data"},
		{"null", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, `null`) }, "holds no data"},
		{"a token in place of a secret", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, `{"auth":{"client_token":"t"}}`) }, "holds no data"},
		{"nothing", func(http.ResponseWriter, *http.Request) {}, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := outside(t)
			if test.says == overdue {
				t.Setenv("VAULT_CLIENT_TIMEOUT", "1")
			}
			r.against(test.handler)
			r.until("the file of the other secret", func() bool { return r.read("db") == "v-app-1:password-1" })
			r.until("the refusal", func() bool {
				return r.logs.FilterMessageSnippet("failed").Len() > 0 && strings.Contains(r.logged(), test.says)
			})
			r.expect("file", r.read("hostile"), "")
			r.expect("requests elsewhere", caught.Load(), int64(0))
			r.expect("end", r.end(), nil)
			if test.says == tooLarge {
				r.until("the end of the answer", func() bool { return taken.Load() > 0 })
				if n := taken.Load(); n > vault.MaxAnswer+(64<<20) { // what the sockets hold comes on top
					t.Errorf("%d bytes were taken", n)
				}
			}
			if strings.Contains(r.logged(), vaulttest.RootToken) {
				t.Errorf("the log tells the token:\n%s", r.logged())
			}
		})
	}
}

func TestAServerWithoutTheRightNameIsToldNothing(t *testing.T) {
	server := httptest.NewUnstartedServer(nil)
	var requests atomic.Int64
	server.Config.Handler = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { requests.Add(1) })
	server.StartTLS()
	t.Cleanup(server.Close)
	tests := map[string]struct{ keys, says string }{
		"a certificate for another name":     {"ca_cert = \"DIR/ca.pem\"\n tls_server_name = \"vault.test\"", "not vault.test"},
		"a certificate of another authority": {"", "unknown authority"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := &rig{T: t, dir: t.TempDir()}
			r.write("role-id", "the-role")
			r.write("secret-id", "the-secret")
			r.write("ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
			r.load("vault {\n" + test.keys + "\n}\n" + approle + pair("db"))
			var stderr strings.Builder
			command := Command{Ctx: t.Context(), Stderr: &stderr, Getenv: func(string) string { return "" }}
			code := command.Run([]string{"-exit-after-auth", "-timeout=2s", "-address", server.URL, "-config", r.path("agent.hcl")})
			r.expect("exit code", code, ExitServer)
			if !strings.Contains(stderr.String(), test.says) || strings.Contains(stderr.String(), "the-secret") {
				t.Errorf("the error is %s, want %q in it", stderr.String(), test.says)
			}
			r.expect("requests", requests.Load(), int64(0))
			r.expect("file", r.read("db"), "")
		})
	}
}

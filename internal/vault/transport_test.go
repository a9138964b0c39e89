package vault

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// counted starts a server with TLS that counts the connections to it.
func counted(t *testing.T, http2 bool) (server *httptest.Server, opened *atomic.Int64) {
	t.Helper()
	opened = new(atomic.Int64)
	server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"data":{}}`))
	}))
	server.EnableHTTP2 = http2
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	server.StartTLS()
	t.Cleanup(server.Close)
	return server, opened
}

func TestConnectionsAreUsedAgainUnlessTheClientMustNot(t *testing.T) {
	for protocol, http2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2": true} {
		t.Run(protocol, func(t *testing.T) {
			server, opened := counted(t, http2)
			authority := writePEM(t, t.TempDir(), "ca.pem", "CERTIFICATE", server.Certificate().Raw)
			usual, err := New(Config{Address: server.URL, CACert: authority, Namespace: "team"})
			if err != nil {
				t.Fatal(err)
			}
			once, err := usual.WithoutReuse()
			if err != nil {
				t.Fatal(err)
			}
			if once.api.Namespace() != "team" || once.slots != usual.slots {
				t.Errorf("the other client has the namespace %q and a budget of its own: %t", once.api.Namespace(), once.slots != usual.slots)
			}
			exchange := func(c *Client, times int) (connections int64) {
				before := opened.Load()
				for range times {
					if _, err := c.Fetch(t.Context(), Token{Value: "t"}, read(t, "secret/a")); err != nil {
						t.Fatal(err)
					}
					if _, err := c.Renew(t.Context(), Token{Value: "t"}, "lease", 0); err != nil {
						t.Fatal(err)
					}
				}
				return opened.Load() - before
			}
			if n := exchange(usual, 3); n != 1 {
				t.Errorf("six requests took %d connections, want 1", n)
			}
			if n := exchange(once, 3); n != 6 {
				t.Errorf("six requests without reuse took %d connections, want 6", n)
			}
			if n := exchange(usual, 1); n != 0 {
				t.Errorf("the first client made %d more connections, want 0", n)
			}
		})
	}
}

func TestTheAnswerToAWriteIsReadToItsEnd(t *testing.T) {
	long := strings.Repeat("x", 4<<20)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, `{"data":{"long":%q}}`, long)
	}))
	t.Cleanup(server.Close)
	c, err := New(Config{Address: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	secret, err := c.Write(t.Context(), "t", "sys/tools/random", nil)
	if err != nil || secret.Data["long"] != long {
		t.Errorf("the answer did not arrive: %v", err)
	}
}

func TestAForeignTransportKeepsItsConnections(t *testing.T) {
	c := client(t, Config{}, func(*http.Request) (*http.Response, error) { return answer(200, `{"data":{}}`), nil })
	if once, err := c.WithoutReuse(); once != c || err != nil {
		t.Errorf("got another client, or %v", err)
	}
}

// VAULT_AGENT_ADDR in the environment of an agent led it to itself; with
// VAULT_WRAP_TTL it wrote an empty file, and lost the credential for it.
func TestTheEnvironmentOfOtherClientsChangesNoRequest(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if ttl := req.Header.Get("X-Vault-Wrap-TTL"); ttl != "" {
			t.Errorf("the answer is to be wrapped for %s seconds", ttl)
		}
		_, _ = w.Write([]byte(`{"data":{}}`))
	}))
	t.Cleanup(server.Close)
	t.Setenv("VAULT_AGENT_ADDR", "http://127.0.0.1:1")
	t.Setenv("VAULT_WRAP_TTL", "60")
	usual, err := New(Config{Address: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	once, err := usual.WithoutReuse()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []*Client{usual, once} {
		if _, err := c.Fetch(t.Context(), Token{}, read(t, "a/b")); err != nil {
			t.Error(err)
		}
	}
}

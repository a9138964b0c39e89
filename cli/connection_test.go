package cli

import (
	"encoding/pem"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
)

func TestConnectionSettingsTakePrecedenceByFlagThenOwnThenSharedVariable(t *testing.T) {
	const answer = `{"data":{"a":"b"}}`
	used := newFakeServer(t, map[string]reply{"GET /v1/kv/x": {body: answer}})
	other := newFakeServer(t, map[string]reply{"GET /v1/kv/x": {body: answer}})
	tests := []struct {
		name      string
		env       map[string]string
		flags     []string
		token     string
		namespace string
	}{
		{"VAULT_ variables", map[string]string{"VAULT_ADDR": used.URL, "VAULT_TOKEN": "v", "VAULT_NAMESPACE": "nv"}, nil, "v", "nv"},
		{"SECUREVAULT_ variables", map[string]string{"SECUREVAULT_ADDR": used.URL, "SECUREVAULT_TOKEN": "s", "SECUREVAULT_NAMESPACE": "ns"}, nil, "s", "ns"},
		{"SECUREVAULT_ wins over VAULT_", map[string]string{"VAULT_ADDR": other.URL, "VAULT_TOKEN": "v", "VAULT_NAMESPACE": "nv",
			"SECUREVAULT_ADDR": used.URL, "SECUREVAULT_TOKEN": "s", "SECUREVAULT_NAMESPACE": "ns"}, nil, "s", "ns"},
		{"flags win over both", map[string]string{"VAULT_ADDR": other.URL, "SECUREVAULT_ADDR": other.URL, "VAULT_TOKEN": "v", "VAULT_NAMESPACE": "nv"},
			[]string{"-address=" + used.URL, "-namespace=nf"}, "v", "nf"},
		{"the short flag of the namespace", map[string]string{"VAULT_ADDR": used.URL}, []string{"-ns", "nf"}, "", "nf"},
		{"a slash after the address", map[string]string{"VAULT_ADDR": used.URL + "/"}, nil, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := len(used.received())
			got := terminal{env: tt.env}.run(t, append(append([]string{"read", "-field=a"}, tt.flags...), "kv/x")...)
			got.want(t, ExitOK, "b", "")
			requests := used.received()[before:]
			if len(requests) != 1 || len(other.received()) != 0 {
				t.Fatalf("%d requests to the chosen server, %d to the other", len(requests), len(other.received()))
			}
			header := requests[0].header
			if token, namespace := header.Get("X-Vault-Token"), header.Get("X-Vault-Namespace"); token != tt.token || namespace != tt.namespace {
				t.Errorf("token %q, namespace %q; want %q and %q", token, namespace, tt.token, tt.namespace)
			}
		})
	}
}

func TestHeadersAndWrappingAreSent(t *testing.T) {
	server := newFakeServer(t, map[string]reply{"PUT /v1/kv/x": {}})
	c := at(t, server)
	c.env["VAULT_WRAP_TTL"] = "30s"
	c.run(t, "write", "-header=X-Team=a", "-header=X-Team=b", "-force", "kv/x")
	c.run(t, "write", "-wrap-ttl=60s", "-force", "kv/x")
	requests := server.received()
	if got := requests[0].header.Values("X-Team"); len(got) != 2 || got[0] != "a" || got[1] != "b" {
		t.Errorf("header X-Team %q", got)
	}
	if first, second := requests[0].header.Get("X-Vault-Wrap-TTL"), requests[1].header.Get("X-Vault-Wrap-TTL"); first != "30s" || second != "60s" {
		t.Errorf("wrapped for %q and %q, want 30s and 60s", first, second)
	}
	if got := requests[0].header.Get("X-Vault-Request"); got != "true" {
		t.Errorf("header X-Vault-Request %q", got)
	}
}

func TestRetriesHappenOnlyWhenAskedFor(t *testing.T) {
	server := newFakeServer(t, map[string]reply{"GET /v1/kv/x": {500, `{"errors":["x"]}`}})
	c := at(t, server)
	c.env["VAULT_MAX_RETRIES"] = "1"
	c.run(t, "read", "kv/x")
	if n := len(server.received()); n != 2 {
		t.Errorf("%d requests, want 2", n)
	}
}

func TestTheServersCertificateIsVerifiedUnlessToldOtherwise(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"data":{"a":"b"}}`))
	}))
	defer server.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	writeFile(t, ca, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))

	env := map[string]string{"VAULT_ADDR": server.URL}
	got := terminal{env: env}.run(t, "read", "kv/x")
	if got.code != ExitServer {
		t.Errorf("an unknown authority: exit code %d, want %d", got.code, ExitServer)
	}
	mentions(t, got.stderr, "name the CA with -ca-cert")
	terminal{env: env}.run(t, "read", "-ca-cert="+ca, "-field=a", "kv/x").want(t, ExitOK, "b", "")
	terminal{env: env}.run(t, "read", "-tls-skip-verify", "-field=a", "kv/x").want(t, ExitOK, "b", "")
	got = terminal{env: env}.run(t, "read", "-ca-cert="+ca, "-tls-server-name=other.test", "kv/x")
	mentions(t, got.stderr, "-tls-server-name")

	env["VAULT_SKIP_VERIFY"], env["SECUREVAULT_SKIP_VERIFY"] = "true", "false"
	if got = (terminal{env: env}).run(t, "read", "kv/x"); got.code != ExitServer {
		t.Errorf("SECUREVAULT_SKIP_VERIFY=false does not win over VAULT_SKIP_VERIFY=true")
	}
}

func TestAUnixSocketIsAnAddress(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &httptest.Server{Listener: listener, Config: &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"data":{"a":"b"}}`))
	})}}
	server.Start()
	defer server.Close()
	terminal{env: map[string]string{"VAULT_ADDR": "unix://" + socket}}.run(t, "read", "-field=a", "kv/x").want(t, ExitOK, "b", "")
}

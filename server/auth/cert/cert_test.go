package cert_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/auth/cert"
	"github.com/novatech/securevault/server/core/coretest"
)

const (
	read   = logical.ReadOperation
	update = logical.UpdateOperation
	del    = logical.DeleteOperation
)

// server is a server behind a TLS listener that asks for client certificates.
type server struct {
	*coretest.Server
	http *httptest.Server
	root *authority
}

// serve passes a request on to the core with what the handshake has shown.
func (s server) serve(w http.ResponseWriter, r *http.Request) {
	data := map[string]any{}
	if err := json.NewDecoder(r.Body).Decode(&data); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	req := &logical.Request{
		Operation: update, Path: strings.TrimPrefix(r.URL.Path, "/v1/"), Data: data, ClientToken: r.Header.Get("X-Vault-Token"),
		Connection: &logical.Connection{RemoteAddr: host, ConnState: r.TLS},
	}
	resp, err := s.Handle(r.Context(), req)
	if status, err := logical.RespondErrorCommon(req, resp, err); status != 0 {
		w.WriteHeader(status)
		json.NewEncoder(w).Encode(map[string]any{"errors": []string{err.Error()}})
		return
	}
	json.NewEncoder(w).Encode(logical.LogicalResponseToHTTPResponse(resp))
}

// start trusts the root under the name "web", with more.
func start(t *testing.T, more map[string]any) server {
	t.Helper()
	s := server{coretest.Start(t, map[string]logical.Factory{"cert": cert.Factory}), nil, newAuthority(t, "root", nil)}
	s.http = httptest.NewUnstartedServer(http.HandlerFunc(s.serve))
	s.http.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	s.http.StartTLS()
	t.Cleanup(s.http.Close)
	trust := map[string]any{"certificate": inPEM(s.root.certificate), "token_policies": "web", "token_ttl": "20m"}
	maps.Copy(trust, more)
	s.Must(t, coretest.Root, update, "auth/cert/certs/web", trust)
	return s
}

// answer is what the API says of a login or a renewal.
type answer struct {
	Auth struct {
		Token    string            `json:"client_token"`
		Policies []string          `json:"policies"`
		Metadata map[string]string `json:"metadata"`
		Duration int               `json:"lease_duration"`
	} `json:"auth"`
	Errors []string `json:"errors"`
}

// post sends a request over a connection that shows the certificates given.
func (s server) post(t *testing.T, path, token, body string, shown ...tls.Certificate) answer {
	t.Helper()
	transport := s.http.Client().Transport.(*http.Transport).Clone()
	transport.TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		if len(shown) == 0 {
			return &tls.Certificate{}, nil
		}
		return &shown[0], nil
	}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), "POST", s.http.URL+"/v1/"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Vault-Token", token)
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var a answer
	if err := json.Unmarshal(raw, &a); err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	return a
}

func (s server) login(t *testing.T, shown ...tls.Certificate) answer {
	t.Helper()
	return s.post(t, "auth/cert/login", "", `{}`, shown...)
}

func TestACertificateGivesAToken(t *testing.T) {
	s := start(t, map[string]any{"allowed_metadata_extensions": service.String(), "display_name": "shop"})
	got := s.login(t, s.root.client(t, newKey(t), nil))
	if len(got.Errors) > 0 || strings.Join(got.Auth.Policies, " ") != "default web" || got.Auth.Duration != 1200 {
		t.Fatalf("answer %+v", got)
	}
	want := map[string]string{"cert_name": "web", "common_name": "web.example.org", strings.ReplaceAll(service.String(), ".", "-"): "web"}
	for field, value := range want {
		if got.Auth.Metadata[field] != value {
			t.Errorf("metadata %s is %q; want %q", field, got.Auth.Metadata[field], value)
		}
	}
	if between := newAuthority(t, "between", s.root); len(s.login(t, between.client(t, newKey(t), nil)).Errors) > 0 {
		t.Error("one signed by an authority below the root is refused")
	}
}

func TestAClientsOwnCertificateMayBeTrusted(t *testing.T) {
	elsewhere := newAuthority(t, "elsewhere", nil)
	mine, other := elsewhere.client(t, newKey(t), nil), elsewhere.client(t, newKey(t), nil)
	s := start(t, map[string]any{"certificate": inPEM(mine.Leaf)})
	if got := s.login(t, mine); len(got.Errors) > 0 {
		t.Errorf("it is refused: %v", got.Errors)
	}
	if got := s.login(t, other); len(got.Errors) == 0 {
		t.Error("another of the same authority is not")
	}
}

func TestACertificateThatDoesNotFitIsRefused(t *testing.T) {
	s := start(t, nil)
	key := newKey(t)
	leaf := s.root.client(t, key, nil)
	pretender := &authority{certificate: leaf.Leaf, key: key, chain: leaf.Certificate}
	for name, shown := range map[string]tls.Certificate{
		"of another authority of that name": newAuthority(t, "root", nil).client(t, key, nil),
		"signed by a client":                pretender.client(t, newKey(t), nil),
		"expired":                           s.root.client(t, key, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Second) }),
		"not yet valid":                     s.root.client(t, key, func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Minute) }),
		"for servers": s.root.client(t, key, func(c *x509.Certificate) {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		}),
	} {
		if got := s.login(t, shown); len(got.Errors) == 0 || !strings.Contains(got.Errors[0], "none that is trusted fits") {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if got := s.login(t); len(got.Errors) == 0 || !strings.Contains(got.Errors[0], "connect over TLS with one") {
		t.Errorf("no certificate at all: %+v", got)
	}
	if got := s.post(t, "auth/cert/login", "", `{"name":"nobody"}`, leaf); len(got.Errors) == 0 {
		t.Error("a name that is not trusted is accepted")
	}
	if got := s.post(t, "auth/cert/login", "", `{"name":"Web"}`, leaf); len(got.Errors) > 0 {
		t.Errorf("the name that is trusted: %v", got.Errors)
	}
}

func TestConstraintsAreKept(t *testing.T) {
	s := start(t, nil)
	client := s.root.client(t, newKey(t), nil)
	oid := service.String()
	for _, c := range []struct {
		field, good, bad string
	}{
		{"allowed_names", "ops@*", "ops@elsewhere"},
		{"allowed_common_names", "db,web.*", "web"},
		{"allowed_dns_sans", "web", "*.elsewhere"},
		{"allowed_email_sans", "*@example.org", "root@example.org"},
		{"allowed_uri_sans", "spiffe://example.org/*", "spiffe://elsewhere/*"},
		{"allowed_organizational_units", "shop", "shops"},
		{"required_extensions", oid + ":w*", oid + ":db"},
		{"required_extensions", "hex:" + oid + ":0c03*", "hex:" + oid + ":0c04*"},
		{"required_extensions", oid + ":*", oid + ":*,1.2.3:*"},
	} {
		s.Must(t, coretest.Root, update, "auth/cert/certs/web", map[string]any{c.field: c.good})
		if got := s.login(t, client); len(got.Errors) > 0 {
			t.Errorf("%s=%s: %v", c.field, c.good, got.Errors)
		}
		s.Must(t, coretest.Root, update, "auth/cert/certs/web", map[string]any{c.field: c.bad})
		if got := s.login(t, client); len(got.Errors) == 0 {
			t.Errorf("%s=%s lets it in", c.field, c.bad)
		}
		s.Must(t, coretest.Root, update, "auth/cert/certs/web", map[string]any{c.field: ""})
	}
}

func TestARevokedCertificateIsRefused(t *testing.T) {
	s := start(t, nil)
	between := newAuthority(t, "between", s.root)
	direct, indirect, good := s.root.client(t, newKey(t), nil), between.client(t, newKey(t), nil), s.root.client(t, newKey(t), nil)
	s.Must(t, coretest.Root, update, "auth/cert/crls/root", map[string]any{"crl": s.root.revoke(t, direct.Leaf, between.certificate)})
	for name, shown := range map[string]tls.Certificate{"itself": direct, "an authority above it": indirect} {
		if got := s.login(t, shown); len(got.Errors) == 0 {
			t.Errorf("%s is revoked, but it logs in", name)
		}
	}
	if got := s.login(t, good); len(got.Errors) > 0 {
		t.Errorf("one that is not: %v", got.Errors)
	}
	serials := s.Must(t, coretest.Root, read, "auth/cert/crls/root", nil).Data["serials"].(map[string]any)
	if _, ok := serials[direct.Leaf.SerialNumber.String()]; !ok || len(serials) != 2 {
		t.Errorf("serials %v", serials)
	}
	s.Must(t, coretest.Root, del, "auth/cert/crls/root", nil)
	if got := s.login(t, direct); len(got.Errors) > 0 {
		t.Errorf("after the list is deleted: %v", got.Errors)
	}
}

func TestATokenIsRenewedOnlyWithItsKey(t *testing.T) {
	s := start(t, nil)
	key := newKey(t)
	first, second, stranger := s.root.client(t, key, nil), s.root.client(t, key, nil), s.root.client(t, newKey(t), nil)
	token := s.login(t, first).Auth.Token
	renew := func(shown ...tls.Certificate) []string {
		return s.post(t, "auth/token/renew-self", token, `{}`, shown...).Errors
	}
	if errs := renew(first); len(errs) > 0 {
		t.Errorf("with the certificate of the login: %v", errs)
	}
	if errs := renew(second); len(errs) > 0 {
		t.Errorf("with a new certificate of the same key: %v", errs)
	}
	for name, errs := range map[string][]string{"with another key": renew(stranger), "with none": renew()} {
		if len(errs) == 0 || !strings.Contains(errs[0], "bound to the key of its login") {
			t.Errorf("%s: %v", name, errs)
		}
	}
	s.Must(t, coretest.Root, update, "auth/cert/crls/root", map[string]any{"crl": s.root.revoke(t, first.Leaf)})
	if errs := renew(first); len(errs) == 0 || !strings.Contains(errs[0], "not trusted any more") {
		t.Errorf("with a certificate that was revoked: %v", errs)
	}
	s.Must(t, coretest.Root, update, "auth/cert/config", map[string]any{"disable_binding": true})
	if errs := renew(); len(errs) > 0 {
		t.Errorf("unbound: %v", errs)
	}
	s.Must(t, coretest.Root, del, "auth/cert/certs/web", nil)
	if errs := renew(first); len(errs) == 0 {
		t.Error("renewed although its certificate is no longer trusted")
	}
}

func TestCertificatesThatMakeNoSense(t *testing.T) {
	s := start(t, nil)
	for name, c := range map[string]struct {
		path string
		data map[string]any
		want string
	}{
		"no certificate":          {"certs/new", nil, "there is none"},
		"a key":                   {"certs/new", map[string]any{"certificate": "-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----"}, "certificates only"},
		"broken":                  {"certs/new", map[string]any{"certificate": "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----"}, "certificate:"},
		"OCSP":                    {"certs/web", map[string]any{"ocsp_enabled": true}, "revocation list"},
		"an extension without id": {"certs/web", map[string]any{"required_extensions": "web"}, "OID:pattern"},
		"a list at a URL":         {"crls/new", map[string]any{"url": "http://localhost/crl"}, "url is not supported"},
		"a list that is none":     {"crls/new", map[string]any{"crl": inPEM(s.root.certificate)}, "X509 CRL"},
	} {
		resp, err := s.Do(t, coretest.Root, update, "auth/cert/"+c.path, c.data)
		if err == nil {
			err = resp.Error()
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; want %q", name, err, c.want)
		}
	}
}

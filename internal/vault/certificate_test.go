package vault

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// certify writes a self-signed client certificate and its key.
func certify(t *testing.T, dir, name string) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return writePEM(t, dir, "cert.pem", "CERTIFICATE", der), writePEM(t, dir, "key.pem", "EC PRIVATE KEY", secret)
}

func writePEM(t *testing.T, dir, name, kind string, der []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// tlsServer answers with the name in the client's certificate as the token.
func tlsServer(t *testing.T) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		name := "nobody"
		if certs := req.TLS.PeerCertificates; len(certs) > 0 {
			name = certs[0].Subject.CommonName
		}
		_, _ = fmt.Fprintf(w, `{"auth":{"client_token":%q}}`, name)
	}))
	server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

func TestTheCertificateIsReadAgainWhenAskedTo(t *testing.T) {
	server, dir := tlsServer(t), t.TempDir()
	authority := writePEM(t, dir, "ca.pem", "CERTIFICATE", server.Certificate().Raw)
	for _, reload := range []bool{false, true} {
		cert, key := certify(t, dir, "first")
		plain, err := New(Config{Address: server.URL, CACert: authority})
		if err != nil {
			t.Fatal(err)
		}
		// Its connection must not carry the requests of the other.
		if auth, err := plain.Login(t.Context(), "auth/cert/login", map[string]any{}); err != nil || auth.Token != "nobody" {
			t.Fatalf("a client without a certificate: %v", err)
		}
		c, err := plain.WithCertificate(Certificate{CACert: authority, Cert: cert, Key: key, Reload: reload})
		if err != nil {
			t.Fatal(err)
		}
		expect := func(c *Client, want Sensitive) {
			t.Helper()
			auth, err := c.Login(t.Context(), "auth/cert/login", map[string]any{})
			if err != nil {
				t.Fatal(err)
			}
			if auth.Token != want {
				t.Errorf("reload %v: the server saw the certificate of %q, want %q", reload, auth.Token.Reveal(), want.Reveal())
			}
		}
		expect(c, "first")
		expect(plain, "nobody")
		certify(t, dir, "second")
		if reload {
			expect(c, "second")
		} else {
			expect(c, "first")
		}
	}
}

func TestCertificateFilesThatCannotBeUsed(t *testing.T) {
	server, dir := tlsServer(t), t.TempDir()
	authority := writePEM(t, dir, "ca.pem", "CERTIFICATE", server.Certificate().Raw)
	cert, key := certify(t, dir, "app")
	empty, missing := filepath.Join(dir, "empty"), filepath.Join(dir, "missing")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name  string
		files Certificate
		says  []string
	}{
		{"no authority in the file", Certificate{CACert: empty}, []string{"ca_cert", empty}},
		{"a missing authority", Certificate{CACert: missing}, []string{"ca_cert", missing}},
		{"a certificate without its key", Certificate{Cert: cert, Key: missing}, []string{"client_key", missing}},
		{"a key of something else", Certificate{Cert: authority, Key: key}, []string{authority, key, "correct the paths"}},
		{"a server that is not the authority's", Certificate{CACert: cert}, []string{"certificate"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			plain, err := New(Config{Address: server.URL, CACert: authority})
			if err != nil {
				t.Fatal(err)
			}
			c, err := plain.WithCertificate(test.files)
			if err != nil {
				t.Fatal(err)
			}
			_, err = c.Login(t.Context(), "auth/cert/login", map[string]any{})
			for _, part := range test.says {
				if err == nil || !strings.Contains(err.Error(), part) {
					t.Errorf("error %v does not say %q", err, part)
				}
			}
			if Classify(err) != Later {
				t.Errorf("class = %v, want %v: the files may be put right", Classify(err), Later)
			}
		})
	}
}

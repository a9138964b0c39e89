package vault

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"
)

// signer answers every request as a PKI engine answers one to sign. It keeps
// what it was sent.
type signer struct {
	bodies []string
	other  bool // certify another key than the request's
}

// RoundTrip implements [http.RoundTripper].
func (s *signer) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	s.bodies = append(s.bodies, string(body))
	var params struct{ CSR string }
	if err := json.Unmarshal(body, &params); err != nil {
		return nil, err
	}
	block, _ := pem.Decode([]byte(params.CSR))
	if block == nil {
		return nil, fmt.Errorf("no signing request in %s", body)
	}
	request, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, err
	}
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), Subject: request.Subject, DNSNames: request.DNSNames,
		EmailAddresses: request.EmailAddresses, IPAddresses: request.IPAddresses, URIs: request.URIs,
	}
	subject := request.PublicKey
	if s.other {
		subject = public
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, subject, key)
	if err != nil {
		return nil, err
	}
	answer, err := json.Marshal(map[string]any{"data": map[string]any{
		"certificate": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
	}})
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(bytes.NewReader(answer)), Request: r}, err
}

func signingClient(t *testing.T, s *signer) *Client {
	t.Helper()
	client, err := New(Config{Address: "http://127.0.0.1:8200", Transport: s})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// Reference, section 2, row 17.
func TestAKeyMadeHereIsCertifiedAndNeverSent(t *testing.T) {
	kinds := map[string]func(any) bool{
		"":         func(key any) bool { k, ok := key.(*ecdsa.PrivateKey); return ok && k.Curve == elliptic.P256() },
		"ec 384":   func(key any) bool { k, ok := key.(*ecdsa.PrivateKey); return ok && k.Curve == elliptic.P384() },
		"ec 521":   func(key any) bool { k, ok := key.(*ecdsa.PrivateKey); return ok && k.Curve == elliptic.P521() },
		"rsa":      func(key any) bool { k, ok := key.(*rsa.PrivateKey); return ok && k.N.BitLen() == 2048 },
		"rsa 3072": func(key any) bool { k, ok := key.(*rsa.PrivateKey); return ok && k.N.BitLen() == 3072 },
		"ed25519":  func(key any) bool { _, ok := key.(ed25519.PrivateKey); return ok },
	}
	for kind, right := range kinds {
		t.Run(kind, func(t *testing.T) {
			server := &signer{}
			name, bits, _ := strings.Cut(kind, " ")
			params := map[string]any{"common_name": "a.example", "alt_names": "b.example, me@c.example", "ip_sans": "10.0.0.1", "uri_sans": "spiffe://d/e", "ttl": "1h"}
			if name != "" {
				params["key_type"], params["key_bits"] = name, bits
			}
			w, err := SignWant("pki/sign/web", params)
			if err != nil {
				t.Fatal(err)
			}
			secret, err := signingClient(t, server).Fetch(t.Context(), Token{Value: "t", Epoch: 1}, w)
			if err != nil {
				t.Fatal(err)
			}
			certificate, _ := secret.Data["certificate"].(string)
			text, _ := secret.Data["private_key"].(string)
			pair, err := tls.X509KeyPair([]byte(certificate), []byte(text))
			if err != nil || !right(pair.PrivateKey) {
				t.Fatalf("the pair has a %T, %v", pair.PrivateKey, err)
			}
			leaf := pair.Leaf
			if got := fmt.Sprint(leaf.Subject.CommonName, " ", leaf.DNSNames, leaf.EmailAddresses, leaf.IPAddresses, leaf.URIs); got != "a.example [a.example b.example] [me@c.example] [10.0.0.1] [spiffe://d/e]" {
				t.Errorf("the certificate is for %s", got)
			}
			sent := strings.Join(server.bodies, "")
			if strings.Contains(sent, "PRIVATE") || strings.Contains(sent, "key_type") || !strings.Contains(sent, `"ttl":"1h"`) || len(server.bodies) != 1 {
				t.Errorf("sent %s", sent)
			}
		})
	}
}

func TestACertificateForAnotherKeyIsRefused(t *testing.T) {
	w, err := SignWant("pki/sign/web", nil)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := signingClient(t, &signer{other: true}).Fetch(t.Context(), Token{Value: "t", Epoch: 1}, w)
	if secret != nil || Classify(err) != Refused || !strings.Contains(err.Error(), "another key") {
		t.Errorf("got %v, %v", secret, err)
	}
}

func TestSignWantsThatAreRefused(t *testing.T) {
	for name, test := range map[string]struct {
		path, key, value, says string
	}{
		"a path that issues":      {"pki/issue/web", "ttl", "1h", "use the path with sign"},
		"no path":                 {"", "ttl", "1h", "empty"},
		"a strange key":           {"pki/sign/web", "key_type", "dsa", `"dsa"`},
		"a weak key":              {"pki/sign/web", "key_bits", "1024", "2048"},
		"an address that is none": {"pki/sign/web", "ip_sans", "10.0.0", `"10.0.0" in ip_sans`},
		"a URI that is none":      {"pki/sign/web", "uri_sans", "%zz", `in uri_sans`},
	} {
		if _, err := SignWant(test.path, map[string]any{test.key: test.value}); err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: error %v, want %q", name, err, test.says)
		}
	}
}

func TestWantsToSignAreNamedAndSharedByTheirParameters(t *testing.T) {
	first, _ := SignWant("pki/sign/web", map[string]any{"common_name": "a"})
	second, _ := SignWant("/v1/pki/sign/web/", map[string]any{"common_name": "a"})
	written, _ := WriteWant("pki/sign/web", map[string]any{"common_name": "a"})
	if first != second || first == written || first.String() != "sign pki/sign/web" {
		t.Errorf("%+v, %+v, %s", first, second, first)
	}
}

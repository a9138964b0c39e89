package templates

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/novatech/securevault/internal/vault"
)

// pemOf returns a certificate that signs itself, and its key.
func pemOf(t *testing.T, serial int64) (certificate, key string) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), NotAfter: time.Now().Add(time.Hour), IsCA: serial > 1, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	block := func(kind string, bytes []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: bytes}))
	}
	return block("CERTIFICATE", der), block("PRIVATE KEY", encoded)
}

func TestPKICertHasTheShapeOfConsulTemplates(t *testing.T) {
	leaf, key := pemOf(t, 1)
	issuer, _ := pemOf(t, 2)
	root, _ := pemOf(t, 3)
	const fields = `{{ .Cert }}|{{ .Key }}|{{ .CA }}|{{ range .CAChain }}{{ . }},{{ end }}|{{ .Data.Cert }}`
	want := strings.Join([]string{leaf, key, issuer, issuer + "," + root + ",", leaf}, "|")
	tests := map[string]map[string]any{
		"the server's usual answer": {
			"certificate": strings.TrimSpace(leaf), "private_key": key, "issuing_ca": strings.TrimSpace(issuer),
			"ca_chain": []any{issuer, root}, "serial_number": "1", "private_key_type": "ed25519",
		},
		"a bundle":        {"certificate": key + leaf + issuer, "private_key": key, "issuing_ca": issuer, "ca_chain": []any{issuer, root}},
		"only the chains": {"certificate": leaf, "private_key": key, "ca_chain": []any{issuer, root}},
	}
	for name, data := range tests {
		t.Run(name, func(t *testing.T) {
			have := store{`write pki/issue/web{"common_name":"a.b","ttl":"1h"}`: {Data: data}}
			got, err := render(t, Config{Contents: `{{ with pkiCert "pki/issue/web" "common_name=a.b" " ttl = 1h" "" }}` + fields + `{{ end }}`}, have)
			if err != nil || len(got.Pending) > 0 || string(got.Output) != want {
				t.Errorf("got %s, %v, pending %v; want %s", got.Output, err, got.Pending, want)
			}
		})
	}
}

func TestPKICertThatIsPending(t *testing.T) {
	text := `{{ (pkiCert "pki/sign/web" "csr=local" "common_name=a.b").Data.Cert }}{{ with pkiCert "pki/issue/web" }}{{ .Key }}{{ end }}` +
		`{{ (pkiCert "pki/issue/web").CAChain }}{{ secret (env "REGION") }}`
	got, err := render(t, Config{Contents: text}, nil)
	if err != nil || len(got.Pending) != 3 || got.Output != nil {
		t.Fatalf("pending %v, %v, output %q", got.Pending, err, got.Output)
	}
	sign, err := vault.SignWant("pki/sign/web", map[string]any{"common_name": "a.b"})
	if err != nil || got.Pending[0] != sign {
		t.Errorf("wants %+v, %v; want %+v", got.Pending[0], err, sign)
	}
}

func TestPKICertSharesItsCertificateWithSecret(t *testing.T) {
	got, err := render(t, Config{Contents: `{{ pkiCert "pki/issue/web" "common_name=a.b" }}{{ secret "pki/issue/web" "common_name=a.b" }}`}, nil)
	if err != nil || len(got.Wants) != 1 {
		t.Errorf("wants %v, %v", got.Wants, err)
	}
}

func TestPKICertWithoutACertificateIsAnError(t *testing.T) {
	_, key := pemOf(t, 1)
	for name, data := range map[string]map[string]any{
		"der":     {"certificate": "MIIB", "private_key": "MC4C"},
		"none":    {"private_key": key},
		"garbage": {"certificate": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"},
	} {
		_, err := render(t, Config{Name: "t", Contents: `{{ pkiCert "pki/issue/web" }}`}, store{"write pki/issue/web": {Data: data}})
		if err == nil || !strings.HasPrefix(err.Error(), "t:1: ") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

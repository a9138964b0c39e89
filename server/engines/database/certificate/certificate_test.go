package certificate

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/novatech/securevault/server/engines/database/fault"
)

// ca is an authority made for a test.
type ca struct {
	certificate *x509.Certificate
	key         crypto.Signer
}

func newKey(t testing.TB, kind string) crypto.Signer {
	t.Helper()
	var key crypto.Signer
	var err error
	switch kind {
	case "rsa":
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	case "ed25519":
		_, key, err = ed25519.GenerateKey(rand.Reader)
	default:
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// newCA makes an authority, signed by issuer or, if that is nil, by itself.
func newCA(t testing.TB, kind string, issuer *ca, change func(*x509.Certificate)) *ca {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "test CA of " + kind},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(48 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	if issuer != nil {
		template.Subject.CommonName += ", intermediate"
	}
	if change != nil {
		change(template)
	}
	made := &ca{key: newKey(t, kind)}
	if issuer == nil {
		issuer = &ca{template, made.key}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer.certificate, made.key.Public(), issuer.key)
	if err == nil {
		made.certificate, err = x509.ParseCertificate(der)
	}
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func (c *ca) pem() string { return encode(c.certificate) }

func (c *ca) keyPEM(t testing.TB) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(c.key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func mustParse(t testing.TB, certificate, key string) *Authority {
	t.Helper()
	authority, err := ParseAuthority(certificate, key, "ca_cert", "ca_private_key")
	if err != nil {
		t.Fatal(err)
	}
	return authority
}

func TestACertificateLogsItsHolderIn(t *testing.T) {
	for _, signer := range []string{"rsa", "ec", "ed25519"} {
		for name, settings := range map[string]Settings{
			"default": {}, "rsa": {KeyType: "rsa", SignatureBits: 384}, "large ec": {KeyType: "ec", KeyBits: 384, SignatureBits: 512}, "ed25519": {KeyType: "ed25519"},
		} {
			t.Run(name+" by "+signer, func(t *testing.T) {
				root := newCA(t, signer, nil, nil)
				middle := newCA(t, signer, root, nil)
				made, err := mustParse(t, middle.pem()+root.pem(), middle.keyPEM(t)).Issue("v-app-1", time.Now().Add(time.Hour), settings)
				if err != nil {
					t.Fatal(err)
				}
				pair, err := tls.X509KeyPair([]byte(made.Leaf), []byte(made.Key))
				if err != nil {
					t.Fatalf("certificate and key do not fit: %v", err)
				}
				roots, between := x509.NewCertPool(), x509.NewCertPool()
				roots.AddCert(root.certificate)
				between.AppendCertsFromPEM([]byte(made.Leaf)) // with the chain a client sends
				_, err = pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
				if err != nil {
					t.Errorf("the certificate is not accepted: %v", err)
				}
				if pair.Leaf.Subject.String() != "CN=v-app-1" || made.Subject != "CN=v-app-1" || pair.Leaf.IsCA {
					t.Errorf("the certificate is of %s, told as %s", pair.Leaf.Subject, made.Subject)
				}
				if len(made.Chain) != 2 || made.Chain[0] != middle.pem() || made.Chain[1] != root.pem() || strings.Contains(made.Leaf, root.pem()) {
					t.Error("the chain is not the signer, then the root; or clients would send the root")
				}
			})
		}
	}
}

func TestACertificateEndsWithItsLeaseOrItsAuthority(t *testing.T) {
	end := time.Now().Add(2 * time.Hour).Truncate(time.Second)
	root := newCA(t, "ec", nil, func(c *x509.Certificate) { c.NotAfter = end })
	middle := newCA(t, "ec", root, nil)
	authority := mustParse(t, middle.pem()+root.pem(), middle.keyPEM(t))
	if !authority.Until().Equal(end) {
		t.Errorf("the authority ends at %s, want %s", authority.Until(), end)
	}
	for wanted, want := range map[time.Duration]time.Time{time.Hour: time.Now().Add(time.Hour), 9 * time.Hour: end} {
		made, err := authority.Issue("app", time.Now().Add(wanted), Settings{})
		if err != nil {
			t.Fatal(err)
		}
		pair, err := tls.X509KeyPair([]byte(made.Leaf), []byte(made.Key))
		if err != nil {
			t.Fatal(err)
		}
		if off := pair.Leaf.NotAfter.Sub(want); off < 0 || off > 2*time.Second || !pair.Leaf.NotAfter.Equal(made.Until) {
			t.Errorf("asked for %s, the certificate ends at %s, told as %s, want %s", wanted, pair.Leaf.NotAfter, made.Until, want)
		}
	}
}

func TestAnAuthorityThatDoesNotFitIsRefused(t *testing.T) {
	good, other := newCA(t, "ec", nil, nil), newCA(t, "ec", nil, nil)
	past := newCA(t, "ec", nil, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
	early := newCA(t, "ec", nil, func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Hour) })
	leaf := newCA(t, "ec", nil, func(c *x509.Certificate) { c.IsCA = false })
	useless := newCA(t, "ec", nil, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature })
	cases := map[string]struct{ certificate, key, want string }{
		"no certificate":     {"", good.keyPEM(t), "ca_cert is missing"},
		"no key":             {good.pem(), "", "ca_private_key is missing"},
		"no PEM":             {"hello", good.keyPEM(t), "ca_cert holds no certificate"},
		"key no PEM":         {good.pem(), "hello", "ca_private_key holds no key"},
		"key in certificate": {good.keyPEM(t) + good.pem(), good.keyPEM(t), "a block that is no certificate"},
		"certificate as key": {good.pem(), good.pem(), "no RSA, EC or Ed25519 key"},
		"damaged":            {strings.Replace(good.pem(), "MI", "AA", 1), good.keyPEM(t), "damaged certificate (number 1)"},
		"another's key":      {good.pem(), other.keyPEM(t), "ca_private_key is not the key of ca_cert"},
		"wrong order":        {good.pem() + other.pem(), good.keyPEM(t), "not signed by the one after it"},
		"ended":              {past.pem(), past.keyPEM(t), "ended at"},
		"not yet":            {early.pem(), early.keyPEM(t), "is valid from"},
		"no CA":              {leaf.pem(), leaf.keyPEM(t), "may not sign certificates"},
		"not for signing":    {useless.pem(), useless.keyPEM(t), "may not sign certificates"},
		"encrypted":          {good.pem(), strings.ReplaceAll(good.keyPEM(t), "PRIVATE", "ENCRYPTED PRIVATE"), "ca_private_key is encrypted"},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := ParseAuthority(test.certificate, test.key, "ca_cert", "ca_private_key")
			if fault.ClassOf(err) != fault.Refused || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want a refusal that says %q", err, test.want)
			}
		})
	}
}

func TestSettingsThatMakeNoSenseAreRefused(t *testing.T) {
	for want, settings := range map[string]Settings{
		`key_type "dsa" is unknown`:      {KeyType: "dsa"},
		"key_bits 1024 is unknown":       {KeyType: "rsa", KeyBits: 1024},
		"key_bits 2048 is unknown":       {KeyBits: 2048},
		"one size, leave it out":         {KeyType: "ed25519", KeyBits: 256},
		"signature_bits 160 is unknown":  {SignatureBits: 160},
		"signature_bits -256 is unknown": {SignatureBits: -256},
	} {
		if err := settings.Check(); fault.ClassOf(err) != fault.Refused || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: got %v, want a refusal that says %q", settings, err, want)
		}
	}
}

func FuzzParseAuthority(f *testing.F) {
	good := newCA(f, "ec", nil, nil)
	f.Add(good.pem(), good.keyPEM(f))
	f.Add("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----", "-----BEGIN EC PRIVATE KEY-----\n-----END EC PRIVATE KEY-----")
	f.Add(good.pem(), "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----")
	f.Fuzz(func(t *testing.T, certificate, key string) {
		authority, err := ParseAuthority(certificate, key, "ca_cert", "ca_private_key")
		if err != nil {
			if fault.ClassOf(err) != fault.Refused {
				t.Errorf("%v is no refusal", err)
			}
			return
		}
		if _, err := authority.Issue("app", time.Now().Add(time.Hour), Settings{}); err != nil {
			t.Errorf("an authority that was accepted does not sign: %v", err)
		}
	})
}

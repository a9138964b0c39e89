// Package certificate makes the client certificates with which users log in to a
// database.
//
// An operator gives an authority (authority.go): a CA certificate and its key. It
// signs a certificate and a new key for each user (certificate.go), of the kind
// that the operator's Settings ask for (settings.go).
//
// It promises: what does not fit together is refused with the name of the field to
// correct, no error repeats a key, and no certificate outlives its authority.
package certificate

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"time"

	"github.com/novatech/securevault/server/engines/database/fault"
)

// Authority is a CA that signs certificates. It may be used concurrently.
type Authority struct {
	chain []*x509.Certificate // the signer, then who vouches for it
	key   crypto.Signer
}

// ParseAuthority reads a CA certificate, with the certificates of its own
// authorities after it, and the CA's key, both in PEM. Errors are in the class
// fault.Refused and name the fields as operators write them.
func ParseAuthority(certificate, key, certificateField, keyField string) (*Authority, error) {
	switch {
	case certificate == "":
		return nil, fault.New(fault.Refused, "%s is missing: write it next to %s", certificateField, keyField)
	case key == "":
		return nil, fault.New(fault.Refused, "%s is missing: write it next to %s", keyField, certificateField)
	}
	chain, err := parseChain(certificate, certificateField)
	if err != nil {
		return nil, err
	}
	for _, authority := range chain {
		if err := mayVouch(authority, certificateField); err != nil {
			return nil, err
		}
	}
	signer, err := parseKey(key, keyField)
	if err != nil {
		return nil, err
	}
	if public, ok := signer.Public().(interface{ Equal(crypto.PublicKey) bool }); !ok || !public.Equal(chain[0].PublicKey) {
		return nil, fault.New(fault.Refused, "%s is not the key of %s: write the two that were made together, the CA's own certificate first", keyField, certificateField)
	}
	return &Authority{chain: chain, key: signer}, nil
}

// Until returns when the authority, or one of those that vouch for it, ends.
func (a *Authority) Until() time.Time {
	until := a.chain[0].NotAfter
	for _, issuer := range a.chain[1:] {
		if issuer.NotAfter.Before(until) {
			until = issuer.NotAfter
		}
	}
	return until
}

func parseChain(text, field string) ([]*x509.Certificate, error) {
	var chain []*x509.Certificate
	for block, rest := pem.Decode([]byte(text)); block != nil; block, rest = pem.Decode(rest) {
		// It is read back: a key in it would be shown.
		if block.Type != "CERTIFICATE" {
			return nil, fault.New(fault.Refused, "%s holds a block that is no certificate: keep only the parts between BEGIN CERTIFICATE and END CERTIFICATE", field)
		}
		parsed, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fault.New(fault.Refused, "%s holds a damaged certificate (number %d): write it as the CA gave it", field, len(chain)+1)
		}
		chain = append(chain, parsed)
	}
	if len(chain) == 0 {
		return nil, fault.New(fault.Refused, "%s holds no certificate: write it in PEM, as %s=@ca.pem", field, field)
	}
	for i, issuer := range chain[1:] {
		if chain[i].CheckSignatureFrom(issuer) != nil {
			return nil, fault.New(fault.Refused, "certificate %d of %s is not signed by the one after it: write the signing CA first, then its issuer, and so on", i+1, field)
		}
	}
	return chain, nil
}

// mayVouch reports why a certificate is no authority, or none now.
func mayVouch(c *x509.Certificate, field string) error {
	now := time.Now()
	switch {
	case !c.BasicConstraintsValid || !c.IsCA, c.KeyUsage != 0 && c.KeyUsage&x509.KeyUsageCertSign == 0:
		return fault.New(fault.Refused, "%s: %q may not sign certificates: write the certificate of a CA", field, c.Subject)
	case now.After(c.NotAfter):
		return fault.New(fault.Refused, "%s: %q ended at %s: write one that is valid, and its key", field, c.Subject, c.NotAfter.Format(time.DateTime))
	case now.Before(c.NotBefore):
		return fault.New(fault.Refused, "%s: %q is valid from %s only: write one that is valid, or correct the clock", field, c.Subject, c.NotBefore.Format(time.DateTime))
	}
	return nil
}

func parseKey(text, field string) (crypto.Signer, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, fault.New(fault.Refused, "%s holds no key: write it in PEM, as %s=@ca-key.pem", field, field)
	}
	if strings.Contains(block.Type, "ENCRYPTED") || block.Headers["DEK-Info"] != "" {
		return nil, fault.New(fault.Refused, "%s is encrypted: write it without its passphrase, as openssl pkey -in FILE gives it", field)
	}
	var key any
	var err error
	switch block.Type {
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	default:
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	}
	signer, ok := key.(crypto.Signer)
	if err != nil || !ok {
		return nil, fault.New(fault.Refused, "%s is no RSA, EC or Ed25519 key: write the key of the CA, as openssl pkey -in FILE gives it", field)
	}
	return signer, nil
}

// encode returns certificates as PEM, one after the other.
func encode(certificates ...*x509.Certificate) string {
	var text strings.Builder
	for _, certificate := range certificates {
		text.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw}))
	}
	return text.String()
}

func selfSigned(certificate *x509.Certificate) bool {
	return bytes.Equal(certificate.RawSubject, certificate.RawIssuer) && certificate.CheckSignatureFrom(certificate) == nil
}

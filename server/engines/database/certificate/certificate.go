package certificate

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"time"
)

const (
	// MaxName is the most bytes that a common name may have (RFC 5280).
	MaxName = 64

	serialBits = 128
	// skew is how far a database's clock may be behind ours.
	skew = 30 * time.Second
)

// Certificate is a client certificate and what its holder needs to use it. All
// parts are PEM.
type Certificate struct {
	Subject string    // "CN=…"
	Leaf    string    // the certificate, then the authorities between it and the root
	Key     string    // PKCS #8; a secret
	KeyType string    // as in Settings
	Chain   []string  // the authorities, the signer first
	Until   time.Time // its last second
}

// Issue makes a key and a certificate for it that a client of that common name
// can log in with until then, or until the authority ends.
func (a *Authority) Issue(commonName string, until time.Time, settings Settings) (Certificate, error) {
	if err := settings.Check(); err != nil {
		return Certificate{}, err
	}
	key, err := settings.newKey()
	if err != nil {
		return Certificate{}, fmt.Errorf("making a key: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), serialBits))
	if err != nil {
		return Certificate{}, fmt.Errorf("making a serial number: %w", err)
	}
	// Certificates count in whole seconds, and x509 would cut the last one.
	until = until.Add(time.Second - 1).Truncate(time.Second)
	if end := a.Until(); end.Before(until) {
		until = end
	}
	template := &x509.Certificate{
		SerialNumber:       serial,
		Subject:            pkix.Name{CommonName: commonName},
		NotBefore:          time.Now().Add(-skew),
		NotAfter:           until,
		KeyUsage:           x509.KeyUsageDigitalSignature,
		ExtKeyUsage:        []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		SignatureAlgorithm: settings.algorithm(a.key.Public()),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.chain[0], key.Public(), a.key)
	if err != nil {
		return Certificate{}, fmt.Errorf("signing a certificate: %w", err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return Certificate{}, fmt.Errorf("encoding a key: %w", err)
	}
	made := Certificate{
		Subject: "CN=" + commonName,
		Leaf:    string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		Key:     string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})),
		KeyType: settings.keyType(),
		Until:   until,
	}
	for _, authority := range a.chain {
		made.Chain = append(made.Chain, encode(authority))
		// Whoever verifies has the root already.
		if !selfSigned(authority) {
			made.Leaf += encode(authority)
		}
	}
	return made, nil
}

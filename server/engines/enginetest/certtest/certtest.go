// Package certtest makes an authority of certificates that lives as long as a
// test, and the certificates of servers and clients that it vouches for.
package certtest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// life is how long certificates are good for: longer than any test.
const life = 24 * time.Hour

// Authority signs certificates.
type Authority struct {
	certificate *x509.Certificate
	key         crypto.Signer
}

// New makes an authority with a key of its own.
func New(name string) (*Authority, error) {
	template, err := newTemplate(name)
	if err != nil {
		return nil, err
	}
	template.IsCA, template.KeyUsage = true, x509.KeyUsageCertSign|x509.KeyUsageCRLSign
	a := &Authority{certificate: template}
	a.certificate, a.key, err = a.sign(template)
	return a, err
}

func newTemplate(name string) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		return nil, fmt.Errorf("making a serial number: %w", err)
	}
	return &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name}, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(life),
	}, nil
}

// sign makes a certificate with a new key. The authority's own comes first,
// and signs itself.
func (a *Authority) sign(template *x509.Certificate) (*x509.Certificate, crypto.Signer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("making a key: %w", err)
	}
	var signer crypto.Signer = key
	if a.key != nil {
		signer = a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), signer)
	if err != nil {
		return nil, nil, fmt.Errorf("signing a certificate: %w", err)
	}
	signed, err := x509.ParseCertificate(der)
	return signed, key, err
}

// PEM returns the authority's own certificate.
func (a *Authority) PEM() []byte { return inPEM("CERTIFICATE", a.certificate.Raw) }

// KeyPEM returns the authority's key, for an engine that is to sign with it.
func (a *Authority) KeyPEM() ([]byte, error) {
	key, err := x509.MarshalPKCS8PrivateKey(a.key)
	if err != nil {
		return nil, fmt.Errorf("encoding a key: %w", err)
	}
	return inPEM("PRIVATE KEY", key), nil
}

// Pool returns what trusts the authority and nobody else.
func (a *Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.certificate)
	return pool
}

// Issue makes a certificate for servers at hosts, names or addresses, and for
// clients.
func (a *Authority) Issue(name string, hosts ...string) (tls.Certificate, error) {
	template, err := newTemplate(name)
	if err != nil {
		return tls.Certificate{}, err
	}
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	signed, key, err := a.sign(template)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{signed.Raw}, PrivateKey: key, Leaf: signed}, nil
}

// Files is where a certificate, its key and its authority's certificate are.
type Files struct {
	Certificate, Key, Authority string
}

// Write issues a certificate and writes it to files in folder named after it.
func (a *Authority) Write(folder, name string, hosts ...string) (Files, error) {
	made, err := a.Issue(name, hosts...)
	if err != nil {
		return Files{}, err
	}
	key, err := x509.MarshalPKCS8PrivateKey(made.PrivateKey)
	if err != nil {
		return Files{}, fmt.Errorf("encoding a key: %w", err)
	}
	files := Files{
		Certificate: filepath.Join(folder, name+".crt"), Key: filepath.Join(folder, name+".key"), Authority: filepath.Join(folder, name+"-ca.crt"),
	}
	for file, content := range map[string][]byte{
		files.Certificate: inPEM("CERTIFICATE", made.Certificate[0]), files.Key: inPEM("PRIVATE KEY", key), files.Authority: a.PEM(),
	} {
		if err := os.WriteFile(file, content, 0o600); err != nil {
			return Files{}, err
		}
	}
	return files, nil
}

func inPEM(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

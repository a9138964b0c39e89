package details

import (
	"crypto/tls"
	"crypto/x509"

	"github.com/novatech/securevault/server/engines/database/fault"
)

// TLS says how a database proves who it is, and how the server does.
type TLS struct {
	CA             string // PEM of the authorities to trust; empty: the system's
	CertificateKey string // PEM of a certificate, its chain and its key; empty: none
	ServerName     string // the name to expect; empty: the host's
	SkipVerify     bool   // trust anybody: for tests
}

// Config returns the settings for a connection. The fields are named in errors
// as operators write them: caField, certificateField.
func (t TLS) Config(caField, certificateField string) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName, InsecureSkipVerify: t.SkipVerify}
	if t.CA != "" {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM([]byte(t.CA)) {
			return nil, fault.New(fault.Refused, "%s holds no certificate: write %s=@ca.pem with certificates in PEM", caField, caField)
		}
	}
	if t.CertificateKey != "" {
		pair, err := tls.X509KeyPair([]byte(t.CertificateKey), []byte(t.CertificateKey))
		if err != nil {
			// The driver's text is safe, but says nothing an operator could act on.
			return nil, fault.New(fault.Refused, "%s is no certificate with its key: write %s=@client.pem with both in PEM, the certificate first", certificateField, certificateField)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

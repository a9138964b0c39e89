package postgresql

import (
	"crypto/tls"
	"slices"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/novatech/securevault/server/engines/database/details"
	"github.com/novatech/securevault/server/engines/database/fault"
)

// certificates are the settings of TLS that connection_url cannot hold: there
// they would be files of the server.
type certificates struct {
	CA          string `mapstructure:"tls_ca"`
	Certificate string `mapstructure:"tls_certificate"`
	Key         string `mapstructure:"private_key"`
}

// secure puts the certificates into effect. With them, or with tokens, no
// connection is made that is not encrypted.
func (s settings) secure(target *pgconn.Config) error {
	given := s.Certificates
	if given == (certificates{}) && s.Cloud.AuthType == "" {
		return nil
	}
	if target.TLSConfig == nil {
		return fault.New(fault.Refused, "certificates and tokens are for TLS: write sslmode=verify-full in connection_url instead of disable or allow")
	}
	target.Fallbacks = slices.DeleteFunc(target.Fallbacks, func(other *pgconn.FallbackConfig) bool { return other.TLSConfig == nil })
	wanted, err := given.config()
	if err != nil {
		return err
	}
	certify(target.TLSConfig, target.Host, wanted)
	for _, other := range target.Fallbacks {
		certify(other.TLSConfig, other.Host, wanted)
	}
	return nil
}

func (c certificates) config() (*tls.Config, error) {
	config, err := details.TLS{CA: c.CA}.Config("tls_ca", "")
	if err != nil || c.Certificate == "" && c.Key == "" {
		return config, err
	}
	pair, err := tls.X509KeyPair([]byte(c.Certificate), []byte(c.Key))
	if err != nil {
		// The text is safe, but says nothing an operator could act on.
		return nil, fault.New(fault.Refused, "tls_certificate and private_key are no certificate and its key: write tls_certificate=@client.crt and private_key=@client.key, both in PEM")
	}
	config.Certificates = []tls.Certificate{pair}
	return config, nil
}

// certify adds what is wanted to what connection_url says. Who names an authority
// wants to know whom it vouches for: the host is verified, unless sslmode is
// verify-ca, which the driver checks by itself.
func certify(config *tls.Config, host string, wanted *tls.Config) {
	config.MinVersion = wanted.MinVersion
	if wanted.Certificates != nil {
		config.Certificates = wanted.Certificates
	}
	if wanted.RootCAs == nil {
		return
	}
	config.RootCAs = wanted.RootCAs
	if config.VerifyPeerCertificate == nil {
		config.InsecureSkipVerify, config.ServerName = false, host
	}
}

package mysql

import (
	"crypto/tls"
	"time"

	driver "github.com/go-sql-driver/mysql"

	"github.com/novatech/securevault/server/engines/database/details"
	"github.com/novatech/securevault/server/engines/database/fault"
)

const (
	dialLimit       = 5 * time.Second // for one address, unless connection_url sets timeout
	defaultLifetime = time.Hour       // of a connection
)

// naming is how long names may be, and how they are made up by default.
type naming struct {
	maxBytes int
	template string
}

// settings are the connection details of a configuration.
type settings struct {
	details.Common `mapstructure:",squash"`
	details.Pool   `mapstructure:",squash"`

	CA             string `mapstructure:"tls_ca"`
	CertificateKey string `mapstructure:"tls_certificate_key"`
	ServerName     string `mapstructure:"tls_server_name"`
	SkipVerify     bool   `mapstructure:"tls_skip_verify"`
}

const exampleURL = "{{username}}:{{password}}@tcp(HOST:3306)/"

func decodeSettings(given map[string]any, names naming) (settings, error) {
	var decoded settings
	if err := details.Decode("mysql-database-plugin", given, &decoded); err != nil {
		return settings{}, err
	}
	if err := decoded.Check(exampleURL); err != nil {
		return settings{}, err
	}
	if decoded.UsernameTemplate == "" {
		decoded.UsernameTemplate = names.template
	}
	return decoded, nil
}

// driverConfig returns what the driver has to know to connect.
func (s settings) driverConfig() (*driver.Config, error) {
	config, err := driver.ParseDSN(s.ParsableURL())
	if err != nil {
		// The parser's message may repeat a part that holds a literal password.
		return nil, fault.New(fault.Refused, "connection_url cannot be parsed: write "+exampleURL+" or {{username}}:{{password}}@unix(/PATH/OF/SOCKET)/, with tls=true or tls_ca for TLS")
	}
	if config.AllowAllFiles {
		return nil, fault.New(fault.Refused, "connection_url sets allowAllFiles, which lets statements read this server's files: take it out")
	}
	config.User, config.Passwd = s.Fill(config.User), s.FillPassword(config.Passwd)
	if config.Timeout == 0 {
		config.Timeout = dialLimit
	}
	// The server splits texts of several statements: nobody else knows as well
	// where its strings, comments and bodies of routines end.
	config.MultiStatements = true
	config.Logger = &driver.NopLogger{} // what it tells is in the errors as well
	return config, s.secure(config)
}

// secure applies the fields about TLS.
func (s settings) secure(config *driver.Config) error {
	if s.CA == "" && s.CertificateKey == "" && s.ServerName == "" && !s.SkipVerify {
		return nil
	}
	if config.TLSConfig == "false" || config.TLSConfig == "preferred" {
		return fault.New(fault.Refused, "tls=%s in connection_url contradicts the tls_… fields: write tls=true or leave it out", config.TLSConfig)
	}
	var err error
	config.TLS, err = s.tlsConfig(config.TLSConfig == "skip-verify")
	return err
}

func (s settings) tlsConfig(skipVerify bool) (*tls.Config, error) {
	return details.TLS{
		CA: s.CA, CertificateKey: s.CertificateKey, ServerName: s.ServerName, SkipVerify: s.SkipVerify || skipVerify,
	}.Config("tls_ca", "tls_certificate_key")
}

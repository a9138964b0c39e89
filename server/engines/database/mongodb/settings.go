package mongodb

import (
	"cmp"
	"context"
	"crypto/rand"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/novatech/securevault/server/engines/database/details"
	"github.com/novatech/securevault/server/engines/database/fault"
	"github.com/novatech/securevault/server/engines/database/nearest"
)

const (
	maxNameBytes = 100

	// No longer than a certificate's common name may be.
	defaultUsernameTemplate = `{{printf "v-%s-%s-%s-%s" (.DisplayName | truncate 15) (.RoleName | truncate 15) (random 20) (unix_time) | replace "." "-" | truncate 64}}`

	dialLimit   = 5 * time.Second // for one server, unless connection_url sets connectTimeoutMS
	searchLimit = 8 * time.Second // for a server that takes commands, unless it sets serverSelectionTimeoutMS
	lookupLimit = 5 * time.Second // for the addresses behind mongodb+srv

	// tagSize is how many random letters tell our connections from all others.
	tagSize = 10
	// maxAppName is how many bytes MongoDB allows for appName.
	maxAppName = 128
)

// settings are the connection details of a configuration.
type settings struct {
	details.Common `mapstructure:",squash"`
	details.Pool   `mapstructure:",squash"`
	CA             string `mapstructure:"tls_ca"`
	CertificateKey string `mapstructure:"tls_certificate_key"`
	WriteConcern   string `mapstructure:"write_concern"`
}

const (
	exampleURL = "mongodb://{{username}}:{{password}}@HOST:27017/admin"
	srvScheme  = "mongodb+srv://"
	srvService = "mongodb"
)

func decodeSettings(given map[string]any) (settings, error) {
	var decoded settings
	if err := details.Decode("mongodb-database-plugin", given, &decoded); err != nil {
		return settings{}, err
	}
	if err := decoded.Check(exampleURL); err != nil {
		return settings{}, err
	}
	if decoded.UsernameTemplate == "" {
		decoded.UsernameTemplate = defaultUsernameTemplate
	}
	return decoded, nil
}

// clientOptions is what the driver is told. It always has AppName.
func (s settings) clientOptions(ctx context.Context) (*options.ClientOptions, error) {
	text := s.ParsableURL()
	if err := checkOptions(text); err != nil {
		return nil, err
	}
	if err := lookUpHosts(ctx, text); err != nil {
		return nil, err
	}
	target := options.Client().ApplyURI(text)
	if target.Validate() != nil {
		// The parser's message may repeat the URL, and a password in it.
		return nil, fault.New(fault.Refused, "connection_url cannot be parsed: write "+exampleURL+", with anything but letters and digits in a literal password as %%XX")
	}
	if login := target.Auth; login != nil {
		login.Username, login.Password = s.Fill(login.Username), s.FillPassword(login.Password)
		login.AuthSource = cmp.Or(login.AuthSource, adminDatabase)
	}
	if err := s.secure(target); err != nil {
		return nil, err
	}
	return target, s.limit(target)
}

// secure sets how the servers prove who they are, and how we do.
func (s settings) secure(target *options.ClientOptions) error {
	if s.CA != "" || s.CertificateKey != "" {
		trusting := target.TLSConfig != nil && target.TLSConfig.InsecureSkipVerify
		config, err := details.TLS{CA: s.CA, CertificateKey: s.CertificateKey, SkipVerify: trusting}.Config("tls_ca", "tls_certificate_key")
		if err != nil {
			return err
		}
		target.SetTLSConfig(config)
	}
	byCertificate := target.Auth != nil && target.Auth.AuthMechanism == "MONGODB-X509"
	if byCertificate && (target.TLSConfig == nil || len(target.TLSConfig.Certificates) == 0) {
		return fault.New(fault.Refused, "connection_url asks for MONGODB-X509, but there is no certificate: write tls_certificate_key=@client.pem with certificate and key in PEM")
	}
	return nil
}

// limit bounds connections and waiting where connection_url does not.
func (s settings) limit(target *options.ClientOptions) error {
	open, _, lifetime, err := s.Limits()
	if err != nil {
		return err
	}
	if target.MaxPoolSize == nil {
		target.SetMaxPoolSize(uint64(open))
	}
	if target.MaxConnIdleTime == nil && lifetime > 0 {
		target.SetMaxConnIdleTime(lifetime)
	}
	if target.ConnectTimeout == nil {
		target.SetConnectTimeout(dialLimit)
	}
	if target.ServerSelectionTimeout == nil {
		target.SetServerSelectionTimeout(searchLimit)
	}
	name := "securevault"
	if target.AppName != nil {
		name = *target.AppName
	}
	target.SetAppName(name[:min(len(name), maxAppName-1-tagSize)] + " " + rand.Text()[:tagSize])
	return nil
}

// knownOptions are those of a connection string that the driver reads. It passes
// over all others in silence.
func knownOptions() []string {
	return []string{
		"appName", "authMechanism", "authMechanismProperties", "authSource", "compressors", "connect", "connectTimeoutMS",
		"directConnection", "enableOverloadRetargeting", "heartbeatFrequencyMS", "heartbeatIntervalMS", "journal", "loadBalanced",
		"localThresholdMS", "maxAdaptiveRetries", "maxConnecting", "maxIdleTimeMS", "maxPoolSize", "maxStaleness", "maxStalenessSeconds",
		"minPoolSize", "readConcernLevel", "readPreference", "readPreferenceTags", "replicaSet", "retryReads", "retryWrites",
		"serverMonitoringMode", "serverSelectionTimeoutMS", "socketTimeoutMS", "srvMaxHosts", "srvServiceName", "ssl",
		"sslCertificateAuthorityFile", "sslClientCertificateKeyFile", "sslClientCertificateKeyPassword", "sslInsecure", "timeoutMS", "tls",
		"tlsCAFile", "tlsCertificateFile", "tlsCertificateKeyFile", "tlsCertificateKeyFilePassword", "tlsDisableCertificateRevocationCheck",
		"tlsDisableOCSPEndpointCheck", "tlsInsecure", "tlsPrivateKeyFile", "w", "zlibCompressionLevel", "zstdCompressionLevel",
	}
}

// checkOptions refuses options that the driver would pass over.
func checkOptions(connectionURL string) error {
	_, query, _ := strings.Cut(connectionURL, "?")
	for _, option := range strings.FieldsFunc(query, func(char rune) bool { return char == '&' || char == ';' }) {
		name, _, _ := strings.Cut(option, "=")
		if !slices.ContainsFunc(knownOptions(), func(known string) bool { return strings.EqualFold(known, name) }) {
			return fault.New(fault.Refused, "connection_url has the unknown option %q%s: correct or remove it; a time limit for writes goes to write_concern", name, nearest.Hint(name, knownOptions()))
		}
	}
	return nil
}

// lookUpHosts looks whether there are servers behind a mongodb+srv address: the
// driver asks for them without a limit of time.
func lookUpHosts(ctx context.Context, connectionURL string) error {
	if !strings.HasPrefix(connectionURL, srvScheme) {
		return nil
	}
	address, err := url.Parse(connectionURL)
	if err != nil {
		return fault.New(fault.Refused, "connection_url cannot be parsed: write mongodb+srv://{{username}}:{{password}}@HOST/admin")
	}
	ctx, cancel := context.WithTimeout(ctx, lookupLimit)
	defer cancel()
	service := cmp.Or(address.Query().Get("srvServiceName"), srvService)
	if _, _, err := net.DefaultResolver.LookupSRV(ctx, service, "tcp", address.Hostname()); err != nil {
		return fault.New(fault.Later, "looking up the servers of %q: %s: check the host name in connection_url, or name the servers with mongodb://", address.Hostname(), err)
	}
	return nil
}

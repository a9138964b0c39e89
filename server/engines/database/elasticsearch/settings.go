package elasticsearch

import (
	"cmp"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/novatech/securevault/server/engines/database/details"
	"github.com/novatech/securevault/server/engines/database/fault"
)

const (
	// maxNameBytes is how long names of users and API keys may be in both dialects.
	maxNameBytes = 256

	defaultUsernameTemplate = `{{printf "v-%s-%s-%s-%s" (.DisplayName | truncate 30) (.RoleName | truncate 30) (random 20) (unix_time) | truncate 100}}`

	exampleURL = "https://es.example.com:9200"
	dialLimit  = 5 * time.Second
	callLimit  = 30 * time.Second // for one answer
)

// settings are the connection details of a configuration, by Vault's names.
// Certificates are PEM, or the path of a file on the server.
type settings struct {
	details.Common `mapstructure:",squash"`
	URL            string `mapstructure:"url"`
	CA             string `mapstructure:"ca_cert"`
	Certificate    string `mapstructure:"client_cert"`
	Key            string `mapstructure:"client_key"`
	ServerName     string `mapstructure:"tls_server_name"`
	SkipVerify     bool   `mapstructure:"insecure"`
}

func decodeSettings(given map[string]any) (settings, error) {
	var decoded settings
	if err := details.Decode("elasticsearch-database-plugin", given, &decoded); err != nil {
		return settings{}, err
	}
	// As other plugins have it; the credentials travel in a header of their own.
	plain := strings.ReplaceAll(decoded.ConnectionURL, "{{username}}:{{password}}@", "")
	decoded.URL = strings.TrimSuffix(cmp.Or(decoded.URL, plain), "/")
	if decoded.URL == "" {
		return settings{}, fault.New(fault.Refused, "url is missing: write url=%s", exampleURL)
	}
	address, err := url.Parse(decoded.URL)
	if err != nil || address.Host == "" || address.Scheme != "https" && address.Scheme != "http" {
		return settings{}, fault.New(fault.Refused, "url cannot be parsed: write url=%s", exampleURL)
	}
	if address.RawQuery != "" || address.Fragment != "" {
		return settings{}, fault.New(fault.Refused, "url holds a query, which means nothing here: write url=%s and settings as fields of their own", exampleURL)
	}
	if address.User != nil {
		return settings{}, fault.New(fault.Refused, "url holds a user: write username and password as fields of their own")
	}
	for field, value := range map[string]string{"username": decoded.Username, "password": decoded.Password} {
		if value == "" {
			return settings{}, fault.New(fault.Refused, "%s is missing: write %s=… of the account that makes users", field, field)
		}
	}
	decoded.UsernameTemplate = cmp.Or(decoded.UsernameTemplate, defaultUsernameTemplate)
	return decoded, nil
}

// transport returns what connects as the settings say.
func (s settings) transport() (*http.Transport, error) {
	ca, err := inPEM("ca_cert", s.CA)
	if err != nil {
		return nil, err
	}
	certificate, err := inPEM("client_cert", s.Certificate)
	if err != nil {
		return nil, err
	}
	key, err := inPEM("client_key", s.Key)
	if err != nil {
		return nil, err
	}
	if certificate != "" {
		certificate += "\n" + key
	}
	trust := details.TLS{CA: ca, CertificateKey: certificate, ServerName: s.ServerName, SkipVerify: s.SkipVerify}
	config, err := trust.Config("ca_cert", "client_cert with client_key")
	if err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DialContext = (&net.Dialer{Timeout: dialLimit}).DialContext
	transport.TLSClientConfig, transport.TLSHandshakeTimeout = config, dialLimit
	transport.ForceAttemptHTTP2 = false // Elasticsearch does not speak it
	transport.ResponseHeaderTimeout = callLimit
	transport.MaxIdleConnsPerHost = 32
	return transport, nil
}

// inPEM returns the PEM that a field holds, or that is in the file it names. Pipes
// and devices are no such files: there may be no end to them.
func inPEM(field, value string) (string, error) {
	if value == "" || strings.Contains(value, "-----BEGIN ") {
		return value, nil
	}
	var content []byte
	about, err := os.Stat(value)
	if err == nil && about.Mode().IsRegular() {
		content, err = os.ReadFile(value)
	}
	if err != nil || len(content) == 0 {
		return "", fault.New(fault.Refused, "%s is neither PEM nor a file that the server can read: write %s=@cert.pem", field, field)
	}
	return string(content), nil
}

package oracle

import (
	"cmp"
	"crypto/rand"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	go_ora "github.com/sijms/go-ora/v2"
	"github.com/sijms/go-ora/v2/configurations"

	"github.com/novatech/securevault/server/engines/database/details"
	"github.com/novatech/securevault/server/engines/database/fault"
)

const (
	defaultUsernameTemplate = `{{printf "V_%s_%s_%s_%s" (.DisplayName | truncate 8) (.RoleName | truncate 8) (random 20) (unix_time) | truncate 30 | uppercase}}`

	defaultPort = "1521"
	// readLimit bounds the wait for an answer, unless connection_url sets TIMEOUT.
	readLimit = time.Minute

	// maxProgramBytes is how much of a program's name v$session keeps.
	maxProgramBytes = 48
	// tagSize is how many random letters tell the sessions of one Database from
	// all others.
	tagSize = 10
)

// settings are the connection details of a configuration.
type settings struct {
	details.Common `mapstructure:",squash"`
	details.Pool   `mapstructure:",squash"`

	SplitStatements    bool   `mapstructure:"split_statements"`
	DisconnectSessions bool   `mapstructure:"disconnect_sessions"`
	WalletPassword     string `mapstructure:"wallet_password"`
	CA                 string `mapstructure:"tls_ca"`
	CertificateKey     string `mapstructure:"tls_certificate_key"`
}

const exampleURL = "{{username}}/{{password}}@//HOST:1521/SERVICE"

func decodeSettings(given map[string]any) (settings, error) {
	decoded := settings{SplitStatements: true, DisconnectSessions: true}
	if err := details.Decode("oracle-database-plugin", given, &decoded); err != nil {
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

// connector returns what opens sessions as the settings say.
func (s settings) connector() (*connector, error) {
	address, err := parseAddress(s.ParsableURL())
	if err != nil {
		return nil, err
	}
	options := address.Query()
	if err := s.checkOptions(options); err != nil {
		return nil, err
	}
	if s.WalletPassword != "" {
		options.Set("WALLET PASSWORD", s.WalletPassword)
	}
	address.RawQuery = options.Encode()
	config, err := parseConfig(address.String())
	if err != nil {
		literal, _ := address.User.Password()
		return nil, fault.New(fault.Refused, "connection_url: %s: check host, service and options", fault.Scrub(err.Error(), literal, s.Password, s.WalletPassword))
	}
	s.fill(config, options)
	made := &connector{config: config}
	return made, s.secure(made)
}

// parseConfig has the driver read a URL, and the wallet it names, if any. The
// driver panics at a wallet that was cut short.
func parseConfig(text string) (config *configurations.ConnectionConfig, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("reading the wallet: %v", cause)
		}
	}()
	return go_ora.ParseConfig(text)
}

// fill sets what connection_url leaves to us.
func (s settings) fill(config *configurations.ConnectionConfig, options url.Values) {
	config.UserID, config.Password = s.Fill(config.UserID), s.FillPassword(config.Password)
	if strings.EqualFold(config.UserID, "SYS") && config.DBAPrivilege == configurations.NONE {
		config.DBAPrivilege = configurations.SYSDBA // SYS cannot log in otherwise
	}
	if !given(options, "TIMEOUT", "CONNECT TIMEOUT", "CONNECTION TIMEOUT") {
		config.Timeout = readLimit
	}
	// The driver would ask each new session for its time zone; we read no dates.
	config.Location = cmp.Or(config.Location, "UTC")
	name := "securevault"
	if given(options, "PROGRAM") {
		name = config.ProgramName
	}
	config.ProgramName = name[:min(len(name), maxProgramBytes-1-tagSize)] + " " + rand.Text()[:tagSize]
}

// parseAddress reads connection_url in the driver's form, or in Oracle's: easy
// connect, or a descriptor in parentheses.
func parseAddress(text string) (*url.URL, error) {
	credentials, rest, _ := strings.Cut(text, "@")
	user, ok := strings.CutSuffix(credentials, "/"+details.PasswordStandIn)
	var address *url.URL
	var err error
	switch {
	case strings.HasPrefix(text, "oracle://"):
		address, err = url.Parse(text)
	case !ok:
		// A literal password would not be hidden where the config is read.
		return nil, fault.New(fault.Refused, "connection_url has neither {{username}}/{{password}}@ nor oracle:// at its beginning: write %s", exampleURL)
	case strings.HasPrefix(rest, "("):
		address = &url.URL{Scheme: "oracle", Host: ":0", RawQuery: url.Values{"connStr": {rest}}.Encode()}
	default:
		address, err = parseEasyConnect(rest)
	}
	if err != nil {
		// The parser's message repeats the URL, which may hold a literal password.
		return nil, fault.New(fault.Refused, "connection_url cannot be parsed: write %s or oracle://{{username}}:{{password}}@HOST:1521/SERVICE", exampleURL)
	}
	if address.User == nil && ok {
		address.User = url.UserPassword(user, details.PasswordStandIn)
	}
	if address.Hostname() != "" && address.Port() == "" {
		address.Host = net.JoinHostPort(address.Hostname(), defaultPort)
	}
	return address, nil
}

// parseEasyConnect reads [[tcps:]//]host[:port]/service[?options].
func parseEasyConnect(text string) (*url.URL, error) {
	scheme, rest, found := strings.Cut(text, "//")
	if !found {
		scheme, rest = "", text
	}
	address, err := url.Parse("oracle://" + rest)
	if err != nil {
		return nil, err
	}
	if scheme == "tcps:" {
		options := address.Query()
		options.Set("SSL", "true")
		address.RawQuery = options.Encode()
	}
	return address, nil
}

// Options that would show a secret to whoever reads the config, or that write
// what is sent, passwords included, to a file.
var (
	secretOptions = []string{"WALLET PASSWORD", "OS PASS", "OS PASSWORD", "OS HASH", "OS PASSHASH", "OS PASSWORD HASH"}
	traceOptions  = []string{"TRACE FILE", "TRACE DIR", "TRACE FOLDER", "TRACE DIRECTORY"}
)

func (s settings) checkOptions(options url.Values) error {
	switch {
	case given(options, secretOptions...):
		return fault.New(fault.Refused, "connection_url holds a password besides {{password}}: write a wallet's to wallet_password, and leave others out")
	case given(options, traceOptions...):
		return fault.New(fault.Refused, "connection_url asks for a trace, which would hold passwords: leave it out")
	case s.WalletPassword != "" && !given(options, "WALLET"):
		return fault.New(fault.Refused, "wallet_password is set, but there is no wallet: add WALLET=FOLDER to connection_url")
	}
	return nil
}

// given tells whether one of the options is there; their case does not matter.
func given(options url.Values, names ...string) bool {
	for option := range options {
		if slices.Contains(names, strings.ToUpper(option)) {
			return true
		}
	}
	return false
}

// secure applies the fields about TLS.
func (s settings) secure(made *connector) error {
	if s.CA == "" && s.CertificateKey == "" {
		return nil
	}
	switch {
	case !made.config.SSL:
		return fault.New(fault.Refused, "tls_ca or tls_certificate_key is set, but TLS is off: add SSL=true to connection_url, or write …@tcps://HOST:2484/SERVICE")
	case made.config.Wallet != nil:
		return fault.New(fault.Refused, "tls_ca or tls_certificate_key is set beside a wallet, which holds certificates of its own: use one of them")
	}
	var err error
	made.tls, err = details.TLS{CA: s.CA, CertificateKey: s.CertificateKey, SkipVerify: !made.config.SSLVerify}.
		Config("tls_ca", "tls_certificate_key")
	return err
}

package redis

import (
	"crypto/tls"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/novatech/securevault/server/engines/database/details"
	"github.com/novatech/securevault/server/engines/database/fault"
	"github.com/novatech/securevault/server/engines/database/nearest"
)

const (
	// maxNameBytes is ours: Redis takes names of any length.
	maxNameBytes = 128

	defaultUsernameTemplate = `{{printf "v-%s-%s-%s-%s" (.DisplayName | truncate 8) (.RoleName | truncate 8) (random 20) (unix_time) | truncate 63}}`

	defaultPort = 6379

	dialLimit   = 4 * time.Second // for reaching one server, TLS included
	answerLimit = 5 * time.Second // for one answer
	verifyLimit = 9 * time.Second // for Initialize
)

// The values of persistence_mode: what makes Redis remember its users when it
// starts again.
const (
	persistNone    = "None"
	persistRewrite = "REWRITE"
	persistACLFile = "ACLFILE"
)

const exampleURL = "redis://{{username}}:{{password}}@HOST:6379"

// settings are the connection details of a configuration.
type settings struct {
	details.Common `mapstructure:",squash"`

	Host        string   `mapstructure:"host"`
	Port        int      `mapstructure:"port"`
	Addresses   []string `mapstructure:"addresses"` // servers of a cluster, some or all
	Persistence string   `mapstructure:"persistence_mode"`

	TLS            bool   `mapstructure:"tls"`
	InsecureTLS    bool   `mapstructure:"insecure_tls"`
	CACert         string `mapstructure:"ca_cert"`
	CertificateKey string `mapstructure:"tls_certificate_key"`

	SentinelMaster    string   `mapstructure:"sentinel_master"`
	SentinelAddresses []string `mapstructure:"sentinel_addresses"`
	SentinelUsername  string   `mapstructure:"sentinel_username"`
	SentinelPassword  string   `mapstructure:"sentinel_password"`

	encryption *tls.Config // nil: none
}

// decodeSettings reads what is given. Host, Port, Username and Password are then
// those of connection_url, if it is given, and all addresses have a port.
func decodeSettings(given map[string]any) (settings, error) {
	var decoded settings
	if err := details.Decode("redis-database-plugin", given, &decoded); err != nil {
		return settings{}, err
	}
	for _, complete := range []func() error{
		decoded.chooseOne, decoded.readURL, decoded.completeAddresses, decoded.checkPersistence, decoded.encrypt,
	} {
		if err := complete(); err != nil {
			return settings{}, err
		}
	}
	if decoded.UsernameTemplate == "" {
		decoded.UsernameTemplate = defaultUsernameTemplate
	}
	return decoded, nil
}

// chooseOne insists on exactly one way to say where Redis is.
func (s *settings) chooseOne() error {
	var ways []string
	for _, way := range []struct {
		field string
		given bool
	}{
		{"connection_url", s.ConnectionURL != ""},
		{"host", s.Host != ""},
		{"addresses", len(s.Addresses) > 0},
		{"sentinel_master", s.SentinelMaster != ""},
	} {
		if way.given {
			ways = append(ways, way.field)
		}
	}
	switch {
	case len(ways) == 0:
		return fault.New(fault.Refused, "where Redis is is missing: write host=… (one server), addresses=HOST:PORT,… (a cluster), or sentinel_master=NAME sentinel_addresses=HOST:PORT,…")
	case len(ways) > 1:
		return fault.New(fault.Refused, "%s say where Redis is: write one of them only", strings.Join(ways, " and "))
	case s.Port != 0 && s.Host == "":
		return fault.New(fault.Refused, "port goes with host: write the port into %s", ways[0])
	case s.SentinelMaster == "" && (len(s.SentinelAddresses) > 0 || s.SentinelUsername != "" || s.SentinelPassword != ""):
		return fault.New(fault.Refused, "sentinel_master is missing: write sentinel_master=NAME, as the sentinels call it")
	case s.SentinelMaster != "" && len(s.SentinelAddresses) == 0:
		return fault.New(fault.Refused, "sentinel_addresses is missing: write sentinel_addresses=HOST:26379,…")
	}
	return nil
}

// readURL fills in the other fields from connection_url, if that is given.
func (s *settings) readURL() error {
	if s.ConnectionURL == "" {
		return nil
	}
	if err := s.Check(exampleURL); err != nil {
		return err
	}
	parsed, err := url.Parse(s.ParsableURL())
	if err != nil || parsed.Hostname() == "" || parsed.Scheme != "redis" && parsed.Scheme != "rediss" {
		// The parser's message repeats the URL, which may hold a literal password.
		return fault.New(fault.Refused, "connection_url cannot be parsed: write "+exampleURL+", or rediss:// for TLS")
	}
	for name := range parsed.Query() {
		return fault.New(fault.Refused, "connection_url has the setting %q: write it as a field of the config, such as insecure_tls=true", name)
	}
	if number := strings.Trim(parsed.Path, "/"); number != "" {
		// Users are the same in every database, so the number does not matter.
		if _, err := strconv.ParseUint(number, 10, 16); err != nil {
			return fault.New(fault.Refused, "connection_url ends on something that is no number of a database: write "+exampleURL+"/0")
		}
	}
	password, _ := parsed.User.Password()
	s.Username, s.Password = s.Fill(parsed.User.Username()), s.FillPassword(password)
	s.TLS = s.TLS || parsed.Scheme == "rediss"
	s.Host = parsed.Hostname()
	if parsed.Port() != "" {
		s.Port, _ = strconv.Atoi(parsed.Port()) // url.Parse has seen to the digits
	}
	return nil
}

// completeAddresses splits lists and adds ports.
func (s *settings) completeAddresses() (err error) {
	if s.Host != "" {
		if s.Port == 0 {
			s.Port = defaultPort
		}
		if s.Port < 1 || s.Port > 65535 {
			return fault.New(fault.Refused, "port %d is none: write a number from 1 to 65535", s.Port)
		}
	}
	if s.Addresses, err = addresses("addresses", s.Addresses, defaultPort); err != nil {
		return err
	}
	s.SentinelAddresses, err = addresses("sentinel_addresses", s.SentinelAddresses, 26379)
	return err
}

func addresses(field string, given []string, port int) ([]string, error) {
	var complete []string
	for _, text := range given {
		for one := range strings.SplitSeq(text, ",") {
			one = strings.TrimSpace(one)
			if one == "" {
				continue
			}
			if _, _, err := net.SplitHostPort(one); err != nil {
				one = net.JoinHostPort(strings.Trim(one, "[]"), strconv.Itoa(port))
			}
			if host, _, err := net.SplitHostPort(one); err != nil || strings.ContainsAny(host, "/@ ") {
				return nil, fault.New(fault.Refused, "%s holds something that is no address: write %s=HOST:%d,…", field, field, port)
			}
			complete = append(complete, one)
		}
	}
	if len(given) > 0 && len(complete) == 0 {
		return nil, fault.New(fault.Refused, "%s is empty: write %s=HOST:%d,…", field, field, port)
	}
	return complete, nil
}

func (s *settings) checkPersistence() error {
	modes := []string{persistNone, persistRewrite, persistACLFile}
	if s.Persistence == "" {
		s.Persistence = persistNone
	}
	known := slices.IndexFunc(modes, func(mode string) bool { return strings.EqualFold(mode, s.Persistence) })
	if known < 0 {
		return fault.New(fault.Refused, "persistence_mode %q is unknown%s: use %s", s.Persistence, nearest.Hint(s.Persistence, modes), strings.Join(modes, ", "))
	}
	s.Persistence = modes[known]
	return nil
}

// encrypt makes the TLS settings. They hold for sentinels as well.
func (s *settings) encrypt() (err error) {
	if !s.TLS {
		if s.CACert != "" || s.CertificateKey != "" || s.InsecureTLS {
			return fault.New(fault.Refused, "ca_cert, tls_certificate_key and insecure_tls are for TLS: write tls=true, or rediss:// in connection_url")
		}
		return nil
	}
	s.encryption, err = details.TLS{CA: s.CACert, CertificateKey: s.CertificateKey, SkipVerify: s.InsecureTLS}.Config("ca_cert", "tls_certificate_key")
	return err
}

package details

import (
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/database/dbplugin/v5"

	"github.com/novatech/securevault/server/engines/database/fault"
)

type sample struct {
	Common `mapstructure:",squash"`
	Pool   `mapstructure:",squash"`
	Port   int `mapstructure:"port"`
}

func TestFieldsAreDecodedAsClientsSendThem(t *testing.T) {
	var decoded sample
	err := Decode("sample-plugin", map[string]any{
		"connection_url": "{{username}}@db", "username": "admin", "port": "5432", "max_open_connections": "3",
		dbplugin.SupportedCredentialTypesKey: []any{"password"},
	}, &decoded)
	if err != nil || decoded.Port != 5432 || decoded.MaxOpen != 3 || decoded.Username != "admin" {
		t.Errorf("decoded %+v, %v", decoded, err)
	}
}

func TestWrongFieldsAreNamedWithoutTheirValues(t *testing.T) {
	const secret = "hunter2-secret"
	cases := map[string]struct {
		given map[string]any
		says  string
	}{
		"a typo":         {map[string]any{"usrname": secret}, `unknown setting "usrname", did you mean "username"?: sample-plugin knows connection_url, username`},
		"a wrong type":   {map[string]any{"port": secret}, "wrong type: port"},
		"a nested value": {map[string]any{"password": map[string]any{"a": secret}}, "wrong type: password"},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			err := Decode("sample-plugin", test.given, new(sample))
			if err == nil || fault.ClassOf(err) != fault.Refused || !strings.Contains(err.Error(), test.says) || strings.Contains(err.Error(), secret) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestTheURLAndWhatItAsksForMustBeThere(t *testing.T) {
	cases := map[string]struct {
		given Common
		says  string
	}{
		"no URL":      {Common{}, "connection_url is missing: write connection_url=db://HOST"},
		"no username": {Common{ConnectionURL: "db://{{username}}@a"}, "username is missing, but connection_url uses {{username}}"},
		"no password": {Common{ConnectionURL: "db://{{password}}@a"}, "password is missing"},
		"a whole one": {Common{ConnectionURL: "db://{{username}}:{{password}}@a", Username: "a", Password: "b"}, ""},
		"a fixed one": {Common{ConnectionURL: "db://a:b@c"}, ""},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			err := test.given.Check("db://HOST")
			if (err == nil) != (test.says == "") || err != nil && !strings.Contains(err.Error(), test.says) {
				t.Errorf("got %v, want %q", err, test.says)
			}
		})
	}
}

func TestAURLIsParsedWithoutTheSecretsInIt(t *testing.T) {
	given := Common{ConnectionURL: "db://{{username}}:{{password}}@HOST", Username: "{{password}}", Password: "a@b/" + usernameStandIn}
	text := given.ParsableURL()
	if strings.Contains(text, "{{") || strings.Contains(text, "a@b") {
		t.Errorf("to be parsed: %q", text)
	}
	if got := given.FillPassword(text); got != "db://{{password}}:a@b/securevault-username@HOST" {
		t.Errorf("filled in: %q", got)
	}
	if got := given.Fill(text); got != "db://{{password}}:"+PasswordStandIn+"@HOST" {
		t.Errorf("filled in where errors may tell of it: %q", got)
	}
}

func TestPoolsHaveSafeDefaults(t *testing.T) {
	cases := map[string]struct {
		given      Pool
		open, idle int
		lifetime   time.Duration
	}{
		"nothing given":       {Pool{}, 8, 8, 0},
		"text from a client":  {Pool{3, 2, "90s"}, 3, 2, 90 * time.Second},
		"seconds as a number": {Pool{MaxLifetime: 60}, 8, 8, time.Minute},
		"idle beyond open":    {Pool{2, 9, nil}, 2, 2, 0},
		"none idle":           {Pool{2, -1, nil}, 2, -1, 0},
		"far too many":        {Pool{MaxOpen: 1 << 40}, 1000, 1000, 0},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			if open, idle, lifetime, err := test.given.Limits(); open != test.open || idle != test.idle || lifetime != test.lifetime || err != nil {
				t.Errorf("got %d open, %d idle, lifetime %s, %v", open, idle, lifetime, err)
			}
		})
	}
	for _, wrong := range []any{"soon", -5, []string{"a"}} {
		if _, _, _, err := (Pool{MaxLifetime: wrong}).Limits(); err == nil || !strings.Contains(err.Error(), "max_connection_lifetime") {
			t.Errorf("lifetime %v: %v", wrong, err)
		}
	}
}

func TestTLSSettingsAreCheckedWithoutRepeatingThem(t *testing.T) {
	for field, given := range map[string]TLS{"tls_ca": {CA: "no PEM"}, "tls_certificate_key": {CertificateKey: "no PEM"}} {
		if _, err := given.Config("tls_ca", "tls_certificate_key"); err == nil || !strings.HasPrefix(err.Error(), field+" ") || strings.Contains(err.Error(), "no PEM") {
			t.Errorf("%s: %v", field, err)
		}
	}
	config, err := TLS{ServerName: "db.example", SkipVerify: true}.Config("tls_ca", "tls_certificate_key")
	if err != nil || config.ServerName != "db.example" || !config.InsecureSkipVerify || config.MinVersion == 0 || config.RootCAs != nil {
		t.Errorf("got %+v, %v", config, err)
	}
}

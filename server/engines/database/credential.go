package database

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/vault/sdk/database/dbplugin/v5"
	"github.com/hashicorp/vault/sdk/framework"

	"github.com/novatech/securevault/server/engines/database/certificate"
	"github.com/novatech/securevault/server/engines/database/fault"
	"github.com/novatech/securevault/server/engines/database/nearest"
	"github.com/novatech/securevault/server/engines/database/username"
)

// The types of credentials that the engine makes the secret of. A plugin that is
// an issuer adds its own.
const (
	passwordType    = "password"
	certificateType = "client_certificate"
)

// credential is what kind of secret a role gives out, as the role stores it.
type credential struct {
	Type           string `json:"credential_type,omitempty"` // empty: password
	PasswordPolicy string `json:"password_policy,omitempty"`

	// For client certificates. Without an authority, the config's is used;
	// without a template, the plugin makes up the name.
	CA         string               `json:"ca_cert,omitempty"`
	CAKey      string               `json:"ca_private_key,omitempty"`
	CommonName string               `json:"common_name_template,omitempty"`
	Key        certificate.Settings `json:"key,omitzero"`
}

// kind returns the type by its name.
func (c *credential) kind() string {
	if c.Type == "" {
		return passwordType
	}
	return c.Type
}

// pluginType returns what plugins know a type as.
func pluginType(kind string) dbplugin.CredentialType {
	if kind == certificateType {
		return dbplugin.CredentialTypeClientCertificate
	}
	return dbplugin.CredentialTypePassword
}

func credentialFields() map[string]*framework.FieldSchema {
	return map[string]*framework.FieldSchema{
		"credential_type":   {Type: framework.TypeString, Description: "Kind of credential: password, client_certificate or one that the plugin issues itself."},
		"credential_config": {Type: framework.TypeKVPairs, Description: "Settings of that kind: password_policy, or ca_cert, ca_private_key, key_type, key_bits, signature_bits and common_name_template."},
	}
}

// update merges what a request says. Another type begins with no settings.
func (c *credential) update(data *framework.FieldData) error {
	kind := c.kind()
	set(data, "credential_type", &kind)
	if kind != c.kind() {
		*c = credential{Type: kind}
	}
	settings := map[string]string{}
	set(data, "credential_config", &settings)
	known := c.settings()
	for _, key := range slices.Sorted(maps.Keys(settings)) {
		target, ok := known[key]
		if !ok {
			names := slices.Sorted(maps.Keys(known))
			return fault.New(fault.Refused, "credential_config has the unknown field %q%s: credential_type %s knows %s",
				key, nearest.Hint(key, names), c.kind(), orNone(names))
		}
		if !target.write(settings[key]) {
			return fault.New(fault.Refused, "%s of credential_config is no number: write it in digits", key)
		}
	}
	return c.check()
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// setting is a field of credential_config.
type setting struct {
	text   *string
	number *int
	secret bool
}

// settings returns what credential_config knows for the type, by name.
func (c *credential) settings() map[string]setting {
	switch c.kind() {
	case passwordType:
		return map[string]setting{"password_policy": {text: &c.PasswordPolicy}}
	case certificateType:
		return map[string]setting{
			"ca_cert":              {text: &c.CA},
			"ca_private_key":       {text: &c.CAKey, secret: true},
			"common_name_template": {text: &c.CommonName},
			"key_type":             {text: &c.Key.KeyType},
			"key_bits":             {number: &c.Key.KeyBits},
			"signature_bits":       {number: &c.Key.SignatureBits},
		}
	default:
		return nil
	}
}

// write sets the field, unless it needs a number and gets none.
func (s setting) write(value string) bool {
	if s.number == nil {
		*s.text = value
		return true
	}
	number, err := strconv.Atoi(value)
	if value != "" && err != nil {
		return false
	}
	*s.number = number
	return true
}

// read returns what may be told of the field, empty if it has not been written.
func (s setting) read() string {
	switch {
	case s.secret:
		return ""
	case s.number == nil:
		return *s.text
	case *s.number == 0:
		return ""
	}
	return strconv.Itoa(*s.number)
}

// shown returns credential_config as it is read back.
func (c *credential) shown() map[string]string {
	shown := map[string]string{}
	for name, setting := range c.settings() {
		if value := setting.read(); value != "" {
			shown[name] = value
		}
	}
	return shown
}

// check looks at what can be judged without the config.
func (c *credential) check() error {
	if c.kind() != certificateType {
		return nil
	}
	if err := c.Key.Check(); err != nil {
		return err
	}
	if c.CommonName != "" {
		if _, err := username.New(c.CommonName, certificate.MaxName); err != nil {
			return fault.New(fault.Refused, "common_name_template is read as a username_template: %s", err)
		}
	}
	if c.CA == "" && c.CAKey == "" {
		return nil
	}
	_, err := c.authority(nil)
	return err
}

// authority returns who signs the role's certificates.
func (c *credential) authority(config *config) (*certificate.Authority, error) {
	switch {
	case c.CA != "" || c.CAKey != "":
		return certificate.ParseAuthority(c.CA, c.CAKey, "ca_cert of credential_config", "ca_private_key of credential_config")
	case config.CA != "":
		return config.authority()
	}
	return nil, fault.New(fault.Refused, "neither the role nor its config has an authority for client certificates: "+
		"write client_ca_certificate and ca_private_key to the config, or ca_cert and ca_private_key to credential_config of the role")
}

// checkCredential looks whether the plugin of the config supports the type, and
// whether there is what it takes to make such a credential. A config that does not
// exist yet, nil, is checked when credentials are read.
func (b *backend) checkCredential(c *credential, config *config) error {
	whose, supported := "any plugin", b.everyType()
	if config != nil {
		var err error
		if supported, err = b.typesOf(config); err != nil {
			return err
		}
		whose = config.PluginName
	}
	if !slices.Contains(supported, c.kind()) {
		return fault.New(fault.Refused, "credential_type %q is not supported by %s%s: use %s",
			c.kind(), whose, nearest.Hint(c.kind(), supported), strings.Join(supported, " or "))
	}
	if c.kind() != certificateType || config == nil {
		return nil
	}
	_, err := c.authority(config)
	return err
}

// typesOf lists what roles of the config may write as credential_type.
func (b *backend) typesOf(config *config) ([]string, error) {
	construct, err := b.plugin(config.PluginName)
	if err != nil {
		return nil, err
	}
	types := []string{}
	listed, _ := config.Details[dbplugin.SupportedCredentialTypesKey].([]any)
	for _, kind := range []string{passwordType, certificateType} {
		// A plugin that lists nothing makes users with passwords.
		if slices.Contains(listed, any(kind)) || listed == nil && kind == passwordType {
			types = append(types, kind)
		}
	}
	return append(types, issued(construct())...), nil
}

// everyType lists what the plugins support together.
func (b *backend) everyType() []string {
	types := []string{}
	for _, construct := range b.plugins {
		types = append(types, issued(construct())...)
	}
	slices.Sort(types)
	return append([]string{passwordType, certificateType}, slices.Compact(types)...)
}

// issued lists the types whose secret the plugin makes.
func issued(plugin dbplugin.Database) []string {
	if maker, ok := plugin.(issuer); ok {
		return maker.Issues()
	}
	return nil
}

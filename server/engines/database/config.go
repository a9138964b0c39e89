package database

import (
	"context"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-secure-stdlib/strutil"
	"github.com/hashicorp/vault/sdk/database/dbplugin/v5"
	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/engines/database/certificate"
	"github.com/novatech/securevault/server/engines/database/fault"
)

// configPrefix is where configs are stored, and their path.
const configPrefix = "config/"

// config is one configured database, as it is stored.
type config struct {
	PluginName         string         `json:"plugin_name"`
	Details            map[string]any `json:"connection_details"` // for the plugin: connection_url, username, password, …
	AllowedRoles       []string       `json:"allowed_roles"`      // role names or globs
	RotationStatements []string       `json:"root_rotation_statements"`
	PasswordPolicy     string         `json:"password_policy"`
	VerifyConnection   bool           `json:"verify_connection"`

	// CA signs the client certificates of roles that have no authority of their own.
	CA    string `json:"client_ca_certificate,omitempty"`
	CAKey string `json:"ca_private_key,omitempty"`

	// PendingPassword is stored before a rotation reaches the database and removed
	// when it is known what became of it: while it is set, either password may be
	// the real one, now or later.
	PendingPassword string `json:"pending_password,omitempty"`

	// RetiredUntil is when a config that was deleted is forgotten.
	RetiredUntil time.Time `json:"retired_until,omitzero"`

	key string // under which it is stored
}

func (c *config) allows(role string) bool {
	return strutil.StrListContainsGlob(c.AllowedRoles, role)
}

func (c *config) detail(key string) string {
	text, _ := c.Details[key].(string)
	return text
}

func (c *config) password() string { return c.detail("password") }

// withPassword returns a copy that logs in with password, and no pending one.
func (c *config) withPassword(password string) *config {
	changed := *c
	changed.Details = maps.Clone(c.Details)
	changed.Details["password"] = password
	changed.PendingPassword = ""
	return &changed
}

// loadConfig returns nil if there is no such config.
func loadConfig(ctx context.Context, storage logical.Storage, name string) (*config, error) {
	return loadConfigAt(ctx, storage, configPrefix+name)
}

func loadConfigAt(ctx context.Context, storage logical.Storage, key string) (*config, error) {
	stored, err := load[config](ctx, storage, key)
	if stored != nil {
		stored.key = key
	}
	return stored, err
}

func (c *config) save(ctx context.Context, storage logical.Storage) error {
	return store(ctx, storage, c.key, c)
}

// unknownConfig refuses what needs a config that is not there.
func unknownConfig(name string) error {
	return fault.New(fault.Refused, "unknown config %q: write config/%s first", name, name)
}

func (b *backend) configPath() *framework.Path {
	return &framework.Path{
		Pattern: configPrefix + framework.GenericNameRegex("name"),
		Fields: map[string]*framework.FieldSchema{
			"name":                     {Type: framework.TypeString, Description: "Name of the configuration."},
			"plugin_name":              {Type: framework.TypeString, Description: "Kind of database, such as postgresql-database-plugin."},
			"allowed_roles":            {Type: framework.TypeCommaStringSlice, Description: "Roles that may use it; * and globs are understood."},
			"root_rotation_statements": {Type: framework.TypeStringSlice, Description: "Statements that change the admin's own password."},
			"password_policy":          {Type: framework.TypeString, Description: "Password policy for generated passwords."},
			"verify_connection":        {Type: framework.TypeBool, Default: true, Description: "Whether to log in before storing."},
			"client_ca_certificate":    {Type: framework.TypeString, Description: "CA that signs client certificates, in PEM, with its own issuers after it."},
			"ca_private_key":           {Type: framework.TypeString, Description: "Key of that CA, in PEM."},
			"plugin_version":           {Type: framework.TypeString, Description: "Accepted empty only: plugins are built in."},

			"rotation_period":            {Type: framework.TypeDurationSecond, Description: "Accepted 0 only: see rotate-root."},
			"rotation_schedule":          {Type: framework.TypeString, Description: "Accepted empty only: see rotate-root."},
			"rotation_window":            {Type: framework.TypeDurationSecond, Description: "Accepted 0 only: see rotate-root."},
			"disable_automated_rotation": {Type: framework.TypeBool, Description: "Accepted: the admin's password is rotated when rotate-root is written."},
		},
		TakesArbitraryInput: true,
		ExistenceCheck:      b.configExists,
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.CreateOperation: &framework.PathOperation{Callback: b.writeConfig},
			logical.UpdateOperation: &framework.PathOperation{Callback: b.writeConfig},
			logical.ReadOperation:   &framework.PathOperation{Callback: b.readConfig},
			logical.DeleteOperation: &framework.PathOperation{Callback: b.deleteConfig},
		},
		HelpSynopsis:    "Configures a database: the plugin, the connection and the admin user.",
		HelpDescription: "Fields that are not given keep their value. Every other field goes to the plugin: connection_url, username, password, username_template and so on.",
	}
}

func (b *backend) configListPath() *framework.Path {
	return listPath(configPrefix, "Lists the configured databases.")
}

func (b *backend) configExists(ctx context.Context, req *logical.Request, data *framework.FieldData) (bool, error) {
	stored, err := loadConfig(ctx, req.Storage, data.Get("name").(string))
	return stored != nil, err
}

// writeConfig merges the given fields into what is stored, verifies the result
// and only then stores it.
func (b *backend) writeConfig(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	name := data.Get("name").(string)
	conn := b.connections.get(name)
	if err := conn.lock(ctx); err != nil {
		return fail(err)
	}
	defer conn.unlock()
	stored, err := loadConfig(ctx, req.Storage, name)
	if err != nil {
		return nil, err
	}
	if stored == nil {
		stored = &config{VerifyConnection: true, key: configPrefix + name}
	}
	merged, err := merge(stored, data)
	if err != nil {
		return fail(err)
	}
	if err := adminStaysOut(ctx, req.Storage, name, merged); err != nil {
		return fail(err)
	}
	opened, err := b.initialize(ctx, merged, merged.VerifyConnection)
	if err != nil {
		// What is wrong is what was just written, wherever it showed.
		return refuse("%s", scrubbed(err, merged.secrets()...))
	}
	if err := merged.save(ctx, req.Storage); err != nil {
		opened.release()
		return nil, err
	}
	if merged.PendingPassword != "" {
		// It may log in with the wrong one of two passwords: the next use finds out.
		opened.release()
		opened = nil
	}
	conn.replace(opened)
	return nil, b.forgetRetired(ctx, req.Storage, name)
}

// merge returns stored with the fields that data gives. A stored config with a
// pending password keeps it unless a password is given.
func merge(stored *config, data *framework.FieldData) (*config, error) {
	merged := *stored
	merged.Details = map[string]any{}
	maps.Copy(merged.Details, stored.Details)
	for key, value := range data.Raw {
		if _, ours := data.Schema[key]; !ours && value != nil {
			merged.Details[key] = value
		}
	}
	if data.Raw["password"] != nil {
		merged.PendingPassword = ""
	}
	if version, ok := data.GetOk("plugin_version"); ok && version != "" {
		return nil, fault.New(fault.Refused, "plugin_version %q is unknown: plugins are built in, leave it out", version)
	}
	for _, field := range []string{"rotation_period", "rotation_schedule", "rotation_window"} {
		if value := data.Get(field); value != 0 && value != "" {
			return nil, fault.New(fault.Refused, "%s: the admin's password is rotated on request only: leave it out, and write rotate-root/NAME as often as you want", field)
		}
	}
	set(data, "plugin_name", &merged.PluginName)
	set(data, "allowed_roles", &merged.AllowedRoles)
	set(data, "root_rotation_statements", &merged.RotationStatements)
	set(data, "password_policy", &merged.PasswordPolicy)
	set(data, "verify_connection", &merged.VerifyConnection)
	return &merged, merged.updateAuthority(data)
}

// updateAuthority sets the CA. One that is stored may have ended since; that must
// not stand in the way of other fields.
func (c *config) updateAuthority(data *framework.FieldData) error {
	stored := [2]string{c.CA, c.CAKey}
	set(data, "client_ca_certificate", &c.CA)
	set(data, "ca_private_key", &c.CAKey)
	if written := [2]string{c.CA, c.CAKey}; written == stored || written == [2]string{} {
		return nil
	}
	_, err := c.authority()
	return err
}

// authority returns who signs client certificates.
func (c *config) authority() (*certificate.Authority, error) {
	return certificate.ParseAuthority(c.CA, c.CAKey, "client_ca_certificate", "ca_private_key")
}

// set overwrites target if the request gives the field; clients that send null
// for what they leave out mean the same as leaving it out.
func set[T any](data *framework.FieldData, field string, target *T) {
	if data.Raw[field] == nil {
		return
	}
	if value, ok := data.GetOk(field); ok {
		*target = value.(T)
	}
}

// setSeconds is set for a duration.
func setSeconds(data *framework.FieldData, field string, target *time.Duration) {
	whole := int(*target / time.Second)
	set(data, field, &whole)
	*target = time.Duration(whole) * time.Second
}

// secretDetails are the connection details that never leave the engine.
var secretDetails = []string{
	"password", "private_key", "tls_certificate_key", "client_key", "service_account_json",
	"aws_secret_access_key", "aws_session_token", "wallet_password", "sentinel_password",
}

// secrets returns what no error may repeat.
func (c *config) secrets() []string {
	secrets := []string{c.PendingPassword}
	for _, key := range secretDetails {
		secrets = append(secrets, c.detail(key))
	}
	return secrets
}

func (b *backend) readConfig(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	stored, err := loadConfig(ctx, req.Storage, data.Get("name").(string))
	if stored == nil || err != nil {
		return nil, err
	}
	details := maps.Clone(stored.Details)
	maps.DeleteFunc(details, func(key string, _ any) bool {
		// Some put a certificate's key into the field of the certificate.
		return slices.Contains(secretDetails, key) || strings.Contains(stored.detail(key), "PRIVATE KEY-----") ||
			key == dbplugin.SupportedCredentialTypesKey
	})
	if url, ok := details["connection_url"].(string); ok {
		details["connection_url"] = withoutPassword(url)
	}
	return &logical.Response{Data: map[string]any{
		"plugin_name":           stored.PluginName,
		"plugin_version":        "",
		"connection_details":    details,
		"allowed_roles":         stored.AllowedRoles,
		"password_policy":       stored.PasswordPolicy,
		"verify_connection":     stored.VerifyConnection,
		"client_ca_certificate": stored.CA,
		// The name under which Vault's clients look for it.
		"root_credentials_rotate_statements": stored.RotationStatements,
	}}, nil
}

// A password in a URL (up to the last @ before the path), one in a list of
// key=value, also of a key's file or as AWS's token among MongoDB's options, and one
// in the user:password@tcp(host)/ of MySQL. The first group is kept, the second is
// the password, the third is kept.
var urlPasswords = []*regexp.Regexp{
	regexp.MustCompile(`(://[^:/@]*:)([^/?#\s]*)(@)`),
	regexp.MustCompile(`(?i)(\w*(?:password\s*=\s*|session_token:))('(?:[^'\\]|\\.)*'|[^\s&]+)()`),
	regexp.MustCompile(`^([^:/@]*:)(.*)(@(?:\w*\(|/))`),
}

// withoutPassword hides passwords that were written into the URL itself.
func withoutPassword(url string) string {
	for _, passwords := range urlPasswords {
		url = passwords.ReplaceAllStringFunc(url, func(found string) string {
			part := passwords.FindStringSubmatch(found)
			if strings.Contains(part[2], "{{password}}") {
				return found
			}
			return part[1] + "**redacted**" + part[3]
		})
	}
	return url
}

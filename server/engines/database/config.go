package database

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/go-secure-stdlib/strutil"
	"github.com/hashicorp/vault/sdk/database/dbplugin/v5"
	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

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

	// PendingPassword is stored before a rotation reaches the database and
	// removed after: while it is set, either password may be the real one.
	PendingPassword string `json:"pending_password,omitempty"`
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
	return load[config](ctx, storage, configPrefix+name)
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
			"plugin_version":           {Type: framework.TypeString, Description: "Accepted empty only: plugins are built in."},
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
		stored = &config{VerifyConnection: true}
	}
	merged, err := merge(stored, data)
	if err != nil {
		return fail(err)
	}
	opened, err := b.initialize(ctx, merged, merged.VerifyConnection)
	if err != nil {
		// What is wrong is what was just written, wherever it showed.
		return refuse("%s", scrubbed(err, merged.password()))
	}
	if err := store(ctx, req.Storage, configPrefix+name, merged); err != nil {
		opened.release()
		return nil, err
	}
	conn.replace(opened)
	return nil, nil
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
	set(data, "plugin_name", &merged.PluginName)
	set(data, "allowed_roles", &merged.AllowedRoles)
	set(data, "root_rotation_statements", &merged.RotationStatements)
	set(data, "password_policy", &merged.PasswordPolicy)
	set(data, "verify_connection", &merged.VerifyConnection)
	return &merged, nil
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

// secretDetails never leave the engine.
var secretDetails = []string{"password", "private_key", "tls_certificate_key", "service_account_json", dbplugin.SupportedCredentialTypesKey}

func (b *backend) readConfig(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	stored, err := loadConfig(ctx, req.Storage, data.Get("name").(string))
	if stored == nil || err != nil {
		return nil, err
	}
	details := maps.Clone(stored.Details)
	maps.DeleteFunc(details, func(key string, _ any) bool { return slices.Contains(secretDetails, key) })
	if url, ok := details["connection_url"].(string); ok {
		details["connection_url"] = withoutPassword(url)
	}
	return &logical.Response{Data: map[string]any{
		"plugin_name":        stored.PluginName,
		"plugin_version":     "",
		"connection_details": details,
		"allowed_roles":      stored.AllowedRoles,
		"password_policy":    stored.PasswordPolicy,
		"verify_connection":  stored.VerifyConnection,
		// The name under which Vault's clients look for it.
		"root_credentials_rotate_statements": stored.RotationStatements,
	}}, nil
}

// A password in a URL (up to the last @ before the path), and one in a list of
// key=value. The first group is kept, the second is the password.
var (
	urlPassword = regexp.MustCompile(`(://[^:/@]*:)([^/?#\s]*)@`)
	keyPassword = regexp.MustCompile(`(\bpassword\s*=\s*)('(?:[^'\\]|\\.)*'|[^\s&]+)`)
)

// withoutPassword hides a password that was written into the URL itself.
func withoutPassword(url string) string {
	if !strings.Contains(url, "{{password}}") {
		url = urlPassword.ReplaceAllString(url, "${1}**redacted**@")
		url = keyPassword.ReplaceAllString(url, "${1}**redacted**")
	}
	return url
}

func (b *backend) deleteConfig(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	name := data.Get("name").(string)
	conn := b.connections.get(name)
	if err := conn.lock(ctx); err != nil {
		return fail(err)
	}
	defer conn.unlock()
	if err := req.Storage.Delete(ctx, configPrefix+name); err != nil {
		return nil, fmt.Errorf("deleting config %q: %w", name, err)
	}
	conn.replace(nil)
	return nil, nil
}

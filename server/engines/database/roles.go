package database

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/engines/database/fault"
	"github.com/novatech/securevault/server/engines/database/statement"
)

// rolePrefix is where roles are stored, and their path.
const rolePrefix = "roles/"

// role says how the users of one purpose are made and ended, as it is stored.
type role struct {
	Config               string        `json:"db_name"`
	CreationStatements   []string      `json:"creation_statements"`
	RevocationStatements []string      `json:"revocation_statements"`
	RollbackStatements   []string      `json:"rollback_statements"`
	RenewStatements      []string      `json:"renew_statements"`
	DefaultTTL           time.Duration `json:"default_ttl"` // 0: the mount's
	MaxTTL               time.Duration `json:"max_ttl"`     // 0: the mount's
	credential
}

// loadRole returns nil if there is no such role.
func loadRole(ctx context.Context, storage logical.Storage, name string) (*role, error) {
	return load[role](ctx, storage, rolePrefix+name)
}

func (b *backend) rolePath() *framework.Path {
	fields := map[string]*framework.FieldSchema{
		"name":                  {Type: framework.TypeString, Description: "Name of the role."},
		"db_name":               {Type: framework.TypeString, Description: "Name of the configuration it uses."},
		"creation_statements":   {Type: framework.TypeStringSlice, Description: "Statements that create a user, with {{name}}, {{password}} and {{expiration}}."},
		"revocation_statements": {Type: framework.TypeStringSlice, Description: "Statements that end a user; the plugin's own steps are taken anyway."},
		"rollback_statements":   {Type: framework.TypeStringSlice, Description: "Statements that undo a failed creation, where the database needs them."},
		"renew_statements":      {Type: framework.TypeStringSlice, Description: "Statements that extend a user's life."},
		"default_ttl":           {Type: framework.TypeDurationSecond, Description: "Life of a lease; 0 means the mount's default."},
		"max_ttl":               {Type: framework.TypeDurationSecond, Description: "Longest life of a lease with all its renewals; 0 means the mount's."},
	}
	maps.Copy(fields, credentialFields())
	return &framework.Path{
		Pattern:        rolePrefix + framework.GenericNameRegex("name"),
		Fields:         fields,
		ExistenceCheck: b.roleExists,
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.CreateOperation: &framework.PathOperation{Callback: b.writeRole},
			logical.UpdateOperation: &framework.PathOperation{Callback: b.writeRole},
			logical.ReadOperation:   &framework.PathOperation{Callback: b.readRole},
			logical.DeleteOperation: &framework.PathOperation{Callback: b.deleteRole},
		},
		HelpSynopsis:    "Defines a role: the statements that make and end its users.",
		HelpDescription: "Fields that are not given keep their value. Statements are one text, a list, or a JSON list in one text.",
	}
}

func (b *backend) roleListPath() *framework.Path {
	return listPath(rolePrefix, "Lists the roles.")
}

func (b *backend) roleExists(ctx context.Context, req *logical.Request, data *framework.FieldData) (bool, error) {
	stored, err := loadRole(ctx, req.Storage, data.Get("name").(string))
	return stored != nil, err
}

// writeRole merges the given fields into what is stored. A config that does not
// exist yet is a warning: operators write the two in either order.
func (b *backend) writeRole(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	name := data.Get("name").(string)
	merged, err := loadRole(ctx, req.Storage, name)
	if err != nil {
		return nil, err
	}
	if merged == nil {
		merged = &role{}
	}
	if err := merged.update(data); err != nil {
		return fail(err)
	}
	config, err := loadConfig(ctx, req.Storage, merged.Config)
	if err != nil {
		return nil, err
	}
	if err := b.checkCredential(&merged.credential, config); err != nil {
		return fail(err)
	}
	if err := store(ctx, req.Storage, rolePrefix+name, merged); err != nil {
		return nil, err
	}
	response := &logical.Response{}
	switch {
	case config == nil:
		response.AddWarning(fmt.Sprintf("db_name %q is no config yet: write config/%s before reading credentials", merged.Config, merged.Config))
	case !config.allows(name):
		response.AddWarning(fmt.Sprintf("allowed_roles of config %q does not name role %q: add it before reading credentials", merged.Config, name))
	default:
		return nil, nil
	}
	return response, nil
}

func (r *role) update(data *framework.FieldData) error {
	set(data, "db_name", &r.Config)
	if r.Config == "" {
		return fault.New(fault.Refused, "db_name is missing: write db_name=NAME with the name of a config")
	}
	for field, target := range map[string]*[]string{
		"creation_statements":   &r.CreationStatements,
		"revocation_statements": &r.RevocationStatements,
		"rollback_statements":   &r.RollbackStatements,
		"renew_statements":      &r.RenewStatements,
	} {
		set(data, field, target)
		*target = expandJSON(*target)
	}
	if err := r.checkRevocation(); err != nil {
		return err
	}
	setSeconds(data, "default_ttl", &r.DefaultTTL)
	setSeconds(data, "max_ttl", &r.MaxTTL)
	if r.MaxTTL > 0 && r.DefaultTTL > r.MaxTTL {
		return fault.New(fault.Refused, "default_ttl %s is longer than max_ttl %s: lower it or raise max_ttl", r.DefaultTTL, r.MaxTTL)
	}
	return r.credential.update(data)
}

// checkRevocation refuses statements that nobody can fill in: that would show only
// when a user is to end, and keep it alive.
func (r *role) checkRevocation() error {
	values := map[string]string{"name": "", "username": ""}
	if _, err := statement.Render(statement.Join(r.RevocationStatements), values); err != nil {
		return fault.New(fault.Refused, "revocation_statements: %s", err)
	}
	return nil
}

// expandJSON accepts a list of statements that a command line wrote as one text.
func expandJSON(statements []string) []string {
	var expanded []string
	if len(statements) == 1 && strings.HasPrefix(strings.TrimSpace(statements[0]), "[") &&
		json.Unmarshal([]byte(statements[0]), &expanded) == nil {
		return expanded
	}
	return statements
}

func (b *backend) readRole(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	stored, err := loadRole(ctx, req.Storage, data.Get("name").(string))
	if stored == nil || err != nil {
		return nil, err
	}
	return &logical.Response{Data: map[string]any{
		"db_name":               stored.Config,
		"creation_statements":   stored.CreationStatements,
		"revocation_statements": stored.RevocationStatements,
		"rollback_statements":   stored.RollbackStatements,
		"renew_statements":      stored.RenewStatements,
		"default_ttl":           int64(stored.DefaultTTL / time.Second),
		"max_ttl":               int64(stored.MaxTTL / time.Second),
		"credential_type":       stored.kind(),
		"credential_config":     stored.shown(),
	}}, nil
}

func (b *backend) deleteRole(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	name := data.Get("name").(string)
	if err := req.Storage.Delete(ctx, rolePrefix+name); err != nil {
		return nil, fmt.Errorf("deleting role %q: %w", name, err)
	}
	return nil, nil
}

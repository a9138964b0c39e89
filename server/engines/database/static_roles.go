package database

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/engines/database/fault"
	"github.com/novatech/securevault/server/engines/database/statement"
)

// staticPrefix is where static roles are stored, and their path.
const staticPrefix = "static-roles/"

// staticRole is a user that exists already and whose password the server changes
// from time to time, as it is stored.
type staticRole struct {
	Config     string   `json:"db_name"`
	Username   string   `json:"username"`
	Statements []string `json:"rotation_statements"`
	SkipImport bool     `json:"skip_import_rotation,omitempty"` // the first rotation waits for its time
	timetable
	credential

	Password string    `json:"password,omitempty"` // empty before the first rotation
	Created  time.Time `json:"created"`
	Rotated  time.Time `json:"rotated,omitzero"`

	// Pending is stored before a rotation reaches the database and removed after:
	// while it is set, either password may be the real one.
	Pending string `json:"pending,omitempty"`

	// What became of the last rotations, if they failed.
	Failures int       `json:"failures,omitempty"` // in a row
	Failure  string    `json:"failure,omitempty"`  // the last one's text
	RetryAt  time.Time `json:"retry_at,omitzero"`
}

// loadStatic returns nil if there is no such static role.
func loadStatic(ctx context.Context, storage logical.Storage, name string) (*staticRole, error) {
	return load[staticRole](ctx, storage, staticPrefix+name)
}

// keep stores the static role and plans its next rotation.
func (b *backend) keep(ctx context.Context, storage logical.Storage, name string, role *staticRole) error {
	next := role.due(time.Now())
	err := store(ctx, storage, staticPrefix+name, role)
	if err != nil { // what is stored may need to be settled
		next = time.Now().Add(firstRetry)
	}
	b.rotator.plan(name, role.Config, next)
	return err
}

func (b *backend) staticRolePath() *framework.Path {
	fields := map[string]*framework.FieldSchema{
		"name":                  {Type: framework.TypeString, Description: "Name of the static role."},
		"db_name":               {Type: framework.TypeString, Description: "Name of the configuration it uses."},
		"username":              {Type: framework.TypeString, Description: "User of the database; it has to exist."},
		"rotation_statements":   {Type: framework.TypeStringSlice, Description: "Statements that change the password, with {{username}} and {{password}}, in place of the plugin's own."},
		"skip_import_rotation":  {Type: framework.TypeBool, Description: "Whether the first rotation waits for its time, instead of being done at once."},
		"password":              {Type: framework.TypeString, Description: "Refused: the server sets passwords itself."},
		"self_managed_password": {Type: framework.TypeString, Description: "Refused: the server sets passwords itself."},
	}
	maps.Copy(fields, timetableFields())
	maps.Copy(fields, credentialFields())
	return &framework.Path{
		Pattern:        staticPrefix + framework.GenericNameRegex("name"),
		Fields:         fields,
		ExistenceCheck: b.staticRoleExists,
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.CreateOperation: &framework.PathOperation{Callback: b.writeStaticRole},
			logical.UpdateOperation: &framework.PathOperation{Callback: b.writeStaticRole},
			logical.ReadOperation:   &framework.PathOperation{Callback: b.readStaticRole},
			logical.DeleteOperation: &framework.PathOperation{Callback: b.deleteStaticRole},
		},
		HelpSynopsis:    "Defines a static role: an existing user whose password the server rotates.",
		HelpDescription: "The password is changed when the role is made, then as rotation_period or rotation_schedule says. Deleting the role leaves the user and its password.",
	}
}

func (b *backend) staticRoleListPath() *framework.Path {
	return listPath(staticPrefix, "Lists the static roles.")
}

func (b *backend) staticRoleExists(ctx context.Context, req *logical.Request, data *framework.FieldData) (bool, error) {
	stored, err := loadStatic(ctx, req.Storage, data.Get("name").(string))
	return stored != nil, err
}

// writeStaticRole merges the given fields into what is stored. A new role takes its
// user over: if the database refuses that, there is no role.
func (b *backend) writeStaticRole(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	name := data.Get("name").(string)
	done, err := b.turns.take(ctx, name)
	if err != nil {
		return fail(err)
	}
	defer done()
	stored, err := loadStatic(ctx, req.Storage, name)
	if err != nil {
		return nil, err
	}
	role := &staticRole{Created: time.Now()}
	if stored != nil {
		*role = *stored
	}
	if err := role.update(data); err != nil {
		return fail(err)
	}
	config, err := b.configOf(ctx, req.Storage, name, role)
	if err != nil {
		return fail(err)
	}
	if role.Password != "" || role.SkipImport {
		return answered(b.claim(ctx, req.Storage, name, role))
	}
	err = b.takeOver(ctx, req.Storage, name, role, config)
	if err != nil && stored == nil && role.Pending == "" {
		if err := b.forget(ctx, req.Storage, name); err != nil {
			return nil, err
		}
	}
	return answered(err)
}

// takeOver sets the first password of the role's user, which nobody else knows then.
// If the database may have it in spite of an error, it stays pending.
func (b *backend) takeOver(ctx context.Context, storage logical.Storage, name string, role *staticRole, config *config) (err error) {
	inherited := role.Pending != ""
	if !inherited {
		// Stored with the role: whoever finds it finishes the takeover.
		if role.Pending, err = b.newPassword(ctx, role.PasswordPolicy, config.PasswordPolicy); err != nil {
			return err
		}
	}
	if err := b.claim(ctx, storage, name, role); err != nil {
		return err
	}
	// The two passwords must not part because a client hung up.
	err = b.setPending(context.WithoutCancel(ctx), storage, name, role, config, inherited)
	if err != nil && role.Pending != "" {
		return fault.New(fault.ClassOf(err), "static role %q is stored, but its user may not have its password yet; that is tried again at %s, or when the role is written: %s",
			name, role.expected().Format(time.RFC3339), err)
	}
	return err
}

// update merges what a request says.
func (r *staticRole) update(data *framework.FieldData) error {
	for _, field := range []string{"password", "self_managed_password"} {
		if text, _ := data.Get(field).(string); text != "" {
			return fault.New(fault.Refused, "%s is not taken: the server sets the password itself, with the admin of the config; leave it out", field)
		}
	}
	old := *r
	set(data, "db_name", &r.Config)
	set(data, "username", &r.Username)
	set(data, "skip_import_rotation", &r.SkipImport)
	set(data, "rotation_statements", &r.Statements)
	r.Statements = slices.DeleteFunc(expandJSON(r.Statements), func(text string) bool { return strings.TrimSpace(text) == "" })
	switch {
	case r.Config == "":
		return fault.New(fault.Refused, "db_name is missing: write db_name=NAME with the name of a config")
	case r.Username == "":
		return fault.New(fault.Refused, "username is missing: write username=NAME with the name of a user that exists on the database")
	case old.Username != "" && (old.Username != r.Username || old.Config != r.Config):
		return fault.New(fault.Refused, "username and db_name of a static role cannot change: delete the role, which leaves the user, and write another")
	}
	if err := r.checkStatements(); err != nil {
		return err
	}
	if err := r.timetable.update(data); err != nil {
		return err
	}
	if err := r.credential.update(data); err != nil {
		return err
	}
	if r.kind() != passwordType {
		return fault.New(fault.Refused, "credential_type %q: static roles rotate passwords; use a role for credentials that are issued", r.kind())
	}
	// Whatever was wrong may be right now.
	r.Failures, r.RetryAt = 0, time.Time{}
	return nil
}

// checkStatements fills the statements in, and a default that holds the username.
func (r *staticRole) checkStatements() error {
	values := map[string]string{"name": r.Username, "username": r.Username, "password": ""}
	if _, err := statement.Render("{{username}} "+statement.Join(r.Statements), values); err != nil {
		return fault.New(fault.Refused, "rotation_statements for user %q: %s", r.Username, err)
	}
	return nil
}

func (b *backend) readStaticRole(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	stored, err := loadStatic(ctx, req.Storage, data.Get("name").(string))
	if stored == nil || err != nil {
		return nil, err
	}
	shown := map[string]any{
		"db_name":              stored.Config,
		"username":             stored.Username,
		"rotation_statements":  stored.Statements,
		"skip_import_rotation": stored.SkipImport,
		"credential_type":      stored.kind(),
		"credential_config":    stored.credential.shown(),
		"next_vault_rotation":  stored.expected(),
	}
	stored.timetable.shown(shown)
	if !stored.Rotated.IsZero() {
		shown["last_vault_rotation"] = stored.Rotated
	}
	response := &logical.Response{Data: shown}
	stored.warn(response)
	return response, nil
}

// expected returns when the next rotation is to be tried, as it is told to clients.
func (r *staticRole) expected() time.Time {
	now := time.Now()
	if next := r.due(now); next.After(now) {
		return next.UTC()
	}
	return now.UTC()
}

// deleteStaticRole leaves the user on the database as it is: the server did not
// make it.
func (b *backend) deleteStaticRole(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	name := data.Get("name").(string)
	done, err := b.turns.take(ctx, name)
	if err != nil {
		return fail(err)
	}
	defer done()
	return nil, b.forget(ctx, req.Storage, name)
}

func (b *backend) forget(ctx context.Context, storage logical.Storage, name string) error {
	if err := storage.Delete(ctx, staticPrefix+name); err != nil {
		return fmt.Errorf("deleting static role %q: %w", name, err)
	}
	b.rotator.forget(name)
	return nil
}

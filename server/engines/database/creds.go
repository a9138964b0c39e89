package database

import (
	"context"
	"time"

	"github.com/hashicorp/vault/sdk/database/dbplugin/v5"
	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/core/password"
	"github.com/novatech/securevault/server/engines/database/fault"
)

// grace is added to the expiration that the database enforces: the lease ends
// the user, the database's own clock is the safety net behind it.
const grace = 5 * time.Second

func (b *backend) credsPath() *framework.Path {
	return &framework.Path{
		Pattern: "creds/" + framework.GenericNameRegex("name"),
		Fields: map[string]*framework.FieldSchema{
			"name": {Type: framework.TypeString, Description: "Name of the role."},
		},
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.ReadOperation: &framework.PathOperation{Callback: b.readCreds},
		},
		HelpSynopsis: "Issues a database user for the role: username and password.",
	}
}

func (b *backend) readCreds(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	name := data.Get("name").(string)
	role, err := loadRole(ctx, req.Storage, name)
	if err != nil {
		return nil, err
	}
	if role == nil {
		return refuse("unknown role %q: write roles/%s first", name, name)
	}
	config, err := loadConfig(ctx, req.Storage, role.Config)
	if err != nil {
		return nil, err
	}
	if config == nil {
		return refuse("role %q uses the unknown config %q: write config/%s first or correct db_name", name, role.Config, role.Config)
	}
	if !config.allows(name) {
		return refuse("role %q may not use config %q: add it to allowed_roles of config/%s", name, role.Config, role.Config)
	}
	response, err := b.issue(ctx, req, name, role, config)
	if err != nil {
		return fail(err)
	}
	return response, nil
}

// issue creates the user. If anything fails after that, the user is removed at
// once: nobody would ever revoke it.
func (b *backend) issue(ctx context.Context, req *logical.Request, name string, role *role, config *config) (*logical.Response, error) {
	secret, err := b.newPassword(ctx, role.PasswordPolicy, config.PasswordPolicy)
	if err != nil {
		return nil, err
	}
	ttl, _, err := framework.CalculateTTL(b.System(), 0, role.DefaultTTL, 0, role.MaxTTL, 0, time.Time{})
	if err != nil {
		return nil, err
	}
	database, err := b.database(ctx, req.Storage, role.Config)
	if err != nil {
		return nil, err
	}
	defer database.release()
	call, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	user, err := database.NewUser(call, dbplugin.NewUserRequest{
		UsernameConfig:     dbplugin.UsernameMetadata{DisplayName: req.DisplayName, RoleName: name},
		Statements:         dbplugin.Statements{Commands: role.CreationStatements},
		RollbackStatements: dbplugin.Statements{Commands: role.RollbackStatements},
		CredentialType:     dbplugin.CredentialTypePassword,
		Password:           secret,
		Expiration:         time.Now().Add(ttl + grace),
	})
	if err != nil {
		return nil, scrubbed(err, secret, config.password())
	}
	if ctx.Err() != nil {
		return nil, b.abandon(ctx, database, user.Username, role)
	}
	return b.lease(name, role, user.Username, secret), nil
}

// abandon removes a user whose client has gone while it was made.
func (b *backend) abandon(ctx context.Context, database *instance, username string, role *role) error {
	cause := context.Cause(ctx)
	call, cancel := context.WithTimeout(context.WithoutCancel(ctx), callLimit)
	defer cancel()
	_, err := database.DeleteUser(call, dbplugin.DeleteUserRequest{
		Username:   username,
		Statements: dbplugin.Statements{Commands: role.RevocationStatements},
	})
	if err != nil {
		return fault.New(fault.Later, "the request ended (%s), and removing its user %q failed: drop it by hand: %s", cause, username, err)
	}
	return fault.New(fault.Later, "the request ended before its user was made: %s: try again", cause)
}

// newPassword generates from the first policy that is named, or the default.
func (b *backend) newPassword(ctx context.Context, policies ...string) (string, error) {
	for _, policy := range policies {
		if policy == "" {
			continue
		}
		generated, err := b.System().GeneratePasswordFromPolicy(ctx, policy)
		if err != nil {
			return "", fault.New(fault.Refused, "generating a password from password_policy %q: %s: write sys/policies/password/%s first or correct the name", policy, err, policy)
		}
		return generated, nil
	}
	return password.Default().Generate(ctx, b.GetRandomReader())
}

package database

import (
	"context"
	"time"

	"github.com/hashicorp/vault/sdk/database/dbplugin/v5"
	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/core/intent"
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
		HelpSynopsis: "Issues a database user for the role: username and password, or what else its credential_type is.",
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
	ordered, err := b.newOrder(ctx, req.DisplayName, name, role, config)
	if err != nil {
		return nil, err
	}
	database, err := b.database(ctx, req.Storage, role.Config)
	if err != nil {
		return nil, err
	}
	defer database.release()
	made, err := b.newUser(ctx, database, ordered)
	b.suspect(ctx, req.Storage, role.Config, database, err)
	if err != nil {
		return nil, scrubbed(err, append(config.secrets(), ordered.request.Password)...)
	}
	if ctx.Err() != nil {
		return nil, b.abandon(ctx, database, made.username, role)
	}
	response := b.lease(ordered, made)
	response.Warnings = made.warnings
	return response, nil
}

// namer is a plugin that can tell the name of a user before it makes it.
type namer interface {
	// NewUsername makes up a name.
	NewUsername(dbplugin.UsernameMetadata) (string, error)
	// NewNamedUser is NewUser for a user of that name; it returns what the database
	// warns of. An error means that there is no such user, unless its class is
	// fault.Left or fault.Unknown.
	NewNamedUser(ctx context.Context, name string, req dbplugin.NewUserRequest) (warnings []string, err error)
}

// sessioner is a namer whose database may go on with what a server has asked for
// when that server is dead.
type sessioner interface {
	// Session names the sessions in which this instance makes users.
	Session() string
	// EndSession returns once nothing is made in the sessions of that name,
	// unless they are this instance's own.
	EndSession(ctx context.Context, session string) error
}

// issuer is a plugin whose database, or cloud, makes the secret of some types of
// credentials.
type issuer interface {
	namer
	// Issues lists those types, as roles write them in credential_type. It is
	// asked before Initialize.
	Issues() []string
	// Issue makes a credential of that type and name, good until req.Expiration,
	// which renewals do not move. It returns what the client gets besides the
	// username. Errors mean what they mean for NewNamedUser.
	Issue(ctx context.Context, kind, name string, req dbplugin.NewUserRequest) (data map[string]any, warnings []string, err error)
}

// newUser carries an order out. Where the plugin is a namer, the server knows of
// the user before it exists: should it die right after, it removes the user at its
// next start.
func (b *backend) newUser(ctx context.Context, database *instance, ordered *order) (user, error) {
	planned, ok := database.Database.(namer)
	if !ok {
		return ordered.makeUnnamed(ctx, database)
	}
	username, err := ordered.username(planned)
	if err != nil {
		return user{}, err
	}
	planning := b.lease(ordered, user{username: username}).Secret
	if maker, ok := database.Database.(sessioner); ok {
		planning.InternalData["session"] = maker.Session()
	}
	if err := intent.Record(ctx, planning); err != nil {
		return user{}, err
	}
	made, err := ordered.make(ctx, planned, username)
	if class := fault.ClassOf(err); err != nil && class != fault.Left && class != fault.Unknown {
		intent.Withdraw(ctx)
	}
	return made, err
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
	intent.Withdraw(ctx)
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

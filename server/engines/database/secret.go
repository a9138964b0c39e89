package database

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/hashicorp/vault/sdk/database/dbplugin/v5"
	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/engines/database/fault"
)

const userSecretType = "creds"

func (b *backend) userSecret() *framework.Secret {
	return &framework.Secret{Type: userSecretType, Renew: b.renewUser, Revoke: b.revokeUser}
}

// leased is what a lease remembers of its user.
type leased struct {
	Username   string   `json:"username"`
	Role       string   `json:"role"`
	Config     string   `json:"db_name"`
	Revocation []string `json:"revocation_statements"`
}

// lease makes the answer to a request for credentials.
func (b *backend) lease(name string, role *role, username, secret string) *logical.Response {
	response := b.Secret(userSecretType).Response(map[string]any{
		"username": username,
		"password": secret,
	}, map[string]any{
		"username":              username,
		"role":                  name,
		"db_name":               role.Config,
		"revocation_statements": role.RevocationStatements,
	})
	response.Secret.TTL = role.DefaultTTL
	response.Secret.MaxTTL = role.MaxTTL
	return response
}

// remember decodes a lease's internal data, which the core kept as JSON.
func remember(secret *logical.Secret) (leased, error) {
	var memory leased
	encoded, err := json.Marshal(secret.InternalData)
	if err == nil {
		err = json.Unmarshal(encoded, &memory)
	}
	if err != nil {
		return leased{}, fmt.Errorf("decoding the lease: %w", err)
	}
	if memory.Username == "" || memory.Config == "" {
		return leased{}, fmt.Errorf("decoding the lease: it names no username or db_name")
	}
	return memory, nil
}

// renewUser moves the expiration that the database enforces. The role as it is
// now decides how far.
func (b *backend) renewUser(ctx context.Context, req *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	memory, err := remember(req.Secret)
	if err != nil {
		return nil, err
	}
	role, err := loadRole(ctx, req.Storage, memory.Role)
	if err != nil {
		return nil, err
	}
	if role == nil {
		return refuse("role %q no longer exists, its leases cannot be renewed: request new credentials under another role", memory.Role)
	}
	ttl, _, err := framework.CalculateTTL(b.System(), req.Secret.Increment, role.DefaultTTL, 0, role.MaxTTL, 0, req.Secret.IssueTime)
	if err != nil {
		return refuse("%s: request new credentials", err)
	}
	if err := b.extend(ctx, req.Storage, memory, role, time.Now().Add(ttl+grace)); err != nil {
		return fail(err)
	}
	renewed := *req.Secret
	renewed.TTL = role.DefaultTTL
	renewed.MaxTTL = role.MaxTTL
	return &logical.Response{Secret: &renewed}, nil
}

func (b *backend) extend(ctx context.Context, storage logical.Storage, memory leased, role *role, expiration time.Time) error {
	database, err := b.database(ctx, storage, memory.Config)
	if err != nil {
		return err
	}
	defer database.release()
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	_, err = database.UpdateUser(ctx, dbplugin.UpdateUserRequest{
		Username:       memory.Username,
		CredentialType: dbplugin.CredentialTypePassword,
		Expiration: &dbplugin.ChangeExpiration{
			NewExpiration: expiration,
			Statements:    dbplugin.Statements{Commands: role.RenewStatements},
		},
	})
	return err
}

// revokeUser ends the user. The statements of the role as it is now win over
// those of the day of issue: an operator who corrects them helps old leases too.
// An error keeps the lease, and the server tries again.
func (b *backend) revokeUser(ctx context.Context, req *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	memory, err := remember(req.Secret)
	if err != nil {
		return nil, err
	}
	role, err := loadRole(ctx, req.Storage, memory.Role)
	if err != nil {
		return nil, err
	}
	if role != nil && role.Config == memory.Config {
		memory.Revocation = role.RevocationStatements
	}
	database, err := b.database(ctx, req.Storage, memory.Config)
	if err != nil {
		return fail(stuck(err, memory))
	}
	defer database.release()
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	_, err = database.DeleteUser(ctx, dbplugin.DeleteUserRequest{
		Username:   memory.Username,
		Statements: dbplugin.Statements{Commands: memory.Revocation},
	})
	if err != nil {
		return fail(stuck(err, memory))
	}
	return nil, nil
}

// stuck explains a revocation that failed. It counts as the database's failure,
// not the client's: what refuses to end stays the server's task.
func stuck(err error, memory leased) error {
	return fault.New(fault.Later, "revoking user %q of config %q: %s", memory.Username, memory.Config, err)
}

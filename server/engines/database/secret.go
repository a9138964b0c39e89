package database

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"time"

	"github.com/hashicorp/vault/sdk/database/dbplugin/v5"
	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/engines/database/fault"
)

const userSecretType = "creds"

// longestStep bounds by how much a renewal may move the deadline at the database
// beyond what it needs.
const longestStep = time.Minute

func (b *backend) userSecret() *framework.Secret {
	return &framework.Secret{Type: userSecretType, Renew: b.renewUser, Revoke: b.revokeUser}
}

// leased is what a lease remembers of its user.
type leased struct {
	Username   string   `json:"username"`
	Role       string   `json:"role"`
	Config     string   `json:"db_name"`
	Revocation []string `json:"revocation_statements"`

	// Type is what the user was made with: the role may issue another type by now.
	Type string `json:"credential_type,omitempty"`
	// Session is where the user was about to be made; empty once it is made.
	Session string `json:"session,omitempty"`
	// ValidUntil is the deadline that a renewal has last set at the database;
	// zero before the first.
	ValidUntil time.Time `json:"valid_until,omitzero"`
	// Ends is the end that the credential itself carries, as a certificate does;
	// zero if renewals move it.
	Ends time.Time `json:"ends,omitzero"`
}

// lease makes the answer to a request for credentials.
func (b *backend) lease(from *order, made user) *logical.Response {
	internal := map[string]any{
		"username":              made.username,
		"role":                  from.name,
		"db_name":               from.role.Config,
		"revocation_statements": from.role.RevocationStatements,
	}
	if kind := from.role.kind(); kind != passwordType { // most are, and there are very many
		internal["credential_type"] = kind
	}
	most := from.role.MaxTTL
	if !from.ends.IsZero() {
		internal["ends"] = from.ends
		most = time.Until(from.ends)
	}
	response := b.Secret(userSecretType).Response(made.data, internal)
	response.Secret.TTL = from.role.DefaultTTL
	response.Secret.MaxTTL = most
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
	most := memory.longest(role, req.Secret.IssueTime)
	ttl, _, err := framework.CalculateTTL(b.System(), req.Secret.Increment, role.DefaultTTL, 0, most, 0, req.Secret.IssueTime)
	if err != nil {
		return refuse("%s: request new credentials", err)
	}
	renewed := *req.Secret
	renewed.TTL = role.DefaultTTL
	renewed.MaxTTL = most
	first, last := deadlines(ttl, req.Secret.IssueTime.Add(cmp.Or(most, b.System().MaxLeaseTTL())))
	reaches := !memory.Ends.IsZero() || !memory.ValidUntil.Before(first) && !memory.ValidUntil.After(last)
	if reaches && len(role.RenewStatements) == 0 {
		return &logical.Response{Secret: &renewed}, nil
	}
	if err := b.extend(ctx, req.Storage, memory, role, last); err != nil {
		return fail(err)
	}
	renewed.InternalData = maps.Clone(renewed.InternalData)
	renewed.InternalData["valid_until"] = last
	return &logical.Response{Secret: &renewed}, nil
}

// longest returns how long the lease may live with all its renewals, as a role
// writes it: 0 means the mount's. A credential that carries its own end does not
// follow a max_ttl that was raised after.
func (l leased) longest(role *role, issued time.Time) time.Duration {
	if l.Ends.IsZero() {
		return role.MaxTTL
	}
	left := l.Ends.Sub(issued)
	if role.MaxTTL > 0 {
		return min(left, role.MaxTTL)
	}
	return left
}

// deadlines returns between which times the database may end a user whose lease
// has that TTL from now, and no renewal beyond end. The time between them is for
// clients that renew much more often than they need: most of their renewals need
// not reach the database.
func deadlines(ttl time.Duration, end time.Time) (first, last time.Time) {
	first = time.Now().Add(ttl + grace)
	last = first.Add(min(ttl/10, longestStep))
	if end = end.Add(grace); last.After(end) {
		last = end
	}
	if last.Before(first) {
		last = first
	}
	return first, last
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
		CredentialType: pluginType(memory.Type),
		Expiration: &dbplugin.ChangeExpiration{
			NewExpiration: expiration,
			Statements:    dbplugin.Statements{Commands: role.RenewStatements},
		},
	})
	b.suspect(ctx, storage, memory.Config, database, err)
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
	err = endUser(ctx, database, memory)
	b.suspect(ctx, req.Storage, memory.Config, database, err)
	if err != nil {
		return fail(stuck(err, memory))
	}
	return nil, nil
}

func endUser(ctx context.Context, database *instance, memory leased) error {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	if maker, ok := database.Database.(sessioner); ok && memory.Session != "" {
		if err := maker.EndSession(ctx, memory.Session); err != nil {
			return err
		}
	}
	_, err := database.DeleteUser(ctx, dbplugin.DeleteUserRequest{
		Username:   memory.Username,
		Statements: dbplugin.Statements{Commands: memory.Revocation},
	})
	return err
}

// stuck explains a revocation that failed. It counts as the database's failure,
// not the client's: what refuses to end stays the server's task.
func stuck(err error, memory leased) error {
	return fault.New(fault.Later, "revoking user %q of config %q: %s", memory.Username, memory.Config, err)
}

package database

import (
	"cmp"
	"context"
	"maps"
	"time"

	"github.com/hashicorp/vault/sdk/database/dbplugin/v5"
	"github.com/hashicorp/vault/sdk/framework"

	"github.com/novatech/securevault/server/engines/database/certificate"
	"github.com/novatech/securevault/server/engines/database/fault"
	"github.com/novatech/securevault/server/engines/database/username"
)

// order is a user that a client has asked for.
type order struct {
	name    string // of the role
	role    *role
	request dbplugin.NewUserRequest

	authority *certificate.Authority // signs the user's certificate, if it gets one
	// ends is the end that the credential itself carries; zero if renewals move it.
	ends time.Time
}

// user is one that was made.
type user struct {
	username string
	data     map[string]any // what the client gets
	warnings []string       // of the database
}

// newOrder prepares what the database has no part in.
func (b *backend) newOrder(ctx context.Context, displayName, name string, role *role, config *config) (*order, error) {
	if err := b.checkCredential(&role.credential, config); err != nil {
		return nil, err
	}
	ttl, _, err := framework.CalculateTTL(b.System(), 0, role.DefaultTTL, 0, role.MaxTTL, 0, time.Time{})
	if err != nil {
		return nil, err
	}
	now := time.Now()
	o := &order{name: name, role: role, request: dbplugin.NewUserRequest{
		UsernameConfig:     dbplugin.UsernameMetadata{DisplayName: displayName, RoleName: name},
		Statements:         dbplugin.Statements{Commands: role.CreationStatements},
		RollbackStatements: dbplugin.Statements{Commands: role.RollbackStatements},
		CredentialType:     pluginType(role.kind()),
		Expiration:         now.Add(ttl + grace),
	}}
	switch role.kind() {
	case passwordType:
		o.request.Password, err = b.newPassword(ctx, role.PasswordPolicy, config.PasswordPolicy)
		return o, err
	case certificateType:
		if o.authority, err = role.authority(config); err != nil {
			return nil, err
		}
	}
	o.fix(now.Add(min(cmp.Or(role.MaxTTL, b.System().MaxLeaseTTL()), b.System().MaxLeaseTTL())))
	return o, nil
}

// fix gives the credential an end of its own. It is the longest life of the lease:
// a certificate cannot be extended, so that one which ended with the first TTL
// would make renewals worthless, and the user goes with the lease anyway. No
// renewal goes beyond it.
func (o *order) fix(end time.Time) {
	if o.authority != nil && o.authority.Until().Before(end) {
		end = o.authority.Until()
	}
	o.ends = end
	o.request.Expiration = end.Add(grace)
}

// username makes up the user's name. It becomes the common name of a certificate.
func (o *order) username(plugin namer) (string, error) {
	if o.authority == nil || o.role.CommonName == "" {
		return plugin.NewUsername(o.request.UsernameConfig)
	}
	template, err := username.New(o.role.CommonName, certificate.MaxName)
	if err != nil {
		return "", err
	}
	name, err := template.NewUsername(o.request.UsernameConfig)
	if err != nil {
		return "", fault.New(fault.Refused, "common_name_template is read as a username_template: %s", err)
	}
	return name, nil
}

// make creates the user of that name and its secret.
func (o *order) make(ctx context.Context, plugin namer, name string) (user, error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	made := user{username: name, data: map[string]any{"username": name}}
	var secret map[string]any
	var err error
	switch o.role.kind() {
	case passwordType:
		secret = map[string]any{"password": o.request.Password}
		made.warnings, err = plugin.NewNamedUser(ctx, name, o.request)
	case certificateType:
		if secret, err = o.certify(name); err != nil {
			return made, err
		}
		made.warnings, err = plugin.NewNamedUser(ctx, name, o.request)
	default:
		// checkCredential has seen that the plugin is an issuer.
		secret, made.warnings, err = plugin.(issuer).Issue(ctx, o.role.kind(), name, o.request)
	}
	maps.Copy(made.data, secret)
	return made, err
}

// certify makes the certificate of the user of that name, who need not exist yet.
func (o *order) certify(name string) (map[string]any, error) {
	made, err := o.authority.Issue(name, o.ends, o.role.Key)
	if err != nil {
		return nil, fault.New(fault.Refused, "making a client certificate: %s", err)
	}
	o.request.Subject = made.Subject
	return map[string]any{
		"subject":            made.Subject,
		"client_certificate": made.Leaf,
		"private_key":        made.Key,
		"private_key_type":   made.KeyType,
		"ca_chain":           made.Chain,
		"expiration":         made.Until.Unix(),
	}, nil
}

// makeUnnamed is make for a plugin that tells the name of a user only when it has
// made it: too late for what carries the name.
func (o *order) makeUnnamed(ctx context.Context, plugin dbplugin.Database) (user, error) {
	if o.role.kind() != passwordType {
		return user{}, fault.New(fault.Refused, "credential_type %q needs a plugin that knows the name of a user before it makes it: use %s", o.role.kind(), passwordType)
	}
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	made, err := plugin.NewUser(ctx, o.request)
	return user{
		username: made.Username,
		data:     map[string]any{"username": made.Username, "password": o.request.Password},
	}, err
}

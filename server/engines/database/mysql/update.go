package mysql

import (
	"context"

	"github.com/hashicorp/vault/sdk/database/dbplugin/v5"

	"github.com/novatech/securevault/server/engines/database/fault"
)

// UpdateUser sets a user's password, its expiration, or both. The server knows no
// expiration of users: without statements, it is only made sure that there is one.
func (d *Database) UpdateUser(ctx context.Context, req dbplugin.UpdateUserRequest) (dbplugin.UpdateUserResponse, error) {
	var none dbplugin.UpdateUserResponse
	if change := req.Password; change != nil {
		if err := d.changePassword(ctx, req.Username, change); err != nil {
			return none, err
		}
	}
	if change := req.Expiration; change != nil {
		if err := d.extend(ctx, req.Username, change); err != nil {
			return none, err
		}
	}
	return none, nil
}

// changePassword changes it for the user at every host, unless the statements know
// better. The statements are no transaction: if one of several is refused, the
// password may have been changed, and the answer must not be that it was not.
func (d *Database) changePassword(ctx context.Context, name string, change *dbplugin.ChangePassword) error {
	const what = "changing the password"
	values := map[string]string{"name": name, "username": name, "password": change.NewPassword}
	rendered, err := render("statements", change.Statements, values)
	if err == nil && len(rendered) == 0 {
		rendered, err = d.defaultChange(ctx, name, values)
	}
	if err != nil {
		return d.explain(err, what)
	}
	err = d.alter(ctx, name, what, rendered, change.NewPassword)
	if fault.ClassOf(err) == fault.Refused && rendered.several() {
		return fault.New(fault.Later, "%s; of the statements before it, some may have been executed", err)
	}
	return err
}

func (d *Database) defaultChange(ctx context.Context, name string, values map[string]string) (texts, error) {
	conn, err := d.acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer release(conn)
	hosts, err := hostsOf(ctx, conn, havingPassword, name)
	if err != nil {
		return nil, err
	}
	if len(hosts) == 0 {
		return nil, fault.New(fault.NoUser, "the server has no user %q that logs in with a password: create it, or request new credentials", name)
	}
	var each []string // one statement per account: not every server takes several as a whole
	for _, account := range accounts(name, hosts) {
		each = append(each, "ALTER USER "+account+" IDENTIFIED BY '{{password}}'")
	}
	return render("statements", dbplugin.Statements{Commands: each}, values)
}

func (d *Database) extend(ctx context.Context, name string, change *dbplugin.ChangeExpiration) error {
	rendered, err := render("renew_statements", change.Statements, map[string]string{
		"name": name, "username": name, "expiration": change.NewExpiration.Format(expirationFormat),
	})
	if err != nil {
		return err
	}
	return d.alter(ctx, name, "running renew_statements", rendered, "")
}

// alter executes the texts for a user that has to be there afterwards.
func (d *Database) alter(ctx context.Context, name, what string, rendered texts, secret string) error {
	conn, err := d.acquire(ctx)
	if err != nil {
		return err
	}
	defer rendered.releaseUsed(conn)
	failed := rendered.execute(ctx, conn)
	hosts, err := hostsOf(ctx, conn, everywhere, name)
	switch {
	case err == nil && len(hosts) == 0:
		return fault.New(fault.NoUser, "%s: the user %q no longer exists on the server: create it again, or request new credentials", what, name)
	case failed != nil:
		return d.explain(failed, what, secret)
	}
	return d.explain(err, "looking up user "+name)
}

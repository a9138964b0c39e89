package elasticsearch

import (
	"context"
	"net/http"
	"time"

	"github.com/hashicorp/vault/sdk/database/dbplugin/v5"

	"github.com/novatech/securevault/server/engines/database/fault"
	"github.com/novatech/securevault/server/engines/database/username"
)

// undoLimit bounds the clean-up after a creation of which we do not know how it
// ended. It does not use the request's context, which may be over.
const undoLimit = 10 * time.Second

// NewUser implements dbplugin.Database.
func (d *Database) NewUser(ctx context.Context, req dbplugin.NewUserRequest) (dbplugin.NewUserResponse, error) {
	return username.NewUser(ctx, d, req)
}

// NewNamedUser is NewUser for a user of that name. The rollback statements are not
// needed: whatever was made before a failure is removed.
func (d *Database) NewNamedUser(ctx context.Context, name string, req dbplugin.NewUserRequest) (warnings []string, err error) {
	granted, err := decodeGrants(req.Statements.Commands, placeholders(name, req.Expiration))
	if err == nil {
		err = granted.forUser()
	}
	if err != nil {
		return nil, err
	}
	dialect, err := d.speak(ctx)
	if err != nil {
		return nil, err
	}
	if err := d.vacant(ctx, dialect, name); err != nil {
		return nil, err
	}
	if err := d.create(ctx, dialect, name, req.Password, granted); err != nil {
		return nil, d.undo(ctx, err, name)
	}
	return nil, nil
}

// placeholders are what a statement may refer to.
func placeholders(name string, expiration time.Time) map[string]string {
	return map[string]string{"name": name, "username": name, "expiration": expiration.UTC().Format(time.RFC3339)}
}

// vacant refuses a name that somebody has: writing it would change that user.
func (d *Database) vacant(ctx context.Context, dialect dialect, name string) error {
	err := d.client.do(ctx, "looking for the name of the user", request{"GET", dialect.userPath(name), nil}, nil)
	switch {
	case isStatus(err, http.StatusNotFound):
		return nil
	case err == nil:
		return fault.New(fault.Refused, "a user %q exists already: add {{random 12}} to username_template", name)
	}
	return err
}

// create makes the user, after the role that is its own. It does not stop when ctx
// ends: what the server is doing could not be told then.
func (d *Database) create(ctx context.Context, dialect dialect, name, password string, granted grants) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callLimit)
	defer cancel()
	roles := granted.roles
	if granted.definition != nil {
		if err := d.client.do(ctx, "creating the user's own role", request{"PUT", dialect.rolePath(name), granted.definition}, nil); err != nil {
			return err
		}
		roles = append(roles[:len(roles):len(roles)], name)
	}
	for _, step := range dialect.creation(name, password, roles) {
		if err := d.client.do(ctx, "creating the user", step, nil, password); err != nil {
			return err
		}
	}
	return nil
}

// undo removes what a failed creation may have left, and returns the error of
// the creation.
func (d *Database) undo(ctx context.Context, err error, name string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoLimit)
	defer cancel()
	if _, undoErr := d.DeleteUser(ctx, dbplugin.DeleteUserRequest{Username: name}); undoErr != nil {
		return fault.New(fault.Left, "%s; then removing the half-made %q failed as well: delete it by hand: %s", err, name, undoErr)
	}
	return err
}

// UpdateUser sets a user's password. There is nothing to do for an expiration:
// users have none, and keys get the latest at once.
func (d *Database) UpdateUser(ctx context.Context, req dbplugin.UpdateUserRequest) (dbplugin.UpdateUserResponse, error) {
	var none dbplugin.UpdateUserResponse
	change := req.Password
	if change == nil {
		return none, nil
	}
	if len(change.Statements.Commands) > 0 {
		return none, fault.New(fault.Refused, "statements for a change of password mean nothing to this database: leave them out")
	}
	dialect, err := d.speak(ctx)
	if err != nil {
		return none, err
	}
	err = d.client.do(ctx, "changing the password", dialect.passwordChange(req.Username, change.NewPassword), nil, change.NewPassword)
	if missing(err) {
		return none, fault.New(fault.NoUser, "changing the password: the user %q no longer exists on the server: request new credentials", req.Username)
	}
	return none, err
}

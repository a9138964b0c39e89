package mssql

import (
	"context"
	"time"

	"github.com/hashicorp/vault/sdk/database/dbplugin/v5"

	"github.com/novatech/securevault/server/engines/database/fault"
	"github.com/novatech/securevault/server/engines/database/statement"
	"github.com/novatech/securevault/server/engines/database/username"
)

const (
	loginPassword = `ALTER LOGIN [{{username}}] WITH PASSWORD = N'{{password}}'`
	userPassword  = `ALTER USER [{{username}}] WITH PASSWORD = N'{{password}}'`

	expirationFormat = "2006-01-02 15:04:05-07:00"
)

// undoLimit bounds the clean-up after a creation of which we do not know how it
// ended. It does not use the request's context, which may be over.
const undoLimit = 10 * time.Second

// azureWarning comes with each login that a role makes there.
const azureWarning = "Azure SQL shows and ends sessions of one database at a time: those that this login opens elsewhere outlive its lease; set contained_db=true and connect to the database that it is for"

// NewUser creates a login, or a user, with the creation statements, all of them
// or none.
func (d *Database) NewUser(ctx context.Context, req dbplugin.NewUserRequest) (dbplugin.NewUserResponse, error) {
	return username.NewUser(ctx, d, req)
}

// NewNamedUser is NewUser for a user of that name.
func (d *Database) NewNamedUser(ctx context.Context, name string, req dbplugin.NewUserRequest) (warnings []string, err error) {
	if req.CredentialType != dbplugin.CredentialTypePassword {
		return nil, fault.New(fault.Refused, "credential_type %q is unknown to SQL Server: use password", req.CredentialType)
	}
	batches, err := render("creation_statements", req.Statements, map[string]string{
		"name": name, "username": name, "password": req.Password, "expiration": req.Expiration.Format(expirationFormat),
	})
	if err != nil {
		return nil, err
	}
	if blank(req.Statements) {
		return nil, fault.New(fault.Refused, "creation_statements is empty: write SQL such as CREATE LOGIN [{{name}}] WITH PASSWORD = '{{password}}'; CREATE USER [{{name}}] FOR LOGIN [{{name}}];")
	}
	if err := statement.CheckNamed(batches, name); err != nil {
		return nil, err
	}
	azure, err := d.create(ctx, name, batches)
	if err != nil {
		return nil, d.explain(err, "running creation_statements", req.Password)
	}
	if azure && !d.contained {
		warnings = []string{azureWarning}
	}
	return warnings, nil
}

// create runs the batches and sees to it that a failure leaves nothing behind.
func (d *Database) create(ctx context.Context, name string, batches []string) (azure bool, err error) {
	conn, err := d.acquire(ctx)
	if err != nil {
		return false, err
	}
	err = conn.execute(ctx, batches)
	conn.release()
	return conn.azure, d.undo(ctx, err, conn.link.program, name)
}

// undo removes what a failed creation may have left, and returns the error of
// the creation. The name is somebody else's only if the server says that it was
// taken.
func (d *Database) undo(ctx context.Context, err error, program, name string) error {
	if err == nil || isNumber(err, numberLoginTaken, numberUserTaken) {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoLimit)
	defer cancel()
	if !isAnswer(err) {
		if undoErr := d.endProgram(ctx, program); undoErr != nil {
			d.stray(program)
			return d.orphaned(err, undoErr, name)
		}
	}
	if _, undoErr := d.DeleteUser(ctx, dbplugin.DeleteUserRequest{Username: name}); undoErr != nil {
		return d.orphaned(err, undoErr, name)
	}
	return err
}

func (d *Database) orphaned(err, undoErr error, name string) error {
	return fault.New(fault.Left, "%s; then removing the half-made user %q failed as well: drop it by hand: %s",
		d.explain(err, "running creation_statements"), name, d.explain(undoErr, "cleaning up"))
}

// UpdateUser sets a password. SQL Server knows no expiration of logins: a renewal
// has something to do only if the role has renew_statements.
func (d *Database) UpdateUser(ctx context.Context, req dbplugin.UpdateUserRequest) (dbplugin.UpdateUserResponse, error) {
	var none dbplugin.UpdateUserResponse
	values := map[string]string{"name": req.Username, "username": req.Username}
	if change := req.Password; change != nil {
		values["password"] = change.NewPassword
		if err := d.alter(ctx, "changing the password", req.Username, change.Statements, values); err != nil {
			return none, err
		}
	}
	if change := req.Expiration; change != nil && !blank(change.Statements) {
		delete(values, "password")
		values["expiration"] = change.NewExpiration.Format(expirationFormat)
		if err := d.alter(ctx, "running renew_statements", req.Username, change.Statements, values); err != nil {
			return none, err
		}
	}
	return none, nil
}

func (d *Database) alter(ctx context.Context, what, name string, statements dbplugin.Statements, values map[string]string) error {
	conn, err := d.acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.release()
	if blank(statements) {
		otherwise, err := d.passwordStatement(ctx, conn, name)
		if err != nil {
			return d.explain(err, what)
		}
		statements.Commands = []string{otherwise}
	}
	batches, err := render("statements", statements, values)
	if err != nil {
		return err
	}
	err = conn.execute(ctx, batches)
	if isNumber(err, numberNoSuch) {
		if left, lookUpErr := d.lookUp(ctx, conn, name); lookUpErr == nil && !left.exists() {
			return fault.New(fault.NoUser, "%s: the user %q no longer exists on the server: create it again, or request new credentials", what, name)
		}
	}
	return d.explain(err, what, values["password"])
}

// passwordStatement returns what changes a password by default. The admin of
// contained users may be a login.
func (d *Database) passwordStatement(ctx context.Context, conn *connection, name string) (string, error) {
	if !d.contained {
		return loginPassword, nil
	}
	const query = "SELECT COUNT(*) FROM sys.database_principals WHERE name = @p1 AND authentication_type = 2"
	own, err := conn.number(ctx, query, name)
	if own > 0 {
		return userPassword, err
	}
	return loginPassword, err
}

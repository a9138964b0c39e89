package mongodb

import (
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/vault/sdk/database/dbplugin/v5"

	"github.com/novatech/securevault/server/engines/database/fault"
	"github.com/novatech/securevault/server/engines/database/username"
)

const (
	// makeLimit bounds the creation of a user, whatever becomes of the request.
	makeLimit = 30 * time.Second
	// undoLimit bounds the clean-up after a creation of which we do not know how
	// it ended.
	undoLimit = 10 * time.Second
)

// NewUser creates a user with the creation statement. The rollback statements are
// not needed: what fails is undone.
func (d *Database) NewUser(ctx context.Context, req dbplugin.NewUserRequest) (dbplugin.NewUserResponse, error) {
	return username.NewUser(ctx, d, req)
}

// NewNamedUser is NewUser for a user of that name. MongoDB has no warnings.
func (d *Database) NewNamedUser(ctx context.Context, name string, req dbplugin.NewUserRequest) (warnings []string, err error) {
	var said plan
	made := createUser{Name: name, Password: req.Password, Concern: d.concern}
	switch req.CredentialType {
	case dbplugin.CredentialTypePassword:
		said, err = parseCreation(req.Statements, name, adminDatabase)
		if err == nil && said.database == external {
			err = fault.New(fault.Refused, `creation_statements: users of %s have no password: name another db, or set credential_type=client_certificate`, external)
		}
	case dbplugin.CredentialTypeClientCertificate:
		made.Name, made.Password = req.Subject, ""
		said, err = parseCreation(req.Statements, name, external)
		switch {
		case err != nil:
		case said.database != external:
			err = fault.New(fault.Refused, `creation_statements: certificates log in to %s: leave db out, and write it with each role`, external)
		case req.Subject != subject(name):
			err = fault.New(fault.Refused, "the certificate's subject is %q, want %q: leave the subject to the engine", req.Subject, subject(name))
		}
	default:
		err = fault.New(fault.Refused, "credential_type %q is unknown to MongoDB: use password or client_certificate", req.CredentialType)
	}
	if err != nil {
		return nil, err
	}
	made.Roles = said.roles
	return nil, d.create(ctx, name, said.database, made)
}

// subject is what the server calls the holder of a certificate for that name.
func subject(name string) string { return "CN=" + name }

// create makes the user and waits for it also if the request ends: a command that
// is given up may still be on its way to the server, where nobody could find it.
func (d *Database) create(ctx context.Context, name, database string, made createUser) error {
	if ctx.Err() != nil {
		return fault.New(fault.Later, "the request ended before its user was made: %s: try again", context.Cause(ctx))
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), makeLimit)
	defer cancel()
	err, failed := d.finish(ctx, database, made)
	if err == nil {
		return nil
	}
	explained := d.explain(err, fmt.Sprintf("making a user in database %q", database), made.Password)
	if fault.ClassOf(explained) == fault.Refused || nothingSent(err) {
		return explained
	}
	if failed == nil {
		failed = d.undo(ctx, name)
	}
	if failed != nil {
		failed = d.explain(failed, "ending its creation")
		return fault.New(fault.Left, "%s; then removing the user %q failed as well: drop it by hand: %s", explained, name, failed)
	}
	return explained
}

// undo removes a user who may have been made.
func (d *Database) undo(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoLimit)
	defer cancel()
	_, err := d.DeleteUser(ctx, dbplugin.DeleteUserRequest{Username: name})
	return err
}

// UpdateUser sets a user's password. MongoDB's users do not expire: the lease
// alone ends them.
func (d *Database) UpdateUser(ctx context.Context, req dbplugin.UpdateUserRequest) (dbplugin.UpdateUserResponse, error) {
	var none dbplugin.UpdateUserResponse
	change := req.Password
	if change == nil {
		return none, nil
	}
	database, err := parsePlace("the rotation statements", change.Statements, req.Username, d.source)
	if err != nil {
		return none, err
	}
	if database == external {
		return none, fault.New(fault.Refused, `changing the password: users of %s have none: name the user's db in the rotation statements`, external)
	}
	// What cannot be finished stays unknown, as the class of the error says.
	err, _ = d.finish(ctx, database, updateUser{req.Username, change.NewPassword, d.concern})
	if hasCode(err, codeUserNotFound) {
		return none, fault.New(fault.NoUser, `changing the password: database %q has no user %q: request new credentials, or name the user's db in the rotation statements: {"db": "mydb"}`, database, req.Username)
	}
	return none, d.explain(err, fmt.Sprintf("changing the password of %q in database %q", req.Username, database), change.NewPassword)
}

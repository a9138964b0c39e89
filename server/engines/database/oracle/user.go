package oracle

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/database/dbplugin/v5"

	"github.com/novatech/securevault/server/engines/database/fault"
	"github.com/novatech/securevault/server/engines/database/statement"
	"github.com/novatech/securevault/server/engines/database/username"
)

const (
	// maxNameBytes is what Oracle allows before 12.2, and Vault after it too.
	maxNameBytes = 30

	defaultPassword = `ALTER USER %s IDENTIFIED BY "{{password}}"`

	expirationFormat = "2006-01-02 15:04:05-0700"
)

// undoLimit bounds the clean-up after a creation that failed. It does not use
// the request's context, which may be over.
const undoLimit = 10 * time.Second

// NewUser creates a user with the creation statements, all of them or none.
func (d *Database) NewUser(ctx context.Context, req dbplugin.NewUserRequest) (dbplugin.NewUserResponse, error) {
	return username.NewUser(ctx, d, req)
}

// foreign are characters that a name cannot hold outside of quotes.
var foreign = regexp.MustCompile(`[^A-Z0-9_$#]`)

// NewUsername makes up the name of a user that is about to be created: one that
// is the same in quotes and without.
func (d *Database) NewUsername(metadata dbplugin.UsernameMetadata) (string, error) {
	name, err := d.Generator.NewUsername(metadata)
	if err != nil {
		return "", err
	}
	name = foreign.ReplaceAllString(strings.ToUpper(name), "_")
	if name[0] < 'A' || name[0] > 'Z' {
		name = "V" + name
	}
	return name[:min(len(name), maxNameBytes)], nil
}

// NewNamedUser is NewUser for a user of that name. Oracle warns of nothing.
func (d *Database) NewNamedUser(ctx context.Context, name string, req dbplugin.NewUserRequest) (warnings []string, err error) {
	if req.CredentialType != dbplugin.CredentialTypePassword {
		return nil, fault.New(fault.Refused, "credential_type %q is unknown to Oracle: use password", req.CredentialType)
	}
	values := map[string]string{
		"name": name, "username": name, "password": req.Password, "expiration": req.Expiration.Format(expirationFormat),
	}
	made := creation{name: name, password: req.Password}
	if made.statements, err = d.render("creation_statements", req.Statements, values); err != nil {
		return nil, err
	}
	if len(made.statements) == 0 {
		return nil, fault.New(fault.Refused, `creation_statements is empty: write SQL such as CREATE USER {{name}} IDENTIFIED BY "{{password}}"; GRANT CREATE SESSION TO {{name}};`)
	}
	if err := statement.CheckNamed(made.statements, name); err != nil {
		return nil, err
	}
	if made.rollback, err = d.render("rollback_statements", req.RollbackStatements, values); err != nil {
		return nil, err
	}
	return nil, d.create(ctx, made)
}

// creation is a user that is to be made.
type creation struct {
	name, password       string
	statements, rollback []string
}

// create runs the statements and sees to it that a failure leaves no user
// behind. The look before it makes sure that what is dropped then was made here.
func (d *Database) create(ctx context.Context, c creation) error {
	conn, err := d.acquire(ctx)
	if err != nil {
		return err
	}
	sid, serial := conn.session.number()
	exists, err := lookUp(ctx, conn, c.name)
	if err != nil || exists {
		conn.release()
		if exists {
			err = fault.New(fault.Refused, "the server has a user %q already: %s", c.name, hint(codeNameTaken))
		}
		return d.explain(err, fmt.Sprintf("looking up user %q", c.name))
	}
	err = execute(ctx, conn, c.statements)
	conn.release()
	if err == nil {
		return nil
	}
	failure := d.explain(err, "running creation_statements", c.password)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoLimit)
	defer cancel()
	if undoErr := d.undo(ctx, c, broke(err), sid, serial); undoErr != nil {
		return fault.New(fault.Left, "%s; then removing the half-made user %q failed as well: drop it by hand: %s",
			failure, c.name, d.explain(undoErr, "cleaning up", c.password))
	}
	return failure
}

// undo removes what a failed creation has left: each of its statements has
// committed by itself. If the connection is lost, the server may still be at one:
// the session has to end first. That a rollback statement fails does not matter
// if the user is gone.
func (d *Database) undo(ctx context.Context, c creation, lost bool, sid, serial string) error {
	conn, err := d.acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.release()
	if lost {
		where := fmt.Sprintf("sid = %s AND serial# = %s AND program = :1", sid, serial)
		if err := awaitEnd(ctx, conn, where, d.session); err != nil {
			return err
		}
	}
	for _, text := range c.rollback {
		if err := execute(ctx, conn, []string{text}); err != nil && codeOf(err) == 0 {
			return err
		}
	}
	return d.end(ctx, conn, c.name, dbplugin.Statements{})
}

// execute runs statements one after the other.
func execute(ctx context.Context, conn *held, statements []string) error {
	for _, text := range statements {
		if _, err := conn.ExecContext(ctx, text); err != nil {
			return err
		}
	}
	return nil
}

// lookUp tells whether a user exists.
func lookUp(ctx context.Context, conn *held, name string) (bool, error) {
	var count int
	err := conn.QueryRowContext(ctx, "SELECT count(*) FROM all_users WHERE username = :1", name).Scan(&count)
	return count > 0, err
}

// UpdateUser sets a user's password. Oracle knows no end of an account: at a
// renewal only statements that the role has for it are run.
func (d *Database) UpdateUser(ctx context.Context, req dbplugin.UpdateUserRequest) (dbplugin.UpdateUserResponse, error) {
	var none dbplugin.UpdateUserResponse
	values := map[string]string{"name": req.Username, "username": req.Username}
	if change := req.Password; change != nil {
		values["password"] = change.NewPassword
		statements := change.Statements
		if len(statements.Commands) == 0 {
			name, err := identifier(req.Username)
			if err != nil {
				return none, err
			}
			statements.Commands = []string{fmt.Sprintf(defaultPassword, name)}
		}
		if err := d.alter(ctx, req.Username, "changing the password", statements, values); err != nil {
			return none, err
		}
	}
	if change := req.Expiration; change != nil && len(change.Statements.Commands) > 0 {
		delete(values, "password")
		values["expiration"] = change.NewExpiration.Format(expirationFormat)
		if err := d.alter(ctx, req.Username, "running renew_statements", change.Statements, values); err != nil {
			return none, err
		}
	}
	return none, nil
}

func (d *Database) alter(ctx context.Context, name, what string, statements dbplugin.Statements, values map[string]string) error {
	rendered, err := d.render("statements", statements, values)
	if err != nil {
		return err
	}
	conn, err := d.acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.release()
	err = execute(ctx, conn, rendered)
	if code := codeOf(err); code == codeNoUser || code == codeNoGrantee {
		if exists, lookupErr := lookUp(ctx, conn, fold(name)); lookupErr == nil && !exists {
			return fault.New(fault.NoUser, "%s: the user %q no longer exists on the server: create it again, or request new credentials", what, name)
		}
	}
	return d.explain(err, what, values["password"])
}

// render takes statements apart and fills them in; field names them in errors.
// They are taken apart first, so that no value can end one.
func (d *Database) render(field string, statements dbplugin.Statements, values map[string]string) ([]string, error) {
	var rendered []string
	for _, text := range statements.Commands {
		parts, err := d.parts(text)
		if err != nil {
			return nil, fault.New(fault.Refused, "%s: %s", field, err)
		}
		for _, part := range parts {
			filled, err := statement.Render(part, values)
			if err != nil {
				return nil, fault.New(fault.Refused, "%s: %s", field, err)
			}
			rendered = append(rendered, filled)
		}
	}
	return rendered, nil
}

// parts takes a text apart. If it is configured to be one statement it is sent as
// it is, less the semicolon at the end of plain SQL.
func (d *Database) parts(text string) ([]string, error) {
	parts, err := split(text)
	if d.split || len(parts) <= 1 && err == nil {
		return parts, err
	}
	return []string{strings.TrimSpace(text)}, nil
}

// plain is a name that needs no quotes.
var plain = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_$#]*$`)

// fold returns a name as the server knows it.
func fold(name string) string {
	if plain.MatchString(name) {
		return strings.ToUpper(name)
	}
	return name
}

// identifier quotes a name for use in a statement.
func identifier(name string) (string, error) {
	if name == "" || strings.ContainsAny(name, "\"\x00") {
		return "", fault.New(fault.Refused, "%q is no name of an Oracle user: correct the username", name)
	}
	return `"` + fold(name) + `"`, nil
}

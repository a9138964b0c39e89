package postgresql

import (
	"context"
	"errors"
	"maps"
	"regexp"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/database/dbplugin/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/novatech/securevault/server/engines/database/fault"
	"github.com/novatech/securevault/server/engines/database/statement"
	"github.com/novatech/securevault/server/engines/database/username"
)

const (
	defaultCertificateCreation = `CREATE ROLE "{{name}}" LOGIN`

	defaultRenewal  = `ALTER ROLE "{{name}}" VALID UNTIL '{{expiration}}'`
	defaultPassword = `ALTER ROLE "{{username}}" WITH PASSWORD '{{password}}'`

	expirationFormat = "2006-01-02 15:04:05-0700"
)

// undoLimit bounds the clean-up after a creation of which we do not know how it
// ended. It does not use the request's context, which may be over.
const undoLimit = 10 * time.Second

// NewUser creates a role with the creation statements, all of them or none. The
// rollback statements are not needed: the server rolls back.
func (d *Database) NewUser(ctx context.Context, req dbplugin.NewUserRequest) (dbplugin.NewUserResponse, error) {
	return username.NewUser(ctx, d, req)
}

// NewNamedUser is NewUser for a role of that name. It returns what the server
// warns of.
func (d *Database) NewNamedUser(ctx context.Context, name string, req dbplugin.NewUserRequest) (warnings []string, err error) {
	switch req.CredentialType {
	case dbplugin.CredentialTypePassword:
		password, err := d.sent(req.Password)
		if err != nil {
			return nil, err
		}
		return d.newRole(ctx, name, req, "", map[string]string{"password": password})
	case dbplugin.CredentialTypeClientCertificate:
		return d.newRole(ctx, name, req, defaultCertificateCreation, nil)
	}
	return nil, fault.New(fault.Refused, "credential_type %q is unknown to PostgreSQL: use password or client_certificate", req.CredentialType)
}

// newRole creates a role of any kind. The values are what its statements know
// beside its name and end; otherwise stands for statements that are not given.
func (d *Database) newRole(ctx context.Context, name string, req dbplugin.NewUserRequest, otherwise string, values map[string]string) (warnings []string, err error) {
	if len(name) > maxNameBytes { // the common name of a certificate may be longer
		return nil, fault.New(fault.Refused, "the name %q has %d bytes, PostgreSQL allows %d: shorten it with truncate", name, len(name), maxNameBytes)
	}
	known := map[string]string{"name": name, "username": name, "expiration": req.Expiration.Format(expirationFormat)}
	maps.Copy(known, values)
	text, err := render("creation_statements", orDefault(req.Statements, otherwise), known)
	if err == nil {
		err = statement.CheckNamed([]string{text}, name)
	}
	if err != nil {
		return nil, err
	}
	warnings, err = d.create(ctx, name, inTurn(text))
	for i, warning := range warnings {
		warnings[i] = "PostgreSQL warns: " + fault.Scrub(warning, req.Password, d.password)
	}
	return warnings, d.explain(err, "running creation_statements", req.Password)
}

// orDefault returns the statements, or the default if none are given.
func orDefault(statements dbplugin.Statements, otherwise string) dbplugin.Statements {
	if otherwise != "" && strings.TrimSpace(strings.Join(statements.Commands, "")) == "" {
		statements.Commands = []string{otherwise}
	}
	return statements
}

// undo removes what failed creations may have left, and returns their error. A
// process that is lost, 0 for none, is ended before.
func (d *Database) undo(ctx context.Context, err error, lost uint32, names ...string) error {
	var refusal *pgconn.PgError
	if err == nil || errors.As(err, &refusal) && refusal.Code == codeDuplicateObject {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoLimit)
	defer cancel()
	if undoErr := d.endLost(ctx, lost); undoErr != nil {
		return d.orphaned(err, undoErr, names...)
	}
	var left []string
	var undoErrs []error
	for _, name := range names {
		if _, undoErr := d.DeleteUser(ctx, dbplugin.DeleteUserRequest{Username: name}); undoErr != nil {
			left, undoErrs = append(left, name), append(undoErrs, undoErr)
		}
	}
	if len(left) > 0 {
		return d.orphaned(err, errors.Join(undoErrs...), left...)
	}
	return err
}

func (d *Database) orphaned(err, undoErr error, names ...string) error {
	return fault.New(fault.Left, "%s; then removing the half-made roles %q failed as well: drop them by hand: %s",
		d.explain(err, "running creation_statements"), names, d.explain(undoErr, "cleaning up"))
}

// endLost ends the process of a connection that broke, 0 for none, or remembers it
// until it can be ended.
func (d *Database) endLost(ctx context.Context, lost uint32) error {
	if lost == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoLimit)
	defer cancel()
	err := d.endBackend(ctx, lost)
	if err != nil {
		d.stray(lost)
	}
	return err
}

// endBackend ends the server process of a connection that broke, and waits for
// it: it may still be about to commit what we are about to undo, or, though it
// looks idle, not have read yet what it was sent. One of ours alone: the number may
// be another's by now, or invented by a proxy.
func (d *Database) endBackend(ctx context.Context, pid uint32) error {
	conn, err := d.acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	const query = `SELECT count(pg_terminate_backend(pid)) > 0 FROM pg_stat_activity
		WHERE pid = $1 AND pid <> pg_backend_pid() AND usename = current_user AND application_name = current_setting('application_name')`
	return untilNone(ctx, conn, query, int32(pid))
}

// UpdateUser sets a role's password, its expiration, or both.
func (d *Database) UpdateUser(ctx context.Context, req dbplugin.UpdateUserRequest) (dbplugin.UpdateUserResponse, error) {
	var none dbplugin.UpdateUserResponse
	values := map[string]string{"name": req.Username, "username": req.Username}
	if change := req.Password; change != nil {
		var err error
		if values["password"], err = d.sent(change.NewPassword); err != nil {
			return none, err
		}
		if err := d.alter(ctx, req.Username, "changing the password", change.Statements, defaultPassword, values); err != nil {
			return none, err
		}
	}
	if change := req.Expiration; change != nil {
		delete(values, "password")
		values["expiration"] = change.NewExpiration.Format(expirationFormat)
		if err := d.alter(ctx, req.Username, "running renew_statements", change.Statements, defaultRenewal, values); err != nil {
			return none, err
		}
	}
	return none, nil
}

func (d *Database) alter(ctx context.Context, name, what string, statements dbplugin.Statements, otherwise string, values map[string]string) error {
	text, err := render("statements", orDefault(statements, otherwise), values)
	if err != nil {
		return err
	}
	conn, err := d.acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	err = execute(ctx, conn.Conn(), text)
	var refusal *pgconn.PgError
	if errors.As(err, &refusal) && refusal.Code == codeUndefinedObject {
		if left, lookupErr := lookUp(ctx, conn.Conn(), []ending{{name: name}}); lookupErr == nil && len(left) == 0 {
			return fault.New(fault.NoUser, "%s: the role %q no longer exists on the server: create it again, or request new credentials", what, name)
		}
	}
	return d.explain(err, what, values["password"])
}

// missingEnd finds a GRANT that begins where the options of a role have not been ended.
// Documents show it so; the server takes it for a syntax error.
var missingEnd = regexp.MustCompile(`(?i)(\bVALID\s+UNTIL\s+'[^']*')(\s+GRANT\b)`)

// render joins and fills in the statements; field names them in errors.
func render(field string, statements dbplugin.Statements, values map[string]string) (string, error) {
	text := missingEnd.ReplaceAllString(statement.Join(statements.Commands), "${1};${2}")
	if strings.TrimSpace(text) == "" {
		return "", fault.New(fault.Refused, `%s is empty: write SQL such as CREATE ROLE "{{name}}" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}';`, field)
	}
	text, err := statement.Render(text, values)
	if err != nil {
		return "", fault.New(fault.Refused, "%s: %s", field, err)
	}
	return text, nil
}

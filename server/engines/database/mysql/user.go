package mysql

import (
	"context"
	"time"

	"github.com/hashicorp/vault/sdk/database/dbplugin/v5"

	"github.com/novatech/securevault/server/engines/database/fault"
	"github.com/novatech/securevault/server/engines/database/statement"
	"github.com/novatech/securevault/server/engines/database/username"
)

const expirationFormat = "2006-01-02 15:04:05-0700"

// undoLimit bounds the clean-up after a creation that failed. It does not use the
// request's context, which may be over.
const undoLimit = 10 * time.Second

// NewUser creates a user with the creation statements, or none.
func (d *Database) NewUser(ctx context.Context, req dbplugin.NewUserRequest) (dbplugin.NewUserResponse, error) {
	return username.NewUser(ctx, d, req)
}

// NewNamedUser is NewUser for a user of that name. It warns of statements under
// which a certificate lets in others than the user.
func (d *Database) NewNamedUser(ctx context.Context, name string, req dbplugin.NewUserRequest) (warnings []string, err error) {
	if most := d.names.maxBytes; len(name) > most { // the common name of a certificate may be longer
		return nil, fault.New(fault.Refused, "the name %q has %d bytes, the server allows %d: shorten it with truncate", name, len(name), most)
	}
	making, err := plan(name, req)
	if err != nil {
		return nil, err
	}
	if req.CredentialType == dbplugin.CredentialTypeClientCertificate && !making.namesSubject() {
		warnings = append(warnings, "the server takes any certificate of its authority for this user: write REQUIRE SUBJECT '/CN={{name}}' in creation_statements")
	}
	return warnings, d.create(ctx, making)
}

// making is a user that is about to be created.
type making struct {
	name     string
	secret   string // its password, if it has one
	creation texts
	rollback texts
}

// plan fills in all statements before the first is executed.
func plan(name string, req dbplugin.NewUserRequest) (m making, err error) {
	values := map[string]string{"name": name, "username": name}
	m = making{name: name, secret: req.Password}
	if m.rollback, err = render("rollback_statements", req.RollbackStatements, values); err != nil {
		return making{}, err
	}
	values["expiration"] = req.Expiration.Format(expirationFormat)
	switch req.CredentialType {
	case dbplugin.CredentialTypePassword:
		values["password"] = req.Password
	case dbplugin.CredentialTypeClientCertificate:
	default:
		return making{}, fault.New(fault.Refused, "credential_type %q is unknown to MySQL: use password or client_certificate", req.CredentialType)
	}
	if m.creation, err = render("creation_statements", req.Statements, values); err != nil {
		return making{}, err
	}
	const example = "write SQL such as CREATE USER '{{name}}'@'%' IDENTIFIED BY '{{password}}';"
	if len(m.creation) == 0 {
		return making{}, fault.New(fault.Refused, "creation_statements is empty: %s", example)
	}
	return m, statement.CheckNamed(m.creation, name)
}

func (m making) namesSubject() bool { return statement.Uses(m.creation, "SUBJECT") }

// create executes the statements, and sees to it that a failure leaves no user
// behind. After reserve, every account of that name is ours.
func (d *Database) create(ctx context.Context, m making) error {
	conn, err := d.acquire(ctx)
	if err != nil {
		return err
	}
	if err := reserve(ctx, conn, m.name); err != nil {
		release(conn)
		return d.explain(err, "reserving the name of a user")
	}
	err = m.creation.execute(ctx, conn)
	free(ctx, conn, m.name)
	m.creation.releaseUsed(conn)
	if err != nil {
		return d.undo(ctx, m, d.explain(err, "running creation_statements", m.secret))
	}
	return nil
}

// undo removes what a failed creation may have left, and returns the error of the
// creation.
func (d *Database) undo(ctx context.Context, m making, failed error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoLimit)
	defer cancel()
	rollbackErr := d.rollBack(ctx, m)
	if err := d.end(ctx, m.name, dbplugin.Statements{}); err != nil {
		return fault.New(fault.Left, "%s; then removing the half-made user %q failed as well: drop it by hand: %s", failed, m.name, err)
	}
	if rollbackErr != nil {
		return fault.New(fault.ClassOf(failed), "%s; the user is removed, but what else it had may be left: %s", failed, rollbackErr)
	}
	return failed
}

// rollBack runs the rollback statements, which know of more than users. If all they
// do is to drop the user, it need not have been made.
func (d *Database) rollBack(ctx context.Context, m making) error {
	if len(m.rollback) == 0 {
		return nil
	}
	conn, err := d.acquire(ctx)
	if err != nil {
		return err
	}
	defer m.rollback.releaseUsed(conn)
	if err := stopMaker(ctx, conn, m.name); err != nil {
		return d.explain(err, "stopping the creation")
	}
	err = m.rollback.execute(ctx, conn)
	if numberOf(err) == codeCannotUser && !m.rollback.several() {
		return nil
	}
	return d.explain(err, "running rollback_statements")
}

package postgresql

import (
	"cmp"
	"context"
	"errors"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/novatech/securevault/server/engines/database/fault"
)

// SQLSTATE codes that are looked for one by one.
const (
	codeUndefinedObject = "42704"
	codeDuplicateObject = "42710"
	codeInternalError   = "XX000"

	codeInsufficientPrivilege = "42501"
	codeRowTooBig             = "54000" // such as that of a table with the privileges of each role
)

// hints by SQLSTATE, or by its first two characters.
func hint(code string) string {
	switch code {
	case "28P01", "28000":
		return "check username and password of the config, and pg_hba.conf on the server"
	case "3D000":
		return "check the database's name in connection_url"
	case codeInsufficientPrivilege:
		return "give the config's username the privilege, see the README of the postgresql engine"
	case "42601":
		return "correct the SQL of the statements"
	case "42P01", "3F000", codeUndefinedObject:
		return "correct the name in the statements or create it"
	case codeDuplicateObject:
		return "add {{random 12}} to username_template"
	case codeRowTooBig:
		return "a table keeps the privileges of a few hundred roles: grant them to one role, and in the statements that role to {{name}}"
	case "2BP01":
		return "another role granted these privileges: revoke them as that role or as a superuser"
	}
	switch code[:min(2, len(code))] {
	case "53":
		return "lower max_open_connections or raise max_connections on the server"
	case "57":
		return "the server is starting, stopping or cancelled the statement: try again"
	case "40":
		return "other sessions hold what it needs: try again"
	case "F0":
		return "correct the server's own configuration, its log says more"
	}
	return "check the statements against the server's documentation"
}

// transient tells whether the same statement may succeed a little later.
func transient(refusal *pgconn.PgError) bool {
	switch refusal.Code[:min(2, len(refusal.Code))] {
	case "08", "40", "53", "57", "58":
		return true
	}
	return refusal.Code == "55P03" || refusal.Code == codeRowTooBig || collided(refusal)
}

// collisionMessage is how the server puts it that another session has changed, or
// dropped, a row of the catalog meanwhile. It has no code of its own.
var collisionMessage = regexp.MustCompile(`^(?:tuple concurrently |cache lookup failed for |could not open relation with OID )`)

// collided tells whether two sessions changed the catalog at once, which happens to
// concurrent GRANTs on one table, and to a GRANT on all tables while one of them is
// dropped. The loser may simply try again.
func collided(err error) bool {
	var refusal *pgconn.PgError
	if !errors.As(err, &refusal) {
		return false
	}
	return refusal.Code == "40001" || refusal.Code == "40P01" ||
		refusal.Code == codeInternalError && collisionMessage.MatchString(refusal.Message)
}

// explain turns a driver's error into one for the client. What names the action;
// secrets are those the statement held beside the admin's password.
func (d *Database) explain(err error, what string, secrets ...string) error {
	var explained *fault.Error
	if err == nil || errors.As(err, &explained) {
		return err
	}
	secrets = append(secrets, d.password)
	var refusal *pgconn.PgError
	if errors.As(err, &refusal) {
		class := fault.Refused
		if transient(refusal) {
			class = fault.Later
		}
		return fault.New(class, "%s: %s (SQLSTATE %s): %s", what, fault.Scrub(refusal.Message, secrets...), refusal.Code, hint(refusal.Code))
	}
	return fault.New(fault.Later, "%s: %s: the connection to the server broke: try again", what, fault.Scrub(err.Error(), secrets...))
}

// explainConnect is explain for the time before a session exists. Whatever the
// server says then, the client's request may be fine: the class is Later.
func (d *Database) explainConnect(err error, what string) error {
	var explained *fault.Error
	if errors.As(err, &explained) {
		return err
	}
	var refusal *pgconn.PgError
	if errors.As(err, &refusal) {
		advice := hint(refusal.Code)
		if d.identity != nil && strings.HasPrefix(refusal.Code, "28") {
			advice = d.identity.advice()
		}
		return fault.New(fault.Later, "%s: %s (SQLSTATE %s): %s", what, fault.Scrub(refusal.Message, d.password), refusal.Code, advice)
	}
	text := err.Error()
	var connect *pgconn.ConnectError
	if errors.As(err, &connect) {
		text = connect.Unwrap().Error()
	}
	advice := cmp.Or(fault.AdviseOnConnection(err, "connection_url", "sslmode, sslrootcert"), "check host, port and TLS settings of connection_url")
	switch {
	case strings.Contains(text, "refused TLS"):
		advice = "turn on ssl on the server, or set sslmode=disable in connection_url"
	case errors.Is(err, context.DeadlineExceeded):
		advice = "the server did not answer in time: check host, port and firewall, or raise max_open_connections if it is busy"
	}
	return fault.New(fault.Later, "%s: %s: %s", what, fault.Scrub(text, d.password), advice)
}

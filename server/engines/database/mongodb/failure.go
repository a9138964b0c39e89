package mongodb

import (
	"context"
	"errors"
	"slices"
	"strings"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/auth"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/topology"

	"github.com/novatech/securevault/server/engines/database/fault"
)

// Codes of the server that are looked for one by one.
const (
	codeUserNotFound         = 11
	codeUnauthorized         = 13
	codeAuthenticationFailed = 18
	codeRoleNotFound         = 31
	codeCommandNotFound      = 59
	codeAtlas                = 8000
	codeUserExists           = 51003
)

// errNotOpen is a mistake of the caller.
var errNotOpen = fault.New(fault.Refused, "the database is not initialized: call Initialize first")

// hint says what to do by the server's code.
func hint(code int) string {
	switch code {
	case codeAuthenticationFailed:
		return "check username and password of the config, and authSource in connection_url"
	case codeUnauthorized:
		return "give the config's username the role userAdminAnyDatabase, see the README of the mongodb engine"
	case codeRoleNotFound:
		return "correct the role's name or db in creation_statements, or create the role"
	case codeUserExists:
		return "add {{random 12}} to username_template"
	case codeCommandNotFound, codeAtlas:
		return "this server does not let its users be made by commands: MongoDB 4.4 or newer does, Atlas has an API of its own for it"
	}
	if stateChange(code) {
		return "connect to the primary: name the members and replicaSet in connection_url; if it is being elected, try again"
	}
	if transient(code) {
		return "the server is busy, stopping or not well: try again"
	}
	return "check the statements against the server's documentation"
}

// stateChange tells whether the server is, or has become, no primary.
func stateChange(code int) bool {
	return slices.Contains([]int{189, 10058, 10107, 11602, 13435, 13436}, code)
}

// transient tells whether the same command may succeed a little later, or may even
// have done so: users are made in transactions whose end can be lost.
func transient(code int) bool {
	return stateChange(code) || slices.Contains([]int{
		6, 7, 24, 50, 89, 91, 112, 202, 262, 9001, // hosts, locks, limits of time
		64, 79, 100, // members that should confirm
		1, 8, 96, 251, 279, 290, 365, 384, 11600, 11601, // failures of its own, stopped in the middle
	}, code)
}

// hasCode tells whether the server has answered with that code.
func hasCode(err error, code int) bool {
	var refusal mongo.ServerError
	return errors.As(err, &refusal) && refusal.HasErrorCode(code)
}

// unconfirmed returns what a refusal says besides: that the write concern was not met,
// nil if it was.
func unconfirmed(err error) error {
	var refusal mongo.CommandError
	if !errors.As(err, &refusal) {
		return nil
	}
	failure, ok := refusal.Raw.Lookup("writeConcernError").DocumentOK()
	if !ok {
		return nil
	}
	code, _ := failure.Lookup("code").AsInt64OK()
	message, _ := failure.Lookup("errmsg").StringValueOK()
	return mongo.WriteException{WriteConcernError: &mongo.WriteConcernError{Code: int(code), Message: message}}
}

// nothingSent tells whether an error came before the server could hear of the
// command: no server was found, all connections were in use, or it did not let us
// in.
func nothingSent(err error) bool {
	var search topology.ServerSelectionError
	var login *auth.Error
	return errors.As(err, &search) || busy(err) || errors.As(err, &login) || errors.Is(err, mongo.ErrClientDisconnected)
}

// busy tells whether every connection stayed in use.
func busy(err error) bool {
	var wait topology.WaitQueueTimeoutError
	return errors.As(err, &wait)
}

// explain turns a driver's error into one for the client. What names the action;
// secrets are those the command held beside the admin's password.
func (d *Database) explain(err error, what string, secrets ...string) error {
	var explained *fault.Error
	if err == nil || errors.As(err, &explained) {
		return err
	}
	secrets = append(secrets, d.password)
	code, text := answered(err)
	switch {
	case code == 0:
		return fault.New(fault.Later, "%s: %s: %s", what, fault.Scrub(cause(err), secrets...), advice(err))
	case code == codeAuthenticationFailed || transient(code) || nothingSent(err):
		return fault.New(fault.Later, "%s: %s (code %d): %s", what, fault.Scrub(text, secrets...), code, hint(code))
	}
	return fault.New(fault.Refused, "%s: %s (code %d): %s", what, fault.Scrub(text, secrets...), code, hint(code))
}

// answered returns what the server has answered, 0 if it has not.
func answered(err error) (code int, text string) {
	var refusal mongo.CommandError
	if errors.As(err, &refusal) {
		return int(refusal.Code), refusal.Message
	}
	var unconfirmed mongo.WriteException
	if errors.As(err, &unconfirmed) && unconfirmed.WriteConcernError != nil {
		return unconfirmed.WriteConcernError.Code, unconfirmed.WriteConcernError.Message
	}
	return 0, ""
}

// cause shortens the driver's account of a search to what is wrong with the
// server it tried last.
func cause(err error) string {
	_, last, found := strings.Cut(err.Error(), "Last error: ")
	if !found {
		return err.Error()
	}
	last, _, _ = strings.Cut(last, " }")
	return last
}

// advice is hint for a server that has not answered.
func advice(err error) string {
	if busy(err) {
		return "all connections are in use: try again, or raise max_open_connections"
	}
	if known := fault.AdviseOnConnection(errors.New(cause(err)), "connection_url", "tls in connection_url, tls_ca"); known != "" {
		return known
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return "the server did not answer in time: check host, port, firewall and tls in connection_url"
	}
	return "the connection to the server broke: try again"
}

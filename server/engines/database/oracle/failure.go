package oracle

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/sijms/go-ora/v2/network"

	"github.com/novatech/securevault/server/engines/database/fault"
)

// Numbers of errors (ORA-…) that are looked for one by one.
const (
	codeNoSession      = 30   // User session ID does not exist
	codeNoPrivilege    = 1031 // insufficient privileges
	codeNoGrantee      = 1917 // user or role does not exist
	codeNoUser         = 1918 // user does not exist
	codeNameTaken      = 1920 // user name conflicts with another user or role name
	codeNoAdminOption  = 1932 // ADMIN option not granted for role
	codeConnected      = 1940 // cannot drop a user that is currently connected
	codeRoleNotGranted = 1951
	codePrivNotGranted = 1952
)

// codeOf returns the number of the server's error, 0 if it is another's.
func codeOf(err error) int {
	var refusal *network.OracleError
	if errors.As(err, &refusal) {
		return refusal.ErrCode
	}
	return 0
}

// broke tells whether an error is that of a connection, not of a statement that
// the server has refused.
func broke(err error) bool {
	var refusal *network.OracleError
	return !errors.As(err, &refusal) || refusal.Bad()
}

// hint says what to do about an error of the server.
func hint(code int) string {
	switch code {
	case 1017, 28000, 28001, 1045:
		return "check username and password of the config, and whether the account is open and has CREATE SESSION"
	case codeNoPrivilege, codeNoAdminOption, 1720, 990:
		return "give the config's username the privilege, see the README of the oracle engine"
	case 942:
		return "correct the name in the statements, or let the config's username see it: it needs SELECT on SYS.GV_$SESSION, see the README of the oracle engine"
	case 911, 900, 901, 903, 904, 905, 906, 907, 922, 933, 936, 988, 1740, 1756, 1935, 6550:
		return `correct the SQL of the statements; passwords belong in double quotes, as in IDENTIFIED BY "{{password}}"`
	case 972:
		return "a name or password is longer than the server takes, which is 30 bytes before 12.2: shorten username_template or the password policy"
	case codeNoUser, codeNoGrantee, 1919, 959, 2380:
		return "correct the name in the statements or create it"
	case codeNameTaken:
		return "add {{random 12}} to username_template"
	case 28003, 28007, 20001, 20002, 20003:
		return "the profile's password function refuses it: write a password_policy that satisfies it"
	case 65096:
		return "connect to a pluggable database: connection_url names the service of the container"
	case 12514, 12505, 12154:
		return "check the service in connection_url"
	case 12541, 12170, 12545:
		return "check host and port in connection_url, and that the listener runs"
	case codeConnected:
		return "its sessions are ending: try again, or allow disconnect_sessions"
	case 18, 20, 12516, 12519, 12520:
		return "lower max_open_connections or raise the server's processes"
	}
	if transient(code) {
		return "try again"
	}
	return "look the number up in Oracle's error messages and check the statements"
}

// transientCodes are errors after which the same statement may succeed a little
// later: sessions that ended, a server that starts, stops, is full or busy.
var transientCodes = []int{
	18, 20, 28, 31, 54, 60, 257, 1012, 1013, 1033, 1034, 1089, 1090, 1092, codeConnected, 2396, 3113, 3114, 3135, 4020,
	4021, 4068, 8177, 12170, 12514, 12516, 12519, 12520, 12528, 12537, 12541, 12545, 12564, 12570, 12571, 30006,
}

func transient(code int) bool { return slices.Contains(transientCodes, code) }

// explain turns a driver's error into one for the client. What names the action;
// secrets are those the statement held beside the admin's password.
func (d *Database) explain(err error, what string, secrets ...string) error {
	var explained *fault.Error
	if err == nil || errors.As(err, &explained) {
		return err
	}
	code := codeOf(err)
	switch {
	case code == 0:
		return fault.New(fault.Later, "%s: %s: the connection to the server broke: try again", what, d.scrub(err, secrets...))
	case transient(code):
		return fault.New(fault.Later, "%s: %s: %s", what, d.scrub(err, secrets...), hint(code))
	}
	return fault.New(fault.Refused, "%s: %s: %s", what, d.scrub(err, secrets...), hint(code))
}

// scrub returns an error's text without secrets, and without the position that
// the driver adds.
func (d *Database) scrub(err error, secrets ...string) string {
	text := err.Error()
	var refusal *network.OracleError
	if errors.As(err, &refusal) {
		text = refusal.ErrMsg // which Error has filled in
	}
	return fault.Scrub(strings.TrimSpace(text), append(secrets, d.secrets...)...)
}

// explainConnect is explain for the time before a session exists. Whatever the
// server says then, the client's request may be fine: the class is Later.
func (d *Database) explainConnect(err error, what string) error {
	text, code := d.scrub(err), codeOf(err)
	advice := cmp.Or(fault.AdviseOnConnection(err, "connection_url", "tls_ca or the wallet,"), "check host, port and TLS settings of connection_url")
	switch {
	case code != 0:
		advice = hint(code)
	case errors.Is(err, context.DeadlineExceeded):
		advice = "the server did not answer in time: check host, port and firewall, or raise max_open_connections if it is busy"
	}
	return fault.New(fault.Later, "%s: %s: %s", what, text, advice)
}

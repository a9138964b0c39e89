package mysql

import (
	"cmp"
	"context"
	"errors"
	"net"
	"regexp"
	"strings"

	driver "github.com/go-sql-driver/mysql"

	"github.com/novatech/securevault/server/engines/database/fault"
)

// Error numbers that are looked for one by one.
const (
	codeNoSession  = 1094
	codeCannotUser = 1396 // CREATE, ALTER or DROP USER failed: it exists, or does not
)

// numberOf returns the number of a server's refusal, 0 for any other error.
func numberOf(err error) uint16 {
	if refusal, ok := errors.AsType[*driver.MySQLError](err); ok {
		return refusal.Number
	}
	return 0
}

// hint returns what to do about an error of that number.
func hint(number uint16) string {
	switch number {
	case 1045, 1698, 1130:
		return "check username and password of the config, and the host of its account on the server"
	case 1129:
		return "the server has blocked this host after failed logins: FLUSH HOSTS there"
	case 1049, 1046:
		return "check the database's name in connection_url and the statements"
	case 1193:
		return "check the parameters of connection_url: those that the driver does not know are variables of the server"
	case 1064, 1065, 1149:
		return "correct the SQL of the statements; between two semicolons there must be a statement"
	case 1044, 1142, 1143, 1227, 1370, 1410:
		return "give the config's username the privilege, see the README of the mysql engine"
	case 1095:
		return "give the config's username CONNECTION ADMIN, or CONNECTION_ADMIN on MySQL, to end sessions"
	case 1146, 1305, 1054, 1147, 1141:
		return "correct the name in the statements or create it"
	case codeCannotUser, 1133:
		return "the account exists already or does not exist: check the names and hosts in the statements"
	case 1470:
		return "shorten username_template with truncate"
	case 1819, 3955, 1827:
		return "write a password_policy that satisfies the server's own"
	case 4006:
		return "give the config's username SET_USER_ID, or ALLOW_NONEXISTENT_DEFINER since MySQL 8.2"
	case 1290, 1792, 1836:
		return "the server is read-only: let connection_url lead to the primary"
	case 1040, 1203, 1226:
		return "lower max_open_connections or raise max_connections on the server"
	case 1205, 1213:
		return "other sessions hold what it needs: try again"
	case 1047, 1053, 1152, 1158, 1159, 1160, 1161, 1317, 1927, 1969, 3024:
		return "the server is starting, stopping or cancelled the statement: try again"
	case 1021, 1026, 1030, 1037, 1041, 1180, 3100, 3101:
		return "the server could not store what it was told: look into its log, and try again"
	}
	return "check the statements against the server's documentation"
}

// transient tells whether the same statement may succeed a little later, or may even
// have done so.
func transient(number uint16) bool {
	switch number {
	case 1021, 1026, 1030, 1037, 1040, 1041, 1047, 1053, 1152, 1158, 1159, 1160, 1161, 1180, 1203, 1205, 1213, 1226, 1290, 1317, 1792, 1836, 1927, 1969, 3024, 3100, 3101:
		return true
	}
	return false
}

// explain turns a driver's error into one for the client. What names the action;
// secrets are those the statement held beside the admin's password.
func (d *Database) explain(err error, what string, secrets ...string) error {
	if _, explained := errors.AsType[*fault.Error](err); err == nil || explained {
		return err
	}
	secrets = append(secrets, d.password)
	if refusal, ok := errors.AsType[*driver.MySQLError](err); ok {
		class := fault.Refused
		if transient(refusal.Number) {
			class = fault.Later
		}
		return fault.New(class, "%s: %s (error %d): %s", what, scrub(refusal.Message, secrets...), refusal.Number, hint(refusal.Number))
	}
	return fault.New(fault.Later, "%s: %s: the connection to the server broke: try again", what, fault.Scrub(err.Error(), secrets...))
}

// citation is the piece of a statement that the server could not make sense of.
var citation = regexp.MustCompile(`(?s) near '.*'`)

// scrub is fault.Scrub for a server that cites statements up to the middle of a
// password.
func scrub(message string, secrets ...string) string {
	message = citation.ReplaceAllStringFunc(message, func(cited string) string {
		for _, secret := range secrets {
			cited = withoutPieces(cited, secret)
		}
		return cited
	})
	return fault.Scrub(message, secrets...)
}

const (
	redacted = "**redacted**"
	// shortestPiece is how many bytes of a secret stand in a text by more than chance.
	shortestPiece = 3
)

// withoutPieces returns text without what is also in the secret.
func withoutPieces(text, secret string) string {
	var kept strings.Builder
	for len(text) > 0 {
		piece := 0
		for piece < len(text) && strings.Contains(secret, text[:piece+1]) {
			piece++
		}
		if piece >= shortestPiece {
			kept.WriteString(redacted)
		} else {
			piece = 1
			kept.WriteByte(text[0])
		}
		text = text[piece:]
	}
	return kept.String()
}

// explainConnect is explain for the time before a session exists. Whatever the
// server says then, the client's request may be fine: the class is Later.
func (d *Database) explainConnect(err error) error {
	if refusal, ok := errors.AsType[*driver.MySQLError](err); ok {
		return fault.New(fault.Later, "connecting to %s: %s (error %d): %s", d.target, fault.Scrub(refusal.Message, d.password), refusal.Number, hint(refusal.Number))
	}
	return fault.New(fault.Later, "connecting to %s: %s: %s", d.target, fault.Scrub(err.Error(), d.password), connectHint(err))
}

func connectHint(err error) string {
	text := err.Error()
	_, lookup := errors.AsType[*net.DNSError](err)
	switch {
	case errors.Is(err, context.DeadlineExceeded) && !lookup:
		return "the server did not answer in time: check host, port and firewall, or raise max_open_connections if it is busy"
	case errors.Is(err, driver.ErrNoTLS):
		return "turn on TLS on the server, or take tls and the tls_… fields out"
	case strings.Contains(text, "no such file"):
		return "check that the server runs and listens on that socket"
	case strings.Contains(text, "requires clear text authentication"):
		return "add allowCleartextPasswords=true to connection_url, and use TLS"
	}
	return cmp.Or(fault.AdviseOnConnection(err, "connection_url", "tls_ca, tls_server_name"), "check host, port and TLS settings of connection_url")
}

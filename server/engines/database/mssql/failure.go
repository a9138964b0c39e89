package mssql

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	mssqldb "github.com/microsoft/go-mssqldb"

	"github.com/novatech/securevault/server/engines/database/fault"
)

// Errors of the server that are looked for one by one.
const (
	numberDeadlock   = 1205
	numberNoSession  = 6106
	numberNoSuch     = 15151 // or no permission: the server does not say
	numberUserTaken  = 15023
	numberLoginTaken = 15025
)

// numbersNoTransaction say that a statement is not allowed in a transaction.
var numbersNoTransaction = []int32{226, 574, 15002}

// numbersLater say that the same statement may succeed a little later.
var numbersLater = []int32{
	596, 601, 701, 1204, numberDeadlock, 1222, 3960, 6005, 8645, 9002, 10928, 10929, 15434, 17142, 17830, 17892,
	40143, 40197, 40501, 40613, 42108, 42109, 49918, 49919, 49920,
}

// hint says what to do about an error of the server.
func hint(number int32) string {
	switch number {
	case 18456, 18452:
		return "check username and password of the config, and that the server allows SQL Server authentication"
	case 18470, 18486, 18487, 18488:
		return "enable or unlock the config's login on the server"
	case 4060, 911, 916, 40515:
		return "check the database's name, and that the config's login has a user in it"
	case 40508:
		return "Azure SQL knows no USE: connect to that database in connection_url, with contained_db=true"
	case 40615:
		return "let this server through the firewall of the Azure SQL server"
	case 102, 105, 111, 156, 319, 40530:
		return "correct the SQL of the statements; a statement that must stand alone is an element of the list"
	case 208, 2812:
		return "correct the name in the statements or create it"
	case 229, 230, 262, 300, 297, 4613, 4621, 6102, 15247:
		return "give the config's username the permission, see the README of the mssql engine"
	case numberNoSuch, 15007, 15014, 15410:
		return "correct the name in the statements, or give the config's username the permission, see the README of the mssql engine"
	case numberUserTaken, numberLoginTaken:
		return "add {{random 12}} to username_template"
	case 15116, 15117, 15118:
		return "write a password_policy with upper-case and lower-case letters, digits and a length of at least 8"
	case 33233, 12824:
		return "make the database contained (CONTAINMENT = PARTIAL), or create a login first"
	case 5001:
		return "logins of Azure SQL are created in master: connect to it, or set contained_db=true"
	case 15434:
		return "its sessions could not be ended: give the config's username VIEW SERVER STATE and ALTER ANY CONNECTION"
	case 15284, 15173:
		return "it has granted permissions to others: revoke them with CASCADE"
	case 15136, 15141, 15170, 15174, 15183, 15421, 15138:
		return "give what it owns to somebody else"
	}
	if slices.Contains(numbersLater, number) {
		return "the server is busy or not ready: try again"
	}
	return "check the statements against the server's documentation"
}

// refusalOf returns the server's error, if it is one. Where there are several,
// the first tells the reason.
func refusalOf(err error) (mssqldb.Error, bool) {
	var refusal mssqldb.Error
	if !errors.As(err, &refusal) || refusal.Number == 0 {
		return mssqldb.Error{}, false
	}
	if len(refusal.All) > 0 {
		refusal = refusal.All[0]
	}
	return refusal, true
}

// scrub takes the secrets out of a text of foreign origin. The server quotes the
// piece it choked on in single quotes, where fault looks for double ones.
func (d *Database) scrub(text string, secrets ...string) string {
	return fault.Scrub(strings.ReplaceAll(text, "'", `"`), append(secrets, d.password)...)
}

// explain turns a driver's error into one for the client. What names the action;
// secrets are those the statement held beside the admin's password.
func (d *Database) explain(err error, what string, secrets ...string) error {
	var explained *fault.Error
	if err == nil || errors.As(err, &explained) {
		return err
	}
	if refusal, ok := refusalOf(err); ok {
		class := fault.Refused
		if slices.Contains(numbersLater, refusal.Number) {
			class = fault.Later
		}
		return fault.New(class, "%s: %s (error %d): %s", what, d.scrub(refusal.Message, secrets...), refusal.Number, hint(refusal.Number))
	}
	return fault.New(fault.Later, "%s: %s: the connection to the server broke: try again", what, d.scrub(err.Error(), secrets...))
}

// explainConnect is explain for the time before a session exists. Whatever the
// server says then, the client's request may be fine: the class is Later.
func (d *Database) explainConnect(err error, what string) error {
	if refusal, ok := refusalOf(err); ok {
		return fault.New(fault.Later, "%s: %s (error %d): %s", what, d.scrub(refusal.Message), refusal.Number, hint(refusal.Number))
	}
	text := err.Error()
	const trust = "encrypt, certificate, hostnameincertificate"
	advice := cmp.Or(fault.AdviseOnConnection(err, "connection_url", trust), "check host, port and TLS settings of connection_url")
	switch {
	case strings.Contains(text, "does not support encryption"):
		advice = "turn on encryption on the server, or set encrypt=false in connection_url"
	case strings.Contains(text, "TLS Handshake"):
		advice = "check " + trust + " and the server's certificate"
	case errors.Is(err, context.DeadlineExceeded):
		advice = "the server did not answer in time: check host, port and firewall, or raise max_open_connections if it is busy"
	}
	return fault.New(fault.Later, "%s: %s: %s", what, d.scrub(text), advice)
}

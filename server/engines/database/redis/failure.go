package redis

import (
	"context"
	"errors"
	"io"
	"strings"
	"syscall"

	"github.com/novatech/securevault/server/engines/database/fault"
)

// answer is what may be expected after an error that a server answered with.
type answer struct {
	begins string // the server's text, without a leading "ERR "
	class  fault.Class
	hint   string
}

// answers are those that have more to say than their text.
func answers() []answer {
	return []answer{
		{"WRONGPASS", fault.Later, "check username and password of the config"},
		{"NOAUTH", fault.Later, "write username and password into the config"},
		{"AUTH <password> called without any password", fault.Later, "the default user has no password: give it one, or write the username into the config"},
		{"NOPERM", fault.Refused, "give the config's username that command, see the README of the redis plugin"},
		{"DENIED", fault.Refused, "set bind and a password on the server, or protected-mode no"},
		{"Error in ACL SETUSER modifier", fault.Refused, "correct the rule in creation_statements"},
		{"LOADING", fault.Later, "the server is starting: try again"},
		{"MASTERDOWN", fault.Later, "the replica has lost its master: try again"},
		{"READONLY", fault.Later, "the server is a replica: try again after the failover"},
		{"CLUSTERDOWN", fault.Later, "the cluster is not complete: try again"},
		{"TRYAGAIN", fault.Later, "the cluster moves slots: try again"},
		{"BUSY", fault.Later, "the server runs a script: try again"},
		{"OOM", fault.Later, "the server has used its memory: raise maxmemory or remove keys"},
		{"MISCONF", fault.Later, "the server cannot write to its disk: look into its log"},
		{"max number of clients", fault.Later, "raise maxclients on the server, or try again"},
		{"This instance has cluster support disabled", fault.Refused, "write host and port in place of addresses"},
		{"This Redis instance is not configured to use an ACL file", fault.Refused, "set aclfile on the server, or persistence_mode=" + persistRewrite},
		{"The server is running without a config file", fault.Refused, "start the server with a configuration file, or write persistence_mode=" + persistNone},
		{"Rewriting config file", fault.Refused, "let the server write to its configuration file, or write persistence_mode=" + persistNone},
		{"There was an error trying to save the ACLs", fault.Refused, "let the server write to its ACL file, or write persistence_mode=" + persistNone},
		{"No such master with that name", fault.Refused, "check sentinel_master"},
		{"unknown command 'SENTINEL'", fault.Refused, "check that sentinel_addresses are of sentinels"},
		{"unknown command", fault.Refused, "Redis 6.2 or later is needed, and with rename-command each command has to keep its name"},
	}
}

// explain turns a driver's error into one for the client; what names the action.
func (d *Database) explain(err error, what string) error {
	var explained *fault.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &explained):
		return fault.New(explained.Class, "%s: %s", what, explained)
	case !isAnswer(err):
		return fault.New(fault.Later, "%s: %s: %s", what, d.scrub(err.Error()), d.adviseOnConnection(err))
	}
	for _, known := range answers() {
		if says(err, known.begins) {
			return fault.New(known.class, "%s: %s: %s", what, d.scrub(err.Error()), known.hint)
		}
	}
	return fault.New(fault.Refused, "%s: %s: check the statements and the config against the server's documentation", what, d.scrub(err.Error()))
}

// adviseOnConnection tells what to do about a connection that failed or broke.
func (d *Database) adviseOnConnection(err error) string {
	known := fault.AdviseOnConnection(err, "the config", "tls, ca_cert, tls_certificate_key")
	switch {
	case known != "":
		return known
	case errors.Is(err, context.DeadlineExceeded) || strings.Contains(err.Error(), "i/o timeout"):
		return "the server did not answer in time: check host, port, firewall and tls"
	case !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET):
		return "the connection broke: try again"
	case d.settings.encryption == nil:
		return "the server ended the connection: try again, or write tls=true if it speaks TLS"
	case d.settings.CertificateKey == "":
		return "the server ended the connection: try again, or write tls_certificate_key if it wants a certificate"
	}
	return "the server ended the connection: try again"
}

func (d *Database) scrub(text string) string {
	return fault.Scrub(text, d.settings.Password, d.settings.SentinelPassword)
}

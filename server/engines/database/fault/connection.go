package fault

import (
	"errors"
	"net"
	"strings"
)

// AdviseOnConnection says what to do about a server that could not be reached, or
// nothing if the error does not tell why. The words are those of the operator: where
// is the field that says where the server is, trust those about TLS.
func AdviseOnConnection(err error, where, trust string) string {
	text := err.Error() // some drivers flatten what they were told
	_, lookup := errors.AsType[*net.DNSError](err)
	switch {
	case lookup, strings.Contains(text, "no such host"):
		return "check the host name in " + where
	// Before the next: of a name's several addresses one may refuse, and another have
	// a certificate that is not believed.
	case strings.Contains(text, "tls: "), strings.Contains(text, "x509: "):
		return "check " + trust + " and the server's certificate"
	case strings.Contains(text, "connection refused"):
		return "check that the server runs and listens on that port"
	}
	return ""
}

package fault

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"
)

func TestScrubRemovesASecretInEveryForm(t *testing.T) {
	const secret = "p@ss w/rd-1"
	cases := map[string]struct{ text, want string }{
		"plain":                    {"password p@ss w/rd-1 is wrong", "password **redacted** is wrong"},
		"escaped for a query":      {"url p%40ss+w%2Frd-1", "url **redacted**"},
		"escaped for a path":       {"url p@ss%20w%2Frd-1", "url **redacted**"},
		"escaped for a user":       {"url postgresql://admin:p%40ss%20w%2Frd-1@db", "url postgresql://admin:**redacted**@db"},
		"a piece in quotes":        {`syntax error at or near "ss w"`, `syntax error at or near "**redacted**"`},
		"other quoted words":       {`relation "orders" does not exist`, `relation "orders" does not exist`},
		"line breaks":              {"first\n\tsecond", "first; second"},
		"nothing between quotes":   {`column "" missing`, `column "" missing`},
		"an unclosed quote at end": {`near "`, `near "`},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			if got := Scrub(test.text, "", secret); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestScrubRemovesASecretOfSeveralLines(t *testing.T) {
	const key = "-----BEGIN KEY-----\nabc\n\ndef\n-----END KEY-----\n"
	if got := Scrub("parsing "+key+"failed", key); got != "parsing **redacted**; failed" {
		t.Errorf("got %q", got)
	}
	if got := Scrub(fmt.Sprintf("parsing %q failed", key), key); got != `parsing "**redacted**" failed` {
		t.Errorf("in quotes: %q", got)
	}
}

func TestAVeryShortSecretIsNotSpeltByTheHolesItLeaves(t *testing.T) {
	if got := Scrub("connecting to database mydb", "b"); strings.Contains(got, "data") {
		t.Errorf("got %q, want the message withheld", got)
	}
	if got := Scrub("nothing of it here", "q"); got != "nothing of it here" {
		t.Errorf("got %q, want it unchanged", got)
	}
}

func TestAConnectionThatFailedIsExplainedInTheOperatorsWords(t *testing.T) {
	cases := map[string]struct {
		err  error
		want string
	}{
		"an unknown host":            {fmt.Errorf("dialling: %w", &net.DNSError{Err: "timeout", Name: "db.example"}), "check the host name in url"},
		"an unknown host, flattened": {errors.New("lookup db.example: no such host"), "check the host name in url"},
		"a closed port":              {&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, "check that the server runs and listens on that port"},
		"an unknown authority":       {x509.UnknownAuthorityError{}, "check ca_cert and the server's certificate"},
		"a server without TLS":       {errors.New("tls: first record does not look like a TLS handshake"), "check ca_cert and the server's certificate"},
		"a host of two addresses":    {errors.Join(x509.UnknownAuthorityError{}, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}), "check ca_cert and the server's certificate"},
		"anything else":              {errors.New("broken pipe"), ""},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			if got := AdviseOnConnection(test.err, "url", "ca_cert"); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestClassOfFindsTheClassThroughWrapping(t *testing.T) {
	wrapped := fmt.Errorf("renewing: %w", New(NoUser, "user %q is gone", "v-app"))
	if got := ClassOf(wrapped); got != NoUser {
		t.Errorf("got class %d, want NoUser", got)
	}
	if got := ClassOf(errors.New("driver")); got != Unknown {
		t.Errorf("a foreign error has class %d, want Unknown", got)
	}
}

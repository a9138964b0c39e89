package mysql

import (
	"context"
	"crypto/x509"
	"errors"
	"net"
	"strings"
	"syscall"
	"testing"

	driver "github.com/go-sql-driver/mysql"

	"github.com/novatech/securevault/server/engines/database/fault"
)

func refusal(number uint16, message string) error {
	return &driver.MySQLError{Number: number, Message: message}
}

func TestErrorsSayWhatToDoAndNoPassword(t *testing.T) {
	database := &Database{password: "admin-secret"}
	const issued = "A1b-issued-secret"
	cases := map[string]struct {
		err   error
		class fault.Class
		says  string
	}{
		"a syntax error before a password": {refusal(1064, "You have an error in your SQL syntax; check the manual for the right syntax to use near 'IDENTIFIED BYY 'A1b-issued-secret'' at line 1"), fault.Refused, "near 'IDENTIFIED BYY '**redacted**'' at line 1"},
		"a password that is cut off":       {refusal(1064, "error near 'IDENTIFIED BYY 'A1b-issued-s' at line 1"), fault.Refused, "correct the SQL"},
		"a password without quotes":        {refusal(1064, "error near '-issued-secret; GRANT SELECT' at line 1"), fault.Refused, "GRANT SELECT"},
		"a password in the message":        {refusal(1819, "Your password A1b-issued-secret is weak"), fault.Refused, "write a password_policy"},
		"a missing privilege":              {refusal(1227, "Access denied; you need CREATE USER"), fault.Refused, "give the config's username the privilege"},
		"a taken name":                     {refusal(1396, "Operation CREATE USER failed for 'a'@'%'"), fault.Refused, "exists already or does not exist"},
		"sessions of others":               {refusal(1095, "You are not owner of thread 7"), fault.Refused, "CONNECTION ADMIN"},
		"a long name":                      {refusal(1470, "String is too long for user name"), fault.Refused, "shorten username_template"},
		"an unknown number":                {refusal(65000, "something"), fault.Refused, "check the statements"},
		"a full server":                    {refusal(1040, "Too many connections"), fault.Later, "lower max_open_connections"},
		"a deadlock":                       {refusal(1213, "Deadlock found"), fault.Later, "try again"},
		"a commit that failed":             {refusal(1180, "Got error 5 during COMMIT"), fault.Later, "look into its log"},
		"a lock held too long":             {refusal(1205, "Lock wait timeout exceeded"), fault.Later, "try again"},
		"a server shutting down":           {refusal(1053, "Server shutdown in progress"), fault.Later, "try again"},
		"a replica":                        {refusal(1290, "running with the --read-only option"), fault.Later, "lead to the primary"},
		"a broken connection":              {errors.New("write: broken pipe admin-secret"), fault.Later, "the connection to the server broke"},
		"an end of the request":            {context.Canceled, fault.Later, "context canceled"},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			err := database.explain(test.err, "running creation_statements", issued)
			if got := fault.ClassOf(err); got != test.class {
				t.Errorf("class is %d, want %d", got, test.class)
			}
			if !strings.Contains(err.Error(), test.says) {
				t.Errorf("error %q does not say %q", err, test.says)
			}
			for _, secret := range []string{issued, "admin-secret", "A1b", "-issued"} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("error %q gives %q away", err, secret)
				}
			}
		})
	}
}

func TestWhatFailsBeforeTheLoginIsForLater(t *testing.T) {
	database := &Database{password: "admin-secret", target: `tcp(db.example:3306) as "admin"`}
	cases := map[string]struct {
		err  error
		says string
	}{
		"a wrong password":     {refusal(1045, "Access denied for user 'admin'@'10.0.0.1' (using password: YES)"), "check username and password"},
		"a blocked host":       {refusal(1129, "Host is blocked"), "FLUSH HOSTS"},
		"a full server":        {refusal(1040, "Too many connections"), "max_connections"},
		"an unknown variable":  {refusal(1193, "Unknown system variable 'nonsense'"), "parameters of connection_url"},
		"an unknown host":      {&net.DNSError{Err: "no such host", Name: "db.example"}, "check the host name"},
		"a closed port":        {&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, "check that the server runs"},
		"a missing socket":     {&net.OpError{Op: "dial", Err: syscall.ENOENT}, "check that the server runs"},
		"no answer":            {context.DeadlineExceeded, "did not answer in time"},
		"no TLS":               {driver.ErrNoTLS, "turn on TLS"},
		"an unknown authority": {x509.UnknownAuthorityError{}, "check tls_ca"},
		"a clear password":     {driver.ErrCleartextPassword, "allowCleartextPasswords=true"},
		"something else":       {errors.New("malformed packet admin-secret"), "check host, port and TLS settings"},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			err := database.explainConnect(test.err)
			if fault.ClassOf(err) != fault.Later || !strings.Contains(err.Error(), test.says) || !strings.Contains(err.Error(), "db.example") {
				t.Errorf("got %q of class %d, want %q", err, fault.ClassOf(err), test.says)
			}
			if strings.Contains(err.Error(), "admin-secret") {
				t.Errorf("error %q gives the password away", err)
			}
		})
	}
}

func FuzzNoPieceOfASecretIsCited(f *testing.F) {
	f.Add("IDENTIFIED BYY '", "A1b-issued-secret", 5)
	f.Add("", "aaaa", 4)
	f.Add("ab", "abcabd", 5)
	f.Fuzz(func(t *testing.T, before, secret string, length int) {
		if length < 0 || length > len(secret) {
			t.Skip("no piece of the secret")
		}
		for _, kept := range strings.Split(withoutPieces(before+secret[:length], secret), redacted) {
			for i := range max(len(kept)-shortestPiece+1, 0) {
				if piece := kept[i : i+shortestPiece]; strings.Contains(secret, piece) {
					t.Errorf("%q of %q is cited", piece, secret)
				}
			}
		}
	})
}

package postgresql

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"unicode"

	"github.com/novatech/securevault/server/engines/database/fault"
)

// The values of password_authentication: how a password is sent to the server.
const (
	asText     = "password"
	asVerifier = "scram-sha-256"
)

const (
	scramIterations = 4096 // PostgreSQL's default, and the least that some drivers accept
	saltSize        = 16   // bytes
)

// sent returns what stands for a password in a statement: itself, or its SCRAM
// verifier, which keeps the password from the server, its logs and whoever reads
// them. That is not the default for it costs both sides a hash: the server
// checks whether a verifier is that of the empty password.
func (d *Database) sent(password string) (string, error) {
	if d.authentication != asVerifier || password == "" {
		return password, nil
	}
	if strings.ContainsFunc(password, func(r rune) bool { return r > unicode.MaxASCII }) {
		return "", fault.New(fault.Refused, "password_authentication %s works with ASCII only: take other characters out of the password policy", asVerifier)
	}
	return verifier(password)
}

// verifier returns what PostgreSQL keeps of a password (RFC 5803).
func verifier(password string) (string, error) {
	salt := make([]byte, saltSize)
	rand.Read(salt)
	salted, err := pbkdf2.Key(sha256.New, password, salt, scramIterations, sha256.Size)
	if err != nil {
		return "", fmt.Errorf("hashing a password: %w", err)
	}
	stored := sha256.Sum256(keyOf(salted, "Client Key"))
	text := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("SCRAM-SHA-256$%d:%s$%s:%s", scramIterations, text(salt), text(stored[:]), text(keyOf(salted, "Server Key"))), nil
}

func keyOf(salted []byte, name string) []byte {
	mac := hmac.New(sha256.New, salted)
	mac.Write([]byte(name))
	return mac.Sum(nil)
}

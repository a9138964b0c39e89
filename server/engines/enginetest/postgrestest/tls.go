package postgrestest

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/novatech/securevault/server/engines/enginetest/certtest"
)

// StartTLS is Start for a server with a certificate of the authority, for its
// address and not the name localhost. The authority also has to vouch for clients
// that log in with a certificate. The lines of pg_hba.conf, such as "hostssl all
// +certified all cert", come before the one that asks everybody for a password.
func StartTLS(authority *certtest.Authority, hba ...string) (*Server, error) {
	return begin(func(s *Server) ([]string, error) { return s.secure(authority, hba) })
}

// secure writes the files of a server with TLS and returns its settings.
func (s *Server) secure(authority *certtest.Authority, hba []string) ([]string, error) {
	files, err := authority.Write(s.folder, "server", "127.0.0.1")
	if err != nil {
		return nil, err
	}
	rules := filepath.Join(s.folder, "pg_hba.conf")
	lines := strings.Join(append(hba, "host all all 127.0.0.1/32 scram-sha-256"), "\n") + "\n"
	if err := os.WriteFile(rules, []byte(lines), 0o600); err != nil {
		return nil, err
	}
	return []string{
		"ssl=on", "ssl_cert_file=" + files.Certificate, "ssl_key_file=" + files.Key, "ssl_ca_file=" + files.Authority, "hba_file=" + rules,
	}, nil
}

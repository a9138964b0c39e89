package pgserver

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	random "math/rand/v2"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// The files of a cluster, inside its folder.
const (
	dataName        = "data"
	logName         = "postgresql.log"
	passwordName    = "superuser-password" // gone once initdb has read it
	certificateName = "tls.crt"
	keyName         = "tls.key"
)

// validity is how long the TLS certificate is good for.
const validity = 30 * 24 * time.Hour

// findBinaries returns the folder with the binaries of the newest version that
// matches pattern, whose last folder but one is named by the version.
func findBinaries(pattern string) (string, error) {
	found, err := filepath.Glob(filepath.Join(pattern, "initdb"))
	if err != nil {
		return "", err
	}
	if len(found) == 0 {
		if path, err := exec.LookPath("initdb"); err == nil {
			return filepath.Dir(path), nil
		}
		return "", errors.New("PostgreSQL's server is not installed: apt-get install postgresql")
	}
	version := func(initdb string) int {
		number, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(initdb))))
		return number
	}
	newest := slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) })
	return filepath.Dir(newest), nil
}

// unprivileged returns the account to run as: postgres if we are root, nil for
// our own otherwise.
func unprivileged() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	account, err := user.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("looking up the account to run as: %w; apt-get install postgresql", err)
	}
	uid, uidErr := strconv.ParseUint(account.Uid, 10, 32)
	gid, gidErr := strconv.ParseUint(account.Gid, 10, 32)
	if err := errors.Join(uidErr, gidErr); err != nil {
		return nil, fmt.Errorf("reading the account to run as: %w", err)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

// prepareFolder makes the folder and what initdb and the server read from it,
// all owned by the account.
func prepareFolder(cfg Config, account *syscall.Credential) error {
	data := filepath.Join(cfg.Dir, dataName)
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return err
	}
	if err := os.Mkdir(data, 0o700); err != nil {
		return err // a cluster is there already: nothing of it may be touched
	}
	certificate, key, err := newCertificate()
	if err != nil {
		return fmt.Errorf("making a TLS certificate: %w", err)
	}
	paths := []string{cfg.Dir, data}
	for name, content := range map[string][]byte{
		passwordName: []byte(cfg.Password), certificateName: certificate, keyName: key, logName: nil,
	} {
		path := filepath.Join(cfg.Dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			return err
		}
		paths = append(paths, path)
	}
	if account == nil {
		return nil
	}
	for _, path := range paths {
		if err := os.Chown(path, int(account.Uid), int(account.Gid)); err != nil {
			return err
		}
	}
	return nil
}

// newCertificate returns a self-signed certificate for loopback and its key,
// both in PEM.
func newCertificate() (certificate, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	now := time.Now()
	template := x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()),
		Subject:      pkix.Name{CommonName: "throw-away PostgreSQL"},
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.Add(validity),
		IPAddresses:  []net.IP{net.ParseIP(host)},
		DNSNames:     []string{"localhost"},
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, private.Public(), private)
	if err != nil {
		return nil, nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, nil, err
	}
	certificate = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return certificate, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), nil
}

// freePort returns a TCP port of loopback that nobody listens on. It is below those
// that Linux gives to connections and to whoever asks for any: one of these could be
// taken before the server listens.
func freePort() (int, error) {
	const first, count = 20_000, 10_000
	var failed error
	for _, above := range random.Perm(count) {
		port := first + above
		listener, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
		if err == nil {
			return port, listener.Close()
		}
		failed = err
	}
	return 0, fmt.Errorf("finding a free port from %d on: %w; end what listens there", first, failed)
}

// quoteName makes any text the name of a database.
func quoteName(name string) string {
	return `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
}

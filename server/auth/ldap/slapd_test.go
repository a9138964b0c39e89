package ldap_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/novatech/securevault/server/engines/enginetest/process"
)

// slapd is a real OpenLDAP server with a few people and groups.
type slapd struct {
	plain, tls string // URLs
	ca         string // PEM
}

const (
	adminDN       = "cn=admin,dc=example,dc=org"
	adminPassword = "known-to-the-service"
)

// people of the directory: dave is there twice, mallory's name is a trap for
// filters.
const people = `dn: dc=example,dc=org
objectClass: dcObject
objectClass: organization
o: Example
dc: example

dn: ou=people,dc=example,dc=org
objectClass: organizationalUnit
ou: people

dn: ou=guests,dc=example,dc=org
objectClass: organizationalUnit
ou: guests

dn: ou=groups,dc=example,dc=org
objectClass: organizationalUnit
ou: groups

dn: uid=alice,ou=people,dc=example,dc=org
objectClass: inetOrgPerson
uid: alice
cn: Alice
sn: Liddell
userPassword: wonderland

dn: uid=bob,ou=people,dc=example,dc=org
objectClass: inetOrgPerson
uid: bob
cn: Bob
sn: Builder
userPassword: spanner

dn: uid=dave,ou=people,dc=example,dc=org
objectClass: inetOrgPerson
uid: dave
cn: Dave
sn: One
userPassword: twin

dn: uid=dave,ou=guests,dc=example,dc=org
objectClass: inetOrgPerson
uid: dave
cn: Dave
sn: Two
userPassword: twin

dn: cn=Engineers,ou=groups,dc=example,dc=org
objectClass: groupOfNames
cn: Engineers
member: uid=alice,ou=people,dc=example,dc=org

dn: cn=staff,ou=groups,dc=example,dc=org
objectClass: groupOfNames
cn: staff
member: uid=alice,ou=people,dc=example,dc=org
member: uid=bob,ou=people,dc=example,dc=org
`

// startSlapd starts the server on loopback; it ends with the test.
func startSlapd(t *testing.T) slapd {
	t.Helper()
	program := find(t, "slapd")
	folder := t.TempDir()
	ca := writeCertificate(t, folder)
	write(t, folder, "people.ldif", people)
	if err := os.Mkdir(filepath.Join(folder, "db"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, folder, "slapd.conf", fmt.Sprintf(`
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile %[1]s/pid
TLSCertificateFile %[1]s/cert.pem
TLSCertificateKeyFile %[1]s/key.pem
database mdb
suffix dc=example,dc=org
rootdn %[2]s
rootpw %[3]s
directory %[1]s/db
access to attrs=userPassword by anonymous auth by * none
access to dn.subtree=ou=groups,dc=example,dc=org by dn=%[2]s read by users read by * none
access to * by users read by anonymous auth by * none
`, folder, adminDN, adminPassword))
	conf := filepath.Join(folder, "slapd.conf")
	if out, err := exec.Command(program, "-T", "add", "-f", conf, "-l", filepath.Join(folder, "people.ldif")).CombinedOutput(); err != nil {
		t.Fatalf("filling the directory: %v\n%s", err, out)
	}
	for range 5 { // somebody else may take a port before slapd does
		ports, err := process.FreePorts(2)
		if err != nil {
			t.Fatal(err)
		}
		s := slapd{plain: fmt.Sprintf("ldap://127.0.0.1:%d", ports[0]), tls: fmt.Sprintf("ldaps://127.0.0.1:%d", ports[1]), ca: ca}
		if s.serve(t, exec.Command(program, "-d", "0", "-f", conf, "-h", s.plain+" "+s.tls)) {
			return s
		}
	}
	t.Fatal("slapd does not listen; its messages are above")
	return slapd{}
}

// serve starts slapd, and reports whether it listens.
func (s slapd) serve(t *testing.T, command *exec.Cmd) bool {
	t.Helper()
	logs, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = logs.Close() }()
	command.Stderr = logs
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = command.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		_ = command.Process.Signal(syscall.SIGTERM)
		<-ended
	})
	for range 6000 {
		conn, err := net.Dial("tcp", s.tls[len("ldaps://"):])
		if err == nil {
			_ = conn.Close()
			return true
		}
		select {
		case <-ended:
			text, _ := os.ReadFile(logs.Name())
			t.Logf("slapd ended: %s", text)
			return false
		case <-time.After(10 * time.Millisecond):
		}
	}
	return false
}

func find(t *testing.T, program string) string {
	t.Helper()
	if path, err := exec.LookPath(program); err == nil {
		return path
	}
	path := "/usr/sbin/" + program
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%s is missing: install it with make packages (Debian package slapd)", program)
	}
	return path
}

func write(t *testing.T, folder, name, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// writeCertificate writes cert.pem and key.pem for 127.0.0.1, and returns the
// certificate, which is its own authority.
func writeCertificate(t *testing.T, folder string) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "directory"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certificate := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	write(t, folder, "cert.pem", certificate)
	write(t, folder, "key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
	return certificate
}

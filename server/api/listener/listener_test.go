package listener

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
)

// authority signs the certificates of a test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{}
	a.cert, a.key = a.issue(t, "ca", 1)
	return a
}

// issue makes a certificate; the first one signs itself.
func (a *authority) issue(t *testing.T, name string, serial int64) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
		IsCA: a.cert == nil, BasicConstraintsValid: true, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

// write puts a new certificate and its key into the folder.
func (a *authority) write(t *testing.T, folder, name string, serial int64) (certFile, keyFile string) {
	t.Helper()
	cert, key := a.issue(t, name, serial)
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(folder, name+".crt"), filepath.Join(folder, name+".key")
	for file, block := range map[string]*pem.Block{
		keyFile: {Type: "EC PRIVATE KEY", Bytes: der}, certFile: {Type: "CERTIFICATE", Bytes: cert.Raw},
	} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile
}

func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// open serves "hello" on a listener of the test.
func open(t *testing.T, c Config) *Listener {
	t.Helper()
	l, err := Open(t.Context(), c, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") })}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	return l
}

// serial returns the number of the certificate that the listener shows.
func serial(t *testing.T, l *Listener, config *tls.Config) (int64, error) {
	t.Helper()
	conn, err := tls.Dial("tcp", l.Addr().String(), config)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET / HTTP/1.0\r\n\r\n"); err != nil {
		return 0, err
	}
	if _, err := io.ReadAll(conn); err != nil {
		return 0, err
	}
	return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64(), nil
}

func TestACertificateIsReplacedWithoutARestart(t *testing.T) {
	a, folder := newAuthority(t), t.TempDir()
	cert, key := a.write(t, folder, "server", 2)
	l := open(t, Config{Network: "tcp", Address: "127.0.0.1:0", TLS: &TLS{CertFile: cert, KeyFile: key, MinVersion: tls.VersionTLS12}})
	shown := func() int64 {
		n, err := serial(t, l, &tls.Config{RootCAs: a.pool()})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if got := shown(); got != 2 {
		t.Fatalf("serial %d", got)
	}
	a.write(t, folder, "server", 3)
	if err := l.Reload(); err != nil {
		t.Fatal(err)
	}
	if got := shown(); got != 3 {
		t.Fatalf("serial %d after a reload", got)
	}
	if err := os.WriteFile(cert, []byte("half a certif"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := l.Reload(); err == nil {
		t.Fatal("a broken certificate is taken")
	}
	if got := shown(); got != 3 {
		t.Fatalf("serial %d after a failed reload", got)
	}

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	watching := make(chan error, 1)
	go func() { watching <- l.Watch(ctx) }()
	deadline := time.Now().Add(20 * time.Second)
	for n := int64(4); shown() == 3; n++ { // written again until the watch has begun
		if time.Now().After(deadline) {
			t.Fatal("a changed file is not noticed")
		}
		a.write(t, folder, "server", n)
		<-time.After(settleDelay * 3 / 2)
	}
	cancel()
	if err := <-watching; err != nil {
		t.Fatal(err)
	}
}

func TestClientsMustShowACertificateOfTheCA(t *testing.T) {
	a, folder := newAuthority(t), t.TempDir()
	cert, key := a.write(t, folder, "server", 2)
	ca := filepath.Join(folder, "ca.crt")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	l := open(t, Config{Network: "tcp", Address: "127.0.0.1:0", TLS: &TLS{
		CertFile: cert, KeyFile: key, ClientCAFile: ca, RequireClient: true, MinVersion: tls.VersionTLS13,
	}})
	if _, err := serial(t, l, &tls.Config{RootCAs: a.pool()}); err == nil {
		t.Error("a client without certificate is let in")
	}
	clientCert, clientKey := a.write(t, folder, "client", 9)
	pair, err := tls.LoadX509KeyPair(clientCert, clientKey)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := serial(t, l, &tls.Config{RootCAs: a.pool(), Certificates: []tls.Certificate{pair}}); err != nil {
		t.Error(err)
	}
	if _, err := serial(t, l, &tls.Config{RootCAs: a.pool(), Certificates: []tls.Certificate{pair}, MaxVersion: tls.VersionTLS12}); err == nil {
		t.Error("TLS 1.2 is let in below the least version")
	}
}

func TestASocketHasItsModeAndReplacesAStaleOne(t *testing.T) {
	path := filepath.Join(t.TempDir(), "api.sock")
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	stale.Close()
	open(t, Config{Network: "unix", Address: path, Mode: 0o640})
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o640 {
		t.Fatalf("%v, %v", info.Mode(), err)
	}
	if _, err := Open(t.Context(), Config{Network: "unix", Address: path}, hclog.NewNullLogger()); err == nil {
		t.Fatal("a socket in use is taken away")
	}
	file := filepath.Join(t.TempDir(), "note")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), Config{Network: "unix", Address: file}, hclog.NewNullLogger()); err == nil {
		t.Fatal("a file is taken for a socket")
	}
}

func TestNamesOfVersionsAndSuites(t *testing.T) {
	if v, err := Version("tls13"); v != tls.VersionTLS13 || err != nil {
		t.Error(v, err)
	}
	if _, err := Version("ssl3"); err == nil {
		t.Error("ssl3 is known")
	}
	suites, err := CipherSuites("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256")
	if err != nil || len(suites) != 2 || suites[0] != tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 {
		t.Error(suites, err)
	}
	if _, err := CipherSuites("ROT13"); err == nil {
		t.Error("ROT13 is known")
	}
}

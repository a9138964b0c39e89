package admin

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
)

// TLS says how a listener proves who it is, and whom it lets in. The files are
// read again when they change.
type TLS struct {
	CertFile     string
	KeyFile      string
	MinVersion   string // "tls12" when empty; "tls10" to "tls13"
	MaxVersion   string // "tls13" when empty
	CipherSuites string // names with commas between; "" leaves the choice to Go
	ClientCAFile string // who signs the certificates of clients; "" for any
	// RequireClient turns away clients without a certificate that
	// ClientCAFile has signed.
	RequireClient bool
}

func (t *TLS) check() error {
	if t.CertFile == "" || t.KeyFile == "" {
		return errors.New("setting up TLS: tls_cert_file or tls_key_file is missing; name both, or set tls_disable = true")
	}
	if t.RequireClient && t.ClientCAFile == "" {
		return errors.New("setting up TLS: tls_require_and_verify_client_cert needs tls_client_ca_file; name the file of the authority")
	}
	_, err := t.base()
	return err
}

// base is what does not change while the listener is open.
func (t *TLS) base() (*tls.Config, error) {
	least, err := tlsVersion("tls_min_version", t.MinVersion, tls.VersionTLS12)
	if err != nil {
		return nil, err
	}
	most, err := tlsVersion("tls_max_version", t.MaxVersion, tls.VersionTLS13)
	if err != nil {
		return nil, err
	}
	if least > most {
		return nil, fmt.Errorf("setting up TLS: tls_min_version %s is above tls_max_version %s; swap them", t.MinVersion, t.MaxVersion)
	}
	suites, err := cipherSuites(t.CipherSuites)
	return &tls.Config{MinVersion: least, MaxVersion: most, CipherSuites: suites, NextProtos: []string{"http/1.1"}}, err
}

func tlsVersion(key, name string, fallback uint16) (uint16, error) {
	versions := map[string]uint16{
		"": fallback, "tls10": tls.VersionTLS10, "tls11": tls.VersionTLS11, "tls12": tls.VersionTLS12, "tls13": tls.VersionTLS13,
	}
	version, known := versions[strings.ToLower(name)]
	if !known {
		return 0, fmt.Errorf("setting up TLS: %s: %q is unknown; use tls12 or tls13", key, name)
	}
	return version, nil
}

func cipherSuites(names string) ([]uint16, error) {
	var suites []uint16
	for name := range strings.SplitSeq(names, ",") {
		if name = strings.TrimSpace(name); name == "" {
			continue
		}
		id, ok := cipherSuite(name)
		if !ok {
			return nil, fmt.Errorf("setting up TLS: tls_cipher_suites: %q is unknown or broken; remove it", name)
		}
		suites = append(suites, id)
	}
	return suites, nil
}

func cipherSuite(name string) (uint16, bool) {
	for _, suite := range tls.CipherSuites() {
		if suite.Name == name {
			return suite.ID, true
		}
	}
	return 0, false
}

// files reads the files of a listener for the first time.
func (t *TLS) files(log *zap.Logger) (*tlsFiles, error) {
	files := &tlsFiles{cfg: t, log: log, looked: time.Now()}
	files.seen = files.stamp()
	first, err := files.load()
	files.current = first
	return files, err
}

// tlsFiles keeps a configuration as new as the files it is made of.
type tlsFiles struct {
	cfg *TLS
	log *zap.Logger

	mu      sync.Mutex
	current *tls.Config
	seen    string    // stamp of the files that current, or the last failure, came from
	looked  time.Time // at the files
}

// listener puts TLS before a listener.
func (f *tlsFiles) listener(plain net.Listener) net.Listener {
	return tls.NewListener(plain, &tls.Config{
		MinVersion:         f.latest().MinVersion,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return f.latest(), nil },
	})
}

// latest returns the configuration for a handshake. Files that cannot be read,
// half-written ones say, leave the one before in use.
func (f *tlsFiles) latest() *tls.Config {
	f.mu.Lock()
	defer f.mu.Unlock()
	if time.Since(f.looked) < time.Second {
		return f.current
	}
	f.looked = time.Now()
	stamp := f.stamp()
	if stamp == f.seen {
		return f.current
	}
	f.seen = stamp
	fresh, err := f.load()
	if err != nil {
		f.log.Warn("reading the TLS files of a listener again failed; the ones before stay in use", zap.Error(err))
		return f.current
	}
	f.log.Info("the TLS files of a listener were read again", zap.String("certificate", f.cfg.CertFile))
	f.current = fresh
	return fresh
}

// stamp changes when a file does.
func (f *tlsFiles) stamp() string {
	var stamp strings.Builder
	for _, path := range []string{f.cfg.CertFile, f.cfg.KeyFile, f.cfg.ClientCAFile} {
		if info, err := os.Stat(path); err == nil {
			fmt.Fprintf(&stamp, "%d %d;", info.Size(), info.ModTime().UnixNano())
		}
	}
	return stamp.String()
}

func (f *tlsFiles) load() (*tls.Config, error) {
	config, err := f.cfg.base()
	if err != nil {
		return nil, err
	}
	pair, err := tls.LoadX509KeyPair(f.cfg.CertFile, f.cfg.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("reading tls_cert_file %q with tls_key_file %q: %w; write both anew, or correct the paths", f.cfg.CertFile, f.cfg.KeyFile, err)
	}
	config.Certificates = []tls.Certificate{pair}
	if f.cfg.ClientCAFile == "" {
		return config, nil
	}
	text, err := os.ReadFile(f.cfg.ClientCAFile)
	if err != nil {
		return nil, fmt.Errorf("reading tls_client_ca_file: %w", err)
	}
	config.ClientCAs, config.ClientAuth = x509.NewCertPool(), tls.VerifyClientCertIfGiven
	if !config.ClientCAs.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("reading tls_client_ca_file: %q holds no certificate in PEM; correct the path", f.cfg.ClientCAFile)
	}
	if f.cfg.RequireClient {
		config.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return config, nil
}

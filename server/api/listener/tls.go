package listener

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/fsnotify/fsnotify"
)

// settleDelay is how long files must be left alone before they are read: a
// certificate and its key change one after the other.
const settleDelay = 500 * time.Millisecond

// TLS says which certificate a listener shows, and what it asks of clients.
type TLS struct {
	CertFile     string // PEM, the chain included
	KeyFile      string // PEM
	ClientCAFile string // PEM; "" verifies no client
	// RequireClient refuses clients without a certificate of ClientCAFile.
	RequireClient bool
	// NoClientCerts does not even ask for one.
	NoClientCerts bool
	MinVersion    uint16
	MaxVersion    uint16
	CipherSuites  []uint16 // of TLS 1.2; nil for Go's choice
}

// Version returns the number of a TLS version written like "tls12".
func Version(name string) (uint16, error) {
	versions := map[string]uint16{
		"tls10": tls.VersionTLS10, "tls11": tls.VersionTLS11, "tls12": tls.VersionTLS12, "tls13": tls.VersionTLS13,
	}
	version, ok := versions[name]
	if !ok {
		return 0, fmt.Errorf("unknown TLS version %q; use tls12 or tls13", name)
	}
	return version, nil
}

// CipherSuites returns the numbers of suites named with commas between them.
func CipherSuites(names string) ([]uint16, error) {
	if names == "" {
		return nil, nil
	}
	var chosen []uint16
	for name := range strings.SplitSeq(names, ",") {
		name = strings.TrimSpace(name)
		known := slices.Concat(tls.CipherSuites(), tls.InsecureCipherSuites())
		i := slices.IndexFunc(known, func(s *tls.CipherSuite) bool { return s.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("unknown cipher suite %q; names are like TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", name)
		}
		chosen = append(chosen, known[i].ID)
	}
	return chosen, nil
}

// keys holds what TLS needs, as read last.
type keys struct {
	files   TLS
	current atomic.Pointer[tls.Config]
}

// forClient is asked at every handshake.
func (k *keys) forClient(*tls.ClientHelloInfo) (*tls.Config, error) { return k.current.Load(), nil }

// load reads the files and, if they are good, puts them in service.
func (k *keys) load() error {
	pair, err := tls.LoadX509KeyPair(k.files.CertFile, k.files.KeyFile)
	if err != nil {
		return fmt.Errorf("reading tls_cert_file %q and tls_key_file %q: %w", k.files.CertFile, k.files.KeyFile, err)
	}
	config := &tls.Config{
		Certificates: []tls.Certificate{pair},
		NextProtos:   []string{"h2", "http/1.1"},
		MinVersion:   k.files.MinVersion,
		MaxVersion:   k.files.MaxVersion,
		CipherSuites: k.files.CipherSuites,
		// Not verified unless a CA is known: auth methods look at it.
		ClientAuth: tls.RequestClientCert,
	}
	if k.files.NoClientCerts {
		config.ClientAuth = tls.NoClientCert
	}
	if k.files.ClientCAFile != "" {
		if config.ClientCAs, err = readPool(k.files.ClientCAFile); err != nil {
			return err
		}
		config.ClientAuth = tls.VerifyClientCertIfGiven
	}
	if k.files.RequireClient {
		config.ClientAuth = tls.RequireAndVerifyClientCert
	}
	k.current.Store(config)
	return nil
}

func readPool(file string) (*x509.CertPool, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading tls_client_ca_file: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("tls_client_ca_file %q holds no certificate in PEM", file)
	}
	return pool, nil
}

// Watch reloads when the files of the certificate change, until ctx ends. Their
// folders are watched, for certificates are often replaced by renaming, or by
// turning a symbolic link.
func (l *Listener) Watch(ctx context.Context) error {
	if l.keys == nil {
		return nil
	}
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watching the certificate of %s: %w", l.config.Address, err)
	}
	defer func() { _ = watcher.Close() }()
	for _, file := range []string{l.keys.files.CertFile, l.keys.files.KeyFile, l.keys.files.ClientCAFile} {
		if file == "" {
			continue
		}
		if err := watcher.Add(filepath.Dir(file)); err != nil {
			return fmt.Errorf("watching the folder of %q: %w", file, err)
		}
	}
	return l.follow(ctx, watcher)
}

func (l *Listener) follow(ctx context.Context, watcher *fsnotify.Watcher) error {
	settled := time.NewTimer(settleDelay)
	settled.Stop()
	before := l.keys.files.stamp()
	for {
		select {
		case <-ctx.Done():
			return nil
		case _, ok := <-watcher.Events:
			if !ok {
				return errors.New("watching certificates: the watcher has ended")
			}
			settled.Reset(settleDelay)
		case err := <-watcher.Errors:
			l.logger.Warn("watching certificates", "error", err)
		case <-settled.C:
			now := l.keys.files.stamp()
			if now == before {
				continue
			}
			before = now
			if err := l.Reload(); err != nil {
				l.logger.Error("certificate not taken over", "error", err)
			}
		}
	}
}

// stamp tells two states of the files apart.
func (t TLS) stamp() string {
	var all strings.Builder
	for _, file := range []string{t.CertFile, t.KeyFile, t.ClientCAFile} {
		if info, err := os.Stat(file); err == nil {
			fmt.Fprintf(&all, "%d %s;", info.Size(), info.ModTime())
		}
	}
	return all.String()
}

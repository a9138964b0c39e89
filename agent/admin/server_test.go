package admin

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/novatech/securevault/internal/vault"
)

// agentStub is an agent that says what a test wants it to.
type agentStub struct {
	mu     sync.Mutex
	status Status
	token  vault.Token
	stuck  bool
}

func (a *agentStub) Status(ctx context.Context) (Status, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.stuck {
		<-ctx.Done()
		return Status{}, context.Cause(ctx)
	}
	return a.status, nil
}

func (a *agentStub) Token() vault.Token {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.token
}

func newServer(t *testing.T, cfg Config) *Server {
	t.Helper()
	if cfg.Source == nil {
		cfg.Source = &agentStub{}
	}
	cfg.Log = zap.NewNop()
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// ask sends one request to a handler and returns its answer.
func ask(h http.Handler, method, path string, change ...func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, nil)
	r.Host, r.URL.Host, r.URL.Scheme = "127.0.0.1:8200", "", ""
	for _, f := range change {
		f(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func header(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

func body(text string) func(*http.Request) {
	return func(r *http.Request) {
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(text)), int64(len(text))
	}
}

var local = Listener{Network: "tcp", Address: "127.0.0.1:8200", RequireHeader: true}

func TestProbesSayWhatIsMissing(t *testing.T) {
	missing := []string{"/run/app/db: waiting for database/creds/app"}
	tests := []struct {
		name   string
		status Status
		path   string
		code   int
		says   string
	}{
		{"nothing was rendered yet", Status{Missing: missing}, "/startup", 503, "not started\n- /run/app/db: waiting"},
		{"a started agent stays started", Status{Settled: true, Missing: missing}, "/startup", 200, "started"},
		{"an agent that moves is alive", Status{Missing: missing}, "/live", 200, "alive"},
		{"not ready", Status{Settled: true, Missing: missing}, "/ready", 503, "not ready\n- /run/app/db: waiting"},
		{"ready", Status{Settled: true, Ready: true}, "/ready", 200, "ready"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for _, l := range []Listener{local, {Network: "tcp", Address: "0.0.0.0:9102", MetricsOnly: true}} {
				got := ask(newServer(t, Config{Source: &agentStub{status: test.status}}).Handler(l), "GET", test.path)
				if got.Code != test.code || !strings.HasPrefix(got.Body.String(), test.says) {
					t.Errorf("%s = %d %q, want %d %q", test.path, got.Code, got.Body, test.code, test.says)
				}
			}
		})
	}
}

func TestAListenerServesWhatItsRoleAllows(t *testing.T) {
	tests := []struct {
		name     string
		listener Listener
		method   string
		path     string
		change   []func(*http.Request)
		code     int
	}{
		{"the page", local, "GET", "/", nil, 200},
		{"the status", local, "GET", "/status", nil, 200},
		{"metrics", local, "GET", "/metrics", nil, 200},
		{"metrics by their other name", local, "GET", "/agent/v1/metrics?format=prometheus", nil, 200},
		{"quit is off", local, "POST", "/agent/v1/quit", nil, 404},
		{"quit is on", Listener{Network: "unix", Address: "s", Quit: true}, "POST", "/agent/v1/quit", nil, 204},
		{"quit by GET", Listener{Network: "unix", Address: "s", Quit: true}, "GET", "/agent/v1/quit", nil, 405},
		{"status by POST", local, "POST", "/status", nil, 405},
		{"an unknown path", local, "GET", "/sys/health", nil, 404},
		{"no proxy is set up", local, "GET", "/v1/sys/health", []func(*http.Request){header("X-Vault-Request", "true")}, 404},
		{"the proxy wants the header", local, "GET", "/v1/sys/health", nil, 412},
		{"the header must say true", local, "GET", "/v1/sys/health", []func(*http.Request){header("X-Vault-Request", "yes")}, 412},
		{"cache-clear wants the header", local, "POST", "/agent/v1/cache-clear", nil, 412},
		{"metrics only: status", Listener{Network: "tcp", Address: ":9102", MetricsOnly: true}, "GET", "/status", nil, 404},
		{"metrics only: page", Listener{Network: "tcp", Address: ":9102", MetricsOnly: true}, "GET", "/", nil, 404},
		{"metrics only: quit", Listener{Network: "tcp", Address: ":9102", MetricsOnly: true, Quit: true}, "POST", "/agent/v1/quit", nil, 404},
		{"metrics only: proxy", Listener{Network: "tcp", Address: ":9102", MetricsOnly: true}, "GET", "/v1/sys/health", nil, 404},
		{"metrics only: metrics", Listener{Network: "tcp", Address: ":9102", MetricsOnly: true}, "GET", "/metrics", nil, 200},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := ask(newServer(t, Config{}).Handler(test.listener), test.method, test.path, test.change...)
			if got.Code != test.code {
				t.Errorf("%s %s = %d %s, want %d", test.method, test.path, got.Code, got.Body, test.code)
			}
		})
	}
}

func TestHostileRequestsAreRefused(t *testing.T) {
	quitting := Listener{Network: "tcp", Address: "127.0.0.1:8200", Quit: true}
	named := func(host string) func(*http.Request) { return func(r *http.Request) { r.Host = host } }
	tests := []struct {
		name     string
		listener Listener
		method   string
		path     string
		change   func(*http.Request)
		code     int
	}{
		{"as a general proxy", local, "GET", "/v1/sys/health", func(r *http.Request) { r.URL.Scheme, r.URL.Host = "http", "evil.example" }, 400},
		{"a path that climbs", local, "GET", "/v1/../status", header("X-Vault-Request", "true"), 400},
		{"an encoded path that climbs", local, "GET", "/v1/%2e%2e/%2e%2e/evil", header("X-Vault-Request", "true"), 400},
		{"a path with another host in it", local, "GET", "/v1//evil.example/secret", header("X-Vault-Request", "true"), 400},
		{"a name that was made to point at loopback", local, "GET", "/status", named("evil.example:8200"), 421},
		{"the page of another site posts", quitting, "POST", "/agent/v1/quit", header("Origin", "https://evil.example"), 403},
		{"a browser says that another site posts", quitting, "POST", "/agent/v1/quit", header("Sec-Fetch-Site", "cross-site"), 403},
		{"localhost is fine", local, "GET", "/status", named("localhost:8200"), 200},
		{"IPv6 loopback is fine", local, "GET", "/status", named("[::1]:8200"), 200},
		{"a name is fine on an address for others", Listener{Network: "tcp", Address: "0.0.0.0:8200"}, "GET", "/status", named("agent:8200"), 200},
		{"a name is fine with TLS, which proves it", Listener{Network: "tcp", Address: "127.0.0.1:8200", TLS: &TLS{}}, "GET", "/status", named("agent:8200"), 200},
		{"a name is fine on a socket", Listener{Network: "unix", Address: "s"}, "GET", "/status", named("whatever"), 200},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newServer(t, Config{})
			got := ask(s.Handler(test.listener), test.method, test.path, test.change)
			if got.Code != test.code {
				t.Errorf("answer = %d %s, want %d", got.Code, got.Body, test.code)
			}
			if len(s.quit) != 0 {
				t.Error("the agent was stopped")
			}
		})
	}
}

func TestAStuckAgentIsNotAlive(t *testing.T) {
	s := newServer(t, Config{Source: &agentStub{stuck: true}})
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("given up"))
	for _, path := range []string{"/live", "/ready", "/startup", "/metrics", "/status", "/"} {
		got := ask(s.Handler(local), "GET", path, func(r *http.Request) { *r = *r.WithContext(ctx) })
		if got.Code != 503 || !strings.Contains(got.Body.String(), "given up") {
			t.Errorf("%s = %d %s, want 503 and the reason", path, got.Code, got.Body)
		}
	}
}

// running is a server on open listeners.
type running struct {
	*testing.T
	server *Server
	stop   context.CancelFunc
	done   chan error
}

func run(t *testing.T, cfg Config) *running {
	t.Helper()
	s := newServer(t, cfg)
	if err := s.Open(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	r := &running{T: t, server: s, stop: cancel, done: make(chan error, 1)}
	go func() { r.done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		<-r.done
		close(r.done)
	})
	return r
}

func (r *running) end() error {
	r.stop()
	err := <-r.done
	r.done <- err // for the cleanup
	return err
}

// dialer is a client that always connects to one address.
func dialer(network, address string, config *tls.Config) *http.Client {
	return &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
		TLSClientConfig: config, DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, address)
		},
	}}
}

func TestASocketHasItsModeAndGoesWithTheServer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "agent.sock")
	r := run(t, Config{
		Listeners: []Listener{{Network: "unix", Address: path, SocketMode: 0o660, SocketUID: -1, SocketGID: os.Getgid()}},
		Source:    &agentStub{status: Status{Ready: true}},
	})
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o660 || info.Mode().Type() != os.ModeSocket {
		t.Fatalf("socket: %v, %v", info, err)
	}
	resp, err := dialer("unix", path, nil).Get("http://localhost/ready")
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("/ready over the socket: %v, %v", resp, err)
	}
	if left, _ := os.ReadDir(filepath.Dir(path)); len(left) != 1 {
		t.Errorf("beside the socket there is %v", left)
	}
	if err := r.end(); !errors.Is(err, context.Canceled) {
		t.Errorf("the server ended with %v", err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
}

func TestASocketTakesOnlyAFreePlace(t *testing.T) {
	folder := t.TempDir()
	listener := func(name string) Listener {
		return Listener{Network: "unix", Address: filepath.Join(folder, name), SocketUID: -1, SocketGID: -1}
	}
	if err := os.WriteFile(filepath.Join(folder, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(folder, "stale")})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	_ = stale.Close()
	run(t, Config{Listeners: []Listener{listener("live")}})
	for name, says := range map[string]string{"file": "no socket", "live": "another process", "no/such/folder": "no such file", "stale": "", strings.Repeat("x", 120): "below"} {
		s := newServer(t, Config{Listeners: []Listener{listener(name)}})
		err := s.Open()
		s.Close()
		if says == "" && err != nil || says != "" && (err == nil || !strings.Contains(err.Error(), says)) {
			t.Errorf("opening %q: %v, want %q", name, err, says)
		}
	}
}

func TestOpeningFailsWholeOrNotAtAll(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	path := filepath.Join(t.TempDir(), "agent.sock")
	s := newServer(t, Config{Listeners: []Listener{
		{Network: "unix", Address: path, SocketUID: -1, SocketGID: -1}, {Network: "tcp", Address: taken.Addr().String()},
	}})
	if err := s.Open(); err == nil || !strings.Contains(err.Error(), "choose another address") {
		t.Errorf("opening a taken address: %v", err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
}

func TestQuitIsAnsweredBeforeTheServerEnds(t *testing.T) {
	r := run(t, Config{Listeners: []Listener{{Network: "tcp", Address: "127.0.0.1:0", Quit: true}}})
	address := r.server.open[0].Addr().String()
	resp, err := http.Post("http://"+address+"/agent/v1/quit", "", nil)
	if err != nil || resp.StatusCode != http.StatusNoContent {
		t.Fatalf("quit: %v, %v", resp, err)
	}
	err = <-r.done
	r.done <- err
	if !errors.Is(err, ErrQuit) {
		t.Errorf("the server ended with %v", err)
	}
}

// authority signs certificates for tests.
type authority struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return authority{key, cert}
}

func (a authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// issue writes a certificate for 127.0.0.1 and its key, and returns their paths.
func (a authority) issue(t *testing.T, folder string, serial int64) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(serial), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, a.cert, private.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(folder, "cert.pem"), filepath.Join(folder, "key.pem")
	writePEM(t, cert, "CERTIFICATE", der)
	writePEM(t, key, "EC PRIVATE KEY", keyDER)
	return cert, key
}

func writePEM(t *testing.T, path, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestTLSTakesUpANewCertificateAndAsksCallersForTheirs(t *testing.T) {
	ca, folder := newAuthority(t), t.TempDir()
	cert, key := ca.issue(t, folder, 7)
	caFile := filepath.Join(folder, "ca.pem")
	writePEM(t, caFile, "CERTIFICATE", ca.cert.Raw)
	r := run(t, Config{Listeners: []Listener{{Network: "tcp", Address: "127.0.0.1:0", TLS: &TLS{
		CertFile: cert, KeyFile: key, ClientCAFile: caFile, RequireClient: true, MinVersion: "tls13",
	}}}})
	address := r.server.open[0].Addr().String()
	own, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	get := func(config *tls.Config) (*http.Response, error) {
		return dialer("tcp", address, config).Get("https://127.0.0.1/live")
	}
	if _, err := get(&tls.Config{RootCAs: ca.pool()}); err == nil {
		t.Error("a caller without a certificate was let in")
	}
	if _, err := get(&tls.Config{RootCAs: ca.pool(), Certificates: []tls.Certificate{own}, MaxVersion: tls.VersionTLS12}); err == nil {
		t.Error("a caller with an old version of TLS was let in")
	}
	known := &tls.Config{RootCAs: ca.pool(), Certificates: []tls.Certificate{own}}
	serial := func() int64 {
		resp, err := get(known)
		if err != nil || resp.StatusCode != 200 {
			t.Fatalf("a caller with its certificate: %v, %v", resp, err)
		}
		return resp.TLS.PeerCertificates[0].SerialNumber.Int64()
	}
	if got := serial(); got != 7 {
		t.Errorf("serial number = %d", got)
	}
	if err := os.WriteFile(key, []byte("half a k"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.expire()
	if got := serial(); got != 7 {
		t.Errorf("serial number with a broken file = %d", got)
	}
	ca.issue(t, folder, 8)
	r.expire()
	if got := serial(); got != 8 {
		t.Errorf("serial number after a new certificate = %d", got)
	}
}

// expire has the next handshake look at the files.
func (r *running) expire() {
	for _, l := range r.server.open {
		if l.files != nil {
			l.files.mu.Lock()
			l.files.looked = time.Time{}
			l.files.mu.Unlock()
		}
	}
}

func TestListenersThatCannotWorkAreRefused(t *testing.T) {
	tests := []struct {
		name     string
		listener Listener
		says     string
	}{
		{"an unknown network", Listener{Network: "udp", Address: "x"}, "use tcp or unix"},
		{"no address", Listener{Network: "tcp"}, "address is empty"},
		{"no certificate", Listener{Network: "tcp", Address: "x", TLS: &TLS{}}, "tls_disable = true"},
		{"an unknown version", Listener{Network: "tcp", Address: "x", TLS: &TLS{CertFile: "c", KeyFile: "k", MinVersion: "ssl3"}}, "use tls12"},
		{"versions the wrong way round", Listener{Network: "tcp", Address: "x", TLS: &TLS{CertFile: "c", KeyFile: "k", MinVersion: "tls13", MaxVersion: "tls12"}}, "swap"},
		{"a broken cipher suite", Listener{Network: "tcp", Address: "x", TLS: &TLS{CertFile: "c", KeyFile: "k", CipherSuites: "TLS_RSA_WITH_RC4_128_SHA"}}, "remove it"},
		{"nobody can be verified", Listener{Network: "tcp", Address: "x", TLS: &TLS{CertFile: "c", KeyFile: "k", RequireClient: true}}, "tls_client_ca_file"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := New(Config{Listeners: []Listener{test.listener}, Log: zap.NewNop()})
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("error = %v, want one that says %q", err, test.says)
			}
		})
	}
}

func TestTheClientReadsTheStatusOverASocketAndTLS(t *testing.T) {
	ca, folder := newAuthority(t), t.TempDir()
	cert, key := ca.issue(t, folder, 1)
	socket := filepath.Join(folder, "agent.sock")
	want := Status{Now: time.Now().UTC().Truncate(time.Second), Ready: true, Generation: 12, Credentials: []Credential{{Path: "database/creds/app"}}}
	r := run(t, Config{Source: &agentStub{status: want}, Listeners: []Listener{
		{Network: "unix", Address: socket, SocketUID: -1, SocketGID: -1},
		{Network: "tcp", Address: "127.0.0.1:0", TLS: &TLS{CertFile: cert, KeyFile: key}},
	}})
	for _, address := range []string{"unix://" + socket, "https://" + r.server.open[1].Addr().String()} {
		client, err := NewClient(address, cert)
		if err != nil {
			t.Fatal(err)
		}
		got, err := client.Status(t.Context())
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: %+v, %v", address, got, err)
		}
	}
}

func TestTheClientRefusesWhatIsNoAgent(t *testing.T) {
	for name, handler := range map[string]http.HandlerFunc{
		"it answered 404": http.NotFound,
		"address of an":   func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") },
		"not that of an ag": func(w http.ResponseWriter, _ *http.Request) {
			_ = json.NewEncoder(w).Encode(map[string]bool{"sealed": true})
		},
	} {
		other := httptest.NewServer(handler)
		client, err := NewClient(strings.TrimPrefix(other.URL, "http://"), "")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := client.Status(t.Context()); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("error = %v, want %q", err, name)
		}
		other.Close()
	}
}

// Package redistest starts real Redis servers that live as long as a test
// binary: in temporary folders, on loopback and free ports, alone, as a cluster
// (StartCluster) or under a sentinel (StartSentinel). A package's TestMain starts
// one and stops it:
//
//	func TestMain(m *testing.M) {
//		server = redistest.MustStart(redistest.Options{})
//		code := m.Run()
//		server.Stop()
//		os.Exit(code)
//	}
package redistest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/novatech/securevault/server/engines/enginetest/certtest"
	"github.com/novatech/securevault/server/engines/enginetest/process"
)

// The user who may do everything on every server, sentinels included.
const (
	Admin    = "default"
	Password = "redistest-administrator"
)

const startLimit = time.Minute

// Options say what a server is like. The zero value is one on its own that keeps
// its users in its configuration file.
type Options struct {
	ACLFile  bool     // it keeps its users in an ACL file
	TLS      bool     // it speaks TLS only, and to those with a client certificate
	Settings []string // more lines of redis.conf
}

// Server is a running Redis.
type Server struct {
	Port    int
	folder  string
	process *process.Process // nil: not started, or killed

	authority *certtest.Authority // nil: no TLS
	client    certtest.Files      // for those who log in
}

// MustStart is Start for TestMain: it ends the process with the reason on
// standard error if there is no Redis to start.
func MustStart(options Options) *Server {
	server, err := Start(options)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return server
}

// Start returns once the server accepts logins. The caller must call Stop.
func Start(options Options) (*Server, error) {
	port, err := process.FreePort()
	if err != nil {
		return nil, err
	}
	server, err := newServer(port)
	if err != nil {
		return nil, err
	}
	if err := server.start(options); err != nil {
		server.Stop()
		return nil, fmt.Errorf("starting Redis: %w", err)
	}
	return server, nil
}

func newServer(port int) (*Server, error) {
	folder, err := os.MkdirTemp("", "redistest-")
	return &Server{Port: port, folder: folder}, err
}

func (s *Server) start(options Options) error {
	settings := append([]string{
		"bind 127.0.0.1", `save ""`, "dir " + s.folder, "loglevel warning",
		"masterauth " + Password, "repl-diskless-sync-delay 0",
	}, options.Settings...)
	if options.TLS {
		lines, err := s.encrypt()
		if err != nil {
			return err
		}
		settings = append(settings, lines...)
	} else {
		settings = append(settings, "port "+strconv.Itoa(s.Port))
	}
	admin := "user " + Admin + " on >" + Password + " ~* &* +@all"
	if options.ACLFile {
		users := filepath.Join(s.folder, "users.acl")
		if err := os.WriteFile(users, []byte(admin+"\n"), 0o600); err != nil {
			return err
		}
		admin = "aclfile " + users
	}
	if err := s.configure(append(settings, admin)); err != nil {
		return err
	}
	return s.run("redis-server")
}

// encrypt makes the certificates, and returns the settings that use them.
func (s *Server) encrypt() (settings []string, err error) {
	if s.authority, err = certtest.New("redistest"); err != nil {
		return nil, err
	}
	files, err := s.authority.Write(s.folder, "server", "127.0.0.1", "localhost")
	if err != nil {
		return nil, err
	}
	s.client, err = s.authority.Write(s.folder, "client")
	return []string{
		"port 0", "tls-port " + strconv.Itoa(s.Port), "tls-auth-clients yes",
		"tls-cert-file " + files.Certificate, "tls-key-file " + files.Key, "tls-ca-cert-file " + files.Authority,
	}, err
}

func (s *Server) configuration() string { return filepath.Join(s.folder, "redis.conf") }

func (s *Server) configure(lines []string) error {
	var text []byte
	for _, line := range lines {
		text = append(append(text, line...), '\n')
	}
	return os.WriteFile(s.configuration(), text, 0o600)
}

// run starts redis-server or redis-sentinel, and returns once it answers.
func (s *Server) run(program string) error {
	path, err := exec.LookPath(program)
	if err != nil {
		return fmt.Errorf("this test needs a real %s: apt-get install redis-server redis-sentinel", program)
	}
	s.process, err = process.Start(exec.Command(path, s.configuration()), filepath.Join(s.folder, "log"), syscall.SIGKILL)
	if err != nil {
		return err
	}
	return s.awaitLogin()
}

func (s *Server) awaitLogin() error {
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	return s.process.Await(ctx, "logging in", func(ctx context.Context) error {
		// The driver would tell the world about each attempt.
		conn, err := net.Dial("tcp", s.Address())
		if err != nil {
			return err
		}
		_ = conn.Close()
		return s.tell(ctx, "PING")
	})
}

// Kill ends the server as a crash does. Its folder stays for Revive.
func (s *Server) Kill() {
	if s.process != nil {
		s.process.Stop()
		s.process = nil
	}
}

// Revive starts a killed server anew, with what it has written to its files.
func (s *Server) Revive() error {
	if s.process != nil {
		return errors.New("reviving a server that is alive")
	}
	return s.run("redis-server")
}

// Stop ends the server and removes its folder.
func (s *Server) Stop() {
	s.Kill()
	_ = os.RemoveAll(s.folder)
}

// Address is where the server listens, as host:port.
func (s *Server) Address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.Port)) }

// AuthorityPEM is the certificate of who signed the server's, for ca_cert.
func (s *Server) AuthorityPEM() string { return string(s.authority.PEM()) }

// ClientPEM is a certificate that the server accepts, with its key.
func (s *Server) ClientPEM() (string, error) {
	certificate, err := os.ReadFile(s.client.Certificate)
	if err != nil {
		return "", err
	}
	key, err := os.ReadFile(s.client.Key)
	return string(certificate) + string(key), err
}

// Client logs in as a user at its first command. The caller must close it.
func (s *Server) Client(username, password string) *redis.Client {
	options := &redis.Options{
		Addr: s.Address(), Username: username, Password: password,
		Protocol: 2, MaxRetries: -1, DialerRetries: 1, PoolSize: 1, ContextTimeoutEnabled: true, DisableIdentity: true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	if s.authority != nil {
		pair, err := tls.LoadX509KeyPair(s.client.Certificate, s.client.Key)
		if err == nil { // else the server will refuse us, and say why
			options.TLSConfig = &tls.Config{RootCAs: s.authority.Pool(), Certificates: []tls.Certificate{pair}}
		}
	}
	return redis.NewClient(options)
}

// Login returns a session of a user, on one connection that is not replaced when
// it ends. The caller must call end.
func (s *Server) Login(ctx context.Context, username, password string) (session *redis.Conn, end func(), err error) {
	client := s.Client(username, password)
	session = client.Conn()
	end = func() {
		_ = session.Close()
		_ = client.Close()
	}
	if err := session.Do(ctx, "ACL", "WHOAMI").Err(); err != nil && !redis.HasErrorPrefix(err, "NOPERM") {
		end()
		return nil, nil, err
	}
	return session, end, nil
}

// Do runs a command as the admin and returns the answer.
func (s *Server) Do(t testing.TB, args ...any) any {
	t.Helper()
	client := s.Client(Admin, Password)
	defer func() { _ = client.Close() }()
	answer, err := client.Do(context.Background(), args...).Result()
	if err != nil {
		t.Fatalf("running %v: %v", args, err)
	}
	return answer
}

// Users names the users there are, the admin included.
func (s *Server) Users(t testing.TB) []string {
	t.Helper()
	var names []string
	for _, name := range s.Do(t, "ACL", "USERS").([]any) {
		names = append(names, name.(string))
	}
	return names
}

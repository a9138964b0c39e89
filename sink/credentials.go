package sink

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
)

const (
	// maxCredential is what systemd takes for all credentials of a unit, in
	// bytes.
	maxCredential = 1 << 20
	// maxReaders is how many connections are served at once.
	maxReaders = 64
	// readerTimeout bounds how long a reader may take.
	readerTimeout = 10 * time.Second
	// DefaultCredentialWait is how long a unit that starts before its
	// credential was rendered waits for it.
	DefaultCredentialWait = 30 * time.Second
)

// CredentialsConfig describes a [Credentials] socket.
type CredentialsConfig struct {
	Path        string
	Mode        fs.FileMode // of the socket; 0 for DefaultMode
	Owner       string      // of the socket: a user by name or id, who may read too; the agent's own when empty
	Group       string      // of the socket: a group by name or id; the agent's own when empty
	Credentials []Credential
	Wait        time.Duration // for a credential to be rendered; 0 for DefaultCredentialWait
	Log         *zap.Logger
}

// Credential is one that systemd may ask for.
type Credential struct {
	Name string
	Unit string // that may ask for it; any when empty
}

// Credentials is a unix socket that units name in LoadCredential=NAME:PATH.
// systemd connects to it when it starts the unit and reads until the end: it
// tells the unit and the credential by the address that it connects from,
// NUL RANDOM /unit/ UNIT / CREDENTIAL in the abstract namespace.
//
// Anybody can take such an address, so the user counts as well: only root (the
// system's manager), the agent's own user and the socket's owner (a user's
// manager) are answered. Whoever asks for what there is not, or may not have
// it, reads nothing.
type Credentials struct {
	cfg CredentialsConfig

	mu       sync.Mutex
	contents map[Credential][]byte
	changed  chan struct{} // closed, and replaced, when contents change
}

// NewCredentials returns a socket that serves nothing before
// [Credentials.Publish], and does not exist before [Credentials.Run].
func NewCredentials(cfg CredentialsConfig) *Credentials {
	if cfg.Wait == 0 {
		cfg.Wait = DefaultCredentialWait
	}
	if cfg.Mode == 0 {
		cfg.Mode = DefaultMode
	}
	if cfg.Log == nil {
		cfg.Log = zap.NewNop()
	}
	return &Credentials{cfg: cfg, contents: make(map[Credential][]byte), changed: make(chan struct{})}
}

// Check reports what would certainly keep the socket from being made.
func (c *Credentials) Check() error {
	if err := c.check(); err != nil {
		return failed("checking", c.cfg.Path, err)
	}
	return nil
}

func (c *Credentials) check() error {
	for _, credential := range c.cfg.Credentials {
		if !isCredentialName(credential.Name) {
			return fmt.Errorf("credential %q: a name is printable ASCII without slashes and colons, at most 255 bytes; rename it", credential.Name)
		}
	}
	if _, err := c.account().ids(); err != nil {
		return err
	}
	if len(c.cfg.Path) >= len(syscall.RawSockaddrUnix{}.Path) {
		return errors.New("the path is too long for a socket; choose a shorter one, such as below /run")
	}
	if info, err := os.Lstat(c.cfg.Path); err == nil && info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("it is no socket (%s); remove it, or choose another path", info.Mode().Type())
	}
	return checkWritable(filepath.Dir(c.cfg.Path), true)
}

// account stands for the socket where owners are looked up.
func (c *Credentials) account() File { return File{Owner: c.cfg.Owner, Group: c.cfg.Group} }

// isCredentialName accepts what systemd does.
func isCredentialName(name string) bool {
	printable := !strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' || r == '/' || r == ':' })
	return printable && name != "" && name != "." && name != ".." && len(name) <= 255
}

// Fits returns why systemd would not take a credential with that content.
func (Credential) Fits(content []byte) error {
	if len(content) > maxCredential {
		return fmt.Errorf("it has %d bytes, and systemd takes %d; write it to a file", len(content), maxCredential)
	}
	return nil
}

// Publish serves the contents from now on, all at once, in the place of what
// was served for these credentials. They must not be changed afterwards.
func (c *Credentials) Publish(contents map[Credential][]byte) error {
	for credential, content := range contents {
		if err := credential.Fits(content); err != nil {
			return fmt.Errorf("publishing the credential %q: %w", credential.Name, err)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	maps.Copy(c.contents, contents)
	close(c.changed)
	c.changed = make(chan struct{})
	return nil
}

// find returns the content of a credential, or what to wait for.
func (c *Credentials) find(wanted Credential) (content []byte, ok bool, changed <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	content, ok = c.contents[wanted]
	return content, ok, c.changed
}

// Run makes the socket and serves it until ctx ends. The socket of a run that
// was killed is replaced; one that somebody listens on is not.
func (c *Credentials) Run(ctx context.Context) error {
	listener, err := c.listen(ctx)
	if err != nil {
		return failed("listening on", c.cfg.Path, err)
	}
	defer context.AfterFunc(ctx, func() { _ = listener.Close() })()
	var readers errgroup.Group
	readers.SetLimit(maxReaders)
	defer func() { _ = readers.Wait() }()
	for {
		conn, err := listener.AcceptUnix()
		if err != nil {
			_ = listener.Close()
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return failed("listening on", c.cfg.Path, err)
		}
		readers.Go(func() error {
			defer func() { _ = conn.Close() }()
			c.serve(ctx, conn)
			return nil
		})
	}
}

// listen makes the socket. It has a mode that lets nobody else in until it has
// its owner.
func (c *Credentials) listen(ctx context.Context) (*net.UnixListener, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	owner, err := c.account().ids()
	if err != nil {
		return nil, err
	}
	if err := c.removeStale(ctx); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(c.cfg.Path), folderMode); err != nil {
		return nil, fmt.Errorf("making the folder: %w", bare(err))
	}
	private := net.ListenConfig{Control: func(_, _ string, conn syscall.RawConn) error {
		var err error
		return errors.Join(conn.Control(func(fd uintptr) { err = syscall.Fchmod(int(fd), uint32(DefaultMode)) }), err)
	}}
	listener, err := private.Listen(ctx, "unix", c.cfg.Path)
	if err != nil {
		return nil, err
	}
	err = os.Lchown(c.cfg.Path, owner.uid, owner.gid)
	if err == nil {
		err = os.Chmod(c.cfg.Path, c.cfg.Mode)
	}
	if err != nil {
		_ = listener.Close()
		return nil, bare(err)
	}
	return listener.(*net.UnixListener), nil
}

// removeStale removes a socket that nobody listens on.
func (c *Credentials) removeStale(ctx context.Context) error {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", c.cfg.Path)
	switch {
	case err == nil:
		_ = conn.Close()
		return errors.New("another process listens on it; stop that, or choose another path")
	case errors.Is(err, syscall.ECONNREFUSED):
		return bare(os.Remove(c.cfg.Path))
	default:
		return nil
	}
}

// serve answers one reader.
func (c *Credentials) serve(ctx context.Context, conn *net.UnixConn) {
	log := c.cfg.Log.With(zap.String("socket", c.cfg.Path))
	if err := c.admit(conn); err != nil {
		log.Warn("refusing to give a credential", zap.Error(err))
		return
	}
	unit, name, err := asked(conn.RemoteAddr())
	if err != nil {
		log.Warn("refusing to give a credential", zap.Error(err))
		return
	}
	log = log.With(zap.String("unit", unit), zap.String("credential", name))
	wanted, ok := c.offer(unit, name)
	if !ok {
		log.Warn("a unit asks for a credential that it has no part in")
		return
	}
	content, err := c.await(ctx, wanted)
	if err == nil {
		err = conn.SetWriteDeadline(time.Now().Add(readerTimeout))
	}
	if err == nil {
		_, err = conn.Write(content)
	}
	if err != nil {
		log.Warn("giving a credential failed", zap.Error(err))
		return
	}
	log.Info("gave a credential")
}

// asked reads the unit and the credential from the address of a reader.
func asked(address net.Addr) (unit, name string, err error) {
	random, rest, ok := strings.Cut(strings.TrimPrefix(address.String(), "@"), "/unit/")
	if ok && strings.HasPrefix(address.String(), "@") && random != "" {
		unit, name, ok = strings.Cut(rest, "/")
		if ok && unit != "" && isCredentialName(name) {
			return unit, name, nil
		}
	}
	return "", "", fmt.Errorf("the reader's address %q names no unit and credential; have systemd read it, by LoadCredential=", address)
}

// offer returns the credential that a unit means by a name: its own, else one
// that any unit may have.
func (c *Credentials) offer(unit, name string) (found Credential, ok bool) {
	for _, credential := range c.cfg.Credentials {
		if credential.Name == name && (credential.Unit == unit || credential.Unit == "" && !ok) {
			found, ok = credential, true
		}
	}
	return found, ok
}

// await returns a credential as soon as it is rendered.
func (c *Credentials) await(ctx context.Context, wanted Credential) ([]byte, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, c.cfg.Wait, fmt.Errorf("it was not rendered within %s; start the unit after the agent", c.cfg.Wait))
	defer cancel()
	for {
		content, ok, changed := c.find(wanted)
		if ok {
			return content, nil
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-changed:
		}
	}
}

package admin

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"go.uber.org/zap"
)

// Listener is an address to answer on.
type Listener struct {
	Network       string // "tcp" or "unix"
	Address       string // "127.0.0.1:8200", or the path of the socket
	TLS           *TLS   // nil for plain HTTP
	MetricsOnly   bool   // nothing but probes and figures
	RequireHeader bool   // the proxy wants X-Vault-Request
	Quit          bool   // callers may stop the agent

	SocketMode fs.FileMode // of the socket; 0600 when 0
	SocketUID  int         // -1 for the agent's own
	SocketGID  int         // -1 for the agent's own
}

// String names the listener, for logs and errors.
func (l Listener) String() string { return l.Network + " " + l.Address }

func (l Listener) check() error {
	if l.Network != "tcp" && l.Network != "unix" {
		return fmt.Errorf("listening on %q: unknown network %q; use tcp or unix", l.Address, l.Network)
	}
	if l.Address == "" {
		return fmt.Errorf("listening on %s: the address is empty; write it as 127.0.0.1:8200 or as the path of a socket", l.Network)
	}
	if l.TLS == nil {
		return nil
	}
	return l.TLS.check()
}

// open binds the listener.
func (l Listener) open(log *zap.Logger) (opened, error) {
	bind := l.openTCP
	if l.Network == "unix" {
		bind = l.openUnix
	}
	if l.TLS == nil {
		return bind()
	}
	files, err := l.TLS.files(log)
	if err != nil {
		return opened{}, err
	}
	out, err := bind()
	if err != nil {
		return opened{}, err
	}
	out.Listener, out.files = files.listener(out.Listener), files
	return out, nil
}

func (l Listener) openTCP() (opened, error) {
	listener, err := net.Listen("tcp", l.Address)
	if errors.Is(err, syscall.EADDRINUSE) {
		err = fmt.Errorf("%w; stop what listens there, or choose another address", err)
	}
	return opened{Listener: listener, cfg: l, close: func() {}}, err
}

// openUnix makes the socket where nobody can reach it, gives it its mode and
// owner, and only then puts it in its place.
func (l Listener) openUnix() (opened, error) {
	if len(l.Address) > maxSocketPath {
		return opened{}, errTooLong
	}
	if err := l.vacate(); err != nil {
		return opened{}, err
	}
	folder, err := os.MkdirTemp(filepath.Dir(l.Address), ".sv-")
	if err != nil {
		return opened{}, err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	path := filepath.Join(folder, "s")
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if errors.Is(err, syscall.EINVAL) {
		err = errTooLong
	}
	if err != nil {
		return opened{}, err
	}
	listener.SetUnlinkOnClose(false) // it is going to be somewhere else
	if err = l.dress(path); err == nil {
		err = os.Rename(path, l.Address)
	}
	if err != nil {
		return opened{}, errors.Join(err, listener.Close())
	}
	made, err := os.Lstat(l.Address)
	if err != nil {
		return opened{}, errors.Join(err, listener.Close())
	}
	return opened{Listener: listener, cfg: l, close: func() { removeSame(l.Address, made) }}, nil
}

// maxSocketPath is how long the path of a socket may be for anybody to connect
// to it, in bytes; see unix(7).
const maxSocketPath = 107

var errTooLong = errors.New("the path of the socket is too long for the system; choose one below 90 characters")

// vacate makes sure that what is in the socket's place is a socket that
// nobody answers on any more.
func (l Listener) vacate() error {
	info, err := os.Lstat(l.Address)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return errors.New("a file that is no socket is in its place; remove it or choose another path")
	}
	conn, err := net.DialTimeout("unix", l.Address, time.Second)
	if err != nil {
		return nil //nolint:nilerr // what a stopped agent left
	}
	_ = conn.Close()
	return errors.New("another process answers on it; stop that one or choose another path")
}

// dress gives a socket its owner and mode.
func (l Listener) dress(path string) error {
	if l.SocketUID >= 0 || l.SocketGID >= 0 {
		if err := os.Chown(path, l.SocketUID, l.SocketGID); err != nil {
			return fmt.Errorf("setting the owner of the socket: %w", err)
		}
	}
	mode := l.SocketMode
	if mode == 0 {
		mode = 0o600
	}
	if err := os.Chmod(path, mode); err != nil {
		return fmt.Errorf("setting the mode of the socket: %w", err)
	}
	return nil
}

// removeSame removes a socket unless another one has taken its place.
func removeSame(path string, made fs.FileInfo) {
	if now, err := os.Lstat(path); err == nil && os.SameFile(now, made) {
		_ = os.Remove(path)
	}
}

package listener

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"strconv"
	"time"
)

const (
	defaultMode = fs.FileMode(0o600)
	// dialTimeout bounds the question whether a socket is in use.
	dialTimeout = time.Second
)

// openSocket listens on a Unix socket. What a process left behind that is gone
// is removed; a socket that somebody answers on is not.
func openSocket(ctx context.Context, c Config) (net.Listener, error) {
	if err := removeStale(ctx, c.Address); err != nil {
		return nil, err
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "unix", c.Address)
	if err != nil {
		return nil, err
	}
	if err := protect(c); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

func removeStale(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%q is there and is no socket; choose another address", path)
	}
	dialer := net.Dialer{Timeout: dialTimeout}
	if conn, err := dialer.DialContext(ctx, "unix", path); err == nil {
		_ = conn.Close()
		return errors.New("another process answers there; choose another address")
	}
	return os.Remove(path)
}

// protect sets owner and mode; until it has, only this user could connect.
func protect(c Config) error {
	uid, err := resolve(c.User, func(name string) (string, error) {
		found, err := user.Lookup(name)
		if err != nil {
			return "", err
		}
		return found.Uid, nil
	})
	if err != nil {
		return fmt.Errorf("resolving socket_user %q: %w", c.User, err)
	}
	gid, err := resolve(c.Group, func(name string) (string, error) {
		found, err := user.LookupGroup(name)
		if err != nil {
			return "", err
		}
		return found.Gid, nil
	})
	if err != nil {
		return fmt.Errorf("resolving socket_group %q: %w", c.Group, err)
	}
	if uid >= 0 || gid >= 0 {
		if err := os.Chown(c.Address, uid, gid); err != nil {
			return fmt.Errorf("setting the owner of the socket: %w", err)
		}
	}
	mode := c.Mode
	if mode == 0 {
		mode = defaultMode
	}
	if err := os.Chmod(c.Address, mode); err != nil {
		return fmt.Errorf("setting the mode of the socket: %w", err)
	}
	return nil
}

// resolve turns a name or a number into an id, -1 for neither.
func resolve(name string, lookUp func(string) (string, error)) (int, error) {
	if name == "" {
		return -1, nil
	}
	if id, err := strconv.Atoi(name); err == nil {
		return id, nil
	}
	id, err := lookUp(name)
	if err != nil {
		return -1, err
	}
	return strconv.Atoi(id)
}

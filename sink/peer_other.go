//go:build !linux

package sink

import (
	"errors"
	"fmt"
	"net"
)

// admit refuses everybody: systemd is on Linux only.
func (c *Credentials) admit(*net.UnixConn) error {
	return fmt.Errorf("serving credentials to systemd: %w; use Linux", errors.ErrUnsupported)
}

package sink

import (
	"errors"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// admit refuses readers of other users.
func (c *Credentials) admit(conn *net.UnixConn) error {
	owner, err := c.account().ids()
	if err != nil {
		return err
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var peer *unix.Ucred
	var failure error
	if err := raw.Control(func(fd uintptr) {
		peer, failure = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil || failure != nil {
		return fmt.Errorf("asking for the user of the reader: %w", errors.Join(err, failure))
	}
	if uid := int(peer.Uid); uid != 0 && uid != os.Geteuid() && uid != owner.uid {
		return fmt.Errorf("the reader has the user id %d; set the owner of the socket to the user whose systemd reads it", uid)
	}
	return nil
}

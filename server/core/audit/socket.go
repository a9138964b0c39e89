package audit

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/hashicorp/go-secure-stdlib/parseutil"
)

// socket sends lines to whoever listens at an address.
type socket struct {
	network string
	address string
	timeout time.Duration // of connecting and of each write
	conn    net.Conn      // nil when the connection is lost
}

func socketOptions(o *options) func() (sink, error) {
	s := &socket{address: o.text("address", ""), network: o.text("socket_type", "tcp")}
	timeout := o.text("write_timeout", "2s")
	return func() (sink, error) {
		var err error
		if s.timeout, err = parseutil.ParseDurationSecond(timeout); err != nil || s.timeout <= 0 {
			return nil, fmt.Errorf("option write_timeout: %q is no duration; write it like 2s", timeout)
		}
		if s.address == "" {
			return nil, errors.New("option address is missing: write host:port, or the path of a socket")
		}
		if !slices.Contains([]string{"tcp", "udp", "unix"}, s.network) {
			return nil, fmt.Errorf("option socket_type: %q is none; use tcp, udp or unix", s.network)
		}
		return s, s.reopen()
	}
}

func (s *socket) write(line []byte) error {
	if s.conn != nil {
		if err := s.send(line); err == nil {
			return nil
		}
	}
	if err := s.reopen(); err != nil {
		return err
	}
	return s.send(line)
}

func (s *socket) send(line []byte) error {
	if err := s.conn.SetWriteDeadline(time.Now().Add(s.timeout)); err != nil {
		return err
	}
	_, err := s.conn.Write(line)
	return err
}

func (s *socket) reopen() error {
	if err := s.close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return err
	}
	conn, err := net.DialTimeout(s.network, s.address, s.timeout)
	if err != nil {
		return fmt.Errorf("connecting to the audit socket: %w", err)
	}
	s.conn = conn
	return nil
}

func (s *socket) close() error {
	if s.conn == nil {
		return nil
	}
	conn := s.conn
	s.conn = nil
	return conn.Close()
}

package enginetest

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"testing"
)

// echo sends back what it gets, for the length of the test.
func echo(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(conn, conn)
				_ = conn.Close()
			}()
		}
	}()
	return listener.Addr().String()
}

func dial(t *testing.T, address string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// said tells whether a line comes back.
func said(conn net.Conn, line string) bool {
	if _, err := fmt.Fprintln(conn, line); err != nil {
		return false
	}
	back, err := bufio.NewReader(conn).ReadString('\n')
	return err == nil && back == line+"\n"
}

// reached tells whether somebody new is answered.
func reached(address string) bool {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return false
	}
	defer func() { _ = conn.Close() }()
	return said(conn, "new")
}

func TestAProxyRelaysUntilItIsCutAndAgainOnceRestored(t *testing.T) {
	proxy := NewProxy(t, echo(t))
	before := dial(t, proxy.Address())
	if !said(before, "before") {
		t.Fatal("nothing was relayed")
	}
	proxy.Cut()
	if said(before, "open") {
		t.Error("an open connection survived the cut")
	}
	if reached(proxy.Address()) {
		t.Error("a new connection was relayed after the cut")
	}
	proxy.Restore()
	if said(before, "old") {
		t.Error("a broken connection came back to life")
	}
	if !reached(proxy.Address()) {
		t.Error("nothing was relayed after the target was restored")
	}
}

func TestAProxyEndsWhenItsTargetDoes(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	proxy := NewProxy(t, listener.Addr().String())
	client := dial(t, proxy.Address())
	target, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	_ = target.Close()
	if _, err := client.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("got %v, want the end of the connection", err)
	}
	_ = listener.Close()
	if reached(proxy.Address()) {
		t.Error("a target that is gone answered")
	}
}

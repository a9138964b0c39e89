package systemd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

// patience is how long a test waits for what must come.
const patience = 10 * time.Second

func environment(variables map[string]string) func(string) string {
	return func(name string) string { return variables[name] }
}

// listen opens the manager's side of a socket.
func listen(t *testing.T, name string) *net.UnixConn {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: name})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return conn
}

func receive(t *testing.T, conn *net.UnixConn) string {
	t.Helper()
	message := make([]byte, 4096)
	n, err := conn.Read(message)
	if err != nil {
		t.Fatal(err)
	}
	return string(message[:n])
}

func newManager(t *testing.T, variables map[string]string) *Manager {
	t.Helper()
	m, err := New(environment(variables))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestMessagesReachTheManager(t *testing.T) {
	sockets := map[string]string{
		"by the path of its socket":  filepath.Join(t.TempDir(), "notify"),
		"by an abstract socket name": fmt.Sprintf("@securevault-test-%d", os.Getpid()),
	}
	for name, socket := range sockets {
		t.Run(name, func(t *testing.T) {
			conn := listen(t, socket)
			m := newManager(t, map[string]string{"NOTIFY_SOCKET": socket})
			steps := []struct {
				send func() error
				want string
			}{
				{func() error { return m.Ready("3 files in place") }, "READY=1\nSTATUS=3 files in place"},
				{func() error { return m.Status("waiting") }, "STATUS=waiting"},
				{func() error { return m.Status("one\nREADY=1\x00\ttwo") }, "STATUS=one READY=1  two"},
				{m.Stopping, "STOPPING=1"},
			}
			for _, step := range steps {
				if err := step.send(); err != nil {
					t.Fatal(err)
				}
				if got := receive(t, conn); got != step.want {
					t.Errorf("the manager read %q, want %q", got, step.want)
				}
			}
		})
	}
}

func TestReloadingTellsTheTimeOfTheMonotonicClock(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "notify")
	conn := listen(t, socket)
	m := newManager(t, map[string]string{"NOTIFY_SOCKET": socket})
	before := monotonic(t)
	if err := m.Reloading(); err != nil {
		t.Fatal(err)
	}
	text, ok := strings.CutPrefix(receive(t, conn), "RELOADING=1\nMONOTONIC_USEC=")
	told, err := strconv.ParseInt(text, 10, 64)
	if !ok || err != nil || told < before || told > monotonic(t) {
		t.Errorf("the manager read %q, want a time since %d", text, before)
	}
}

func monotonic(t *testing.T) int64 {
	t.Helper()
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		t.Fatal(err)
	}
	return now.Nano() / 1000
}

func TestNobodyIsToldWithoutASocket(t *testing.T) {
	m := newManager(t, nil)
	for _, send := range []func() error{func() error { return m.Ready("x") }, func() error { return m.Status("x") }, m.Reloading, m.Stopping} {
		if err := send(); err != nil {
			t.Error(err)
		}
	}
}

func TestManagerThatIsGoneIsAnError(t *testing.T) {
	m := newManager(t, map[string]string{"NOTIFY_SOCKET": filepath.Join(t.TempDir(), "gone")})
	if err := m.Ready("x"); err == nil || !strings.Contains(err.Error(), "NOTIFY_SOCKET") {
		t.Errorf("got %v, want an error that names NOTIFY_SOCKET", err)
	}
}

func TestEnvironmentThatCannotBeUsedIsRefused(t *testing.T) {
	tests := []struct {
		name      string
		variables map[string]string
		want      string // in the error
	}{
		{"a socket of another family", map[string]string{"NOTIFY_SOCKET": "vsock:2:1234"}, "NOTIFY_SOCKET"},
		{"a socket without a name", map[string]string{"NOTIFY_SOCKET": "@"}, "NOTIFY_SOCKET"},
		{"a watchdog with words", map[string]string{"WATCHDOG_USEC": "1min"}, "WATCHDOG_USEC"},
		{"a watchdog without time", map[string]string{"WATCHDOG_USEC": "0"}, "WATCHDOG_USEC"},
		{"a watchdog of negative time", map[string]string{"WATCHDOG_USEC": "-5"}, "WATCHDOG_USEC"},
		{"a watchdog of endless time", map[string]string{"WATCHDOG_USEC": "9223372036854775807"}, "WATCHDOG_USEC"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, err := New(environment(test.variables)); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error that names %s", err, test.want)
			}
		})
	}
}

// watch runs the watchdog and returns what ends it, with the cause for it.
func watch(t *testing.T, m *Manager) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancelCause(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- m.Watch(ctx, func(err error) { t.Error(err) }) }()
	return func() error {
		cancel(errStopped)
		return <-ended
	}
}

var errStopped = errors.New("stopped")

func TestWatchdogHearsOfALoopThatLives(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "notify")
	conn := listen(t, socket)
	m := newManager(t, map[string]string{
		"NOTIFY_SOCKET": socket, "WATCHDOG_USEC": "100000", "WATCHDOG_PID": strconv.Itoa(os.Getpid()),
	})
	started := time.Now()
	stop := watch(t, m)
	for range 4 {
		<-m.Pulse()
		if got := receive(t, conn); got != "WATCHDOG=1" {
			t.Errorf("the manager read %q", got)
		}
	}
	// The first comes at once, and the others at half the time each.
	if took := time.Since(started); took < 140*time.Millisecond {
		t.Errorf("four messages took %s, want 150 ms", took)
	}
	if err := stop(); !errors.Is(err, errStopped) {
		t.Errorf("the watchdog ended with %v", err)
	}
}

func TestWatchdogHearsNothingOfALoopThatHangs(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "notify")
	conn := listen(t, socket)
	m := newManager(t, map[string]string{"NOTIFY_SOCKET": socket, "WATCHDOG_USEC": "2000"})
	stop := watch(t, m)
	if err := conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if n, err := conn.Read(make([]byte, 64)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the manager read %d bytes with %v, want none", n, err)
	}
	if err := stop(); !errors.Is(err, errStopped) {
		t.Errorf("the watchdog ended with %v", err)
	}
}

func TestNobodyIsWatchedWhoIsNotMeant(t *testing.T) {
	tests := map[string]map[string]string{
		"without WATCHDOG_USEC":             {"NOTIFY_SOCKET": "@nobody"},
		"without a socket":                  {"WATCHDOG_USEC": "1000"},
		"with the WATCHDOG_PID of a parent": {"NOTIFY_SOCKET": "@nobody", "WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"},
	}
	for name, variables := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newManager(t, variables)
				stop := watch(t, m)
				synctest.Wait()
				select {
				case <-m.Pulse():
					t.Error("the watchdog felt the pulse")
				default:
				}
				if err := stop(); !errors.Is(err, errStopped) {
					t.Errorf("the watchdog ended with %v", err)
				}
			})
		})
	}
}

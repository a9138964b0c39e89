package systemd

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// sendBound is how long a message may wait for a manager that is busy.
const sendBound = 5 * time.Second

// Manager is the service manager. Make one with [New]. It is safe for
// concurrent use; errors are worth a line in the log, and nothing else.
type Manager struct {
	socket   string        // "" if nobody wants to be told
	watchdog time.Duration // the manager wants to hear of us this often; 0 for never
	pulse    chan struct{}
}

// New returns the manager that the environment names, which may be nobody.
// It opens nothing.
func New(getenv func(name string) string) (*Manager, error) {
	m := &Manager{socket: getenv("NOTIFY_SOCKET"), pulse: make(chan struct{})}
	if m.socket != "" && (len(m.socket) < 2 || !strings.ContainsAny(m.socket[:1], "/@")) {
		return nil, fmt.Errorf("reading NOTIFY_SOCKET: %q is neither a path nor an abstract socket; unset it to run without systemd", m.socket)
	}
	text := getenv("WATCHDOG_USEC")
	if text == "" || !isMeant(getenv("WATCHDOG_PID")) {
		return m, nil
	}
	microseconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil || microseconds <= 0 || microseconds > int64(maxWatchdog/time.Microsecond) {
		return nil, fmt.Errorf("reading WATCHDOG_USEC: %q is no number of microseconds; unset it to run without a watchdog", text)
	}
	m.watchdog = time.Duration(microseconds) * time.Microsecond
	return m, nil
}

// maxWatchdog keeps the arithmetic within a [time.Duration].
const maxWatchdog = 365 * 24 * time.Hour

// isMeant reports whether this process is the one to be watched.
func isMeant(pid string) bool {
	return pid == "" || pid == strconv.Itoa(os.Getpid())
}

// Ready tells that the agent does its work, or does it again after
// [Manager.Reloading], with a status for people.
func (m *Manager) Ready(status string) error { return m.send("READY=1", statusLine(status)) }

// Status tells people how the agent fares, in one line.
func (m *Manager) Status(status string) error { return m.send(statusLine(status)) }

// Reloading tells that the agent reads its configuration anew.
// [Manager.Ready] must follow, whatever comes of it.
func (m *Manager) Reloading() error {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return fmt.Errorf("reading the monotonic clock: %w", err)
	}
	return m.send("RELOADING=1", fmt.Sprintf("MONOTONIC_USEC=%d", now.Nano()/int64(time.Microsecond)))
}

// Stopping tells that the agent is about to end.
func (m *Manager) Stopping() error { return m.send("STOPPING=1") }

// statusLine keeps a status from being read as further messages.
func statusLine(status string) string {
	return "STATUS=" + strings.Map(func(r rune) rune {
		if r < ' ' {
			return ' '
		}
		return r
	}, status)
}

func (m *Manager) send(lines ...string) error {
	if m.socket == "" {
		return nil
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Net: "unixgram", Name: m.socket})
	if err != nil {
		return fmt.Errorf("telling systemd: %w; check the NOTIFY_SOCKET of the agent", err)
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetWriteDeadline(time.Now().Add(sendBound)); err != nil {
		return fmt.Errorf("telling systemd: %w", err)
	}
	if _, err := conn.Write([]byte(strings.Join(lines, "\n"))); err != nil {
		return fmt.Errorf("telling systemd: %w; check that it reads its socket", err)
	}
	return nil
}

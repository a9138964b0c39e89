package audit

import (
	"errors"
	"fmt"
	"log/syslog"
	"os"
	"strings"
	"time"
)

// syslogTimeout bounds the wait for syslog to take a record.
const syslogTimeout = 2 * time.Second

// journal writes to the local syslog at the level of informations. The standard
// library's writer would wait without end for one that hangs.
type journal struct {
	*socket
	priority syslog.Priority
	tag      string
}

// place is a socket that syslog may listen at.
type place struct{ network, path string }

// places returns where syslog listens on systems that there are.
func places() []place {
	var all []place
	for _, network := range []string{"unixgram", "unix"} {
		for _, path := range []string{"/dev/log", "/var/run/syslog", "/var/run/log"} {
			all = append(all, place{network, path})
		}
	}
	return all
}

func syslogOptions(o *options) func() (sink, error) {
	facility, tag := strings.ToUpper(o.text("facility", "AUTH")), o.text("tag", "securevault")
	return func() (sink, error) { return openSyslog(places(), facility, tag) }
}

// openSyslog connects to the first place that there is.
func openSyslog(at []place, facility, tag string) (sink, error) {
	facilities := map[string]syslog.Priority{
		"KERN": syslog.LOG_KERN, "USER": syslog.LOG_USER, "MAIL": syslog.LOG_MAIL, "DAEMON": syslog.LOG_DAEMON,
		"AUTH": syslog.LOG_AUTH, "SYSLOG": syslog.LOG_SYSLOG, "LPR": syslog.LOG_LPR, "NEWS": syslog.LOG_NEWS,
		"UUCP": syslog.LOG_UUCP, "CRON": syslog.LOG_CRON, "AUTHPRIV": syslog.LOG_AUTHPRIV, "FTP": syslog.LOG_FTP,
		"LOCAL0": syslog.LOG_LOCAL0, "LOCAL1": syslog.LOG_LOCAL1, "LOCAL2": syslog.LOG_LOCAL2, "LOCAL3": syslog.LOG_LOCAL3,
		"LOCAL4": syslog.LOG_LOCAL4, "LOCAL5": syslog.LOG_LOCAL5, "LOCAL6": syslog.LOG_LOCAL6, "LOCAL7": syslog.LOG_LOCAL7,
	}
	priority, ok := facilities[facility]
	if !ok {
		return nil, fmt.Errorf("option facility: %q is none; use AUTH, DAEMON or LOCAL0 to LOCAL7", facility)
	}
	for _, p := range at {
		s := &socket{network: p.network, address: p.path, timeout: syslogTimeout}
		if err := s.reopen(); err == nil {
			return journal{s, priority | syslog.LOG_INFO, tag}, nil
		}
	}
	return nil, errors.New("connecting to syslog: nobody listens at /dev/log; start syslog, or use a device of type file")
}

// write sends a line behind the header that syslog expects of local programs.
func (j journal) write(line []byte) error {
	header := fmt.Appendf(nil, "<%d>%s %s[%d]: ", j.priority, time.Now().Format(time.Stamp), j.tag, os.Getpid())
	return j.socket.write(append(header, line...))
}

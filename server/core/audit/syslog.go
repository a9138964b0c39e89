package audit

import (
	"fmt"
	"log/syslog"
	"strings"
)

// journal writes to syslog at the level of informations.
type journal struct{ *syslog.Writer }

func syslogOptions(o *options) func() (sink, error) {
	facility, tag := strings.ToUpper(o.text("facility", "AUTH")), o.text("tag", "securevault")
	return func() (sink, error) { return openSyslog("", "", facility, tag) }
}

// openSyslog connects to the local syslog, or to the one at an address.
func openSyslog(network, address, facility, tag string) (sink, error) {
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
	w, err := syslog.Dial(network, address, priority|syslog.LOG_INFO, tag)
	if err != nil {
		return nil, fmt.Errorf("connecting to syslog: %w", err)
	}
	return journal{w}, nil
}

func (j journal) write(line []byte) error {
	_, err := j.Write(line)
	return err
}

// reopen has nothing to do: the writer connects anew by itself.
func (j journal) reopen() error { return nil }

func (j journal) close() error { return j.Close() }

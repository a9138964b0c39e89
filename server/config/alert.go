package config

import (
	"net/mail"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/novatech/securevault/server/core/alert"
	"github.com/novatech/securevault/server/core/metric"
)

// Alert is a rule about the server's own metrics.
type Alert struct {
	Origin
	Name        string   `conf:"name,label"`
	Condition   string   `conf:"condition,required"`
	Severity    string   `conf:"severity" default:"warning"` // info, warning or critical
	For         Duration `conf:"for"`                        // how long it must hold first
	Description string   `conf:"description"`
	Notify      []string `conf:"notify"` // mail addresses and URLs of webhooks
}

// SMTP says how mail leaves.
type SMTP struct {
	Origin
	Address      string `conf:"address" default:"127.0.0.1:25"`
	From         string `conf:"from"`
	Username     string `conf:"username"`
	Password     Secret `conf:"password"`
	PasswordFile string `conf:"password_file"`
	TLS          string `conf:"tls" default:"starttls"` // starttls, opportunistic, implicit or none
	CAFile       string `conf:"ca_file"`
}

// LocalSMTP is how mail leaves when nothing is said about it: through this
// machine, encrypted if it can be.
func LocalSMTP() SMTP { return SMTP{Address: "127.0.0.1:25", TLS: "opportunistic"} }

// IsWebhook reports whether a target of Notify is a URL rather than a mail
// address.
func IsWebhook(target string) bool {
	return strings.HasPrefix(target, "http://") || strings.HasPrefix(target, "https://")
}

func (f *File) checkAlerts(r *report) {
	named := map[string]bool{}
	mails := false
	for _, a := range f.Alerts {
		if named[a.Name] {
			r.problem(a.At, "choose another name", "the alert %q is there twice", a.Name)
		}
		named[a.Name] = true
		mails = a.check(r) || mails
	}
	if f.SMTP != nil {
		f.SMTP.check(r)
	} else if mails {
		r.warning(f.Where("alerts"), "write an smtp stanza", "alerts are mailed through 127.0.0.1:25")
	}
}

// check reports whether the alert is sent by mail.
func (a *Alert) check(r *report) (mails bool) {
	checkWord(r, a.Origin, "severity", a.Severity, "info", "warning", "critical")
	c, err := alert.Parse(a.Condition)
	known := metric.Known()
	switch {
	case !a.Has("condition"): // which is a problem already
	case err != nil:
		r.problem(a.Where("condition"), "", "condition: %s", err)
	case !slices.Contains(known, c.Metric):
		r.problem(a.Where("condition"), suggest(c.Metric, known), "condition: there is no metric %q", c.Metric)
	}
	for _, target := range a.Notify {
		if IsWebhook(target) {
			if parsed, err := url.Parse(target); err != nil || parsed.Host == "" {
				r.problem(a.Where("notify"), "write it as https://host/path", "notify: the URL of a webhook has no host")
			}
			continue
		}
		mails = true
		if _, err := mail.ParseAddress(target); err != nil {
			r.problem(a.Where("notify"), "write name@host or https://host/path", "notify: %q is neither a mail address nor a URL", target)
		}
	}
	return mails
}

func (s *SMTP) check(r *report) {
	checkWord(r, s.Origin, "tls", s.TLS, "starttls", "opportunistic", "implicit", "none")
	if s.Has("password") && s.Has("password_file") {
		r.problem(s.Where("password_file"), "keep one", "the mail server has both password and password_file")
	}
	if s.Username != "" && s.TLS == "none" {
		r.problem(s.Where("tls"), `use tls = "starttls"`, "a password must not be sent in the clear")
	}
	if _, err := mail.ParseAddress(s.Sender()); err != nil {
		r.problem(s.Where("from"), "write name@host", "from: %q is no mail address", s.From)
	}
}

// Sender returns the address that mail comes from.
func (s *SMTP) Sender() string {
	if s.From != "" {
		return s.From
	}
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "localhost"
	}
	return "securevault@" + host
}

package main

import (
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/novatech/securevault/server/config"
	"github.com/novatech/securevault/server/core/alert"
)

// newWatch returns what watches the alerts of a configuration.
func newWatch(f *config.File, source alert.Source, logger hclog.Logger) (*alert.Watch, error) {
	rules, targets, err := alertsOf(f)
	if err != nil {
		return nil, err
	}
	return alert.New(rules, source, targets, logger), nil
}

// alertsOf returns the rules of a configuration, and what tells people of them.
func alertsOf(f *config.File) (rules []alert.Rule, targets alert.Targets, err error) {
	for _, a := range f.Alerts {
		condition, err := alert.Parse(a.Condition)
		if err != nil {
			return nil, targets, fmt.Errorf("%s: condition: %w", a.Where("condition"), err)
		}
		rules = append(rules, alert.Rule{
			Name: a.Name, Condition: condition, Severity: a.Severity, For: time.Duration(a.For),
			Description: a.Description, Notify: a.Notify,
		})
	}
	mail, err := newMail(f.SMTP)
	if err != nil {
		return nil, targets, err
	}
	webhook := &alert.Webhook{Client: &http.Client{Transport: http.DefaultTransport}}
	return rules, alert.Targets{Mail: mail, Webhook: webhook}, nil
}

// newMail returns how mail leaves; without a stanza through this machine.
func newMail(s *config.SMTP) (*alert.Mail, error) {
	if s == nil {
		local := config.LocalSMTP()
		s = &local
	}
	m := &alert.Mail{Address: s.Address, From: s.Sender(), Username: s.Username, TLS: s.TLS}
	m.Password = func() (string, error) {
		if s.PasswordFile == "" {
			return s.Password.Reveal(), nil
		}
		text, err := os.ReadFile(s.PasswordFile)
		return strings.TrimRight(string(text), "\r\n"), err
	}
	if s.CAFile == "" {
		return m, nil
	}
	text, err := os.ReadFile(s.CAFile)
	if err != nil {
		return nil, fmt.Errorf("%s: reading ca_file of smtp: %w", s.Where("ca_file"), err)
	}
	m.RootCAs = x509.NewCertPool()
	if !m.RootCAs.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s: ca_file of smtp holds no certificate in PEM", s.Where("ca_file"))
	}
	return m, nil
}

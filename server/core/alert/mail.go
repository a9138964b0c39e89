package alert

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/wneessen/go-mail"
)

// mailTimeout bounds one attempt.
const mailTimeout = 20 * time.Second

// Mail tells by mail.
type Mail struct {
	Address  string // host:port of the server that takes it
	From     string
	Username string
	Password func() (string, error) // read anew for each mail; nil for none
	TLS      string                 // starttls, opportunistic, implicit or none
	RootCAs  *x509.CertPool         // nil: the system's
}

// Notify implements Notifier.
func (m *Mail) Notify(ctx context.Context, target string, a Alert) error {
	message := mail.NewMsg()
	if err := message.From(m.From); err != nil {
		return fmt.Errorf("writing the sender: %w", err)
	}
	if err := message.To(target); err != nil {
		return fmt.Errorf("writing the recipient: %w", err)
	}
	message.SetDate()
	message.SetMessageID()
	message.Subject(headline(a))
	message.SetBodyString(mail.TypeTextPlain, m.body(a))
	client, err := m.client()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, mailTimeout)
	defer cancel()
	if err := client.DialAndSendWithContext(ctx, message); err != nil {
		return fmt.Errorf("sending mail through %s: %w", m.Address, err)
	}
	return nil
}

func (m *Mail) body(a Alert) string {
	text := fmt.Sprintf("%s\n\nCondition: %s\nValue:     %g\nSince:     %s\n", headline(a), a.Rule.Condition, a.Value, a.Since.UTC().Format(time.RFC3339))
	if a.Rule.Description != "" {
		text += "\n" + a.Rule.Description + "\n"
	}
	return text
}

func (m *Mail) client() (*mail.Client, error) {
	host, port, err := net.SplitHostPort(m.Address)
	if err != nil {
		return nil, fmt.Errorf("the mail server's address %q: write it as host:port", m.Address)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		return nil, fmt.Errorf("the mail server's port %q is no number", port)
	}
	options := []mail.Option{
		mail.WithPort(number), mail.WithTimeout(mailTimeout),
		mail.WithTLSConfig(&tls.Config{ServerName: host, RootCAs: m.RootCAs, MinVersion: tls.VersionTLS12}),
	}
	switch m.TLS {
	case "implicit":
		options = append(options, mail.WithSSL())
	case "opportunistic":
		options = append(options, mail.WithTLSPolicy(mail.TLSOpportunistic))
	case "none":
		options = append(options, mail.WithTLSPolicy(mail.NoTLS))
	default:
		options = append(options, mail.WithTLSPolicy(mail.TLSMandatory))
	}
	if m.Username != "" {
		password, err := m.Password()
		if err != nil {
			return nil, fmt.Errorf("reading the mail server's password: %w", err)
		}
		options = append(options, mail.WithSMTPAuth(mail.SMTPAuthAutoDiscover), mail.WithUsername(m.Username), mail.WithPassword(password))
	}
	client, err := mail.NewClient(host, options...)
	if err != nil {
		return nil, fmt.Errorf("preparing mail: %w", err)
	}
	return client, nil
}

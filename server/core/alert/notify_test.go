package alert

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"strings"
	"testing"
	"time"
)

func firing(t *testing.T) Alert {
	r := rule(t, "high-lease-creation", "rate(secret.dynamic.create) > 100/min", 0)
	r.Description = "Look at it."
	return Alert{Rule: r, State: Firing, Value: 2.5, Since: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
}

func TestAWebhookGetsTheAlert(t *testing.T) {
	status := http.StatusOK
	var got Message
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/json" || json.NewDecoder(r.Body).Decode(&got) != nil {
			t.Errorf("%s %v", r.Method, r.Header)
		}
		w.WriteHeader(status)
	}))
	defer server.Close()
	targets := Targets{Webhook: &Webhook{Client: server.Client()}}
	target := server.URL + "/hooks/s3cret"
	if err := targets.Notify(t.Context(), target, firing(t)); err != nil {
		t.Fatal(err)
	}
	want := Message{
		Alert: "high-lease-creation", State: Firing, Severity: "warning", Condition: "rate(secret.dynamic.create) > 100/min", Value: 2.5,
		Since: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Description: "Look at it.",
		Text: "[firing] warning: high-lease-creation (rate(secret.dynamic.create) > 100/min, now 2.5)",
	}
	if got != want {
		t.Errorf("%+v", got)
	}
	status = http.StatusInternalServerError
	if err := targets.Notify(t.Context(), target, firing(t)); err == nil || !strings.Contains(err.Error(), "500") || strings.Contains(err.Error(), "s3cret") {
		t.Error(err)
	}
	server.Close()
	if err := targets.Notify(t.Context(), target, firing(t)); err == nil || strings.Contains(err.Error(), "s3cret") {
		t.Error(err)
	}
}

// mailServer is a mail server as RFC 5321, 3207 and 4954 have it, as far as a
// single message needs.
type mailServer struct {
	net.Listener
	certificate tls.Certificate
	offersTLS   bool

	encrypted bool
	user      string // of AUTH PLAIN
	commands  []string
	message   string
}

func newMailServer(t *testing.T, offersTLS bool) (*mailServer, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return &mailServer{
		Listener: listener, offersTLS: offersTLS,
		certificate: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key},
	}, pool
}

// serveOne talks with one client until it quits.
func (m *mailServer) serveOne() error {
	conn, err := m.Accept()
	if err != nil {
		return err
	}
	defer func() { conn.Close() }()
	reader := textproto.NewReader(bufio.NewReader(conn))
	reply := func(lines ...string) {
		for i, line := range lines {
			separator := " "
			if i < len(lines)-1 {
				separator = "-"
			}
			fmt.Fprintf(conn, "%s%s%s\r\n", line[:3], separator, line[4:])
		}
	}
	reply("220 ready")
	for {
		line, err := reader.ReadLine()
		if err != nil {
			return err
		}
		verb, rest, _ := strings.Cut(line, " ")
		m.commands = append(m.commands, strings.ToUpper(verb))
		switch strings.ToUpper(verb) {
		case "EHLO":
			extensions := []string{"250 hello"}
			if m.offersTLS && !m.encrypted {
				extensions = append(extensions, "250 STARTTLS")
			}
			reply(append(extensions, "250 AUTH PLAIN")...)
		case "STARTTLS":
			reply("220 go ahead")
			secure := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{m.certificate}})
			if err := secure.Handshake(); err != nil {
				return err
			}
			conn, m.encrypted = secure, true
			reader = textproto.NewReader(bufio.NewReader(conn))
		case "AUTH":
			decoded, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(rest, "PLAIN "))
			m.user = strings.ReplaceAll(string(decoded), "\x00", "|")
			reply("235 welcome")
		case "DATA":
			reply("354 go on")
			body, err := io.ReadAll(reader.DotReader())
			if err != nil {
				return err
			}
			m.message = string(body)
			reply("250 taken")
		case "QUIT":
			reply("221 bye")
			return nil
		default:
			reply("250 fine")
		}
	}
}

func TestMailGoesThroughSTARTTLS(t *testing.T) {
	server, pool := newMailServer(t, true)
	done := make(chan error, 1)
	go func() { done <- server.serveOne() }()
	m := &Mail{
		Address: server.Addr().String(), From: "securevault@example.com", TLS: "starttls", RootCAs: pool,
		Username: "alerts", Password: func() (string, error) { return "pa55", nil },
	}
	if err := (Targets{Mail: m}).Notify(t.Context(), "security@novatech.com", firing(t)); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if !server.encrypted || server.user != "|alerts|pa55" {
		t.Errorf("encrypted %v, user %q, commands %v", server.encrypted, server.user, server.commands)
	}
	for _, part := range []string{
		"Subject: [firing] warning: high-lease-creation", "security@novatech.com", "From: <securevault@example.com>",
		"Condition: rate(secret.dynamic.create) > 100/min", "2026-01-02T03:04:05Z", "Look at it.",
	} {
		if !strings.Contains(server.message, part) {
			t.Errorf("%q is missing in:\n%s", part, server.message)
		}
	}
}

func TestMailIsNotSentInTheClear(t *testing.T) {
	cases := map[string]struct {
		offersTLS bool
		trusted   bool
	}{"without STARTTLS": {false, true}, "to a stranger": {true, false}}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			server, pool := newMailServer(t, c.offersTLS)
			if !c.trusted {
				pool = x509.NewCertPool()
			}
			go func() { _ = server.serveOne() }()
			m := &Mail{Address: server.Addr().String(), From: "a@example.com", TLS: "starttls", RootCAs: pool}
			if err := m.Notify(t.Context(), "b@example.com", firing(t)); err == nil {
				t.Error("it was sent")
			}
		})
	}
}

func TestAPasswordThatCannotBeReadIsNamed(t *testing.T) {
	m := &Mail{Address: "127.0.0.1:1", From: "a@example.com", Username: "u", Password: func() (string, error) { return "", errors.New("gone") }}
	if err := m.Notify(t.Context(), "b@example.com", firing(t)); err == nil || !strings.Contains(err.Error(), "reading the mail server's password: gone") {
		t.Error(err)
	}
}

package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/novatech/securevault/server/config"
	"github.com/novatech/securevault/server/core/alert"
)

// TestAlertsAndMetricsLeaveTheServer has a real credential counted, told to
// statsd, and an alert about it told to a webhook.
func TestAlertsAndMetricsLeaveTheServer(t *testing.T) {
	told := make(chan alert.Message, 10)
	webhook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var message alert.Message
		if err := json.NewDecoder(r.Body).Decode(&message); err != nil {
			t.Error(err)
		}
		told <- message
	}))
	defer webhook.Close()
	statsd, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer statsd.Close()
	w := newWorld(t, fmt.Sprintf("alerts:\n- {name: issued, condition: increase(database.creds.created) > 0, severity: critical, notify: [%q]}\n"+
		"telemetry: {statsd_address: %q, disable_hostname: true}\n", webhook.URL, statsd.LocalAddr()))
	w.start(t)
	w.initialize(t)
	w.mountDatabase(t, startPostgres(t))
	w.must(t, "GET", "database/creds/app", nil)

	summary := fmt.Sprint(w.must(t, "GET", "sys/metrics", nil)["Counters"])
	if !strings.Contains(summary, "map[Labels:map[engine:database mount:database/ role:app] Name:database.creds.created Value:1]") {
		t.Errorf("metrics are %s", summary)
	}
	receives(t, statsd, "database.creds.created.database/.app.database:1.000000|c")
	select {
	case message := <-told:
		if message.Alert != "issued" || message.State != alert.Firing || message.Severity != "critical" || message.Value != 1 {
			t.Errorf("told %+v", message)
		}
	case <-time.After(patience):
		t.Error("nobody was told of the alert")
	}
	w.stop(t, syscall.SIGTERM)
}

// receives waits for a packet that holds text.
func receives(t *testing.T, from net.PacketConn, text string) {
	t.Helper()
	if err := from.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	packet := make([]byte, 64<<10)
	for {
		n, _, err := from.ReadFrom(packet)
		if err != nil {
			t.Fatalf("%q does not arrive: %v", text, err)
		}
		if strings.Contains(string(packet[:n]), text) {
			return
		}
	}
}

func TestMailLeavesAsConfigured(t *testing.T) {
	folder := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	certificate, key := selfSigned(t)
	s := &config.SMTP{Address: "mail.example.com:587", From: "vault@example.com", Username: "alerts", TLS: "starttls"}
	s.PasswordFile, s.CAFile = file("password", "pa55\r\n"), file("ca.pem", string(certificate))
	m, err := newMail(s)
	if err != nil {
		t.Fatal(err)
	}
	if m.Address != s.Address || m.From != s.From || m.Username != s.Username || m.TLS != "starttls" || m.RootCAs == nil {
		t.Errorf("%+v", m)
	}
	if password, err := m.Password(); password != "pa55" || err != nil {
		t.Errorf("the password is %q, %v", password, err)
	}
	file("password", "changed\n")
	if password, _ := m.Password(); password != "changed" {
		t.Errorf("after it was changed the password is %q", password)
	}
	if local, err := newMail(nil); err != nil || local.Address != "127.0.0.1:25" || local.TLS != "opportunistic" || !strings.Contains(local.From, "@") {
		t.Errorf("without a stanza: %+v, %v", local, err)
	}
	for name, content := range map[string]string{"no certificate": string(key), "nothing": ""} {
		s.CAFile = file("ca.pem", content)
		if _, err := newMail(s); err == nil || !strings.Contains(err.Error(), "holds no certificate in PEM") {
			t.Errorf("%s: %v", name, err)
		}
	}
	s.CAFile = filepath.Join(folder, "none")
	if _, err := newMail(s); err == nil || !strings.Contains(err.Error(), "reading ca_file of smtp") {
		t.Errorf("a file that is not there: %v", err)
	}
}

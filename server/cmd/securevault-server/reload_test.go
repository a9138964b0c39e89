package main

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
)

// TestSIGHUPReadsLimitsAndAlertsAgain changes the configuration of a running
// server; one with a mistake in it changes nothing.
func TestSIGHUPReadsLimitsAndAlertsAgain(t *testing.T) {
	w := newWorld(t, "lease_limits: {database: {default_ttl: 20m, max_ttl: 40m, max_leases_per_role: 2}}\n")
	w.start(t)
	w.initialize(t)
	w.must(t, "PUT", "sys/mounts/database", map[string]any{"type": "database"})
	if got, want := w.shown(t), "limits map[database/:2] alerts []"; got != want {
		t.Fatalf("%s, want %s", got, want)
	}
	const raised = "limits map[database/:3] alerts [busy]"
	w.replaces(t, "max_leases_per_role: 2}}", "max_leases_per_role: 3}}\nlog_level: debug\nalerts:\n- {name: busy, condition: secret.lease.count > 1}")
	w.hangUp(t, "reloaded certificates")
	if got := w.shown(t); got != raised {
		t.Errorf("%s, want %s", got, raised)
	}
	w.replaces(t, "max_leases_per_role: 3}}", "max_leases_per_role: 4}}\nlog_levl: debug")
	w.hangUp(t, `unknown key \"log_levl\"`)
	if got := w.shown(t); got != raised {
		t.Errorf("after a mistake: %s, want %s", got, raised)
	}
	w.stop(t, syscall.SIGTERM)
}

// shown returns the limits and alerts that the server goes by.
func (w *world) shown(t *testing.T) string {
	t.Helper()
	counts := w.must(t, "GET", "sys/leases/count", nil)["data"].(map[string]any)
	var names []any
	for _, one := range w.must(t, "GET", "sys/alerts", nil)["data"].(map[string]any)["alerts"].([]any) {
		names = append(names, one.(map[string]any)["name"])
	}
	return fmt.Sprintf("limits %v alerts %v", counts["limits"], names)
}

// replaces changes the configuration.
func (w *world) replaces(t *testing.T, before, after string) {
	t.Helper()
	text, err := os.ReadFile(w.file)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), before) {
		t.Fatalf("no %q in\n%s", before, text)
	}
	if err := os.WriteFile(w.file, []byte(strings.Replace(string(text), before, after, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
}

// hangUp sends SIGHUP and waits until the log says what came of it.
func (w *world) hangUp(t *testing.T, outcome string) {
	t.Helper()
	if err := w.server.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	await(t, func() bool { return strings.Contains(w.server.Log(), outcome) }, func() string {
		return fmt.Sprintf("SIGHUP does not lead to %q:\n%s", outcome, w.server.Log())
	})
}

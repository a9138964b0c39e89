package notify

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// systemctl puts a program of that name first in the path, which runs a line
// of shell with its arguments.
func systemctl(t *testing.T, line string) {
	t.Helper()
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "systemctl"), []byte("#!/bin/sh\n"+line+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", folder+":"+os.Getenv("PATH"))
}

// The agent once waited for a unit that is ordered after it, which waits for the
// agent to be ready.
func TestSystemdIsNotWaitedForBeforeTheAgentIsReady(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	systemctl(t, `echo "$@" > '`+out+`'`)
	if err := (Systemd{Unit: "app.service", Action: Restart}).Notify(t.Context(), Event{Early: true}); err != nil {
		t.Fatal(err)
	}
	if got, want := read(t, out), "--no-ask-password --no-pager --no-block restart -- app.service\n"; got != want {
		t.Errorf("systemctl was given %q, want %q", got, want)
	}
}

func TestSystemdIsAskedThroughSystemctl(t *testing.T) {
	tests := []struct {
		name string
		unit Systemd
		want string
	}{
		{"to reload unless it is told otherwise", Systemd{Unit: "app.service"}, "--no-ask-password --no-pager reload -- app.service\n"},
		{"to restart", Systemd{Unit: "app@1.service", Action: Restart}, "--no-ask-password --no-pager restart -- app@1.service\n"},
		{"to do either", Systemd{Unit: "app", Action: ReloadOrRestart}, "--no-ask-password --no-pager reload-or-restart -- app\n"},
		{"to restart what runs", Systemd{Unit: "app", Action: TryRestart}, "--no-ask-password --no-pager try-restart -- app\n"},
		{"for a unit that looks like an option", Systemd{Unit: "--force"}, "--no-ask-password --no-pager reload -- --force\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "out")
			systemctl(t, `echo "$@" > '`+out+`'`)
			if err := test.unit.Notify(t.Context(), Event{}); err != nil {
				t.Fatal(err)
			}
			if got := read(t, out); got != test.want {
				t.Errorf("systemctl was given %q, want %q", got, test.want)
			}
		})
	}
}

func TestSystemdErrors(t *testing.T) {
	tests := []struct {
		name, systemctl string
		unit            Systemd
		want            []string
	}{
		{"a unit that cannot reload", "echo 'Job type reload is not applicable' >&2; exit 3", Systemd{Unit: "app.service"},
			[]string{`reload unit "app.service"`, "not applicable", "ExecReload="}},
		{"a user who may not", "exit 4", Systemd{Unit: "app.service"}, []string{"as root", "polkit"}},
		{"a unit that is not there", "exit 5", Systemd{Unit: "apq.service"}, []string{`"apq.service"`, "name of the unit"}},
		{"a unit that fails", "echo 'Job for app.service failed' >&2; exit 1", Systemd{Unit: "app.service", Action: Restart},
			[]string{"restart unit", "Job for app.service failed", "systemctl status"}},
		{"a unit that takes too long", "sleep 600", Systemd{Unit: "app.service", Timeout: 200 * time.Millisecond},
			[]string{"killed after 200ms", "raise its timeout"}},
		{"no unit", "exit 0", Systemd{}, []string{"no unit", "app.service"}},
		{"an unknown action", "exit 0", Systemd{Unit: "app.service", Action: "stop"}, []string{`"stop"`, `"reload-or-restart"`}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			systemctl(t, test.systemctl)
			wantError(t, test.unit.Notify(t.Context(), Event{}), test.want...)
		})
	}
}

func TestMissingSystemctlIsNamed(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	wantError(t, Systemd{Unit: "app.service"}.Notify(t.Context(), Event{}), `"systemctl"`, "install it")
}

package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/novatech/securevault/agent/schedule"
)

// complete is the ledger of a play in which everything was seen.
func complete() *ledger {
	none := 0
	return &ledger{
		grants:    []grant{{at: time.Second}, {at: 14 * time.Second, rotation: true}},
		renewals:  3,
		published: 2,
		revoked:   1,
		started:   true,
		users:     []string{"v-1", "v-2"},
		signals:   2,
		totals:    &totals{Queries: 1200},
		roles:     map[string]bool{"v-1": false, "v-2": false},
		accepted:  2,
		refusal:   "password authentication failed",
		admin:     "password authentication failed",
		left:      &none,
	}
}

func TestSummaryNamesWhatIsMissing(t *testing.T) {
	one := 1
	tests := map[string]struct {
		change func(*ledger)
		want   string // empty: nothing is missing
	}{
		"nothing is missing from a complete play": {func(*ledger) {}, ""},
		"an empty ledger lacks credentials":       {func(l *ledger) { *l = ledger{} }, "fewer than two credentials"},
		"one credential is not enough":            {func(l *ledger) { l.grants = l.grants[:1] }, "fewer than two credentials"},
		"PostgreSQL must have seen each role":     {func(l *ledger) { delete(l.roles, "v-2") }, "the agent got 2 credentials, PostgreSQL saw 1 roles"},
		"there must be a renewal":                 {func(l *ledger) { l.renewals = 0 }, "no lease was renewed"},
		"a second issue is no rotation":           {func(l *ledger) { l.grants[1].rotation = false }, "no credential was replaced"},
		"a rotation at once is too early":         {func(l *ledger) { l.grants[1].at = 3 * time.Second }, "no credential was replaced"},
		"a rotation after the end is too late":    {func(l *ledger) { l.grants[1].at = 18 * time.Second }, "no credential was replaced"},
		"the app must get a signal":               {func(l *ledger) { l.signals = 0 }, "the app got no signal"},
		"the app must get each signal":            {func(l *ledger) { l.signals = 1 }, "the agent wrote 2 files, the app got 1 signals"},
		"the app must change its user":            {func(l *ledger) { l.users = []string{"v-1", "v-1"} }, "the app never moved to another user"},
		"the app must report":                     {func(l *ledger) { l.totals = nil }, "the app did not report its totals"},
		"the app must have asked":                 {func(l *ledger) { l.totals.Queries = 0 }, "the app made no query"},
		"no query may fail":                       {func(l *ledger) { l.totals.Failures = 1 }, "queries of the app failed"},
		"a failure counts without a report of it": {func(l *ledger) { l.failures = 1 }, "queries of the app failed"},
		"the first credential must have worked":   {func(l *ledger) { l.accepted = 0 }, "never accepted the first credential"},
		"the old credential must work until then": {func(l *ledger) { l.early = "no" }, "before its lease was revoked"},
		"the old credential must be refused":      {func(l *ledger) { l.refusal = "" }, "did not refuse the old credential"},
		"the admin's password must have changed":  {func(l *ledger) { l.admin = "" }, "did not refuse the admin's initial password"},
		"the roles must have been counted":        {func(l *ledger) { l.left = nil }, "not counted after the shutdown"},
		"no role may be left":                     {func(l *ledger) { l.left = &one }, "roles were left on the database"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			l := complete()
			test.change(l)
			var out bytes.Buffer
			seen := newScreen(&out).summary(l.findings())
			if seen != (test.want == "") {
				t.Errorf("the summary says seen = %v:\n%s", seen, out.String())
			}
			if !strings.Contains(out.String(), test.want) || strings.Contains(out.String(), "Missing") == seen {
				t.Errorf("want %q in:\n%s", test.want, out.String())
			}
			assertNarrow(t, out.String())
		})
	}
}

func TestAgentLogIsTakenDown(t *testing.T) {
	tests := map[string]struct {
		line, words string
		bad         bool
		check       func(*ledger) bool
	}{
		"an issue": {
			`{"level":"info","msg":"secret issued","secret":"database/creds/app-readonly","action":"issue","ttl":"8s"}`,
			"issued: a credential, good for 8s", false,
			func(l *ledger) bool { return slices.Equal(l.grants, []grant{{at: time.Second}}) },
		},
		"a rotation": {
			`{"level":"info","msg":"secret issued","action":"rotate","ttl":"8s"}`,
			"rotation: a successor, good for 8s", false,
			func(l *ledger) bool { return slices.Equal(l.grants, []grant{{at: time.Second, rotation: true}}) },
		},
		"a renewal": {
			`{"level":"info","msg":"lease renewed","ttl":"4s"}`,
			"renewal: good for another 4s", false,
			func(l *ledger) bool { return l.renewals == 1 },
		},
		"a file": {
			`{"level":"info","msg":"published","destination":"db.json"}`,
			"wrote db.json", false,
			func(l *ledger) bool { return l.published == 1 },
		},
		"a revocation": {
			`{"level":"info","msg":"replaced lease revoked","lease":"x"}`,
			"revoked what the successor replaced", false,
			func(l *ledger) bool { return l.revoked == 1 },
		},
		"a warning": {
			`{"level":"warn","msg":"request failed","error":"boom"}`,
			"request failed: boom", true,
			func(l *ledger) bool { return l.renewals == 0 },
		},
		"what is of no interest": {
			`{"level":"info","msg":"everything is rendered"}`, "", false,
			func(l *ledger) bool { return len(l.grants) == 0 },
		},
		"a last word that is no log": {
			`panic: oh no`, "panic: oh no", true,
			func(l *ledger) bool { return len(l.grants) == 0 },
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var l ledger
			words, bad := l.agent([]byte(test.line), time.Second)
			if words != test.words || bad != test.bad {
				t.Errorf("got %q, bad %v; want %q, bad %v", words, bad, test.words, test.bad)
			}
			if !test.check(&l) {
				t.Errorf("the ledger says %+v", l)
			}
		})
	}
}

func TestAppLogIsTakenDown(t *testing.T) {
	var l ledger
	for _, line := range []string{
		`{"msg":"started"}`,
		`{"msg":"signalled"}`,
		`{"msg":"connected","user":"v-1"}`,
		`{"msg":"query failed","error":"boom"}`,
		`{"msg":"stopped","queries":12,"failures":1}`,
	} {
		l.app([]byte(line))
	}
	if !l.started || l.signals != 1 || !slices.Equal(l.users, []string{"v-1"}) || l.failures != 1 {
		t.Errorf("the ledger says %+v", l)
	}
	if l.totals == nil || *l.totals != (totals{Queries: 12, Failures: 1}) {
		t.Errorf("the totals are %+v", l.totals)
	}
	if words, bad := l.app([]byte("app: no such flag")); !bad || words != "app: no such flag" {
		t.Errorf("got %q, bad %v for a line that is no log", words, bad)
	}
}

func TestRolesThatComeAndGoAreTold(t *testing.T) {
	var l ledger
	for _, look := range []struct{ names, words []string }{
		{nil, nil},
		{[]string{"v-1"}, []string{"has a new role, v-1"}},
		{[]string{"v-1"}, nil},
		{nil, []string{"no longer has the role v-1"}},
	} {
		if words := l.listed(look.names); !slices.Equal(words, look.words) {
			t.Errorf("for %q: got %q, want %q", look.names, words, look.words)
		}
	}
	if len(l.roles) != 1 {
		t.Errorf("%d roles were seen, want 1", len(l.roles))
	}
}

func TestALoginIsJudgedByTheLifeOfItsLease(t *testing.T) {
	var l ledger
	l.tried("v-1", "")
	if l.accepted != 1 || l.early != "" || l.refusal != "" {
		t.Errorf("after a login: %+v", l)
	}
	l.tried("v-1", "no")
	if l.early == "" || l.refusal != "" {
		t.Errorf("after a refusal too early: %+v", l)
	}
	l.revoked = 1
	if l.tried("v-1", "no"); l.refusal == "" {
		t.Errorf("after a refusal in time: %+v", l)
	}
}

func TestLinesFoldToTheScreen(t *testing.T) {
	tests := map[string]struct {
		line string
		want []string
	}{
		"a short line stays":               {"  short", []string{"  short"}},
		"a long one breaks behind a space": {"  one two three four", []string{"  one two", "    three", "    four"}},
		"or behind an at sign":             {"user@host.example", []string{"user@", "  host.examp", "  le"}},
		"or anywhere":                      {"──────────────", []string{"────────────", "  ──"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := fold(test.line, 12, 2); !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// Every other play failed: when its last renewal came late, the agent left the
// old credential to its own end, which it took to be over by then.
func TestTheOldCredentialIsRevokedBeforeItsEnd(t *testing.T) {
	policy := schedule.Policy{Overlap: 2 * time.Second}.WithDefaults() // that of agent.hcl
	const lag = 200 * time.Millisecond                                 // of a request, or of telling the app
	for seed := range uint64(1000) {
		f := schedule.Facts{Held: true, Leased: true, Renewable: true, TTL: defaultTTL, Full: defaultTTL, Seed: seed}
		action, at := policy.Next(f)
		for ; action == schedule.Renew; action, at = policy.Next(f) {
			left := maxTTL - at.Add(lag).Sub(f.Issued)
			f.Granted, f.TTL = at, min(defaultTTL, left.Truncate(time.Second)) // servers grant whole seconds
		}
		if revoked := at.Add(2 * lag).Add(policy.OverlapFor(defaultTTL)); !revoked.Before(f.Ends()) {
			t.Fatalf("seed %d: the successor comes after %s, and the old credential ends %s after its overlap",
				seed, at.Sub(f.Issued), f.Ends().Sub(revoked))
		}
	}
}

func TestTypedCommandsFitTheScreen(t *testing.T) {
	var out bytes.Buffer
	screen := newScreen(&out)
	for _, steps := range [][]step{guide("127.0.0.1:65535"), byHand("database/creds/app-readonly/abc123"), forTheAgent()} {
		for _, s := range steps {
			screen.remark(s.remark)
			screen.command(s.command)
		}
	}
	assertNarrow(t, out.String())
	for _, foreign := range []string{"postgres.prod.internal:5432/", "\x1b["} {
		if strings.Contains(out.String(), foreign) {
			t.Errorf("%q is on the screen", foreign)
		}
	}
}

func assertNarrow(t *testing.T, text string) {
	t.Helper()
	for line := range strings.Lines(text) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > width {
			t.Errorf("a line has %d columns: %s", n, line)
		}
	}
}

func TestMissingProgramsAreNamedBeforeAnythingStarts(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), []string{"-bin", t.TempDir()}, &stdout, &stderr); code != exitMissing {
		t.Errorf("exit code %d, want %d", code, exitMissing)
	}
	if !strings.Contains(stderr.String(), "run make build") {
		t.Errorf("stderr is %q", stderr.String())
	}
	assertEmpty(t, os.Getenv("TMPDIR"))
}

func TestAnInterruptedPlayLeavesNoFolder(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	bin := t.TempDir()
	for _, name := range []string{"securevault", "securevault-server"} {
		if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("interrupted"))
	var stdout, stderr bytes.Buffer
	if code := run(ctx, []string{"-bin", bin}, &stdout, &stderr); code != exitInterrupted {
		t.Errorf("exit code %d, want %d; stderr: %s", code, exitInterrupted, stderr.String())
	}
	assertEmpty(t, os.Getenv("TMPDIR"))
}

func assertEmpty(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		t.Errorf("%q is left", entry.Name())
	}
}

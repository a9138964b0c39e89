package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// finding is one line of the summary.
type finding struct {
	text    string // what was counted
	witness string // who says so
	missing string // what should have been seen and was not; "" if it was
}

// findings judges what is in the ledger, line by line.
func (l *ledger) findings() []finding {
	rotations, early := l.rotations()
	return []finding{
		{
			text:    fmt.Sprintf("credentials issued: %d", len(l.grants)),
			witness: fmt.Sprintf("agent; roles on PostgreSQL: %d", len(l.roles)),
			missing: l.missingIssue(),
		},
		{
			text:    fmt.Sprintf("renewals: %d", l.renewals),
			witness: "agent",
			missing: unless(l.renewals > 0, "no lease was renewed"),
		},
		{
			text:    fmt.Sprintf("rotations: %d", rotations),
			witness: "agent; " + earliness(rotations, early),
			missing: unless(rotations > 0, "no credential was replaced between its default TTL and its max TTL"),
		},
		{
			text:    fmt.Sprintf("signals: %d", l.signals),
			witness: fmt.Sprintf("app; users it was: %d", l.distinctUsers()),
			missing: l.missingSignal(),
		},
		{
			text:    "failed app queries: " + l.failed(),
			witness: "app; " + l.asked(),
			missing: l.missingQueries(),
		},
		{
			text:    "old credential refused: " + yes(l.accepted > 0 && l.refusal != ""),
			witness: fmt.Sprintf("PostgreSQL; accepted %d× before", l.accepted),
			missing: l.missingRefusal(),
		},
		{
			text:    "old admin password refused: " + yes(l.admin != ""),
			witness: "PostgreSQL, after rotate-root",
			missing: unless(l.admin != "", "PostgreSQL did not refuse the admin's initial password"),
		},
		{
			text:    "roles left on the database after shutdown: " + l.leftOver(),
			witness: "PostgreSQL",
			missing: l.missingShutdown(),
		},
	}
}

func (l *ledger) missingIssue() string {
	switch {
	case len(l.grants) < 2:
		return "fewer than two credentials were issued"
	case len(l.roles) != len(l.grants):
		return fmt.Sprintf("the agent got %d credentials, PostgreSQL saw %d roles", len(l.grants), len(l.roles))
	default:
		return ""
	}
}

func (l *ledger) missingSignal() string {
	switch {
	case l.signals == 0:
		return "the app got no signal"
	case l.signals < l.published:
		return fmt.Sprintf("the agent wrote %d files, the app got %d signals", l.published, l.signals)
	case l.distinctUsers() < 2:
		return "the app never moved to another user"
	default:
		return ""
	}
}

func (l *ledger) missingQueries() string {
	switch {
	case l.totals == nil:
		return "the app did not report its totals"
	case l.totals.Queries == 0:
		return "the app made no query"
	case max(l.totals.Failures, l.failures) > 0:
		return "queries of the app failed"
	default:
		return ""
	}
}

func (l *ledger) missingRefusal() string {
	switch {
	case l.accepted == 0:
		return "PostgreSQL never accepted the first credential"
	case l.early != "":
		return "PostgreSQL refused the old credential before its lease was revoked"
	case l.refusal == "":
		return "PostgreSQL did not refuse the old credential"
	default:
		return ""
	}
}

func (l *ledger) missingShutdown() string {
	switch {
	case l.left == nil:
		return "the roles were not counted after the shutdown"
	case *l.left > 0:
		return "roles were left on the database"
	default:
		return ""
	}
}

func (l *ledger) distinctUsers() int {
	return len(slices.Compact(slices.Sorted(slices.Values(l.users))))
}

func (l *ledger) failed() string {
	if l.totals == nil {
		return "unknown"
	}
	return fmt.Sprint(max(l.totals.Failures, l.failures))
}

func (l *ledger) asked() string {
	if l.totals == nil {
		return "it did not say"
	}
	return fmt.Sprintf("of %d", l.totals.Queries)
}

func (l *ledger) leftOver() string {
	if l.left == nil {
		return "unknown"
	}
	return fmt.Sprint(*l.left)
}

// earliness tells how long before the end of a credential its successor came.
func earliness(rotations int, early time.Duration) string {
	if rotations == 0 {
		return "none in time"
	}
	return fmt.Sprintf("%.1fs before the end", early.Seconds())
}

func yes(is bool) string {
	if is {
		return "yes"
	}
	return "no"
}

func unless(seen bool, missing string) string {
	if seen {
		return ""
	}
	return missing
}

// summary prints the findings and reports whether nothing is missing.
func (s *screen) summary(findings []finding) bool {
	const column = 46
	var missing []string
	for _, f := range findings {
		mark := s.paint(green, "✓")
		if f.missing != "" {
			mark = s.paint(red, "✗")
			missing = append(missing, f.missing)
		}
		gap := strings.Repeat(" ", max(column-utf8.RuneCountInString(f.text), 1))
		s.print("  " + mark + " " + f.text + gap + s.paint(faint, f.witness))
	}
	s.print("")
	if len(missing) == 0 {
		s.print(s.paint(bold, fmt.Sprintf("  All of it was seen, in %.1f s.", s.elapsed().Seconds())))
		return true
	}
	for _, what := range missing {
		s.print(s.paint(red, "  Missing: "+what+"."))
	}
	return false
}

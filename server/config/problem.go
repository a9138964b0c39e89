package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Position is a line of a configuration file.
type Position struct {
	File string
	Line int // counted from 1; 0 for the file as a whole
}

// String returns the position as "file:line".
func (p Position) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d", p.File, p.Line)
}

// Problem is one thing wrong with the configuration, and where.
type Problem struct {
	At      Position
	Message string
	Hint    string // what to do about it; may be empty
}

// String returns the problem as one line: "file:line: message; hint".
func (p Problem) String() string {
	text := p.Message
	if p.At.File != "" {
		text = p.At.String() + ": " + text
	}
	if p.Hint != "" {
		text += "; " + p.Hint
	}
	return text
}

// Error is a configuration that cannot be used. It holds at least one problem.
type Error struct {
	Problems []Problem
	Warnings []Problem // see [File]
}

// Error implements error, with one line for each problem and none for the
// warnings.
func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, problem := range e.Problems {
		lines[i] = problem.String()
	}
	return strings.Join(lines, "\n")
}

// report collects what is found in all steps.
type report struct {
	problems []Problem
	warnings []Problem
}

func (r *report) problem(at Position, hint, format string, args ...any) {
	r.problems = append(r.problems, Problem{At: at, Message: fmt.Sprintf(format, args...), Hint: hint})
}

func (r *report) warning(at Position, hint, format string, args ...any) {
	r.warnings = append(r.warnings, Problem{At: at, Message: fmt.Sprintf(format, args...), Hint: hint})
}

// err returns the problems in the order of their lines, nil if there are none.
func (r *report) err() error {
	sortByPosition(r.problems)
	sortByPosition(r.warnings)
	if len(r.problems) == 0 {
		return nil
	}
	return &Error{Problems: r.problems, Warnings: r.warnings}
}

func sortByPosition(problems []Problem) {
	slices.SortStableFunc(problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.At.File, b.At.File), cmp.Compare(a.At.Line, b.At.Line))
	})
}

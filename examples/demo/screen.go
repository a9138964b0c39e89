package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/term"
)

// width is the number of columns that nothing exceeds.
const width = 80

// colour is the code of a colour of the terminal.
type colour string

const (
	plain   colour = ""
	bold    colour = "1"
	faint   colour = "2"
	red     colour = "31"
	green   colour = "32"
	yellow  colour = "33"
	magenta colour = "35"
	cyan    colour = "36"
)

// witness is who says what happens, in a colour of its own.
type witness struct {
	name   string
	colour colour
}

// The witnesses, by their names on the screen.
func theAgent() witness    { return witness{"agent", cyan} }
func theApp() witness      { return witness{"app", green} }
func thePostgres() witness { return witness{"postgresql", magenta} }
func theServer() witness   { return witness{"server", yellow} }

// screen is where the audience looks. Its methods may be called concurrently.
type screen struct {
	start    time.Time
	coloured bool

	mu       sync.Mutex
	out      io.Writer
	sections int
	gapped   bool // the last line is empty
}

// newScreen starts the clock. There are colours only on a terminal, and only
// without NO_COLOR.
func newScreen(out io.Writer) *screen {
	file, ok := out.(*os.File)
	coloured := ok && term.IsTerminal(int(file.Fd())) && os.Getenv("NO_COLOR") == ""
	return &screen{start: time.Now(), coloured: coloured, out: out}
}

// elapsed returns the time on the clock.
func (s *screen) elapsed() time.Duration { return time.Since(s.start) }

func (s *screen) paint(c colour, text string) string {
	if !s.coloured || c == plain {
		return text
	}
	return "\x1b[" + string(c) + "m" + text + "\x1b[0m"
}

func (s *screen) print(lines ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, line := range lines {
		_, _ = fmt.Fprintln(s.out, line)
		s.gapped = line == ""
	}
}

// gap prints an empty line, unless the last one is.
func (s *screen) gap() {
	s.mu.Lock()
	gapped := s.gapped
	s.mu.Unlock()
	if !gapped {
		s.print("")
	}
}

// section opens the next act.
func (s *screen) section(title string) {
	s.sections++
	head := fmt.Sprintf("── %d. %s ", s.sections, title)
	rule := strings.Repeat("─", width-utf8.RuneCountInString(head))
	s.gap()
	s.print(s.paint(bold, head)+s.paint(faint, rule), "")
}

// event prints in ink what happened just now, and who says so.
func (s *screen) event(who witness, text string, ink colour) {
	const nameWidth = 12
	stamp := fmt.Sprintf("%6.1fs  ", s.elapsed().Seconds())
	margin := s.paint(faint, stamp) + s.paint(who.colour, fmt.Sprintf("%-*s", nameWidth, who.name))
	lines := fold(text, width-len(stamp)-nameWidth, 0)
	for i, line := range lines {
		lines[i] = margin + s.paint(ink, line)
		margin = strings.Repeat(" ", len(stamp)+nameWidth)
	}
	s.print(lines...)
}

// remark explains in a few words what comes next.
func (s *screen) remark(text string) {
	for _, line := range fold(text, width-4, 0) {
		s.print(s.paint(faint, "  # "+line))
	}
}

// command prints a command as it is typed.
func (s *screen) command(text string) {
	prompt := s.paint(faint, "  $ ")
	for line := range strings.Lines(text) {
		for _, part := range fold(strings.TrimRight(line, "\n"), width-4, 2) {
			s.print(prompt + s.paint(bold, part))
			prompt = "    "
		}
	}
}

// output prints what a command answered.
func (s *screen) output(text string) {
	for line := range strings.Lines(strings.TrimRight(text, "\n")) {
		s.print(strings.TrimRight("  "+line, "\n "))
	}
	s.gap()
}

// fold breaks a line that is too long for the screen, behind a space or an "@"
// if there is one. What follows is indented like the line, and by hang more.
func fold(line string, columns, hang int) []string {
	indent := strings.Repeat(" ", len(line)-len(strings.TrimLeft(line, " "))+hang)
	var folded []string
	for utf8.RuneCountInString(line) > columns {
		end := byteOffset(line, columns)
		if i := strings.LastIndexAny(line[:end], " @"); i >= len(indent) {
			end = i + 1
		}
		folded = append(folded, strings.TrimRight(line[:end], " "))
		line = indent + strings.TrimLeft(line[end:], " ")
	}
	return append(folded, line)
}

// byteOffset returns where the rune with the given index starts.
func byteOffset(text string, index int) int {
	for offset := range text {
		if index == 0 {
			return offset
		}
		index--
	}
	return len(text)
}

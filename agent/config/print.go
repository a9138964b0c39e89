package config

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// printer writes a tree as HCL2.
type printer struct {
	strings.Builder
	comments map[string][]comment // file → what of its comments is not written yet
}

// body writes the entries of a block, whose closing brace is at the end.
func (p *printer) body(entries body, indent string, end Position) {
	width := 0 // of the keys in a run of attributes
	for i, e := range entries {
		if i > 0 && (isBlock(e) || isBlock(entries[i-1])) {
			p.WriteByte('\n')
		}
		if i == 0 || isBlock(entries[i-1]) {
			width = keyWidth(entries[i:])
		}
		beside := p.lead(e.at, indent)
		p.WriteString(indent)
		if isBlock(e) {
			p.block(e, indent, beside)
			continue
		}
		written := expression(e.value)
		if beside != "" && strings.HasPrefix(written, "<<") { // the end of a heredoc stands alone
			p.WriteString(strings.TrimSpace(beside) + "\n" + indent)
			beside = ""
		}
		fmt.Fprintf(p, "%-*s = %s%s\n", width, e.key, written, beside)
	}
	if end.Line > 0 {
		p.lead(Position{end.File, end.Line - 1}, indent)
	}
}

func (p *printer) block(e entry, indent, beside string) {
	p.WriteString(e.key)
	for _, label := range e.labels {
		p.WriteString(" " + quote(label))
	}
	if len(e.value.body) == 0 && e.value.end <= e.at.Line {
		p.WriteString(" {}" + beside + "\n")
		return
	}
	p.WriteString(" {" + beside + "\n")
	p.body(e.value.body, indent+"  ", Position{e.at.File, e.value.end})
	p.WriteString(indent + "}\n")
}

// lead writes the comments before a line of the source. It returns the one at
// the end of the line.
func (p *printer) lead(at Position, indent string) (beside string) {
	left := p.comments[at.File]
	for len(left) > 0 && left[0].line <= at.Line {
		c := left[0]
		left = left[1:]
		if c.line == at.Line && c.beside && beside == "" {
			beside = " " + c.text
			continue
		}
		p.WriteString(indent + c.text + "\n")
	}
	p.comments[at.File] = left
	return beside
}

// isBlock reports whether an entry is written with braces and no equals sign.
func isBlock(e entry) bool {
	if e.value.kind != object {
		return false
	}
	for _, child := range e.value.body {
		if !isWord(child.key) {
			return false
		}
	}
	return true
}

var word = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]*$`)

func isWord(s string) bool { return word.MatchString(s) }

// isVariable reports whether a text may name an environment variable.
func isVariable(s string) bool { return isWord(s) && !strings.Contains(s, "-") }

func keyWidth(entries body) int {
	width := 0
	for _, e := range entries {
		if isBlock(e) {
			break
		}
		width = max(width, len(e.key))
	}
	return width
}

// expression returns a value as HCL2. A text of several lines is a heredoc,
// where that is the same.
func expression(v value) string {
	switch v.kind {
	case text:
		if strings.Contains(v.scalar, "\n") {
			if heredoc, ok := heredoc(v.scalar); ok {
				return heredoc
			}
		}
		return quote(v.scalar)
	case list:
		items := make([]string, len(v.items))
		for i, item := range v.items {
			items[i] = quote(item.scalar)
		}
		return "[" + strings.Join(items, ", ") + "]"
	case object:
		items := make([]string, len(v.body))
		for i, e := range v.body {
			items[i] = quote(e.key) + " = " + quote(e.value.scalar)
		}
		return "{ " + strings.Join(items, ", ") + " }"
	default:
		return v.scalar
	}
}

func heredoc(s string) (string, bool) {
	const marker = "EOT"
	if !strings.HasSuffix(s, "\n") {
		return "", false
	}
	for line := range strings.Lines(s) {
		if strings.TrimSpace(line) == marker || strings.ContainsFunc(strings.TrimSuffix(line, "\n"), needsEscape) {
			return "", false
		}
	}
	return "<<" + marker + "\n" + s + marker, true
}

func needsEscape(r rune) bool {
	return r != '\t' && !unicode.IsPrint(r) || r == utf8.RuneError
}

// quote returns a text between quotes. What looks like an interpolation stays
// as it is where nothing in it needs an escape.
func quote(s string) string {
	var out strings.Builder
	out.WriteByte('"')
	for i, r := range s {
		switch {
		case r == '"' || r == '\\':
			out.WriteRune('\\')
			out.WriteRune(r)
		case r == '\n':
			out.WriteString(`\n`)
		case r == '\t':
			out.WriteString(`\t`)
		case r == '\r':
			out.WriteString(`\r`)
		case r == '$' && strings.HasPrefix(s[i:], "${") && !plainInterpolation(s[i:]):
			out.WriteString(`\u0024`)
		case needsEscape(r) && r > 0xffff:
			fmt.Fprintf(&out, `\U%08x`, r)
		case needsEscape(r):
			fmt.Fprintf(&out, `\u%04x`, r)
		default:
			out.WriteRune(r)
		}
	}
	out.WriteByte('"')
	return out.String()
}

func plainInterpolation(s string) bool {
	end := closingBrace([]byte(s))
	return end > 0 && !strings.ContainsFunc(s[:end], func(r rune) bool {
		return r == '"' || r == '\\' || r == '\t' || needsEscape(r)
	})
}

package config

import (
	"bytes"
	"regexp"
)

// maxNesting bounds brackets and chained operators: the parser recurses on
// both, and a stack that overflows cannot be recovered from.
const maxNesting = 100

// partSize is about how much of a large file is parsed at a time, in bytes.
const partSize = 64 << 10

var heredocStart = regexp.MustCompile(`^<<-?([\pL_][\pL\pN_-]*)\r?\n`)

// literal returns source with every `${` and `%{` inside strings and heredocs
// escaped, so that HCL2 takes them as the text they are: nothing is ever
// interpolated. Line numbers stay the same. cuts are the places in it at which
// it falls into parts of about partSize, each of whole stanzas. tooDeep is the
// line on which the nesting exceeds its bound, 0 if it never does.
func literal(source []byte) (escaped []byte, cuts []int, tooDeep int) {
	s := &escaper{source: source, escaped: make([]byte, 0, len(source)+len(source)/16)}
	for s.at < len(source) && s.depth+s.operators <= maxNesting {
		s.token()
	}
	if s.at < len(source) {
		return nil, nil, 1 + bytes.Count(source[:s.at], []byte("\n"))
	}
	if !bytes.HasSuffix(s.escaped, []byte("\n")) {
		s.escaped = append(s.escaped, '\n') // HCL2 wants one after the end of a heredoc
	}
	return s.escaped, s.cuts, 0
}

// escaper walks over the source and knows just enough of the syntax to tell
// strings, heredocs and comments from the rest.
type escaper struct {
	source    []byte
	at        int
	escaped   []byte
	cuts      []int
	lastCut   int // in escaped
	depth     int // of open brackets
	operators int // since the last value began
}

func (s *escaper) rest() []byte { return s.source[s.at:] }

// take copies n bytes, or as many as there are.
func (s *escaper) take(n int) {
	end := min(s.at+n, len(s.source))
	s.escaped = append(s.escaped, s.source[s.at:end]...)
	s.at = end
}

func (s *escaper) takeThrough(end string) {
	if i := bytes.Index(s.rest(), []byte(end)); i >= 0 {
		s.take(i + len(end))
		return
	}
	s.take(len(s.rest()))
}

func (s *escaper) token() {
	rest := s.rest()
	switch {
	case rest[0] == '"':
		s.quoted()
	case rest[0] == '#', bytes.HasPrefix(rest, []byte("//")):
		s.takeThrough("\n")
	case bytes.HasPrefix(rest, []byte("/*")):
		s.takeThrough("*/")
	case bytes.HasPrefix(rest, []byte("<<")):
		s.heredoc()
	default:
		s.count(rest[0])
		s.take(1)
		s.cut(rest[0])
	}
}

// cut notes a place to cut at, after a line that ends outside of all brackets.
func (s *escaper) cut(last byte) {
	if last == '\n' && s.depth == 0 && len(s.escaped)-s.lastCut >= partSize {
		s.lastCut = len(s.escaped)
		s.cuts = append(s.cuts, s.lastCut)
	}
}

func (s *escaper) count(c byte) {
	switch c {
	case '{', '[', '(':
		s.depth++
	case '}', ']', ')':
		s.depth--
	case '-', '!', '?':
		s.operators++
	case '=', ',':
		s.operators = 0
	}
}

// quoted copies a string. It stops at the end of the line, which HCL2 then
// complains about.
func (s *escaper) quoted() {
	s.take(1)
	for s.at < len(s.source) {
		rest := s.rest()
		switch {
		case rest[0] == '"':
			s.take(1)
			return
		case rest[0] == '\n':
			return
		case rest[0] == '\\':
			s.take(2)
		case bytes.HasPrefix(rest, []byte("${")):
			s.interpolation()
		default:
			s.character()
		}
	}
}

// interpolation copies `${…}` with all that is inside taken literally, quotes
// and backslashes too. Without a closing brace it is but two characters.
func (s *escaper) interpolation() {
	end := closingBrace(s.rest())
	s.character()
	for ; end > 2; end-- {
		if c := s.source[s.at]; c == '"' || c == '\\' {
			s.escaped = append(s.escaped, '\\')
			s.take(1)
		} else {
			s.character()
		}
	}
}

// closingBrace returns the index of the brace that closes the one in
// "${…}", 0 if there is none on the line.
func closingBrace(text []byte) int {
	depth := 0
	for i, c := range text {
		switch c {
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				return i
			}
		case '\n':
			return 0
		}
	}
	return 0
}

func (s *escaper) heredoc() {
	start := heredocStart.FindSubmatch(s.rest())
	if start == nil {
		s.take(2)
		return
	}
	marker := start[1]
	s.take(len(start[0]))
	for s.at < len(s.source) {
		length := bytes.IndexByte(s.rest(), '\n') + 1
		if length == 0 {
			length = len(s.rest())
		}
		line := s.rest()[:length]
		if bytes.Equal(bytes.TrimSpace(line), marker) {
			s.take(length)
			return
		}
		for end := s.at + length; s.at < end; {
			s.character()
		}
	}
}

// character copies one byte, and escapes it where it starts a template
// sequence of HCL2, of which it then copies two.
func (s *escaper) character() {
	rest := s.rest()
	if len(rest) > 1 && rest[1] == '{' && (rest[0] == '$' || rest[0] == '%') {
		s.escaped = append(s.escaped, rest[0])
		s.take(2)
		return
	}
	s.take(1)
}

package oracle

import (
	"errors"
	"regexp"
	"strings"
	"unicode/utf8"
)

var errOpenQuote = errors.New("a quote or comment does not end: close it")

// split takes a text of several statements apart, for Oracle runs one at a time.
// A semicolon ends a statement, except in quotes, comments and PL/SQL; it is not
// part of plain SQL, but of a block. A line with nothing but a slash ends any
// statement, and is the only end of stored code (CREATE FUNCTION and its like),
// as in SQL*Plus. Statements that are nothing but comments are left out.
func split(text string) ([]string, error) {
	s := splitter{text: text}
	for s.at < len(text) {
		if err := s.step(); err != nil {
			return nil, err
		}
	}
	s.cut(s.at)
	return s.statements, nil
}

// How a statement ends.
type ending int

const (
	bySemicolon ending = iota
	byEnd              // an anonymous block: at the semicolon after its last END
	bySlash            // stored code
)

// splitter is on its way through a text.
type splitter struct {
	text       string
	start, at  int // of the statement at hand, of what is next
	statements []string

	words  []string // the first of the statement, as many as tell how it ends
	any    bool     // the statement is not only comments
	before string   // the word before, if nothing but blanks came since
	depth  int      // BEGIN, IF, LOOP and CASE without their END
	inner  int      // subprograms declared in the block and not yet ended
	closed bool     // the last END has come
}

var (
	blank       = regexp.MustCompile(`^(?:[\s\v\x{85}\pZ]+|--[^\n]*|/\*(?s:.*?)\*/)`)
	quotePrefix = regexp.MustCompile(`^(?i:n|n?q)'`)
	quotation   = regexp.MustCompile(`^(?:'[^']*'|"[^"]*")`)
	plainWord   = regexp.MustCompile(`^[\pL_][\pL\pN_$#]*`)
	number      = regexp.MustCompile(`^\pN[\pL\pN_$#]*`)
	slashLine   = regexp.MustCompile(`^/[ \t\r]*(?:\n|$)`)
	storedCode  = regexp.MustCompile(`^CREATE (?:OR REPLACE )?(?:(?:NON)?EDITIONABLE )?(?:FUNCTION|PROCEDURE|PACKAGE|TRIGGER|TYPE|JAVA|AND) `)
)

// firstWords is how many words it takes to recognize stored code.
const firstWords = 5

// step goes past one element of the text.
func (s *splitter) step() error {
	rest := s.text[s.at:]
	if size := len(blank.FindString(rest)); size > 0 {
		s.at += size
		return nil
	}
	if slashLine.MatchString(rest) && s.atLineStart() {
		s.cut(s.at)
		s.at += len(slashLine.FindString(rest))
		s.start = s.at
		return nil
	}
	if word := plainWord.FindString(rest); word != "" && !quotePrefix.MatchString(rest) {
		s.at += len(word)
		s.word(strings.ToUpper(word))
		return nil
	}
	size, err := elementSize(rest)
	if err != nil {
		return err
	}
	if rest[0] == ';' {
		s.semicolon()
		return nil
	}
	s.at += size
	s.any, s.before = true, ""
	return nil
}

// atLineStart tells whether only blanks stand before on the line.
func (s *splitter) atLineStart() bool {
	line := s.text[strings.LastIndexByte(s.text[:s.at], '\n')+1 : s.at]
	return strings.Trim(line, " \t") == ""
}

// elementSize returns the size in bytes of the quotation, number or sign at the
// beginning of a text.
func elementSize(text string) (int, error) {
	prefix := quotePrefix.FindString(text)
	switch {
	case strings.ContainsAny(prefix, "qQ"):
		return alternativeSize(len(prefix), text[len(prefix):])
	case prefix != "":
		return len(prefix) - 1, nil // N'…': the quotation comes next
	case strings.HasPrefix(text, "/*"):
		return 0, errOpenQuote
	case text[0] == '\'' || text[0] == '"':
		if size := len(quotation.FindString(text)); size > 0 {
			return size, nil
		}
		return 0, errOpenQuote
	}
	return max(1, len(number.FindString(text))), nil
}

// alternativeSize returns the size of q'[…]' with any delimiters, of which the
// first size bytes are not in text any more.
func alternativeSize(size int, text string) (int, error) {
	_, head := utf8.DecodeRuneInString(text)
	end := text[:head]
	if i := strings.Index("[{(<", end); i >= 0 && end != "" {
		end = "]})>"[i : i+1]
	}
	inside := strings.Index(text[head:], end+"'")
	if head == 0 || inside < 0 {
		return 0, errOpenQuote
	}
	return size + head + inside + len(end) + 1, nil
}

// word takes note of a word.
func (s *splitter) word(word string) {
	if len(s.words) < firstWords {
		s.words = append(s.words, word)
	}
	after := s.before
	s.any, s.before = true, word
	if s.ending() != byEnd {
		return
	}
	switch word {
	case "BEGIN", "IF", "LOOP", "CASE":
		if after != "END" {
			s.depth++
		}
	case "PROCEDURE", "FUNCTION":
		if s.depth == 0 {
			s.inner++
		}
	case "END":
		s.depth--
		if s.depth > 0 {
			return
		}
		s.closed = s.inner == 0
		s.inner = max(0, s.inner-1)
	}
}

// ending tells how the statement at hand ends.
func (s *splitter) ending() ending {
	if len(s.words) == 0 {
		return bySemicolon
	}
	switch {
	case s.words[0] == "BEGIN", s.words[0] == "DECLARE":
		return byEnd
	case storedCode.MatchString(strings.Join(s.words, " ") + " "):
		return bySlash
	}
	return bySemicolon
}

// semicolon ends the statement, if this one does.
func (s *splitter) semicolon() {
	end := s.at
	s.at++
	s.before = ""
	switch s.ending() {
	case bySlash:
		return
	case byEnd:
		if !s.closed {
			return
		}
		end = s.at
	}
	s.cut(end)
	s.start = s.at
}

// cut ends the statement before a place in the text.
func (s *splitter) cut(end int) {
	if s.any {
		s.statements = append(s.statements, strings.TrimSpace(s.text[s.start:end]))
	}
	*s = splitter{text: s.text, start: s.start, at: s.at, statements: s.statements}
}

package mssqlstandin

import (
	"strings"
	"unicode"
)

// part of speech of a word of T-SQL.
type speech int

const (
	speechEnd      speech = iota
	speechWord            // SELECT, or a name without brackets
	speechName            // [a name]
	speechText            // 'text' or N'text'
	speechNumber          // 42
	speechVariable        // @p1, @@SPID
	speechSymbol          // ( ) , ; = <> + - * . ::
)

// word is a word of T-SQL.
type word struct {
	speech speech
	text   string
}

// scanner cuts a text into words.
type scanner struct {
	rest []rune
}

// symbols of two characters come before those that begin them.
var symbols = []string{"::", "<>", "!=", "(", ")", ",", ";", "=", "<", ">", "+", "-", "*", "/", "."}

// scan returns the words of a text, the last of which is speechEnd.
func scan(text string) ([]word, error) {
	s := scanner{[]rune(text)}
	var words []word
	for {
		if err := s.skip(); err != nil {
			return nil, err
		}
		next, err := s.next()
		if err != nil {
			return nil, err
		}
		words = append(words, next)
		if next.speech == speechEnd {
			return words, nil
		}
	}
}

// starts reports whether a text is next.
func (s *scanner) starts(text string) bool {
	return len(s.rest) >= len(text) && string(s.rest[:len(text)]) == text
}

// skip passes over blanks and comments.
func (s *scanner) skip() error {
	for len(s.rest) > 0 {
		switch {
		case unicode.IsSpace(s.rest[0]):
			s.rest = s.rest[1:]
		case s.starts("--"):
			_ = s.take(func(char rune) bool { return char != '\n' })
		case s.starts("/*"):
			if err := s.skipComment(); err != nil {
				return err
			}
		default:
			return nil
		}
	}
	return nil
}

// skipComment passes over a comment, and those within it.
func (s *scanner) skipComment() error {
	for depth := 0; len(s.rest) > 0; {
		switch {
		case s.starts("/*"):
			depth++
			s.rest = s.rest[2:]
		case s.starts("*/"):
			s.rest = s.rest[2:]
			if depth--; depth == 0 {
				return nil
			}
		default:
			s.rest = s.rest[1:]
		}
	}
	return refuse(113, "Missing end comment mark '*/'.")
}

func (s *scanner) take(while func(rune) bool) string {
	n := 0
	for n < len(s.rest) && while(s.rest[n]) {
		n++
	}
	taken := string(s.rest[:n])
	s.rest = s.rest[n:]
	return taken
}

func (s *scanner) next() (word, error) {
	switch {
	case len(s.rest) == 0:
		return word{}, nil
	case s.starts("N'"), s.starts("n'"):
		s.rest = s.rest[1:]
		return s.quoted('\'', speechText)
	case s.rest[0] == '\'':
		return s.quoted('\'', speechText)
	case s.rest[0] == '"':
		return s.quoted('"', speechName)
	case s.rest[0] == '[':
		return s.quoted(']', speechName)
	case unicode.IsDigit(s.rest[0]):
		return word{speechNumber, s.take(unicode.IsDigit)}, nil
	case s.rest[0] == '@':
		return word{speechVariable, strings.ToLower(s.take(isWord))}, nil
	case isWord(s.rest[0]):
		return word{speechWord, s.take(isWord)}, nil
	}
	for _, symbol := range symbols {
		if s.starts(symbol) {
			s.rest = s.rest[len(symbol):]
			return word{speechSymbol, symbol}, nil
		}
	}
	return word{}, refuse(102, "Incorrect syntax near '%c'.", s.rest[0])
}

func isWord(char rune) bool {
	return unicode.IsLetter(char) || unicode.IsDigit(char) || strings.ContainsRune("_@#$", char)
}

// quoted reads up to a mark, which is doubled where it is meant.
func (s *scanner) quoted(mark rune, as speech) (word, error) {
	var text strings.Builder
	for i := 1; i < len(s.rest); i++ {
		switch {
		case s.rest[i] != mark:
			text.WriteRune(s.rest[i])
		case i+1 < len(s.rest) && s.rest[i+1] == mark:
			text.WriteRune(mark)
			i++
		default:
			s.rest = s.rest[i+1:]
			return word{as, text.String()}, nil
		}
	}
	return word{}, refuse(105, "Unclosed quotation mark after the character string '%s'.", text.String())
}

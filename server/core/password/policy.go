// Package password owns password policies: the text an operator writes at
// sys/policies/password/NAME, and the passwords that follow from it.
//
//	length = 20
//	rule "charset" {
//	  charset   = "abcdefghijklmnopqrstuvwxyz"
//	  min-chars = 1
//	}
//
// A password draws from the union of all charsets and holds at least min-chars
// characters of each. Start reading at Parse, then Policy.Generate.
package password

import (
	"fmt"
	"slices"
	"unicode"
)

// Bounds of a policy's length, in characters.
const (
	MinLength = 4
	MaxLength = 100
)

// maxCharset bounds the characters of one charset: an index into a charset, or
// into the union of several, is then cheap to draw, and a policy stays small.
const maxCharset = 256

// Policy says what a generated password looks like. It satisfies
// logical.PasswordPolicy of the plugin SDK.
type Policy struct {
	Length int // in characters
	Rules  []Rule
}

// Rule asks for characters of one charset.
type Rule struct {
	Charset  string // the characters to choose from; doubled ones count once
	MinChars int    // how many of them a password holds at least
}

// Default is the policy of those who name none: 20 characters with an
// upper-case letter, a lower-case letter, a digit and a dash. None of them
// means anything to a shell, a URL or an SQL literal.
func Default() Policy {
	return Policy{Length: 20, Rules: []Rule{
		{Charset: "abcdefghijklmnopqrstuvwxyz", MinChars: 1},
		{Charset: "ABCDEFGHIJKLMNOPQRSTUVWXYZ", MinChars: 1},
		{Charset: "0123456789", MinChars: 1},
		{Charset: "-", MinChars: 1},
	}}
}

// Validate returns an error that names the field when the policy contradicts
// itself or exceeds a bound.
func (p Policy) Validate() error {
	if p.Length < MinLength || p.Length > MaxLength {
		return fmt.Errorf("length is %d: set it to a number from %d to %d", p.Length, MinLength, MaxLength)
	}
	if len(p.Rules) == 0 {
		return fmt.Errorf(`rule is missing: add at least one rule "charset" { charset = "…" }`)
	}
	needed := 0
	for i, rule := range p.Rules {
		if err := rule.validate(); err != nil {
			return fmt.Errorf("rule %d: %w", i+1, err)
		}
		needed += rule.MinChars
	}
	if needed > p.Length {
		return fmt.Errorf("min-chars of all rules add up to %d, more than length = %d: lower them or raise length", needed, p.Length)
	}
	return nil
}

func (r Rule) validate() error {
	if r.Charset == "" {
		return fmt.Errorf("charset is missing: list the characters to choose from")
	}
	size := 0
	for _, char := range r.Charset {
		if !unicode.IsPrint(char) || char == unicode.ReplacementChar {
			return fmt.Errorf("charset holds the unprintable character %U: remove it", char)
		}
		size++
	}
	if size > maxCharset {
		return fmt.Errorf("charset holds %d characters: use at most %d", size, maxCharset)
	}
	// The upper bound keeps the sum over all rules from overflowing.
	if r.MinChars < 0 || r.MinChars > MaxLength {
		return fmt.Errorf("min-chars is %d: set it to a number from 0 to %d", r.MinChars, MaxLength)
	}
	return nil
}

// distinct returns the characters of text in order, each once: a doubled
// character must not be twice as likely.
func distinct(text string) []rune {
	chars := []rune(text)
	slices.Sort(chars)
	return slices.Compact(chars)
}

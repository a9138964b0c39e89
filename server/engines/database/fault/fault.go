// Package fault classifies what goes wrong at a database, so that the engine can
// answer honestly whatever the system: refused for good, later, or no such user.
//
// A plugin returns an *Error for everything it knows how to explain. Its text is
// meant for the client: it carries a hint and no secret. The driver's error is
// flattened into the text on purpose, because drivers keep connection
// configurations with passwords inside theirs.
package fault

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// Class says what a client may expect of asking again.
type Class int

const (
	// Unknown is the class of every error that is no *Error.
	Unknown Class = iota
	// Refused means that the same request will be refused again: a statement,
	// a privilege or a setting has to change first.
	Refused
	// Later means that the database cannot be reached, is busy, or does not let
	// the engine in: the request itself may be fine.
	Later
	// NoUser means that the user no longer exists on the database.
	NoUser
	// Left is Later for a creation that may have left its user behind.
	Left
)

// Error is an explained failure.
type Error struct {
	Class Class
	text  string
}

// New returns an error of the class. The formatted text must hold no secret;
// pass text of foreign origin through Scrub first.
func New(class Class, format string, args ...any) *Error {
	return &Error{Class: class, text: fmt.Sprintf(format, args...)}
}

func (e *Error) Error() string { return e.text }

// ClassOf returns the class of the first *Error in err's chain.
func ClassOf(err error) Class {
	var explained *Error
	if errors.As(err, &explained) {
		return explained.Class
	}
	return Unknown
}

const (
	redacted = "**redacted**"
	// shortest is the length in bytes of the shortest secret that is cut out of
	// a text. Cutting out a shorter one would spell it by the holes it leaves.
	shortest = 4
)

// Scrub returns text without the secrets, whether plain, quoted by Go or escaped for
// a URL. A quoted word that is part of a secret goes as well: a database that trips
// over a password quotes the piece it choked on. Line breaks become semicolons. A
// text that holds a very short secret is withheld whole.
func Scrub(text string, secrets ...string) string {
	text = oneLine(text)
	for _, secret := range secrets {
		plain := oneLine(secret)
		if plain == "" {
			continue
		}
		if len(plain) < shortest && strings.Contains(text, plain) {
			return redacted + " (the message is withheld: it may cite a very short password)"
		}
		for _, form := range append(escaped(secret), plain) {
			text = strings.ReplaceAll(text, form, redacted)
		}
		words := strings.Split(text, `"`)
		for i := 1; i < len(words); i += 2 {
			if words[i] != "" && strings.Contains(plain, words[i]) {
				words[i] = redacted
			}
		}
		text = strings.Join(words, `"`)
	}
	return text
}

// escaped returns what a secret looks like in Go's quotes, and in the parts of a URL.
func escaped(secret string) []string {
	quoted := strconv.Quote(secret)
	return []string{
		quoted[1 : len(quoted)-1], url.QueryEscape(secret), url.PathEscape(secret),
		url.UserPassword("", secret).String()[1:],
	}
}

// oneLine makes one line of several, of a key in PEM just as of a message.
func oneLine(text string) string {
	return strings.Join(strings.FieldsFunc(text, func(char rune) bool { return char == '\n' || char == '\t' }), "; ")
}

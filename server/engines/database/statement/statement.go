// Package statement fills the {{placeholders}} of an operator's statements.
//
// The statements are trusted, the values are not: a role's name or a token's
// display name ends up in a username, and databases offer no parameters for
// CREATE ROLE and its like. Escaping would have to know which kind of quotes
// surrounds a placeholder, or that it sits in a function body within quotes
// within quotes. So nothing is escaped: a value that could leave any kind of
// quotes is refused.
package statement

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/novatech/securevault/server/engines/database/fault"
)

var (
	// placeholder also finds what other template languages write, such as {{.Name}}
	// and {{name | lower}}: left alone, it would become the name of a user whom nobody
	// ever ends. Literals of arrays and JSON are none.
	placeholder = regexp.MustCompile(`\{\{\s*([.$]?[A-Za-z][^{}",']*?)\s*\}\}`)
	// dollarQuote is what begins and ends PostgreSQL's bodies, $$ or $tag$.
	dollarQuote = regexp.MustCompile(`\$[\w\x{80}-\x{10FFFF}]*\$`)
)

// Join makes one text of a list of statements. Each ends on a line of its own,
// so that a comment at the end of one cannot swallow the next.
func Join(statements []string) string {
	return strings.Join(statements, "\n;\n")
}

// Render fills in the values, by placeholder name, in one pass: a value is never
// searched for placeholders. Unknown placeholders and values that could break
// out of their quotes are errors; these name the placeholder, never the value.
func Render(text string, values map[string]string) (string, error) {
	var failed error
	rendered := placeholder.ReplaceAllStringFunc(text, func(found string) string {
		name := placeholder.FindStringSubmatch(found)[1]
		value, known := values[name]
		switch {
		case failed != nil:
		case !known:
			failed = fmt.Errorf("unknown placeholder {{%s}}: use %s", name, list(values))
		default:
			failed = harmless(name, value)
		}
		return value
	})
	if failed != nil {
		return "", failed
	}
	bodies := dollarQuote.FindAllString(text, -1)
	if len(bodies) > 0 && !slices.Equal(dollarQuote.FindAllString(rendered, -1), bodies) {
		return "", errors.New("a value holds dollar signs that could end a $tag$ body: take them out of the password policy or the name")
	}
	return rendered, nil
}

// DollarQuotes tells whether a text holds what begins or ends a body: $$ or $tag$.
func DollarQuotes(text string) bool { return dollarQuote.MatchString(text) }

// harmless refuses what can end a string, an identifier or a line.
func harmless(name, value string) error {
	for _, char := range value {
		if strings.ContainsRune("'\"`\\", char) || unicode.IsControl(char) {
			return fmt.Errorf("{{%s}} holds the character %q, which could end the quotes around it: take it out of the password policy or the name", name, char)
		}
	}
	return nil
}

// Uses tells whether rendered statements hold a word, in whatever case: databases
// fold what is not in quotes.
func Uses(rendered []string, word string) bool {
	return strings.Contains(strings.ToUpper(strings.Join(rendered, "\n")), strings.ToUpper(word))
}

// CheckNamed refuses creation statements, rendered, that do not use the name of the
// user: nobody would ever end what they make.
func CheckNamed(rendered []string, name string) error {
	if Uses(rendered, name) {
		return nil
	}
	return fault.New(fault.Refused, "creation_statements does not use {{name}}, so that whatever it makes would never be ended: write the name of the user as {{name}}")
}

func list(values map[string]string) string {
	names := slices.Sorted(maps.Keys(values))
	for i, name := range names {
		names[i] = "{{" + name + "}}"
	}
	return strings.Join(names, ", ")
}

package fault

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestScrubRemovesASecretInEveryForm(t *testing.T) {
	const secret = "p@ss w/rd-1"
	cases := map[string]struct{ text, want string }{
		"plain":                    {"password p@ss w/rd-1 is wrong", "password **redacted** is wrong"},
		"escaped for a query":      {"url p%40ss+w%2Frd-1", "url **redacted**"},
		"escaped for a path":       {"url p@ss%20w%2Frd-1", "url **redacted**"},
		"a piece in quotes":        {`syntax error at or near "ss w"`, `syntax error at or near "**redacted**"`},
		"other quoted words":       {`relation "orders" does not exist`, `relation "orders" does not exist`},
		"line breaks":              {"first\n\tsecond", "first; second"},
		"nothing between quotes":   {`column "" missing`, `column "" missing`},
		"an unclosed quote at end": {`near "`, `near "`},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			if got := Scrub(test.text, "", secret); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestAVeryShortSecretIsNotSpeltByTheHolesItLeaves(t *testing.T) {
	if got := Scrub("connecting to database mydb", "b"); strings.Contains(got, "data") {
		t.Errorf("got %q, want the message withheld", got)
	}
	if got := Scrub("nothing of it here", "q"); got != "nothing of it here" {
		t.Errorf("got %q, want it unchanged", got)
	}
}

func TestClassOfFindsTheClassThroughWrapping(t *testing.T) {
	wrapped := fmt.Errorf("renewing: %w", New(NoUser, "user %q is gone", "v-app"))
	if got := ClassOf(wrapped); got != NoUser {
		t.Errorf("got class %d, want NoUser", got)
	}
	if got := ClassOf(errors.New("driver")); got != Unknown {
		t.Errorf("a foreign error has class %d, want Unknown", got)
	}
}

package statement

import (
	"strings"
	"testing"
)

func TestRenderFillsInEveryPlaceholder(t *testing.T) {
	values := map[string]string{"name": "v-app-1", "password": "{{name}}$", "expiration": "infinity", "tag": "$tag$", "verifier": "SCRAM-SHA-256$4096:c2E=$c3Q=:c2s="}
	cases := map[string]struct{ text, want string }{
		"names and passwords":       {`CREATE ROLE "{{name}}" PASSWORD '{{password}}'`, `CREATE ROLE "v-app-1" PASSWORD '{{name}}$'`},
		"spaces inside the braces":  {`{{ name }} {{name}}`, `v-app-1 v-app-1`},
		"array literals":            {`SELECT '{{1,2},{3,4}}'::int[]`, `SELECT '{{1,2},{3,4}}'::int[]`},
		"an array of one list":      {`SELECT '{{a,b}}'::text[], '{{"a"}}'`, `SELECT '{{a,b}}'::text[], '{{"a"}}'`},
		"JSON":                      {`{"a": {"b": {"c": 1}}}`, `{"a": {"b": {"c": 1}}}`},
		"a tag where no body is":    {`SELECT '{{tag}}'`, `SELECT '$tag$'`},
		"dollars that are no tag":   {`DO $$ BEGIN END $$; SELECT '{{verifier}}'`, `DO $$ BEGIN END $$; SELECT 'SCRAM-SHA-256$4096:c2E=$c3Q=:c2s='`},
		"bodies without the dollar": {`DO $$ BEGIN '{{name}}' END $$`, `DO $$ BEGIN 'v-app-1' END $$`},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := Render(test.text, values)
			if err != nil || got != test.want {
				t.Errorf("got %q and error %v, want %q", got, err, test.want)
			}
		})
	}
}

func TestRenderRefusesWhatCouldBreakOut(t *testing.T) {
	cases := map[string]struct{ text, value, want string }{
		"an unknown placeholder":    {`DROP ROLE "{{nmae}}"`, "v", "unknown placeholder {{nmae}}: use {{name}}"},
		"a placeholder with blanks": {`{{name or else}}`, "v", "unknown placeholder {{name or else}}"},
		"another language's field":  {`CREATE ROLE "{{.Name}}"`, "v", "unknown placeholder {{.Name}}: use {{name}}"},
		"another one's variable":    {`CREATE ROLE "{{ $name }}"`, "v", "unknown placeholder {{$name}}"},
		"a filter":                  {`CREATE ROLE "{{name | lower}}"`, "v", "unknown placeholder {{name | lower}}"},
		"a single quote":            {`'{{name}}'`, "a'b", `'\''`},
		"a double quote":            {`"{{name}}"`, `x"; DROP TABLE t; --`, `'"'`},
		"a backtick":                {"`{{name}}`", "a`b", "'`'"},
		"a backslash":               {`'{{name}}'`, `a\`, `'\\'`},
		"a line break":              {`-- {{name}}`, "a\nb", `'\n'`},
		"a NUL":                     {`'{{name}}'`, "a\x00", `'\x00'`},
		"the end of a $tag$ body":   {`DO $body$ '{{name}}' $body$`, "a$body$b", "$tag$ body"},
		"half of an end":            {`DO $body$ {{name}}body$`, "a$", "$tag$ body"},
		"another half":              {`DO $$ {{name}}$ $$`, "a$", "$tag$ body"},
		"a tag in another script":   {`DO $tür$ '{{name}}' $tür$`, "$tür$", "$tag$ body"},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := Render(test.text, map[string]string{"name": test.value})
			if err == nil {
				t.Fatalf("rendered as %q", got)
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %q does not say %q", err, test.want)
			}
			if len(test.value) > 3 && strings.Contains(err.Error(), test.value) {
				t.Errorf("error %q gives the value away", err)
			}
		})
	}
}

func TestStatementsThatDoNotNameTheUserAreRefused(t *testing.T) {
	for text, named := range map[string]bool{
		`CREATE USER "v-app" PASSWORD 'x'`: true,
		`CREATE USER V-APP`:                true,
		`CREATE USER app PASSWORD 'x'`:     false,
		"":                                 false,
	} {
		if err := CheckNamed([]string{"SET ROLE admin", text}, "v-app"); (err == nil) != named {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func FuzzRender(f *testing.F) {
	f.Add(`CREATE ROLE "{{name}}" PASSWORD '{{ password }}'`, "v-app")
	f.Add(`DO $x$ {{name}} $x$`, "a$b")
	f.Add(`{{{{name}}}}`, "{{name}}")
	f.Fuzz(func(t *testing.T, text, value string) {
		rendered, err := Render(text, map[string]string{"name": value})
		if err != nil {
			if rendered != "" {
				t.Errorf("an error came with the text %q", rendered)
			}
			return
		}
		// Breaking out takes one more quote than the operator wrote.
		for _, quote := range []string{"'", `"`, "`", `\`} {
			if strings.Count(rendered, quote) != strings.Count(text, quote) {
				t.Errorf("rendering %q with %q changed the number of %s", text, value, quote)
			}
		}
	})
}

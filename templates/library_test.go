package templates

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	original "github.com/hashicorp/consul-template/template"
)

// calls are what is compared with consul-template: actions with two strings
// and a number put in.
func calls() []string {
	out := []string{
		`sprig_indent %[3]d %[1]q`, `sprig_nindent %[3]d %[1]q`, `sprig_repeat %[3]d %[1]q`, `sprig_upper %[1]q | sprig_quote`,
		`sprig_until %[3]d`, `sprig_untilStep 2 %[3]d 3`, `sprig_seq %[3]d`, `sprig_seq 9 %[3]d`, `sprig_seq 5 -2 %[3]d`, `sprig_seq`,
		`indent %[3]d %[1]q`, `split %[1]q %[2]q | join %[1]q`, `splitToMap %[1]q "=" %[2]q`, `replaceAll %[1]q "x" %[2]q`,
		`trim %[1]q %[2]q`, `trimPrefix %[1]q %[2]q`, `trimSuffix %[1]q %[2]q`, `regexMatch %[1]q %[2]q`,
		`regexReplaceAll %[1]q "<$1>" %[2]q`, `hmacSHA256Hex %[1]q %[2]q`, `in %[1]q %[2]q`, `contains %[1]q %[2]q`,
		`in (split "," %[1]q) %[2]q`, `in (parseJSON %[1]q) (parseJSON %[2]q)`, `parseJSON %[1]q | in %[3]d`,
		`containsAll (parseJSON %[1]q) (parseJSON %[2]q)`, `containsAny (parseJSON %[1]q) (parseJSON %[2]q)`,
		`containsNone (parseJSON %[1]q) (parseJSON %[2]q)`, `containsNotAll (parseJSON %[1]q) (parseJSON %[2]q)`,
		`explodeMap (parseJSON %[1]q) | toJSON`, `mergeMap (parseJSON %[1]q) (parseJSON %[2]q) | toJSON`,
		`mergeMapWithOverride (parseJSON %[1]q) (parseJSON %[2]q) | toJSON`,
		`print %[1]q %[3]d %[2]q`, `printf %[1]q %[2]q %[3]d`, `println %[1]q`, `html %[1]q`, `js %[1]q`, `urlquery %[1]q`,
		`scratch.Set %[1]q %[2]q }}{{ scratch.SetX %[1]q 1 }}{{ scratch.Key %[2]q }}{{ scratch.Get %[1]q`,
		`scratch.MapSet %[1]q %[2]q 1 }}{{ scratch.MapSetX %[1]q "b" 2 }}{{ scratch.MapSetX %[1]q "b" 3 }}{{ scratch.MapValues %[1]q`,
		`scratch.Set %[1]q 1 }}{{ scratch.MapSet %[1]q "k" 2`, `scratch.MapValues %[1]q`,
		`define "t" }}<{{ . }}>{{ end }}{{ executeTemplate "t" %[1]q }}{{ executeTemplate "t"`,
		`executeTemplate (print "u" %[1]q)`, `spew_sdump %[1]q %[3]d`, `spew_sprintf "%v %#v" %[1]q %[2]q`,
		`timestamp %[1]q | len`, `timestamp "2006-01-02"`, `timestamp "a" "b"`, `sockaddr "GetAllInterfaces" %[1]q`,
	}
	for _, name := range []string{
		"base64Decode", "base64Encode", "base64URLDecode", "base64URLEncode", "md5sum", "sha256Hex", "toLower", "toTitle",
		"toUpper", "trimSpace", "parseBool", "parseFloat", "parseInt", "parseUint",
	} {
		out = append(out, name+` %[1]q`)
	}
	for _, decode := range []string{"", " | parseJSON", " | parseYAML", " | parseFloat", " | split \",\""} {
		for _, encode := range []string{"toJSON", "toJSONPretty", "toUnescapedJSON", "toUnescapedJSONPretty", "toYAML", "toTOML"} {
			out = append(out, `%[1]q`+decode+` | `+encode)
		}
	}
	numbers := []string{`%[3]d`, `(parseInt %[1]q)`, `(parseUint %[2]q)`, `(parseFloat %[1]q)`, `%[1]q`, `nil`}
	for _, name := range []string{"add", "subtract", "multiply", "divide", "modulo", "minimum", "maximum"} {
		for _, a := range numbers {
			for _, b := range numbers[:5] {
				out = append(out, fmt.Sprintf("%s %s %s | printf `%%v %%[1]T`", name, a, b))
			}
		}
	}
	return out
}

func TestFunctionsDoWhatConsulTemplateDoes(t *testing.T) {
	texts := []string{
		"", "a", " Ab c ", "a,b=c,,d=e=f", "-3", "7", "2.5", "true", "x\n\ny\n", "é<&>\"'\u2028", "YWI_", "YWI=", "(a)", "(", "null",
		`[1,"a",null,2.5,true]`, `{"a":1,"b":{"c":[1]}}`, `{"b":{"d":2},"a/b":3,"a//c":4,"/":5}`, `{"a":null,"a/b":1}`, "a: [1, yes]\nb: 0o7", "%s %d",
	}
	for _, call := range calls() {
		seen := map[string]bool{} // many a call leaves out some of its arguments
		for i, a := range texts {
			for _, b := range []string{texts[(i+1)%len(texts)], "a"} {
				for _, n := range []int{-2, 0, 3} {
					text := "{{ " + fill(call, a, b, n) + " }}"
					if !seen[text] {
						seen[text] = true
						same(t, text)
					}
				}
			}
		}
	}
}

func FuzzFunctionsDoWhatConsulTemplateDoes(f *testing.F) {
	for i := range calls() {
		f.Add(i, "a", "b,a", 3)
		f.Add(i, `{"a":"1"}`, `["x", 2]`, -1)
	}
	f.Fuzz(func(t *testing.T, i int, a, b string, n int) {
		all := calls()
		if i < 0 || i >= len(all) || n > 1000 || n < -1000 || strings.Contains(all[i], "printf %[1]q") {
			return
		}
		same(t, "{{ "+fill(all[i], a, b, n)+" }}")
	})
}

// fill puts the arguments into a call, which may leave some of them out.
func fill(call, a, b string, n int) string {
	return strings.NewReplacer("%[1]q", strconv.Quote(a), "%[2]q", strconv.Quote(b), "%[3]d", strconv.Itoa(n)).Replace(call)
}

// same compares the outputs of a text, or that both have an error.
func same(t *testing.T, text string) {
	t.Helper()
	theirs, theirErr := withOriginal(text)
	var ours string
	made, ourErr := New(Config{Contents: text})
	if ourErr == nil {
		var result Result
		result, ourErr = made.Render(store{}.lookup)
		ours = string(result.Output)
	}
	if (theirErr == nil) != (ourErr == nil) || (theirErr == nil && ours != theirs) {
		t.Errorf("%s\n ours:   %q, %v\n theirs: %q, %v", text, ours, ourErr, theirs, theirErr)
	}
}

func withOriginal(text string) (output string, err error) {
	made, err := original.NewTemplate(&original.NewTemplateInput{Contents: text})
	if err != nil {
		return "", err
	}
	result, err := made.Execute(&original.ExecuteInput{Brain: original.NewBrain()})
	if err != nil {
		return "", err
	}
	return string(result.Output), nil
}

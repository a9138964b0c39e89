package password

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
)

const guidePolicy = `
length = 20
rule "charset" {
  charset   = "abcdefghijklmnopqrstuvwxyz"
  min-chars = 2
}
rule "charset" {
  charset   = "0123456789"
  min-chars = 3
}
rule "charset" { charset = "-_" }
`

func TestAPolicyIsReadFromHCLAndJSONAlike(t *testing.T) {
	texts := map[string]string{
		"HCL":             guidePolicy,
		"JSON with lists": `{"length": 20, "rule": [{"charset": [{"charset": "abcdefghijklmnopqrstuvwxyz", "min-chars": 2}]}, {"charset": [{"charset": "0123456789", "min-chars": 3}]}, {"charset": {"charset": "-_"}}]}`,
		"JSON with one label": `{"length": 20, "rule": {"charset": [{"charset": "abcdefghijklmnopqrstuvwxyz", "min-chars": 2},
			{"charset": "0123456789", "min-chars": 3}, {"charset": "-_"}]}}`,
	}
	for name, text := range texts {
		t.Run(name, func(t *testing.T) {
			policy, err := Parse(text)
			if err != nil {
				t.Fatal(err)
			}
			want := []Rule{{"abcdefghijklmnopqrstuvwxyz", 2}, {"0123456789", 3}, {"-_", 0}}
			if policy.Length != 20 || len(policy.Rules) != len(want) {
				t.Fatalf("got %+v, want length 20 and %+v", policy, want)
			}
			for i, rule := range policy.Rules {
				if rule != want[i] {
					t.Errorf("rule %d is %+v, want %+v", i, rule, want[i])
				}
			}
		})
	}
}

func TestAWrongPolicyIsRefusedWithTheFieldsName(t *testing.T) {
	cases := map[string]struct{ text, want string }{
		"nothing at all":               {``, "length is 0"},
		"too short":                    {`length = 3`, "length is 3"},
		"too long":                     {`length = 101`, "length is 101"},
		"length in quotes":             {`length = "20"`, "length is no whole number"},
		"broken length in JSON":        {`{"length": 20.5}`, "length is no whole number"},
		"two lengths":                  {"length = 20\nlength = 30", `"length" at 2:1 was already set`},
		"length as a list":             {"length = [20]", `"length" is a list`},
		"length beyond 64 bits":        {"length = 9999999999999999999", "out of range"},
		"block and value of one name":  {"rule \"charset\" {}\nrule = 3", "line 2"},
		"no rule":                      {`length = 20`, "rule is missing"},
		"unknown field":                {"length = 20\nlenght = 20", `unknown field "lenght"`},
		"unknown rule":                 {`length = 20 rule "words" {}`, `unknown field "words"`},
		"unknown field of a rule":      {`length = 20 rule "charset" { charset = "abc" max-chars = 1 }`, `unknown field "max-chars"`},
		"charset missing":              {"length = 20\nrule \"charset\" {\n min-chars = 1\n}", "charset is missing"},
		"charset empty":                {"length = 20\nrule \"charset\" {\n charset = \"\"\n}", "charset is missing"},
		"charset a number":             {"length = 20\nrule \"charset\" {\n charset = 5\n}", "charset is missing or no text"},
		"charset with a control char":  {"length = 20\nrule \"charset\" {\n charset = \"a\\u0007\"\n}", "U+0007"},
		"charset far too large":        {"length = 20\nrule \"charset\" {\n charset = \"" + strings.Repeat("a", 257) + "\"\n}", "257 characters"},
		"negative min-chars":           {"length = 20\nrule \"charset\" {\n charset = \"a\"\n min-chars = -1\n}", "min-chars is -1"},
		"min-chars beyond the length":  {"length = 5\nrule \"charset\" {\n charset = \"a\"\n min-chars = 6\n}", "add up to 6"},
		"rule is text":                 {`{"length": 20, "rule": "charset"}`, "rule is no block"},
		"rule holds a list of numbers": {`{"length": 20, "rule": [1]}`, "rule is no block"},
		"no HCL":                       {`length 20`, "parsing HCL"},
		"no JSON":                      {`{"length": }`, "parsing JSON"},
		"far too much text":            {strings.Repeat(" ", maxText+1), "at most 65536"},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			policy, err := Parse(test.text)
			if err == nil {
				t.Fatalf("accepted as %+v", policy)
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %q does not say %q", err, test.want)
			}
		})
	}
}

func TestGeneratedPasswordsFollowTheirPolicy(t *testing.T) {
	tight := Policy{Length: 100, Rules: []Rule{{"ab", 50}, {"01", 50}}}
	parsed, err := Parse(guidePolicy)
	if err != nil {
		t.Fatal(err)
	}
	for name, policy := range map[string]Policy{"default": Default(), "parsed": parsed, "tight": tight} {
		t.Run(name, func(t *testing.T) {
			for range 200 {
				password, err := policy.Generate(t.Context(), nil)
				if err != nil {
					t.Fatal(err)
				}
				checkPolicy(t, policy, password)
			}
		})
	}
}

func checkPolicy(t *testing.T, policy Policy, password string) {
	t.Helper()
	if got := len([]rune(password)); got != policy.Length {
		t.Errorf("a password has %d characters, want %d", got, policy.Length)
	}
	var union string
	for _, rule := range policy.Rules {
		union += rule.Charset
		count := 0
		for _, char := range password {
			if strings.ContainsRune(rule.Charset, char) {
				count++
			}
		}
		if count < rule.MinChars {
			t.Errorf("a password has %d characters of %q, want at least %d", count, rule.Charset, rule.MinChars)
		}
	}
	if strings.Trim(password, union) != "" {
		t.Error("a password holds a character of no charset")
	}
}

func TestEveryCharacterIsEquallyLikelyEvenIfWrittenTwice(t *testing.T) {
	policy := Policy{Length: 100, Rules: []Rule{{Charset: "aaab"}, {Charset: "bc"}}}
	counts := map[rune]int{}
	for range 300 {
		password, err := policy.Generate(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, char := range password {
			counts[char]++
		}
	}
	// 30,000 draws over three characters: the standard deviation is 82, so 600
	// is more than seven of them.
	for _, char := range "abc" {
		if counts[char] < 9400 || counts[char] > 10600 {
			t.Errorf("%q was drawn %d times of 30000, want about 10000", char, counts[char])
		}
	}
}

func TestARollRejectsTheIncompleteMultiple(t *testing.T) {
	// 65,536 is 1 more than a multiple of 3: only the value 65,535 is drawn again.
	dice := dice{ctx: t.Context(), reader: bytes.NewReader([]byte{0xff, 0xff, 0x00, 0x05})}
	if got := dice.roll(3); got != 2 || dice.err != nil {
		t.Errorf("rolled %d with error %v, want 5 mod 3", got, dice.err)
	}
}

func TestGenerateFailsRatherThanReturnAWeakPassword(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if got, err := Default().Generate(ended, nil); got != "" || !errors.Is(err, context.Canceled) {
		t.Errorf("with an ended context: %q, %v", got, err)
	}
	if got, err := Default().Generate(t.Context(), strings.NewReader("short")); got != "" || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("with a reader that ends: %q, %v", got, err)
	}
	if got, err := (Policy{Length: 20}).Generate(t.Context(), nil); got != "" || err == nil {
		t.Errorf("with an invalid policy: %q, %v", got, err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(guidePolicy)
	f.Add(`{"length": 20, "rule": {"charset": [{"charset": "ab", "min-chars": 2}]}}`)
	f.Add(`length = 20 rule "charset" { charset = "é€" }`)
	f.Add(`length = 9999999999999999999`)
	f.Fuzz(func(t *testing.T, text string) {
		policy, err := Parse(text)
		if err != nil {
			return
		}
		password, err := policy.Generate(t.Context(), nil)
		if err != nil {
			t.Fatalf("accepted policy %+v generates nothing: %v", policy, err)
		}
		checkPolicy(t, policy, password)
	})
}

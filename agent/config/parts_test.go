package config

import (
	"fmt"
	"strings"
	"testing"
)

// many returns a configuration that is parsed in several parts, and the line
// that follows it.
func many(t *testing.T) (content string, next int) {
	t.Helper()
	var b strings.Builder
	b.WriteString("pid_file = \"a.pid\"\n")
	for i := range 3000 {
		fmt.Fprintf(&b, "template { # }\n  contents = <<E\n{{ \"${%d}\" }} {\nE\n  destination = \"out/%d\"\n  perms = 0640\n}\n", i, i)
	}
	content = b.String()
	if _, cuts, _ := literal([]byte(content)); len(cuts) < 3 {
		t.Fatalf("%d bytes are cut %d times", len(content), len(cuts))
	}
	return content, strings.Count(content, "\n") + 1
}

func TestALargeFileIsReadInPartsAsInOnePiece(t *testing.T) {
	content, _ := many(t)
	r := &report{}
	tree, ok := parseHCL2("agent.hcl", []byte(content), r)
	if !ok || len(r.problems) > 0 || len(tree) != 3001 {
		t.Fatalf("%d entries, %v", len(tree), r.problems)
	}
	for i, e := range tree[1:] {
		body := e.value.body
		want := fmt.Sprintf("{{ \"${%d}\" }} {\n", i)
		if e.at.Line != 2+7*i || body[0].value.scalar != want || body[1].value.scalar != fmt.Sprintf("out/%d", i) || body[2].value.scalar != "0640" {
			t.Fatalf("template %d on line %d: %+v", i, e.at.Line, body)
		}
	}
}

func TestMistakesInALargeFileAreFoundWhereTheyAre(t *testing.T) {
	content, next := many(t)
	tests := map[string]struct{ last, want string }{
		"a key that another part has":  {`pid_file = "b.pid"`, fmt.Sprintf("agent.hcl:%d: attribute redefined", next)},
		"a block that is not closed":   {"vault {\n", "agent.hcl:%d: "},
		"a brace too many":             {"}", fmt.Sprintf("agent.hcl:%d: ", next)},
		"a value that is no value":     {"pid = x", fmt.Sprintf("agent.hcl:%d: a word without quotes", next)},
		"a string that does not close": {`log_level = "x`, fmt.Sprintf("agent.hcl:%d: ", next)},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			parts := &report{}
			parseHCL2("agent.hcl", []byte(content+test.last), parts)
			if len(parts.problems) != 1 {
				t.Fatalf("%d problems: %v", len(parts.problems), parts.problems)
			}
			want := strings.ReplaceAll(test.want, "%d", fmt.Sprint(next))
			if got := parts.problems[0].String(); !strings.HasPrefix(got, want) {
				t.Errorf("got %q, want %q…", got, want)
			}
		})
	}
}

package templates

import (
	"strings"
	"testing"
	"text/template"
)

// TestCountingChangesNoOutput renders loops and defined templates with every
// way to begin a body, and compares with text/template on the text as it is.
func TestCountingChangesNoOutput(t *testing.T) {
	gaps := []string{"", " ", "\n\t", " x "}
	heads := []string{`a {{ range loop 2 }}`, `a {{- range loop 2 -}}`, `{{ define "t" }}`, `{{ define "t" -}}`}
	firsts := []string{``, `{{ "v" }}`, `{{- "v" -}}`, `{{/* c */}}`, `{{- /* {{ */ -}}`, `{{ range loop 1 }}{{ else }}{{ end }}`, `{{- if true }} y {{ end }}`}
	tails := []string{`{{ end }}`, `{{- end }} z`}
	const call = ` {{ template "t" }} {{- template "t" }}`
	for _, head := range heads {
		for _, gap := range gaps {
			for _, first := range firsts {
				for _, tail := range tails {
					text := head + gap + first + gap + tail
					if strings.Contains(head, "define") {
						text = gap + text + call
					}
					compare(t, text)
				}
			}
		}
	}
}

func compare(t *testing.T, text string) {
	t.Helper()
	var want strings.Builder
	plain := template.Must(template.New("").Funcs(template.FuncMap{"loop": loop}).Parse(text))
	if err := plain.Execute(&want, nil); err != nil {
		t.Fatal(err)
	}
	made, err := New(Config{Contents: text})
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	if counted := made.body.(*script).text; !strings.Contains(counted, stepFunction) && !strings.Contains(counted, enterFunction) {
		t.Errorf("%q counts nothing", counted)
	}
	if got, err := made.Render(store{}.lookup); err != nil || string(got.Output) != want.String() {
		t.Errorf("%q gave %q, %v; want %q", text, got.Output, err, want.String())
	}
}

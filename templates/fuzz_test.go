package templates

import (
	"regexp"
	"strings"
	"testing"

	"github.com/novatech/securevault/internal/vault"
)

var unbounded = regexp.MustCompile(`sprig_[^f]|printf|spew|indent|base64Encode|toUpper|split`)

// FuzzTemplate evaluates any text: it ends without a panic, and an error holds
// no secret. Functions that take memory at will, or encode a secret, are out of
// its scope.
func FuzzTemplate(f *testing.F) {
	for _, seed := range []string{
		"",
		"{{",
		"{{ end }}",
		`{{ with secret "a" }}{{ .Data.password }}{{ end }}`,
		`{{ with secret "a" }}{{ sprig_fail .Data.password }}{{ end }}`,
		`{{ range $k, $v := (secret "a" "k=v").Data }}{{- $k }}={{ $v | parseInt -}}{{ end }}`,
		`{{ range secrets "a/" }}  {{- /* c */ -}} {{ . }}{{ else }}x{{ end }}`,
		`{{ define "t" }}{{ template "t" }}{{ end }}{{ block "u" . }}{{ executeTemplate "t" }}{{ end }}`,
		`{{ define "" }}x{{ end }}`,
		`{{ range loop 3 }}{{ break }}{{ end }}{{ range 3 }}{{ end }}`,
		`{{ index (secret "a?version=1").Data "password" 1 }}{{ scratch.Set "a" 1 }}`,
		"{{- range loop 2 -}}\n{{- end -}}\n{{ timestamp | len }}",
	} {
		f.Add(seed)
	}
	const password = "correct horse battery staple"
	answer := &vault.Secret{LeaseID: "a/1", Data: map[string]any{"password": password, "keys": []any{"k"}}}
	sandbox := f.TempDir()
	f.Fuzz(func(t *testing.T, text string) {
		if unbounded.MatchString(text) {
			return
		}
		made, err := New(Config{Contents: text, Sandbox: sandbox})
		if err != nil {
			return
		}
		pending, err := made.Render(func(vault.Want) (*vault.Secret, bool) { return nil, false })
		if err == nil && len(pending.Pending) > 0 && pending.Output != nil {
			t.Errorf("an output while %v is pending", pending.Pending)
		}
		got, err := made.Render(func(vault.Want) (*vault.Secret, bool) { return answer, true })
		if len(got.Pending) > 0 {
			t.Errorf("pending %v although everything is there", got.Pending)
		}
		if err != nil && strings.Contains(err.Error(), password) && !strings.Contains(text, password) {
			t.Errorf("the error holds the secret: %v", err)
		}
		if len(got.Output) > MaxOutput {
			t.Errorf("an output of %d bytes", len(got.Output))
		}
	})
}

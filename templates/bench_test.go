package templates

import (
	"fmt"
	"testing"

	"github.com/novatech/securevault/internal/vault"
)

// BenchmarkRender makes 1,000 templates with 1,000 different secrets and
// renders each twice: once while its secret is pending, and once with it.
func BenchmarkRender(b *testing.B) {
	for name, action := range map[string]string{
		"own functions":     `{{ .Data.username }}:{{ .Data.password }}`,
		"library functions": `{{ .Data.username | toUpper }}:{{ .Data.password | toJSON }}`,
	} {
		b.Run(name, func(b *testing.B) {
			answer := &vault.Secret{Data: map[string]any{"username": "v-app-1", "password": "hunter2"}}
			b.ReportAllocs()
			for b.Loop() {
				for i := range 1000 {
					renderTwice(b, Config{Contents: fmt.Sprintf(`{{ with secret "database/creds/app-%d" }}%s{{ end }}`, i, action)}, answer)
				}
			}
		})
	}
}

func renderTwice(b *testing.B, cfg Config, answer *vault.Secret) {
	b.Helper()
	made, err := New(cfg)
	if err != nil {
		b.Fatal(err)
	}
	if got, err := made.Render(func(vault.Want) (*vault.Secret, bool) { return nil, false }); err != nil || len(got.Pending) != 1 {
		b.Fatalf("pending %v, %v", got.Pending, err)
	}
	if got, err := made.Render(func(vault.Want) (*vault.Secret, bool) { return answer, true }); err != nil || len(got.Output) == 0 {
		b.Fatalf("output %q, %v", got.Output, err)
	}
}

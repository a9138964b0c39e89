package vault

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestRedactHidesWhatATextRepeats(t *testing.T) {
	secret := &Secret{Data: map[string]any{
		"password": "correct horse", "pin": json.Number("4711"), "short": "abc", "in": map[string]any{"a": []any{"deep-value"}},
	}, Auth: &Auth{Token: "hvs.token"}}
	tests := []struct{ text, want string }{
		{"nothing of it", "nothing of it"},
		{"", ""},
		{"it is correct horse!", "it is **redacted**!"},
		{"a part: rect hor", "a part: **redacted**"},
		{"too little: t hor.", "too little: t hor."},
		{"pin 4711, 47, 147119", "pin **redacted**, 47, 1**redacted**9"},
		{"abc is too short to hide", "abc is too short to hide"},
		{"deep-value and hvs.token", "**redacted** and **redacted**"},
		{"correct horsecorrect horse correct horse", "**redacted** **redacted**"},
	}
	for _, test := range tests {
		if got := Redact(test.text, slices.Values([]*Secret{secret})); got != test.want {
			t.Errorf("%q becomes %q, want %q", test.text, got, test.want)
		}
	}
}

// BenchmarkRedact hides ten thousand secrets in the longest text that a hook
// leaves.
func BenchmarkRedact(b *testing.B) {
	var secrets []*Secret
	for i := range 10_000 {
		secrets = append(secrets, &Secret{Data: map[string]any{"username": fmt.Sprintf("v-app-%d", i), "password": strings.Repeat(fmt.Sprint(i), 8)}})
	}
	text := strings.Repeat("no such file or directory: v-app-77\n", 4096/36)
	for b.Loop() {
		Redact(text, slices.Values(secrets))
	}
}

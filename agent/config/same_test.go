package config

import "testing"

func TestSameLooksAtWhatIsSaidNotWhere(t *testing.T) {
	base := parsed(t, job+"vault {\n address = \"https://a:8200\"\n}\n")
	tests := []struct {
		name, text string
		want       bool
	}{
		{"other lines", "\n\n" + job + "\nvault {\n\n address = \"https://a:8200\"\n}\n", true},
		{"another value", job + "vault {\n address = \"https://b:8200\"\n}\n", false},
		{"one more key", job + "vault {\n address = \"https://a:8200\"\n namespace = \"n\"\n}\n", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := Same(base.Vault, parsed(t, test.text).Vault); got != test.want {
				t.Errorf("same = %v, want %v", got, test.want)
			}
		})
	}
	if Same(base.AutoAuth, &AutoAuth{}) || !Same(base.AutoAuth, (*AutoAuth)(nil)) || Same(base.Vault, base.Lease) {
		t.Error("a missing stanza, or one of another type, is not told apart")
	}
}

func parsed(t *testing.T, text string) *File {
	t.Helper()
	file, err := parseText([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return file
}

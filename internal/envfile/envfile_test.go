package envfile

import "testing"

func TestLine(t *testing.T) {
	tests := map[string]struct{ value, want string }{
		"a plain value":         {"v-app", "NAME=\"v-app\"\n"},
		"nothing":               {"", "NAME=\"\"\n"},
		"what a shell replaces": {"$HOME `id` \\", "NAME=\"\\$HOME \\`id\\` \\\\\"\n"},
		"quotes":                {`"'`, "NAME=\"\\\"'\"\n"},
		"several lines":         {"a\n\tb\n", "NAME=\"a\n\tb\n\"\n"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got, err := Line("NAME", test.value); err != nil || got != test.want {
				t.Errorf("got %q, %v; want %q", got, err, test.want)
			}
		})
	}
}

func TestWhatSystemdDoesNotReadIsRefused(t *testing.T) {
	for _, value := range []string{"\xff", "a\x00b", "\ufeffa", "\ufdd0", "\uffff", "\U0010fffe"} {
		if got, err := Line("NAME", value); err == nil {
			t.Errorf("%q became %q", value, got)
		}
	}
}

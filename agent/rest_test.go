package agent

import "testing"

func TestParseMapping(t *testing.T) {
	tests := []struct {
		name, line string
		text       bool
	}{
		{"code", "00400000-00bb5000 r-xp 00000000 fe:00 1234   /bin/securevault\n", true},
		{"constants", "00bb5000-0157c000 r--p 007b5000 fe:00 1234   /bin/securevault\n", true},
		{"data", "0157c000-015a0000 rw-p 0117c000 fe:00 1234   /bin/securevault\n", false},
		{"another file", "7f0000000000-7f0000001000 r-xp 00000000 fe:00 99   /lib/libc.so\n", false},
		{"the heap", "c000000000-c000400000 rw-p 00000000 00:00 0\n", false},
		{"a line of numbers", "Private_Dirty:         0 kB\n", false},
		{"an empty range", "00400000-00400000 r-xp 00000000 fe:00 1234   /bin/securevault\n", false},
		{"nonsense", "zz-yy r-xp 0 0 0 /bin/securevault\n", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m, ok := parseMapping(test.line)
			if got := ok && m.isText("/bin/securevault"); got != test.text {
				t.Errorf("is text = %v, want %v (%+v)", got, test.text, m)
			}
		})
	}
	if m, _ := parseMapping(tests[0].line); m.start != 0x400000 || m.length != 0x7b5000 {
		t.Errorf("mapping = %x + %x, want 400000 + 7b5000", m.start, m.length)
	}
}

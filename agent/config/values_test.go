package config

import (
	"io/fs"
	"testing"
	"time"
)

func TestParseDuration(t *testing.T) {
	tests := []struct {
		text string
		want time.Duration
		ok   bool
	}{
		{"5m", 5 * time.Minute, true},
		{"1h30m", 90 * time.Minute, true},
		{"300", 5 * time.Minute, true},
		{"0", 0, true},
		{"7d", 7 * 24 * time.Hour, true},
		{"250ms", 250 * time.Millisecond, true},
		{"9223372036", 9223372036 * time.Second, true},
		{"9223372037", 0, false},
		{"106752d", 0, false},
		{"-1s", 0, false},
		{"-1", 0, false},
		{"1.5", 0, false},
		{"1d12h", 0, false},
		{"d", 0, false},
		{"5 m", 0, false},
		{"", 0, false},
	}
	for _, test := range tests {
		got, err := ParseDuration(test.text)
		if time.Duration(got) != test.want || (err == nil) != test.ok {
			t.Errorf("%q: got %s and %v, want %s", test.text, got, err, test.want)
		}
	}
}

func TestParseMode(t *testing.T) {
	tests := []struct {
		text string
		want fs.FileMode // 0 for an error
	}{
		{"0640", 0o640},
		{"640", 0o640},
		{"7", 0o007},
		{"4755", 0o755 | fs.ModeSetuid},
		{"2750", 0o750 | fs.ModeSetgid},
		{"1777", 0o777 | fs.ModeSticky},
		{"07777", 0o777 | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky},
		{"10000", 0},
		{"0", 0},
		{"0o640", 0},
		{"648", 0},
		{"-640", 0},
		{"+640", 0},
		{"6_40", 0},
		{"rw-r-----", 0},
		{"", 0},
	}
	for _, test := range tests {
		got, err := ParseMode(test.text)
		if got.FileMode() != test.want || (err == nil) != (test.want != 0) {
			t.Errorf("%q: got %s and %v, want %s", test.text, got.FileMode(), err, test.want)
		}
	}
}

func TestRetryLimit(t *testing.T) {
	for given, want := range map[int]int{-1: 0, 0: 12, 3: 3} {
		if got := (Retry{NumRetries: given}).Limit(); got != want {
			t.Errorf("num_retries = %d allows %d retries, want %d", given, got, want)
		}
	}
}

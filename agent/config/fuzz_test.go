package config

import (
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
)

// FuzzLoad checks that any file, in any of the syntaxes, gives either a
// configuration, which then converts to one that loads to the same, or problems
// that say where and what.
func FuzzLoad(f *testing.F) {
	for _, seed := range []string{
		whole, job, injected, "", "# x", "{}", "a {", "a = \"${", "a = <<E\n${\nE", "vault { retry { num_retries = 0x1 } }",
		"auto_auth = { method = [{ type = \"approle\" }] }", "template = [{ source = \"a\" }, 1]", "notify \"signal\" \"x\" {}",
		"a = \"%{ if x }\"", "wait = { min = 1 }", "\xef\xbb\xbfpid_file = \"\xff\"", "a = -x", "a = {(b) = 1}", "a = [for x in y : x]",
		"\"template\" = { \"contents\" = <<-E\n  a\n  E\n \"destination\" = \"\\x41\" }", "{\"template\": [{\"contents\": \"\\u0000${\", \"destination\": \"b\"}]}",
		"\"a\" = <<E\nE\n", job + "\"log_file\" = \"${\"a\"}\\n\" # x\n/* y */ env_template A-B {}", "a=[[1][2]]",
	} {
		f.Add([]byte(seed))
	}
	f.Add(readFile(f, "testdata/everything.hcl"))
	f.Fuzz(func(t *testing.T, source []byte) {
		file, err := parseText(source)
		if err == nil {
			if file.AutoAuth == nil && !file.renders() && file.APIProxy == nil && file.Cache == nil {
				t.Error("a configuration without a purpose was accepted")
			}
			convertsToTheSame(t, file, source)
			return
		}
		problems, ok := errors.AsType[*Error](err)
		if !ok || file != nil || len(problems.Problems) == 0 {
			t.Fatalf("the error is no list of problems: %v", err)
		}
		for _, problem := range problems.Problems {
			if problem.At.File != "agent.hcl" || problem.At.Line > 1+strings.Count(string(source), "\n")+1 || problem.Message == "" {
				t.Errorf("the problem %q is nowhere or says nothing", problem)
			}
		}
	})
}

func readFile(f *testing.F, path string) []byte {
	f.Helper()
	source, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	return source
}

// convertsToTheSame checks a conversion, which may only fail for characters that
// HCL changes.
func convertsToTheSame(t *testing.T, file *File, source []byte) {
	t.Helper()
	c := converter{comments: make(map[string][]comment)}
	c.visit("agent.hcl", source)
	converted, err := c.convert(newDecoder(&report{}), file)
	if err != nil {
		if isPlain(strings.ReplaceAll(string(source), "\n", "")) && !strings.ContainsRune(string(source), '\\') {
			t.Errorf("a plain configuration cannot be converted: %v", err)
		}
		return
	}
	again, err := parseText(converted)
	if err != nil {
		t.Fatalf("what was converted is refused: %v\n%s", err, converted)
	}
	if got, want := shape(again), shape(file); !reflect.DeepEqual(got, want) {
		t.Errorf("what was converted is another configuration:\n%s\n%+v\n%+v", converted, got, want)
	}
}

// FuzzText checks that what stands in a heredoc is what comes out.
func FuzzText(f *testing.F) {
	for _, seed := range []string{"plain", "${x} $${y} %{if}", "\"\\n\" ${\"}\"", "{{ secret \"a\" }} # $", "EOTX <<EOT"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.TrimSpace(text) == "EOT" || strings.ContainsAny(text, "\r\n") || !isPlain(text) {
			return
		}
		file, err := parseText([]byte("template {\n destination = \"x\"\n contents = <<EOT\n" + text + "\nEOT\n}"))
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if got := file.Templates[0].Contents; got != text+"\n" {
			t.Errorf("%q came out as %q", text, got)
		}
	})
}

// isPlain reports whether HCL2 leaves the text as it is: it refuses bytes that
// are no UTF-8, and normalizes other spellings of one character.
func isPlain(text string) bool {
	for _, r := range text {
		if r < ' ' && r != '\t' || r >= 0x7f {
			return false
		}
	}
	return true
}

func FuzzParseDuration(f *testing.F) {
	for _, seed := range []string{"5m", "300", "7d", "-1s", "9223372037", "1.5h", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := ParseDuration(text)
		if err != nil {
			if d != 0 {
				t.Errorf("%q: %s beside the error %v", text, d, err)
			}
			return
		}
		if d < 0 {
			t.Errorf("%q: %s is negative", text, d)
		}
		if again, err := ParseDuration(time.Duration(d).String()); err != nil || again != d {
			t.Errorf("%q: %s is read again as %s (%v)", text, d, again, err)
		}
	})
}

func FuzzParseMode(f *testing.F) {
	for _, seed := range []string{"0640", "640", "7777", "10000", "8", "0o600", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		mode, err := ParseMode(text)
		if err != nil {
			if mode != 0 {
				t.Errorf("%q: %s beside the error %v", text, mode, err)
			}
			return
		}
		if mode == 0 || mode > 0o7777 {
			t.Errorf("%q: %s is no mode", text, mode)
		}
		if again, err := ParseMode(mode.String()); err != nil || again != mode {
			t.Errorf("%q: %s is read again as %s (%v)", text, mode, again, err)
		}
	})
}

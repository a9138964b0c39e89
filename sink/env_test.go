package sink

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/novatech/securevault/internal/vault"
)

// awkward values are those that an encoder gets wrong.
func awkward() []string {
	return []string{
		"", "plain", " leading and trailing ", "\ttabs\t", "#no comment", "a #b", "; c", `back\slash`, `\\`, `\n`, `ends in \`,
		`"`, `"quoted"`, "'", "it's", `'"'`, "two\nlines", "\n", "\nline\n", "carriage\rreturn", "\r\n", "A=b", "=", "%s %%",
		"!history", "*?[a]", "~", "a;b&c|d", "(x)", "{a,b}", "ünïcödé ✓ 𝄞", "\x01\x7f\x1b[0m",
		"-----BEGIN PRIVATE KEY-----\nMIG+/=\n-----END PRIVATE KEY-----\n",
	}
}

// expanding values hold what a shell replaces.
func expanding() []string {
	return []string{"$HOME", "${HOME}", "$$", "$", "$(id)", "`id`", `\$HOME`, `\\$HOME`, "a$", `\`, "\\\n"}
}

func variables(values []string) []Variable {
	var all []Variable
	for i, value := range values {
		all = append(all, Variable{fmt.Sprintf("V_%d", i), vault.Sensitive(value)})
	}
	return all
}

// decodeEnv reads a file as the section on EnvironmentFile= of systemd.exec(5)
// tells it, all three kinds of value included.
func decodeEnv(file string) (map[string]string, error) {
	found := make(map[string]string)
	for file != "" {
		line, after, _ := strings.Cut(file, "\n")
		trimmed := strings.TrimLeft(line, " \t\r")
		name, _, assigned := strings.Cut(trimmed, "=")
		if !assigned || strings.HasPrefix(trimmed, "#") || strings.HasPrefix(trimmed, ";") {
			file = after
			continue
		}
		value := strings.TrimLeft(file[strings.IndexByte(file, '=')+1:], " \t\r")
		var err error
		if found[name], file, err = decodeValue(value); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return found, nil
}

func decodeValue(text string) (value, rest string, err error) {
	switch {
	case strings.HasPrefix(text, "'"):
		value, rest, closed := strings.Cut(text[1:], "'")
		if !closed {
			return "", "", errors.New("a quote is not closed")
		}
		return value, rest, endOfLine(&rest)
	case strings.HasPrefix(text, `"`):
		return decodeQuoted(text[1:])
	default:
		return decodeUnquoted(text)
	}
}

func decodeQuoted(text string) (value, rest string, err error) {
	var out strings.Builder
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			rest = text[i+1:]
			err = endOfLine(&rest)
			return out.String(), rest, err
		case c == '\\' && i+1 < len(text):
			i++
			if !strings.ContainsRune("\"\\`$\n", rune(text[i])) {
				out.WriteByte('\\')
			}
			if text[i] != '\n' {
				out.WriteByte(text[i])
			}
		default:
			out.WriteByte(c)
		}
	}
	return "", "", errors.New("a quote is not closed")
}

func decodeUnquoted(text string) (value, rest string, err error) {
	var out strings.Builder
	kept := 0 // bytes that are not white space at the end
	i := 0
	for ; i < len(text) && text[i] != '\n'; i++ {
		switch c := text[i]; {
		case c == '\\' && i+1 < len(text):
			if i++; text[i] != '\n' {
				out.WriteByte(text[i])
				kept = out.Len()
			}
		default:
			out.WriteByte(c)
			if !strings.ContainsRune(" \t\r", rune(c)) {
				kept = out.Len()
			}
		}
	}
	return out.String()[:kept], text[min(i+1, len(text)):], nil
}

// endOfLine moves past white space to the next line.
func endOfLine(rest *string) error {
	space, after, _ := strings.Cut(*rest, "\n")
	if strings.Trim(space, " \t\r") != "" {
		return errors.New("something follows a quoted value")
	}
	*rest = after
	return nil
}

func TestTheDecoderReadsWhatTheManualDescribes(t *testing.T) {
	got, err := decodeEnv("# comment\n;comment\n\nno assignment\nA= plain  text \t\nB=a\\\nb\\\\\\c\nC='one\n\\two'\nD= \"\\a\\$\\\nx\" \nE=\nF=don't\n")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"A": "plain  text", "B": `ab\c`, "C": "one\n\\two", "D": `\a$x`, "E": "", "F": "don't"}
	for name, value := range want {
		if got[name] != value {
			t.Errorf("%s is %q, want %q", name, got[name], value)
		}
	}
	if len(got) != len(want) {
		t.Errorf("there are %d variables, want %d", len(got), len(want))
	}
}

func TestEnvFileReadsBackAsWritten(t *testing.T) {
	all := variables(slices.Concat(awkward(), expanding()))
	file, err := EnvFile(all)
	if err != nil {
		t.Fatal(err)
	}
	got, err := decodeEnv(string(file))
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range all {
		if value, ok := got[v.Name]; !ok || value != v.Value.Reveal() {
			t.Errorf("%q was read as %q", v.Value.Reveal(), value)
		}
	}
}

func TestEnvFileAsSystemdReadsIt(t *testing.T) {
	const generator = "/usr/lib/systemd/user-environment-generators/30-systemd-environment-d-generator"
	if _, err := os.Stat(generator); err != nil {
		t.Log("systemd is not installed: the decoder written from its manual stands in, in the test before")
		return
	}
	// systemd reads environment.d with the same parser, and then expands
	// variables, and leaves out what is empty. That, and values with a $, are
	// left to the decoder and to sh.
	all := variables(slices.DeleteFunc(awkward(), func(value string) bool { return value == "" }))
	file, err := EnvFile(all)
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	write(t, File{Path: filepath.Join(home, "environment.d", "test.conf"), CreateDirs: true}, string(file))
	cmd := exec.Command(generator)
	cmd.Env = []string{"XDG_CONFIG_HOME=" + home, "HOME=" + home}
	output, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	printed := make(map[string]string)
	for line := range strings.Lines(string(output)) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		printed[name] = unescape(t, value)
	}
	for _, v := range all {
		if got, ok := printed[v.Name]; !ok || got != v.Value.Reveal() {
			t.Errorf("systemd reads %q as %q", v.Value.Reveal(), got)
		}
	}
}

// unescape reads a value as systemd prints it: in quotes with escapes as in C
// and in a shell, or plain.
func unescape(t *testing.T, text string) string {
	t.Helper()
	text, quoted := strings.CutPrefix(strings.TrimPrefix(text, "$"), `"`)
	if !quoted {
		return text
	}
	text = strings.NewReplacer(`\\`, `\\`, `\$`, `$`, "\\`", "`").Replace(text)
	value, err := strconv.Unquote(`"` + text)
	if err != nil {
		t.Fatalf("systemd printed %q: %v", text, err)
	}
	return value
}

func TestEnvFileAsAShellReadsIt(t *testing.T) {
	all := variables(slices.Concat(awkward(), expanding()))
	file, err := EnvFile(all)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "env")
	write(t, File{Path: path}, string(file))
	cmd := exec.Command("sh", "-euc", `set -a; . "$1"; env -0`, "sh", path)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	output, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	seen := strings.Split(string(output), "\x00")
	for _, v := range all {
		if !slices.Contains(seen, v.Name+"="+v.Value.Reveal()) {
			t.Errorf("sh lacks %q", v.Value.Reveal())
		}
	}
}

func TestEnvironIsWhatAProgramTakes(t *testing.T) {
	got, err := Environ([]Variable{{"A", "x y"}, {"B", "\xff"}})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"A=x y", "B=\xff"}; !slices.Equal(got, want) {
		t.Errorf("the environment is %q, want %q", got, want)
	}
}

func TestVariablesThatCannotBeWrittenAreRefused(t *testing.T) {
	const secret = "hunter2"
	tests := []struct {
		name     string
		variable Variable
		want     string
	}{
		{"an empty name", Variable{"", secret}, "name is empty"},
		{"a name with a dash", Variable{"A-B", secret}, "letters, digits and underscores"},
		{"a name that starts with a digit", Variable{"1A", secret}, "letters, digits and underscores"},
		{"a name with an end of line", Variable{"A\nB", secret}, "letters, digits and underscores"},
		{"a name with an equals sign", Variable{"A=B", secret}, "letters, digits and underscores"},
		{"a zero byte", Variable{"A", secret + "\x00"}, "zero byte"},
		{"what is no UTF-8", Variable{"A", secret + "\xff"}, "UTF-8"},
		{"a noncharacter", Variable{"A", secret + "\uffff"}, "UTF-8"},
		{"a byte order mark", Variable{"A", "\ufeff" + secret}, "UTF-8"},
		{"more than a program takes", Variable{"A", vault.Sensitive(secret + strings.Repeat("x", 128<<10))}, "131071 bytes"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := EnvFile([]Variable{test.variable})
			wantError(t, err, fmt.Sprintf("%q", test.variable.Name), test.want)
			if strings.Contains(err.Error(), secret) {
				t.Errorf("the error %q tells the value", err)
			}
		})
	}
	_, err := Environ([]Variable{{"A", "1"}, {"A", "2"}})
	wantError(t, err, `"A"`, "two of that name")
}

func TestTheLargestVariableStartsAProgram(t *testing.T) {
	environ, err := Environ([]Variable{{"A", vault.Sensitive(strings.Repeat("x", maxVariable-len("A=")))}})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-c", "exit 0")
	cmd.Env = environ
	if err := cmd.Run(); err != nil {
		t.Error(err)
	}
}

func FuzzEnvFile(f *testing.F) {
	for _, value := range slices.Concat(awkward(), expanding()) {
		f.Add("NAME", value)
	}
	f.Add("", "x")
	f.Add("A B", "x")
	f.Fuzz(func(t *testing.T, name, value string) {
		file, err := EnvFile([]Variable{{name, vault.Sensitive(value)}, {"AFTER", "ok"}})
		if err != nil {
			return
		}
		got, err := decodeEnv(string(file))
		if err != nil {
			t.Fatalf("%q: %v", file, err)
		}
		if len(got) != 2 || got[name] != value || got["AFTER"] != "ok" {
			t.Errorf("%q=%q was read as %q", name, value, got)
		}
	})
}

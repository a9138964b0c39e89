package templates

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"

	yaml2 "gopkg.in/yaml.v2"
	"gopkg.in/yaml.v3"

	"github.com/novatech/securevault/internal/envfile"
	"github.com/novatech/securevault/internal/vault"
)

func TestFormats(t *testing.T) {
	have := secrets()
	have["kv/mixed"] = &vault.Secret{Data: map[string]any{
		"a-b": "x=1 #\n\"$HOME\" `id` \\ é", "list": []any{"y", json.Number("2")}, "none": nil, "on": true, "port": json.Number("5432"), "0": " lead",
	}}
	tests := map[string]struct {
		cfg  FormatConfig
		want string
	}{
		"json": {FormatConfig{Format: JSON, Secret: "kv/mixed"}, `{
  "0": " lead",
  "a-b": "x=1 #\n\"$HOME\" ` + "`id`" + ` \\ é",
  "list": [
    "y",
    2
  ],
  "none": null,
  "on": true,
  "port": 5432
}
`},
		"yaml": {FormatConfig{Format: YAML, Secret: "kv/mixed"}, `"0": ' lead'
a-b: |-
  x=1 #
  "$HOME" ` + "`id`" + ` \ é
list:
- "y"
- 2
none: null
"on": true
port: 5432
`},
		"env": {FormatConfig{Format: Env, Secret: "kv/mixed"}, `A_B="x=1 #
\"\$HOME\" ` + "\\`id\\`" + ` \\ é"
LIST="[\"y\",2]"
NONE=""
ON="true"
PORT="5432"
_0=" lead"
`},
		"properties": {FormatConfig{Format: Properties, Secret: "kv/mixed"}, `0=\ lead
a-b=x\=1 \#\n"$HOME" ` + "`id`" + ` \\ \u00E9
list=["y",2]
none=
on=true
port=5432
`},
		"fields and a prefix": {FormatConfig{Format: Env, Secret: "database/creds/app", Fields: []string{"username", "port"}, Prefix: "db_"}, "DB_PORT=\"5432\"\nDB_USERNAME=\"v-app-1\"\n"},
		"key-value version 2": {FormatConfig{Format: Properties, Secret: "secret/data/app", Fields: []string{"user"}}, "user=u\n"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := renderFormat(t, test.cfg, have)
			if err != nil || string(got.Output) != test.want || len(got.Wants) != 1 {
				t.Errorf("got %s, %v, wants %v; want %s", got.Output, err, got.Wants, test.want)
			}
		})
	}
}

func renderFormat(t *testing.T, cfg FormatConfig, have store) (Result, error) {
	t.Helper()
	cfg.Name = "out"
	made, err := NewFormat(cfg)
	if err != nil {
		return Result{}, err
	}
	if pending, err := made.Render(store{}.lookup); err != nil || len(pending.Pending) != 1 || pending.Output != nil {
		t.Errorf("without a secret: %+v, %v", pending, err)
	}
	return made.Render(have.lookup)
}

func TestFormatsThatAreRefused(t *testing.T) {
	have := secrets()
	have["kv/clash"] = &vault.Secret{Data: map[string]any{"a.b": "1", "a_b": "2"}}
	have["kv/merge"] = &vault.Secret{Data: map[string]any{"a": []any{map[string]any{"<<": map[string]any{}}}}}
	have["kv/nul"] = &vault.Secret{Data: map[string]any{"n": "a\x00b"}}
	have["kv/deleted"] = &vault.Secret{Data: map[string]any{"data": nil, "metadata": map[string]any{}}}
	tests := map[string]struct {
		cfg  FormatConfig
		says string
	}{
		"a format that is none":   {FormatConfig{Format: "xml", Secret: "a"}, "use json, yaml, env or properties"},
		"an empty path":           {FormatConfig{Format: JSON, Secret: ""}, `"out"`},
		"a field that is missing": {FormatConfig{Format: JSON, Secret: "database/creds/app", Fields: []string{"user"}}, `out: there is no field "user"; there are password, port, username`},
		"two fields of one name":  {FormatConfig{Format: Env, Secret: "kv/clash"}, `the fields "a.b" and "a_b" both become A_B`},
		"a NUL":                   {FormatConfig{Format: Env, Secret: "kv/nul"}, `writing the field "n": the value is no UTF-8 text`},
		"a key that merges":       {FormatConfig{Format: YAML, Secret: "kv/merge"}, `a field is called "<<"`},
		"a deleted version":       {FormatConfig{Format: JSON, Secret: "kv/deleted"}, "was deleted"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := renderFormat(t, test.cfg, have); err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("error %v, want %q", err, test.says)
			}
		})
	}
}

func TestShellReadsEnv(t *testing.T) {
	value := "a'b\"c\\d$e`f\n g\t#h=%i!j\\\n\\n\\"
	text, err := encodeEnv(map[string]any{"value": value})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "env")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := exec.CommandContext(t.Context(), "sh", "-c", `. "$0"; printf %s "$VALUE"`, path).CombinedOutput()
	if err != nil || string(got) != value {
		t.Errorf("got %q, %v; want %q", got, err, value)
	}
}

// FuzzFormats writes two fields in each format and reads them back.
func FuzzFormats(f *testing.F) {
	for _, seed := range []string{"", "plain", "a b", " \t", "x=1", "yes", "0o17", "1e3", "012", "12:30:45", "~", "null", "- a", "'", `"`, "\\", "$x", "#", "\r\n", "\u0085\u2028\ufeff", "\U0001F600", "é", "\x7f", "<<", "=", "!", "{{ a }}"} {
		f.Add(seed, seed, int32(5))
	}
	f.Fuzz(func(t *testing.T, name, value string, number int32) {
		if !utf8.ValidString(name) || !utf8.ValidString(value) {
			return // no JSON has it
		}
		fields := map[string]any{name: value, name + "2": json.Number(strconv.Itoa(int(number)))}
		want := map[string]string{name: value, name + "2": strconv.Itoa(int(number))}
		for format, check := range map[Format]struct {
			encode func(map[string]any) ([]byte, error)
			decode func([]byte, any) error
		}{
			JSON: {encodeJSON, json.Unmarshal}, YAML: {encodeYAML, yaml.Unmarshal},
			"yaml 1.1": {encodeYAML, func(text []byte, v any) error { return yaml2.Unmarshal(text, v) }},
		} {
			text, err := check.encode(fields)
			if err != nil && name == "<<" {
				continue
			}
			if got, decodeErr := decode(text, check.decode); err != nil || decodeErr != nil || !reflect.DeepEqual(got, fields) {
				t.Errorf("%s: got %q, %v, %v; want %q from %q", format, got, err, decodeErr, fields, text)
			}
		}
		if text, err := encodeProperties(fields); err != nil {
			t.Error(err)
		} else if got, err := readProperties(text); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("properties: got %q, %v; want %q from %q", got, err, want, text)
		}
		text, err := encodeEnv(fields)
		if err != nil {
			if _, refused := envfile.Line("NAME", value); refused == nil {
				t.Errorf("env: %v", err)
			}
			return
		}
		got, err := readEnv(text)
		if values := slices.Sorted(maps.Values(got)); err != nil || !reflect.DeepEqual(values, slices.Sorted(maps.Values(want))) {
			t.Errorf("env: got %q, %v; want %q from %q", got, err, want, text)
		}
	})
}

// decode reads fields, with numbers as the wire has them.
func decode(text []byte, unmarshal func([]byte, any) error) (map[string]any, error) {
	var fields map[string]any
	err := unmarshal(text, &fields)
	for name, value := range fields {
		switch number := value.(type) {
		case float64:
			fields[name] = json.Number(strconv.Itoa(int(number)))
		case int:
			fields[name] = json.Number(strconv.Itoa(number))
		}
	}
	return fields, err
}

// readEnv reads variables as systemd does between double quotes.
func readEnv(text []byte) (map[string]string, error) {
	out, rest := map[string]string{}, string(text)
	for rest != "" {
		name, quoted, ok := strings.Cut(rest, `="`)
		if !ok || strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789") != "" {
			return nil, fmt.Errorf("no assignment: %q", rest)
		}
		var value strings.Builder
		i := 0
		for ; quoted[i] != '"'; i++ {
			if quoted[i] == '\\' {
				if i++; !strings.ContainsRune("\"\\`$", rune(quoted[i])) {
					return nil, fmt.Errorf("an escape of %q", quoted[i])
				}
			}
			value.WriteByte(quoted[i])
		}
		out[name] = value.String()
		if rest, ok = strings.CutPrefix(quoted[i+1:], "\n"); !ok {
			return nil, fmt.Errorf("no end of line: %q", quoted)
		}
	}
	return out, nil
}

// readProperties reads what java.util.Properties.load would.
func readProperties(text []byte) (map[string]string, error) {
	out := map[string]string{}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimRight(line, "\n")
		split := 0
		for ; line[split] != '='; split++ {
			if line[split] == '\\' {
				split++
			}
		}
		name, err := unescapeProperty(line[:split])
		if err != nil {
			return nil, err
		}
		value, err := unescapeProperty(strings.TrimLeft(line[split+1:], " \t\f"))
		if err != nil {
			return nil, err
		}
		out[name] = value
	}
	return out, nil
}

func unescapeProperty(text string) (string, error) {
	var units []uint16
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c < ' ' || c > '~' {
			return "", fmt.Errorf("a bare %q", c)
		}
		if c == '\\' {
			i++
			if text[i] == 'u' {
				unit, err := strconv.ParseUint(text[i+1:i+5], 16, 16)
				if err != nil {
					return "", err
				}
				units = append(units, uint16(unit))
				i += 4
				continue
			}
			if c = text[i]; strings.IndexByte("tnfr", c) >= 0 {
				c = "\t\n\f\r"[strings.IndexByte("tnfr", c)]
			}
		}
		units = append(units, uint16(c))
	}
	return string(utf16.Decode(units)), nil
}

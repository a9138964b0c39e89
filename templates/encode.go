package templates

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"

	"gopkg.in/yaml.v2"

	"github.com/novatech/securevault/internal/envfile"
)

func encodeJSON(fields map[string]any) ([]byte, error) {
	text, err := toJSON(fields, "  ", false)
	return []byte(text + "\n"), err
}

func encodeYAML(fields map[string]any) ([]byte, error) {
	if hasMergeKey(fields) {
		return nil, errors.New(`a field is called "<<", which merges maps in YAML; leave it out with fields, or write JSON`)
	}
	return yaml.Marshal(fields)
}

func hasMergeKey(value any) bool {
	switch v := value.(type) {
	case map[string]any:
		for key, inner := range v {
			if key == "<<" || hasMergeKey(inner) {
				return true
			}
		}
	case []any:
		return slices.ContainsFunc(v, hasMergeKey)
	}
	return false
}

// encodeEnv writes an [envfile]. Names are in upper case, with _ for what a name
// may not hold.
func encodeEnv(fields map[string]any) ([]byte, error) {
	names := map[string]string{} // name of a variable → field
	for _, field := range slices.Sorted(maps.Keys(fields)) {
		name := envName(field)
		if other, taken := names[name]; taken {
			return nil, fmt.Errorf("the fields %q and %q both become %s; choose one of them with fields", other, field, name)
		}
		names[name] = field
	}
	var out bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(names)) {
		value, err := plain(fields[names[name]])
		if err != nil {
			return nil, err
		}
		line, err := envfile.Line(name, value)
		if err != nil {
			return nil, fmt.Errorf("writing the field %q: %w", names[name], err)
		}
		out.WriteString(line)
	}
	return out.Bytes(), nil
}

func envName(field string) string {
	name := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			return r
		default:
			return '_'
		}
	}, field)
	if name == "" || name[0] >= '0' && name[0] <= '9' {
		return "_" + name
	}
	return name
}

// encodeProperties writes lines in the way of java.util.Properties.
func encodeProperties(fields map[string]any) ([]byte, error) {
	var out bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		value, err := plain(fields[name])
		if err != nil {
			return nil, err
		}
		out.WriteString(escapeProperty(name, true) + "=" + escapeProperty(value, false) + "\n")
	}
	return out.Bytes(), nil
}

// escapeProperty escapes what has a meaning, and all that is not ASCII. In a
// name every space has one, in a value only a leading one.
func escapeProperty(text string, name bool) string {
	var out strings.Builder
	leading := true
	for _, r := range text {
		switch {
		case r == ' ' && (name || leading):
			out.WriteString(`\ `)
		case strings.ContainsRune(`\=:#!`, r):
			out.WriteString(`\` + string(r))
		case strings.ContainsRune("\t\n\f\r", r):
			out.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		case r >= ' ' && r <= '~':
			out.WriteRune(r)
		default:
			for _, unit := range utf16.Encode([]rune{r}) {
				fmt.Fprintf(&out, `\u%04X`, unit)
			}
		}
		leading = leading && r == ' '
	}
	return out.String()
}

// plain returns a value as text: lists and maps as JSON, nothing for null.
func plain(value any) (string, error) {
	switch v := value.(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	case json.Number:
		return v.String(), nil
	case bool:
		return strconv.FormatBool(v), nil
	default:
		return toJSON(v, "", false)
	}
}

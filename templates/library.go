package templates

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"text/template"
	"time"

	"github.com/BurntSushi/toml"
	"github.com/davecgh/go-spew/spew"
	sockaddr "github.com/hashicorp/go-sockaddr/template"
	"golang.org/x/text/cases"
	"golang.org/x/text/language"
	"gopkg.in/yaml.v2"
)

// library returns the functions of consul-template that depend on nothing but
// their arguments, the clock and the host's addresses. That they give what
// consul-template gives is tested side by side with it.
func library() template.FuncMap {
	functions := template.FuncMap{
		"base64Encode":    func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
		"base64Decode":    func(s string) (string, error) { return decoded(base64.StdEncoding.DecodeString(s)) },
		"base64URLEncode": func(s string) string { return base64.URLEncoding.EncodeToString([]byte(s)) },
		"base64URLDecode": func(s string) (string, error) { return decoded(base64.URLEncoding.DecodeString(s)) },

		"md5sum":        func(s string) string { return fmt.Sprintf("%x", md5.Sum([]byte(s))) },
		"sha256Hex":     func(s string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(s))) },
		"hmacSHA256Hex": hmacSHA256Hex,

		"toJSON":                func(v any) (string, error) { return toJSON(v, "", true) },
		"toJSONPretty":          func(v any) (string, error) { return toJSON(v, "  ", true) },
		"toUnescapedJSON":       func(v any) (string, error) { return toJSON(v, "", false) },
		"toUnescapedJSONPretty": func(v any) (string, error) { return toJSON(v, "  ", false) },
		"toYAML":                toYAML,
		"toTOML":                toTOML,

		"parseBool":  parsed(strconv.ParseBool),
		"parseFloat": parsed(func(s string) (float64, error) { return strconv.ParseFloat(s, 64) }),
		"parseInt":   parsed(func(s string) (int64, error) { return strconv.ParseInt(s, 10, 64) }),
		"parseUint":  parsed(func(s string) (uint64, error) { return strconv.ParseUint(s, 10, 64) }),
		"parseJSON":  func(s string) (any, error) { return unmarshalled(s, json.Unmarshal) },
		"parseYAML": func(s string) (any, error) {
			return unmarshalled(s, func(text []byte, v any) error { return yaml.Unmarshal(text, v) })
		},

		"join":       func(separator string, parts []string) string { return strings.Join(parts, separator) },
		"split":      split,
		"splitToMap": splitToMap,
		"indent":     indent,
		"replaceAll": func(old, with, s string) string { return strings.ReplaceAll(s, old, with) },
		"toLower":    strings.ToLower,
		"toTitle":    func(s string) string { return cases.Title(language.Und, cases.NoLower).String(s) },
		"toUpper":    strings.ToUpper,
		"trim":       func(cutset, s string) string { return strings.Trim(s, cutset) },
		"trimPrefix": func(prefix, s string) string { return strings.TrimPrefix(s, prefix) },
		"trimSpace":  strings.TrimSpace,
		"trimSuffix": func(suffix, s string) string { return strings.TrimSuffix(s, suffix) },

		"regexMatch":      regexMatch,
		"regexReplaceAll": regexReplaceAll,

		"sockaddr":     func(words ...string) (string, error) { return sockaddr.Parse("{{ " + strings.Join(words, " ") + " }}") },
		"spew_sdump":   func(values ...any) string { return spew.Sdump(values...) },
		"spew_sprintf": func(format string, values ...any) string { return spew.Sprintf(format, values...) },
		"timestamp":    timestamp,
	}
	addArithmetic(functions)
	addCollections(functions)
	return functions
}

func decoded(text []byte, err error) (string, error) { return string(text), err }

func hmacSHA256Hex(message, key string) string {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(message))
	return hex.EncodeToString(mac.Sum(nil))
}

func toJSON(value any, indent string, escape bool) (string, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetIndent("", indent)
	encoder.SetEscapeHTML(escape)
	err := encoder.Encode(value)
	return strings.TrimSpace(out.String()), err
}

func toYAML(value any) (string, error) {
	text, err := yaml.Marshal(value)
	return strings.TrimSpace(string(text)), err
}

func toTOML(value any) (string, error) {
	var out strings.Builder
	err := toml.NewEncoder(&out).Encode(value)
	return strings.TrimSpace(out.String()), err
}

// parsed returns a function that reads a number or the like; an empty string
// is zero.
func parsed[T any](parse func(string) (T, error)) func(string) (T, error) {
	return func(s string) (value T, err error) {
		if s == "" {
			return value, nil
		}
		return parse(s)
	}
}

func unmarshalled(text string, unmarshal func([]byte, any) error) (any, error) {
	if text == "" {
		return map[string]any{}, nil
	}
	var value any
	err := unmarshal([]byte(text), &value)
	return value, err
}

func split(separator, s string) []string {
	s = strings.TrimSpace(s)
	if s == "" {
		return []string{}
	}
	return strings.Split(s, separator)
}

func splitToMap(separator, equals, s string) map[string]string {
	out := map[string]string{}
	for _, pair := range split(separator, s) {
		if key, value, ok := strings.Cut(pair, equals); ok {
			out[key] = value
		}
	}
	return out
}

// indent puts spaces before every line that is not empty.
func indent(spaces int, s string) (string, error) {
	if spaces < 0 {
		return "", fmt.Errorf("indenting by %d: there are no negative spaces", spaces)
	}
	lines := strings.SplitAfter(s, "\n")
	if spaces > (MaxOutput-len(s))/len(lines) {
		return "", errTooLarge
	}
	prefix := strings.Repeat(" ", spaces)
	var out strings.Builder
	for _, line := range lines {
		if line != "" && line != "\n" {
			out.WriteString(prefix)
		}
		out.WriteString(line)
	}
	return out.String(), nil
}

func regexMatch(pattern, s string) (bool, error) { return regexp.MatchString(pattern, s) }

func regexReplaceAll(pattern, with, s string) (string, error) {
	compiled, err := regexp.Compile(pattern)
	if err != nil {
		return "", err
	}
	return compiled.ReplaceAllString(s, with), nil
}

// timestamp returns the time in UTC, in a layout of package time or as the
// seconds since 1970 ("unix").
func timestamp(layout ...string) (string, error) {
	now := time.Now().UTC()
	switch {
	case len(layout) == 0:
		return now.Format(time.RFC3339), nil
	case len(layout) > 1:
		return "", fmt.Errorf("timestamp takes one layout at most, not %d", len(layout))
	case layout[0] == "unix":
		return strconv.FormatInt(now.Unix(), 10), nil
	default:
		return now.Format(layout[0]), nil
	}
}

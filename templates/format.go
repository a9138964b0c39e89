package templates

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/novatech/securevault/internal/vault"
)

// Format is a way to write secrets without a template.
type Format string

// The formats. In env and properties, a field that is a list or a map is
// written as JSON.
const (
	JSON       Format = "json"
	YAML       Format = "yaml"
	Env        Format = "env"        // NAME="value", for systemd's EnvironmentFile and for a shell
	Properties Format = "properties" // of Java
)

// FormatConfig describes an output without a template: the fields of a secret
// by their names, in their order.
type FormatConfig struct {
	Name   string   // for errors
	Format Format   // one of the constants
	Secret string   // path as the function secret takes it
	Fields []string // to be written; all when empty
	Prefix string   // of each name
}

// formatted is the [body] of an output without a template.
type formatted struct {
	cfg    FormatConfig
	want   vault.Want
	encode func(map[string]any) ([]byte, error)
}

// NewFormat returns what renders a secret in a format. It is a [Template] in
// all but its text.
func NewFormat(cfg FormatConfig) (*Template, error) {
	encode := map[Format]func(map[string]any) ([]byte, error){
		JSON: encodeJSON, YAML: encodeYAML, Env: encodeEnv, Properties: encodeProperties,
	}[cfg.Format]
	if encode == nil {
		return nil, fmt.Errorf("making the output %q: there is no format %q; use json, yaml, env or properties", cfg.Name, cfg.Format)
	}
	want, err := wantOf("secret", []string{cfg.Secret})
	if err != nil {
		return nil, fmt.Errorf("making the output %q: %w", cfg.Name, err)
	}
	body := &formatted{cfg: cfg, want: want, encode: encode}
	return &Template{cfg: Config{Name: cfg.Name}, body: body, wants: []vault.Want{want}, wantsAll: true}, nil
}

// evaluate implements [body].
func (f *formatted) evaluate(e *evaluation) ([]byte, error) {
	fields, err := unwrapped(f.want, e.get(f.want).Data)
	if err != nil {
		return nil, err
	}
	for _, name := range f.cfg.Fields {
		if _, ok := fields[name]; !ok {
			return nil, fmt.Errorf("there is no field %q; there are %s", name, strings.Join(slices.Sorted(maps.Keys(fields)), ", "))
		}
	}
	out := make(map[string]any, len(fields))
	for name, value := range fields {
		if f.writes(name) {
			out[f.cfg.Prefix+name] = value
		}
	}
	text, err := f.encode(out)
	if len(text) > MaxOutput {
		return nil, errTooLarge
	}
	return text, err
}

func (f *formatted) writes(field string) bool {
	return len(f.cfg.Fields) == 0 || slices.Contains(f.cfg.Fields, field)
}

// unwrapped returns the fields of a secret: version 2 of the key-value engine
// has them beside their metadata.
func unwrapped(want vault.Want, data map[string]any) (map[string]any, error) {
	inner, hasData := data["data"]
	_, hasMetadata := data["metadata"].(map[string]any)
	if len(data) != 2 || !hasData || !hasMetadata {
		return data, nil
	}
	switch fields := inner.(type) {
	case map[string]any:
		return fields, nil
	case nil:
		return nil, fmt.Errorf("this version of %q was deleted; undelete it, or write it anew", want)
	default:
		return nil, errors.New("the secret's data is no object")
	}
}
